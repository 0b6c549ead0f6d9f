//! Keys, minimum TTL, interfaces and addresses to listen on, over the loopback.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use inet::{AoAlgorithm, AoKey, Secret};
use sockets::{AoProbe, Auth, ConnId, Dial, Event, Listen, Peer, Sockets, Who};
use tokio::sync::mpsc::Receiver;

use common::{keepalive, next};

fn md5(key: &str) -> Auth {
    Auth::Md5(Secret::new(key).unwrap())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn signed(who: &str, key: &str) -> Peer {
    Peer { auth: md5(key), ..Peer::plain(ip(who)) }
}

/// A server that listens on one address.
async fn server(address: &str, peers: Vec<Peer>) -> (Sockets, Receiver<Event>, SocketAddr) {
    let (mut sockets, mut events) = Sockets::new();
    assert_eq!(sockets.set_peers(peers), []);
    sockets.listen_on(&[Listen::on(SocketAddr::new(ip(address), 0))]);
    match next(&mut events).await {
        Event::Listening { address } => (sockets, events, address),
        other => panic!("{other:?}"),
    }
}

fn dial(remote: SocketAddr, timeout: u64) -> Dial {
    Dial { remote, local: None, ttl: 64, timeout: Duration::from_millis(timeout) }
}

/// Dials with what is said of the server; the end of it and its reason, if it failed.
async fn try_dial(
    client: &Sockets,
    events: &mut Receiver<Event>,
    to: Dial,
) -> Result<ConnId, String> {
    let wanted = client.connect(to);
    loop {
        match next(events).await {
            Event::Connected { conn, .. } if conn == wanted => return Ok(conn),
            Event::ConnectFailed { conn, reason } if conn == wanted => return Err(reason),
            Event::Connected { .. } | Event::ConnectFailed { .. } | Event::Closed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn accepted(server: &Sockets, events: &mut Receiver<Event>) -> ConnId {
    match next(events).await {
        Event::Accepted { conn, .. } => {
            server.adopt(conn, 64);
            conn
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_the_same_key_connects() {
    for (address, prefix) in [("127.0.0.1", "127.0.0.0/8"), ("::1", "::/64")] {
        let within =
            Peer { who: Who::Within(prefix.parse().unwrap()), ..signed(address, "the key of all") };
        for peer in [signed(address, "the key of all"), within] {
            let (server, mut events, listening) = server(address, vec![peer]).await;
            let (client, mut client_events) = Sockets::new();
            client.set_peers(vec![signed(address, "the key of all")]);
            try_dial(&client, &mut client_events, dial(listening, 5000)).await.unwrap();
            accepted(&server, &mut events).await;
            for wrong in [signed(address, "another"), Peer::plain(ip(address))] {
                client.set_peers(vec![wrong]);
                let failed = try_dial(&client, &mut client_events, dial(listening, 300)).await;
                assert_eq!(failed, Err("no answer in time".to_owned()), "{address}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_word_of_its_key_nobody_is_dialled() {
    let (_server, _events, listening) =
        server("127.0.0.1", vec![Peer::plain(ip("127.0.0.1"))]).await;
    let (client, mut events) = Sockets::new();
    try_dial(&client, &mut events, dial(listening, 5000)).await.unwrap();
    client.set_peers(vec![signed("127.0.0.2", "another's")]);
    let failed = try_dial(&client, &mut events, dial(listening, 5000)).await.unwrap_err();
    assert!(failed.contains("no neighbor"), "{failed}");
    client.set_known(HashSet::new());
    try_dial(&client, &mut events, dial(listening, 5000)).await.unwrap();
}

#[tokio::test]
async fn a_key_changes_under_a_connection() {
    let (server, mut events, listening) =
        server("127.0.0.1", vec![signed("127.0.0.1", "old")]).await;
    let (client, mut client_events) = Sockets::new();
    client.set_peers(vec![signed("127.0.0.1", "old")]);
    let out = try_dial(&client, &mut client_events, dial(listening, 5000)).await.unwrap();
    let into = accepted(&server, &mut events).await;
    for auth in [md5("new"), Auth::None, md5("newest")] {
        let peer = Peer { auth, ..Peer::plain(ip("127.0.0.1")) };
        assert_eq!(server.set_peers(vec![peer.clone()]), []);
        // What is sent in between is lost, and sent again.
        server.send(into, keepalive());
        client.set_peers(vec![peer]);
        client.send(out, keepalive());
        let frame = next(&mut events).await;
        assert!(matches!(frame, Event::Frame { conn, .. } if conn == into), "{frame:?}");
        let frame = next(&mut client_events).await;
        assert!(matches!(frame, Event::Frame { conn, .. } if conn == out), "{frame:?}");
    }
    // New connections have the new key.
    try_dial(&client, &mut client_events, dial(listening, 5000)).await.unwrap();
    client.set_peers(vec![signed("127.0.0.1", "old")]);
    assert!(try_dial(&client, &mut client_events, dial(listening, 300)).await.is_err());
}

fn ao_key(id: u8, secret: &str) -> AoKey {
    let secret = Secret::new(secret).unwrap();
    let algorithm = AoAlgorithm::HmacSha1;
    AoKey { send_id: id, receive_id: id, algorithm, include_options: true, secret }
}

fn ao(keys: &[AoKey]) -> Peer {
    Peer { auth: Auth::Ao(keys.to_vec()), ..Peer::plain(ip("127.0.0.1")) }
}

/// Whether this kernel has TCP-AO; if not, it is said that the rest of a test is not run.
fn has_ao(test: &str) -> bool {
    let Some(why) = AoProbe::default().refusal(true, &[ao_key(1, "probe")]) else { return true };
    // Not a print macro: those are captured.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
    false
}

/// Both ends hear each other.
async fn speak(
    one: (&Sockets, &mut Receiver<Event>, ConnId),
    other: (&Sockets, &mut Receiver<Event>, ConnId),
) {
    one.0.send(one.2, keepalive());
    other.0.send(other.2, keepalive());
    for (_, events, to) in [one, other] {
        let frame = next(events).await;
        assert!(matches!(frame, Event::Frame { conn, .. } if conn == to), "{frame:?}");
    }
}

#[tokio::test]
async fn without_ao_nobody_goes_on_without_it() {
    let (server, mut events, listening) = server("127.0.0.1", vec![]).await;
    let (client, mut client_events) = Sockets::new();
    let (one, two) = (ao_key(1, "one"), ao_key(2, "two"));
    let wrong = server.set_peers(vec![ao(std::slice::from_ref(&one))]);
    client.set_peers(vec![ao(std::slice::from_ref(&one))]);
    let dialled = try_dial(&client, &mut client_events, dial(listening, 5000)).await;
    if has_ao("without_ao_nobody_goes_on_without_it") {
        assert_eq!((wrong, dialled.map(drop)), (vec![], Ok(())));
        return;
    }
    let sentence = "this kernel has no TCP-AO (Linux 6.7 with CONFIG_TCP_AO)";
    assert_eq!(wrong[0].reason, sentence);
    assert_eq!(dialled, Err(sentence.to_owned()));
    // It is known before anybody listens.
    let (deaf, _events) = Sockets::new();
    assert_eq!(deaf.set_peers(vec![ao(&[one, two])])[0].reason, sentence);
    // A wanted key that cannot be had does not mean a connection without.
    let plain = tokio::net::TcpStream::connect(listening).await.unwrap();
    let mut byte = [0; 1];
    plain.readable().await.unwrap();
    assert_eq!(plain.try_read(&mut byte).unwrap_or(0), 0);
    assert!(events.try_recv().is_err());
}

/// A new key comes beside the old one, is asked for, and the old one goes: one end at a time.
#[tokio::test]
async fn ao_keys_come_and_go_under_a_connection() {
    if !has_ao("ao_keys_come_and_go_under_a_connection") {
        return;
    }
    let kind = |id, secret, algorithm, include_options| AoKey {
        algorithm,
        include_options,
        ..ao_key(id, secret)
    };
    let one = ao_key(1, "one");
    let two = kind(2, "two", AoAlgorithm::AesCmac, true);
    let three = kind(3, "three", AoAlgorithm::HmacSha256, false);
    for (address, prefix) in [("127.0.0.1", "127.0.0.0/8"), ("::1", "::/0")] {
        for who in [Who::Address(ip(address)), Who::Within(prefix.parse().unwrap())] {
            let peer = |keys: &[AoKey]| Peer { who, ..ao(keys) };
            let (server, mut events, listening) =
                server(address, vec![peer(std::slice::from_ref(&one))]).await;
            let (client, mut client_events) = Sockets::new();
            assert_eq!(client.set_peers(vec![peer(std::slice::from_ref(&one))]), []);
            let out = try_dial(&client, &mut client_events, dial(listening, 5000)).await.unwrap();
            let into = accepted(&server, &mut events).await;
            let turns = [
                vec![one.clone(), two.clone()],
                vec![two.clone(), one.clone()],
                vec![two.clone()],
                vec![two.clone(), three.clone()],
                vec![three.clone(), two.clone()],
                vec![three.clone()],
            ];
            for keys in turns {
                for sockets in [&server, &client] {
                    assert_eq!(sockets.set_peers(vec![peer(&keys)]), []);
                    speak((&server, &mut events, into), (&client, &mut client_events, out)).await;
                }
            }
            // New connections have the new key, and only who has it connects.
            try_dial(&client, &mut client_events, dial(listening, 5000)).await.unwrap();
            let of_id_3 = kind(3, "another", AoAlgorithm::HmacSha256, false);
            let of_id_4 = AoKey { send_id: 4, receive_id: 4, ..three.clone() };
            let sha1 = AoKey { algorithm: AoAlgorithm::HmacSha1, ..three.clone() };
            for auth in [
                Auth::Ao(vec![of_id_3]),
                Auth::Ao(vec![of_id_4]),
                Auth::Ao(vec![sha1]),
                Auth::Ao(vec![one.clone(), two.clone()]),
                md5("three"),
                Auth::None,
            ] {
                let (client, mut client_events) = Sockets::new();
                client.set_peers(vec![Peer { auth, ..peer(&[]) }]);
                let failed = try_dial(&client, &mut client_events, dial(listening, 300)).await;
                assert_eq!(failed, Err("no answer in time".to_owned()));
            }
        }
    }
}

/// A prefix of neighbors has a key and one of them has its own: the connection has no other.
#[tokio::test]
async fn a_neighbor_within_a_prefix_has_its_own_keys_alone() {
    if !has_ao("a_neighbor_within_a_prefix_has_its_own_keys_alone") {
        return;
    }
    let (of_all, own) = (ao_key(1, "of all"), ao_key(2, "own"));
    let all = Peer {
        who: Who::Within("127.0.0.0/8".parse().unwrap()),
        ..ao(std::slice::from_ref(&of_all))
    };
    let (server, mut events, listening) =
        server("127.0.0.1", vec![all, ao(std::slice::from_ref(&own))]).await;
    let (client, mut client_events) = Sockets::new();
    client.set_peers(vec![ao(std::slice::from_ref(&own))]);
    let out = try_dial(&client, &mut client_events, dial(listening, 5000)).await.unwrap();
    let into = accepted(&server, &mut events).await;
    speak((&server, &mut events, into), (&client, &mut client_events, out)).await;
    // The kernel lets in who has the key of all, and it is sent away.
    let (client, mut client_events) = Sockets::new();
    client.set_peers(vec![ao(&[of_all])]);
    let _ = try_dial(&client, &mut client_events, dial(listening, 5000)).await;
    loop {
        match next(&mut client_events).await {
            Event::Closed { .. } => break,
            Event::Connected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(events.try_recv().is_err(), "it was let in");
}

/// A connection has TCP-AO from its first segment or never (RFC 5925 §7): what there is to say is
/// said, then it ends.
#[tokio::test]
async fn a_connection_without_ao_ends_when_its_peer_gets_a_key() {
    let plain = Peer::plain(ip("127.0.0.1"));
    let (server, mut events, listening) = server("127.0.0.1", vec![plain.clone()]).await;
    for closed in [true, false] {
        server.set_peers(vec![plain.clone()]);
        let (client, mut client_events) = Sockets::new();
        client.set_peers(vec![plain.clone()]);
        try_dial(&client, &mut client_events, dial(listening, 5000)).await.unwrap();
        let into = accepted(&server, &mut events).await;
        server.set_peers(vec![ao(&[ao_key(1, "one")])]);
        server.send(into, keepalive());
        if closed {
            server.close(into);
        }
        let frame = next(&mut client_events).await;
        assert!(matches!(&frame, Event::Frame { bytes, .. } if *bytes == keepalive()), "{frame:?}");
        let end = next(&mut client_events).await;
        assert!(matches!(end, Event::Closed { .. }), "{end:?}");
        if !closed {
            let end = next(&mut events).await;
            let told = matches!(&end, Event::Closed { conn, reason }
                if *conn == into && reason.contains("TCP-AO"));
            assert!(told, "{end:?}");
        }
    }
}

#[tokio::test]
async fn a_ttl_too_low_is_not_heard() {
    for address in ["127.0.0.1", "::1"] {
        let secure = Peer { min_ttl: Some(255), ..Peer::plain(ip(address)) };
        let (server, mut events, listening) = server(address, vec![secure.clone()]).await;
        let (client, mut client_events) = Sockets::new();
        client.set_peers(vec![secure]);
        let out = try_dial(&client, &mut client_events, dial(listening, 5000)).await.unwrap();
        let into = accepted(&server, &mut events).await;
        client.send(out, keepalive());
        server.send(into, keepalive());
        assert!(matches!(next(&mut events).await, Event::Frame { .. }));
        assert!(matches!(next(&mut client_events).await, Event::Frame { .. }));
        // Whoever answers with the usual TTL came from afar, for all that we know.
        let far = tokio::net::TcpListener::bind((ip(address), 0)).await.unwrap();
        let to = dial(far.local_addr().unwrap(), 300);
        let failed = try_dial(&client, &mut client_events, to).await;
        assert_eq!(failed, Err("no answer in time".to_owned()));
    }
}

#[tokio::test]
async fn listeners_come_and_go_and_stay() {
    let all = Peer { who: Who::Within("127.0.0.0/8".parse().unwrap()), ..Peer::plain(ip("::")) };
    let (mut sockets, mut events, first) = server("127.0.0.2", vec![all.clone()]).await;
    let stays = Listen::on(SocketAddr::new(ip("127.0.0.2"), 0));
    let lo = Some("lo".parse().unwrap());
    let on_lo = Listen { interface: lo, backlog: 4, ..Listen::on("127.0.0.3:0".parse().unwrap()) };
    sockets.listen_on(&[stays, on_lo]);
    let Event::Listening { address: second } = next(&mut events).await else { panic!() };
    let (client, mut client_events) = Sockets::new();
    client.set_peers(vec![Peer { interface: lo, ..all }]);
    for to in [first, second] {
        try_dial(&client, &mut client_events, dial(to, 5000)).await.unwrap();
        accepted(&sockets, &mut events).await;
    }
    sockets.listen_on(&[on_lo]);
    while try_dial(&client, &mut client_events, dial(first, 5000)).await.is_ok() {}
    try_dial(&client, &mut client_events, dial(second, 5000)).await.unwrap();

    let nowhere = Listen { interface: Some("none-such".parse().unwrap()), ..on_lo };
    sockets.listen_on(&[nowhere]);
    loop {
        match next(&mut events).await {
            Event::ListenFailed { reason, .. } => break assert!(reason.contains("device")),
            Event::Accepted { .. } | Event::Closed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A port is heard on again at once, though the socket before may still be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_moves_is_not_in_its_own_way() {
    let peer = Peer::plain(ip("127.0.0.1"));
    let (mut sockets, mut events, first) = server("127.0.0.1", vec![peer.clone()]).await;
    let everywhere = Listen::on(first);
    let on_lo = Listen { interface: Some("lo".parse().unwrap()), ..everywhere };
    for round in 0..200 {
        let (now, detour) = if round % 2 == 0 { (on_lo, true) } else { (everywhere, false) };
        if detour {
            sockets.listen_on(&[]);
        }
        sockets.listen_on(&[now]);
        match next(&mut events).await {
            Event::Listening { address } => assert_eq!(address, first),
            other => panic!("round {round}: {other:?}"),
        }
    }
    let (client, mut client_events) = Sockets::new();
    client.set_peers(vec![peer]);
    try_dial(&client, &mut client_events, dial(first, 5000)).await.unwrap();
}

/// More keys than the kernel gives a socket room for: some are not in force, which is told of.
#[tokio::test]
async fn a_listener_that_opens_without_a_key_says_so() {
    let room = std::fs::read_to_string("/proc/sys/net/core/optmem_max").unwrap();
    let room: u32 = room.trim().parse().unwrap();
    if room > 1 << 20 {
        eprintln!("SKIPPED: net.core.optmem_max is {room}: too many keys would be needed");
        return;
    }
    // A key takes more than its own 80 bytes.
    let who = |n: u32| IpAddr::from((0x7F10_0000 + n).to_be_bytes()).to_string();
    let peers: Vec<Peer> = (0..room / 80).map(|n| signed(&who(n), "key")).collect();
    let (server, _events, _) = server("127.0.0.1", peers).await;
    let wrong = server.without_key();
    let reason = "a socket has no room for more keys (sysctl net.core.optmem_max)";
    assert!(!wrong.is_empty() && wrong.iter().all(|error| error.reason == reason), "{wrong:?}");
    assert_eq!(server.set_peers(vec![signed(&who(0), "key")]), []);
    assert_eq!(server.without_key(), []);
}
