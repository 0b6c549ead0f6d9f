//! Links in a network namespace that each test makes for itself: link-local peers, BFD's ports,
//! neighbors found by router advertisements.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::process::Command;
use std::time::Duration;

use bfd::{Arrival, Bfd, Config, Hop, Input, Key, Output, SOURCE_PORTS, Seed, State};
use inet::Timestamp;
use sockets::{BfdSockets, Datagram, Dial, Event, Found, Listen, Neighbors, Peer, Sockets, Who};

/// Runs a test on a thread that has a namespace of its own, with `a` and `b` joined by a cable.
fn with_links<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    // The test's thread has its name.
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: it changes the namespace of this thread alone, which ends with the test.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                let why = "no network namespace may be made here";
                // Not a print macro: those are captured.
                let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: {why}");
                return;
            }
            for line in [
                "link set lo up",
                "link add va type veth peer name vb",
                "link set va addrgenmode none",
                "link set vb addrgenmode none",
                "link set va up",
                "link set vb up",
                "addr add fe80::a/64 dev va nodad",
                "addr add fe80::b/64 dev vb nodad",
            ] {
                ip(line);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::time::timeout(Duration::from_secs(60), test()).await.unwrap();
            });
        });
    });
}

fn ip(line: &str) {
    let status = Command::new("ip").args(line.split(' ')).status().unwrap();
    assert!(status.success(), "ip {line}");
}

fn index(name: &str) -> u32 {
    let shown = Command::new("ip").args(["-o", "link", "show", "dev", name]).output().unwrap();
    String::from_utf8(shown.stdout).unwrap().split(':').next().unwrap().parse().unwrap()
}

fn local(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last)
}

