//! Connections of a VRF, in a network namespace that each test makes for itself: one end of a cable
//! is in the VRF `blue`, the other in none.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use inet::{AoAlgorithm, AoKey, LinkName, Secret};
use sockets::{AoProbe, Auth, ConnId, Dial, Event, Listen, Peer, Sockets, Who};
use tokio::sync::mpsc::Receiver;

use common::{keepalive, next};

/// Runs a test on a thread that has a namespace of its own, unless there are no VRFs.
fn with_vrf<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: it changes the namespace of this thread alone, which ends with the test.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                return skip(name, "no network namespace may be made here");
            }
            if !can("link add blue type vrf table 100") {
                return skip(name, "this kernel has no VRF (CONFIG_NET_VRF)");
            }
            for line in [
                "link set lo up",
                "link set blue up",
                "link add va type veth peer name vb",
                "link set va addrgenmode none",
                "link set vb addrgenmode none",
                "link set vb master blue",
                "link set va up",
                "link set vb up",
                "addr add 10.0.0.1/24 dev va",
                "addr add 10.0.0.2/24 dev vb",
                "addr add fd00::a/64 dev va nodad",
                "addr add fd00::b/64 dev vb nodad",
                "addr add fe80::a/64 dev va nodad",
                "addr add fe80::b/64 dev vb nodad",
                // In a VRF its own addresses come before those of the machine.
                "-4 rule add pref 2000 table local",
                "-4 rule del pref 0",
                "-6 rule add pref 2000 table local",
                "-6 rule del pref 0",
            ] {
                assert!(can(line), "ip {line}");
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::time::timeout(Duration::from_secs(120), test()).await.unwrap();
            });
        });
    });
}

fn skip(name: &str, why: &str) {
    // Not a print macro: those are captured.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: {why}");
}

fn can(line: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(line.split(' ')).stderr(Stdio::null());
    command.status().unwrap().success()
}

fn link(name: &str) -> Option<LinkName> {
    Some(name.parse().unwrap())
}

fn md5(key: &str) -> Auth {
    Auth::Md5(Secret::new(key).unwrap())
}

fn ao(ids: &[u8]) -> Auth {
    let key = |id: &u8| AoKey {
        send_id: *id,
        receive_id: *id,
        algorithm: AoAlgorithm::AesCmac,
        include_options: true,
        secret: Secret::new(&format!("key {id}")).unwrap(),
    };
    Auth::Ao(ids.iter().map(key).collect())
}

/// One end of the cable.
struct End {
    sockets: Sockets,
    events: Receiver<Event>,
    /// The other end, as it is known here.
    peer: Peer,
}

impl End {
    fn new(peer: &str, interface: Option<LinkName>) -> End {
        let (sockets, events) = Sockets::new();
        let peer = Peer { interface, ..Peer::plain(peer.parse().unwrap()) };
        End { sockets, events, peer }
    }

    fn set(&self, auth: &Auth) {
        let peer = Peer { auth: auth.clone(), ..self.peer.clone() };
        assert_eq!(self.sockets.set_peers(vec![peer]), []);
    }