#[test]
fn link_local_peers_connect_over_their_link() {
    with_links(|| async {
        let (mut server, mut events) = Sockets::new();
        // One is known by address and link, one by its link alone.
        for who in [Who::Address(local(0xa).into()), Who::On("vb".parse().unwrap())] {
            let interface = Some("vb".parse().unwrap());
            server.set_peers(vec![Peer {
                who,
                interface,
                min_ttl: Some(255),
                ..Peer::plain([0; 4].into())
            }]);
            server.listen_on(&[Listen::on("[::]:1790".parse().unwrap())]);
            let (client, mut client_events) = Sockets::new();
            let to = IpAddr::from(local(0xb));
            let interface = Some("va".parse().unwrap());
            client.set_peers(vec![Peer { interface, min_ttl: Some(255), ..Peer::plain(to) }]);
            // The scope comes from the peer's interface.
            let remote = SocketAddr::new(to, 1790);
            let from = Some(local(0xa).into());
            let timeout = Duration::from_secs(5);
            loop {
                client.connect(Dial { remote, local: from, ttl: 1, timeout });
                match client_events.recv().await.unwrap() {
                    Event::Connected { remote, .. } => {
                        let there = SocketAddrV6::new(local(0xb), 1790, 0, index("va"));
                        assert_eq!(remote, there.into());
                        break;
                    }
                    // The server's task has not come to listen yet.
                    Event::ConnectFailed { reason, .. } => {
                        assert!(reason.contains("refused"), "{reason}");
                        tokio::task::yield_now().await;
                    }
                    other => panic!("{other:?}"),
                }
            }
            loop {
                match events.recv().await.unwrap() {
                    Event::Accepted { remote: SocketAddr::V6(remote), .. } => {
                        break assert_eq!(
                            (*remote.ip(), remote.scope_id()),
                            (local(0xa), index("vb"))
                        );
                    }
                    Event::Listening { .. } | Event::Closed { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}

#[test]
fn neighbors_find_each_other() {
    with_links(|| async {
        let (mut neighbors, mut found) = Neighbors::new();
        let links: BTreeSet<_> = ["va", "vb"].map(|name| name.parse().unwrap()).into();
        neighbors.search(&links);
        let mut all = BTreeMap::new();
        while all.len() < 2 {
            let Found { interface, link, neighbor } = found.recv().await.unwrap();
            assert_eq!(link, index(interface.as_str()));
            all.insert(interface.to_string(), neighbor);
        }
        let expect =
            [("va", 0xb), ("vb", 0xa)].map(|(on, last)| (on.to_owned(), Some(local(last))));
        assert_eq!(all, BTreeMap::from(expect));
        ip("link set va down");
        for _ in 0..2 {
            assert_eq!(found.recv().await.unwrap().neighbor, None);
        }
        // A link that works again says so at once, not when its next word is due. Its address went
        // with it: what it says before it has one again is in vain.
        ip("link set va up");
        ip("addr replace fe80::a/64 dev va nodad");
        for _ in 0..2 {
            let again = tokio::time::timeout(Duration::from_secs(5), found.recv()).await;
            assert!(again.unwrap().unwrap().neighbor.is_some());
        }
        assert!(Command::new("ip").args(["link", "del", "va"]).status().unwrap().success());
        for _ in 0..2 {
            assert_eq!(found.recv().await.unwrap().neighbor, None);
        }
    });
}

/// Time since a start, as the machine has it.
struct Clock(tokio::time::Instant);

impl Clock {
    fn start() -> Clock {
        Clock(tokio::time::Instant::now())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_elapsed(self.0.elapsed())
    }
}

/// Sends what is due, and takes the next packet, unless the machine's time comes first.
async fn turn(
    clock: &Clock,
    machine: &mut Bfd,
    sockets: &mut BfdSockets,
    datagrams: &mut tokio::sync::mpsc::Receiver<Datagram>,
) -> Option<Arrival> {
    machine.tick(clock.now());
    while let Some(output) = machine.poll() {
        if let Output::Send { key, bytes } = output {
            // Over a link that is down nothing goes.
            let _ = sockets.send(&key, &bytes);
        }
    }
    let wake = machine.wake_at().unwrap().since(clock.now());
    let datagram = tokio::time::timeout(wake, datagrams.recv()).await.ok()?.unwrap();
    let arrival = datagram.arrival;
    machine.handle(clock.now(), Input::Packet { bytes: &datagram.bytes, arrival });
    Some(arrival)
}

/// On two links the neighbors have the same address: each session is that of its link.
#[test]
fn bfd_tells_neighbors_of_one_address_apart_by_their_links() {
    with_links(|| async {
        for line in [
            "link add vc type veth peer name vd",
            "link set vc addrgenmode none",
            "link set vd addrgenmode none",
            "link set vc up",
            "link set vd up",
            "addr add fe80::a/64 dev vc nodad",
            "addr add fe80::b/64 dev vd nodad",
        ] {
            ip(line);
        }
        let (mut sockets, mut datagrams) = BfdSockets::new().unwrap();
        let clock = Clock::start();
        let mut machine = Bfd::new(Seed([3; 16]), 8);
        let keys = [("va", 0xb), ("vb", 0xa), ("vc", 0xb), ("vd", 0xa)].map(|(link, peer)| Key {
            hop: Hop::Single,
            peer: local(peer).into(),
            local: None,
            link: index(link),
        });
        let wanted = keys.iter().map(|key| (*key, Config::default())).collect();
        machine.handle(clock.now(), Input::Wanted(wanted));
        let are = |machine: &Bfd, wanted: [State; 4]| {
            keys.iter().zip(wanted).all(|(key, state)| machine.status(key).unwrap().state == state)
        };
        while !are(&machine, [State::Up; 4]) {
            turn(&clock, &mut machine, &mut sockets, &mut datagrams).await;
        }
        ip("link set vd down");
        while !are(&machine, [State::Up, State::Up, State::Down, State::Down]) {
            turn(&clock, &mut machine, &mut sockets, &mut datagrams).await;
            assert!(keys[..2].iter().all(|key| machine.status(key).unwrap().state == State::Up));
        }
    });
}

/// Two sessions of one machine speak with each other through the kernel.
#[test]
fn bfd_comes_up_over_its_ports() {
    let pairs = [
        (Hop::Single, "127.0.0.1", "127.0.0.2", "lo", "lo"),
        (Hop::Multi, "127.0.0.1", "127.0.0.2", "", ""),
        (Hop::Multi, "::1", "::1", "", ""),
        (Hop::Single, "fe80::a", "fe80::b", "va", "vb"),
    ];
    for (hop, one, other, one_link, other_link) in pairs {
        with_links(move || async move {
            let (mut sockets, mut datagrams) = BfdSockets::new().unwrap();
            assert!(BfdSockets::new().unwrap_err().to_string().contains("3784"));
            let clock = Clock::start();
            let mut machine = Bfd::new(Seed([3; 16]), 8);
            let key = |peer: &str, local: &str, link: &str| Key {
                hop,
                peer: peer.parse().unwrap(),
                local: Some(local.parse().unwrap()),
                link: if link.is_empty() { 0 } else { index(link) },
            };
            let keys = BTreeSet::from([key(one, other, other_link), key(other, one, one_link)]);
            let wanted = keys.iter().map(|key| (*key, Config::default())).collect();
            machine.handle(clock.now(), Input::Wanted(wanted));
            let up = |machine: &Bfd| machine.statuses().all(|status| status.state == State::Up);
            while !up(&machine) {
                if let Some(arrival) =
                    turn(&clock, &mut machine, &mut sockets, &mut datagrams).await
                {
                    assert_eq!((arrival.ttl, arrival.hop), (255, hop));
                    assert_ne!(arrival.link, 0);
                }
            }
            let ports: BTreeSet<u16> =
                keys.iter().map(|k| sockets.source_port(k).unwrap()).collect();
            assert_eq!(ports.len(), keys.len());
            assert!(ports.iter().all(|port| SOURCE_PORTS.contains(port)));
            assert_eq!(sockets.dropped(), 0);
        });
    }
}