    async fn listen(&mut self, interface: Option<LinkName>) -> u16 {
        let ip = if self.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0_u8; 16]) };
        let listen = Listen { interface, ..Listen::on(SocketAddr::new(ip, 0)) };
        self.sockets.listen_on(&[listen]);
        match next(&mut self.events).await {
            Event::Listening { address } => address.port(),
            other => panic!("{other:?}"),
        }
    }

    fn is_ipv4(&self) -> bool {
        matches!(self.peer.who, Who::Address(IpAddr::V4(_)))
    }

    async fn dial(&mut self, port: u16, timeout: u64) -> Result<ConnId, String> {
        let Who::Address(peer) = self.peer.who else { panic!("{:?}", self.peer) };
        let remote = SocketAddr::new(peer, port);
        let timeout = Duration::from_millis(timeout);
        let wanted = self.sockets.connect(Dial { remote, local: None, ttl: 1, timeout });
        loop {
            match next(&mut self.events).await {
                Event::Connected { conn, .. } if conn == wanted => return Ok(conn),
                Event::ConnectFailed { conn, reason } if conn == wanted => return Err(reason),
                Event::Closed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn accepted(&mut self) -> ConnId {
        match next(&mut self.events).await {
            Event::Accepted { conn, .. } => {
                self.sockets.adopt(conn, 1);
                conn
            }
            other => panic!("{other:?}"),
        }
    }

    async fn hears(&mut self, on: ConnId) {
        let frame = next(&mut self.events).await;
        assert!(matches!(frame, Event::Frame { conn, .. } if conn == on), "{frame:?}");
    }
}

/// Connects by each kind of address, once from within the VRF and once into it, with the first of
/// the keys; then the keys change under the connection, one end after the other.
async fn change(turns: &[Auth], wrong: &Auth) {
    let kinds = [
        ("10.0.0.1", "10.0.0.2", None, link("blue")),
        ("fd00::a", "fd00::b", None, link("blue")),
        ("fe80::a", "fe80::b", link("va"), link("vb")),
    ];
    for (outside, inside, outer_link, inner_link) in kinds {
        for into in [true, false] {
            let mut outer = End::new(inside, outer_link);
            let mut inner = End::new(outside, inner_link);
            outer.set(&turns[0]);
            inner.set(&turns[0]);
            let mut ends = [&mut outer, &mut inner];
            if !into {
                ends.reverse();
            }
            let [dials, listens] = ends;
            let port = listens.listen(if into { link("blue") } else { None }).await;
            let what = format!("{inside}, into the VRF: {into}");
            let out = dials.dial(port, 10_000).await.map_err(|error| format!("{what}: {error}"));
            let (out, taken) = (out.unwrap(), listens.accepted().await);
            for auth in turns {
                listens.set(auth);
                // What is sent in between is lost, and sent again.
                listens.sockets.send(taken, keepalive());
                dials.set(auth);
                dials.sockets.send(out, keepalive());
                listens.hears(taken).await;
                dials.hears(out).await;
            }
            // New connections have the last of them.
            dials.dial(port, 10_000).await.unwrap();
            listens.accepted().await;
            dials.set(wrong);
            let failed = dials.dial(port, 300).await;
            assert_eq!(failed, Err("no answer in time".to_owned()), "{what}");
        }
    }
}

#[test]
fn keys_of_md5_change_under_connections_of_a_vrf() {
    with_vrf("keys_of_md5_change_under_connections_of_a_vrf", || async {
        change(&[md5("old"), md5("new"), Auth::None, md5("newest")], &md5("old")).await;
    });
}

#[test]
fn keys_of_ao_change_under_connections_of_a_vrf() {
    let name = "keys_of_ao_change_under_connections_of_a_vrf";
    let Auth::Ao(probe) = ao(&[1]) else { panic!() };
    if let Some(why) = AoProbe::default().refusal(true, &probe) {
        return skip(name, &why);
    }
    with_vrf(name, || async {
        change(&[ao(&[1]), ao(&[1, 2]), ao(&[2, 1]), ao(&[2])], &ao(&[1])).await;
    });
}

/// A listener is heard in its VRF alone, or outside of all.
#[test]
fn a_listener_is_heard_in_its_vrf_alone() {
    with_vrf("a_listener_is_heard_in_its_vrf_alone", || async {
        let mut outer = End::new("10.0.0.2", None);
        let mut inner = End::new("10.0.0.1", link("blue"));
        outer.set(&Auth::None);
        inner.set(&Auth::None);
        let port = inner.listen(link("blue")).await;
        outer.dial(port, 10_000).await.unwrap();
        inner.accepted().await;
        // The same port, in no VRF: both are there at once.
        let (mut plain, mut events) = Sockets::new();
        plain.set_peers(vec![Peer::plain("10.0.0.2".parse().unwrap())]);
        plain.listen_on(&[Listen::on(SocketAddr::new([10, 0, 0, 1].into(), port))]);
        assert!(matches!(next(&mut events).await, Event::Listening { .. }));
        inner.dial(port, 10_000).await.unwrap();
        assert!(matches!(next(&mut events).await, Event::Accepted { .. }));
        // Into the VRF only those come who are heard there.
        plain.listen_on(&[]);
        inner.listen(None).await;
        assert!(outer.dial(port, 10_000).await.unwrap_err().contains("refused"));
    });
}
