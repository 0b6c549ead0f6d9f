//! Against the real kernel. Each test runs this program again in a user and network namespace of
//! its own, so it needs no root and touches nothing of the machine.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Command;
use std::time::Duration;

use inet::Prefix;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use route_table::{Action, Change, KernelTarget};

use crate::netns;
use crate::pod::attach::find;
use crate::pod::rtnl::Rtnl;
use crate::pod::*;
use crate::routes::{Owner, RouteWriter};

const INSIDE: &str = "SART_TEST_INSIDE_NAMESPACE";
/// Without root by way of a user namespace; as root also where those are forbidden.
const UNSHARE: [&[&str]; 2] = [&["--user", "--map-root-user", "--net"], &["--net"]];

/// Runs `body` in namespaces of its own; a kernel or container that allows none is said loudly.
fn isolated(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let probe = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    let allowed = |flags: &&&[&str]| {
        let output = Command::new("unshare").args(**flags).args(["sh", "-c", probe]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(flags) = UNSHARE.iter().find(allowed) else {
        // Not a print macro: those are captured.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: no namespaces with writable sysctls");
        return;
    };
    let output = Command::new("unshare")
        .args(*flags)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("pod::tests::kernel::{test}")])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{error}");
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn record(container_id: &str, addresses: &[&str]) -> Record {
    Record {
        pools: vec!["default".into()],
        container_id: container_id.into(),
        ifname: "eth0".into(),
        addresses: addresses.iter().map(|a| ip(a)).collect(),
    }
}

/// A node with addresses, as an agent finds it.
fn node() -> Rtnl {
    let mut host = Rtnl::open().unwrap();
    host.change(message::set_up(1), 0).unwrap();
    for address in ["10.255.0.1", "fd00:ffff::1"] {
        host.change(message::new_address(1, ip(address)), NLM_F_CREATE).unwrap();
    }
    host
}

/// A server that greets whoever connects, in a namespace; the thread ends after one.
fn greet(namespace: &OwnedFd, address: IpAddr) -> std::thread::JoinHandle<SocketAddr> {
    let bind = || TcpListener::bind((address, 8080)).unwrap();
    let listener = netns::within(namespace.as_fd(), bind).unwrap();
    std::thread::spawn(move || {
        let (mut stream, from) = listener.accept().unwrap();
        stream.write_all(b"hello").unwrap();
        from
    })
}

fn connect(address: IpAddr) {
    let to = SocketAddr::from((address, 8080));
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(10)).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello");
}

fn index(host: &mut Rtnl, record: &Record) -> Option<u32> {
    let name = host_name(&record.container_id, &record.ifname);
    find(host, name.as_str()).unwrap().map(|link| link.index)
}

#[test]
fn pods_reach_each_other_and_the_node_with_their_own_addresses() {
    isolated("pods_reach_each_other_and_the_node_with_their_own_addresses", || {
        let _host = node();
        let (a, b) = (netns::create().unwrap(), netns::create().unwrap());
        let (ra, rb) =
            (record("a", &["10.1.0.0", "fd00::"]), record("b", &["10.1.0.1", "fd00::1"]));
        let made = attach(a.as_fd(), &ra, 1400).unwrap();
        assert_eq!(made.gateways, [ip("169.254.1.1"), ip("fe80::1")]);
        assert_eq!((made.pod.name.as_str(), made.pod.mtu, made.host.mtu), ("eth0", 1400, 1400));
        assert_eq!(made.pod.mac().len(), 17);
        attach(b.as_fd(), &rb, 1400).unwrap();
        check(a.as_fd(), &ra).unwrap();
        for (from, to) in [("10.1.0.0", "10.1.0.1"), ("fd00::", "fd00::1")] {
            let server = greet(&b, ip(to));
            netns::within(a.as_fd(), || connect(ip(to))).unwrap();
            assert_eq!(server.join().unwrap().ip(), ip(from));
            let server = greet(&a, ip(from));
            connect(ip(from));
            let node = if ip(from).is_ipv4() { "10.255.0.1" } else { "fd00:ffff::1" };
            assert_eq!(server.join().unwrap().ip(), ip(node));
        }
        check(a.as_fd(), &ra).unwrap();
        check(b.as_fd(), &rb).unwrap();
    });
}

/// A block of one address has an `unreachable` route for the same prefix as its pod.
#[test]
fn a_pods_route_wins_over_its_blocks() {
    isolated("a_pods_route_wins_over_its_blocks", || {
        let _host = node();
        let record = record("a", &["10.1.0.0", "fd00::1"]);
        let mut blocks = RouteWriter::open(Owner::BLOCKS, &[]).unwrap();
        let mut apply = |action: Action| {
            let change = |a: &IpAddr| Change { prefix: Prefix::host(*a), action: action.clone() };
            let changes: Vec<Change> = record.addresses.iter().map(change).collect();
            assert_eq!(blocks.apply(&changes), [Ok(()), Ok(())]);
        };
        let pod = netns::create().unwrap();
        apply(Action::Replace(KernelTarget::Unreachable));
        attach(pod.as_fd(), &record, 1500).unwrap();
        check(pod.as_fd(), &record).unwrap();
        // Neither has taken the other's place.
        apply(Action::Delete);
        check(pod.as_fd(), &record).unwrap();
    });
}

#[test]
fn one_family_alone_gets_one_default_route() {
    isolated("one_family_alone_gets_one_default_route", || {
        let mut host = node();
        for (id, address) in [("four", "10.1.0.0"), ("six", "fd00::5")] {
            let pod = netns::create().unwrap();
            let record = record(id, &[address]);
            let made = attach(pod.as_fd(), &record, 1500).unwrap();
            assert_eq!(made.gateways, [gateway_for(&ip(address))]);
            check(pod.as_fd(), &record).unwrap();
            assert!(index(&mut host, &record).is_some());
        }
    });
}

#[test]
fn what_is_already_so_is_left_alone_and_what_is_not_is_made_anew() {
    isolated("what_is_already_so_is_left_alone_and_what_is_not_is_made_anew", || {
        let mut host = node();
        let pod = netns::create().unwrap();
        let record = record("a", &["10.1.0.0", "fd00::1"]);
        let first = attach(pod.as_fd(), &record, 1500).unwrap();
        let before = index(&mut host, &record);
        assert_eq!(attach(pod.as_fd(), &record, 1500).unwrap(), first);
        assert_eq!(index(&mut host, &record), before);
        attach(pod.as_fd(), &record, 1400).unwrap();
        let other_mtu = index(&mut host, &record);
        assert_ne!(other_mtu, before);
        // Half made: the alias is missing.
        host.change(message::set_alias(other_mtu.unwrap(), ""), 0).unwrap();
        assert_eq!(list().unwrap(), [HostLink::HalfMade { name: host_name("a", "eth0") }]);
        attach(pod.as_fd(), &record, 1400).unwrap();
        check(pod.as_fd(), &record).unwrap();
        let name = host_name("a", "eth0");
        assert_eq!(list().unwrap(), [HostLink::Recorded { name, record }]);
    });
}

#[test]
fn check_names_what_is_wrong() {
    isolated("check_names_what_is_wrong", || {
        let mut host = node();
        let pod = netns::create().unwrap();
        let record = record("a", &["10.1.0.0", "fd00::1"]);
        let mut broken = |breaking: &dyn Fn(&mut Rtnl, u32), expect: &str| {
            attach(pod.as_fd(), &record, 1500).unwrap();
            check(pod.as_fd(), &record).unwrap();
            let link = index(&mut host, &record).unwrap();
            breaking(&mut host, link);
            let error = check(pod.as_fd(), &record).unwrap_err();
            assert_eq!(error.name(), "not-as-attached");
            assert!(error.to_string().contains(expect), "{error} lacks {expect:?}");
        };
        let inside = |change: fn(u32) -> RouteNetlinkMessage| {
            netns::within(pod.as_fd(), || {
                let mut rtnl = Rtnl::open().unwrap();
                let link = find(&mut rtnl, "eth0").unwrap().unwrap();
                rtnl.change(change(link.index), 0).unwrap();
            })
            .unwrap();
        };
        broken(&|host, link| host.change(message::delete_link(link), 0).unwrap(), "no link sart");
        broken(
            &|host, link| {
                host.change(message::set_alias(link, "sart:p:a:eth0:10.1.0.9"), 0).unwrap()
            },
            "the record of",
        );
        broken(
            &|host, link| {
                let RouteNetlinkMessage::NewRoute(route) =
                    message::host_route(link, ip("fd00::1"), ROUTES)
                else {
                    unreachable!()
                };
                host.change(RouteNetlinkMessage::DelRoute(route), 0).unwrap();
            },
            "doesn't route fd00::1",
        );
        broken(
            &|host, link| {
                let neighbor = message::new_neighbor(link, ip("10.1.0.0"), [2, 0, 0, 0, 0, 1]);
                host.change(neighbor, NLM_F_CREATE | NLM_F_REPLACE).unwrap();
            },
            "doesn't know its neighbor 10.1.0.0",
        );
        broken(
            &|_, _| {
                inside(|link| match message::new_address(link, ip("10.1.0.0")) {
                    RouteNetlinkMessage::NewAddress(a) => RouteNetlinkMessage::DelAddress(a),
                    _ => unreachable!(),
                });
            },
            "lacks the address 10.1.0.0",
        );
        broken(
            &|_, _| {
                inside(|link| match message::default_route(link, ip("169.254.1.1")) {
                    RouteNetlinkMessage::NewRoute(r) => RouteNetlinkMessage::DelRoute(r),
                    _ => unreachable!(),
                });
            },
            "no default route via 169.254.1.1",
        );
        broken(&|_, _| inside(message::delete_link), "no link sart");
    });
}

#[test]
fn detach_is_idempotent_and_needs_no_namespace() {
    isolated("detach_is_idempotent_and_needs_no_namespace", || {
        let mut host = node();
        let record = record("a", &["10.1.0.0", "fd00::1"]);
        let pod = netns::create().unwrap();
        attach(pod.as_fd(), &record, 1500).unwrap();
        assert!(detach("a", "eth0").unwrap());
        assert!(!detach("a", "eth0").unwrap());
        assert_eq!(list().unwrap(), []);
        attach(pod.as_fd(), &record, 1500).unwrap();
        drop(pod);
        // The kernel takes the namespace down in its own time; either way the link ends up gone.
        detach("a", "eth0").unwrap();
        assert_eq!(index(&mut host, &record), None);
        assert!(!detach("a", "eth0").unwrap());
    });
}

#[test]
fn links_of_others_are_neither_taken_nor_removed() {
    isolated("links_of_others_are_neither_taken_nor_removed", || {
        let mut host = node();
        let (other, pod) = (netns::create().unwrap(), netns::create().unwrap());
        let name = host_name("a", "eth0");
        let veth = |near: &str| {
            message::new_veth(
                (near, [2, 0, 0, 0, 0, 1]),
                ("x", [2, 0, 0, 0, 0, 2]),
                other.as_fd(),
                1500,
            )
        };
        host.change(veth(name.as_str()), NLM_F_CREATE).unwrap();
        let link = find(&mut host, name.as_str()).unwrap().unwrap().index;
        for alias in ["somebody's", "sart:p:b:eth0:10.1.0.7"] {
            host.change(message::set_alias(link, alias), 0).unwrap();
            let error = attach(pod.as_fd(), &record("a", &["10.1.0.0"]), 1500).unwrap_err();
            assert_eq!(error.name(), "link-taken");
            assert!(!detach("a", "eth0").unwrap());
            remove_half_made(name).unwrap();
            assert!(find(&mut host, name.as_str()).unwrap().is_some());
        }
        host.change(message::set_alias(link, ""), 0).unwrap();
        remove_half_made(name).unwrap();
        remove_half_made(name).unwrap();
        assert_eq!(list().unwrap(), []);
    });
}

#[test]
fn an_attach_that_is_refused_leaves_nothing() {
    isolated("an_attach_that_is_refused_leaves_nothing", || {
        let mut host = node();
        let pod = netns::create().unwrap();
        let first = record("a", &["10.1.0.0"]);
        attach(pod.as_fd(), &first, 1500).unwrap();
        let error = attach(pod.as_fd(), &record("b", &["10.1.0.1"]), 1500).unwrap_err();
        assert_eq!(error.to_string(), "the pod already has an interface eth0");
        let own = netns::own().unwrap();
        let error = attach(own.as_fd(), &record("b", &["10.1.0.1"]), 1500).unwrap_err();
        assert_eq!(error.name(), "host-namespace");
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = attach(file.as_fd(), &record("b", &["10.1.0.1"]), 1500).unwrap_err();
        assert_eq!(error.name(), "no-namespace");
        let user = std::fs::File::open("/proc/self/ns/user").unwrap();
        assert_eq!(check(user.as_fd(), &first).unwrap_err().name(), "no-namespace");
        let long = Record { container_id: "c".repeat(250), ..first.clone() };
        assert_eq!(attach(pod.as_fd(), &long, 1500).unwrap_err().name(), "record-too-long");
        // A link that the kernel refuses in the middle: an address that no host can have.
        let fresh = netns::create().unwrap();
        let error =
            attach(fresh.as_fd(), &record("d", &["10.1.0.2", "ff02::1"]), 1500).unwrap_err();
        assert_eq!(error.name(), "kernel");
        assert_eq!(index(&mut host, &record("d", &[])), None);
        assert_eq!(list().unwrap().len(), 1);
        check(pod.as_fd(), &first).unwrap();
    });
}

#[test]
fn the_mtu_is_that_of_the_default_routes() {
    isolated("the_mtu_is_that_of_the_default_routes", || {
        let mut host = node();
        assert_eq!(uplink_mtu().unwrap(), 1500, "no link at all");
        let other = netns::create().unwrap();
        for (near, far, mtu) in [("up0", "a", 9000), ("up1", "b", 1400)] {
            let veth = message::new_veth(
                (near, [2, 0, 0, 0, 0, mtu as u8]),
                (far, [2, 0, 0, 0, 1, mtu as u8]),
                other.as_fd(),
                mtu,
            );
            host.change(veth, NLM_F_CREATE).unwrap();
            let link = find(&mut host, near).unwrap().unwrap().index;
            host.change(message::set_up(link), 0).unwrap();
        }
        assert_eq!(uplink_mtu().unwrap(), 1400, "the smallest link");
        let link = find(&mut host, "up0").unwrap().unwrap().index;
        host.change(message::default_route(link, ip("192.168.0.1")), NLM_F_CREATE).unwrap();
        assert_eq!(uplink_mtu().unwrap(), 9000, "the default route's link");
        let link = find(&mut host, "up1").unwrap().unwrap().index;
        host.change(message::default_route(link, ip("fe80::1")), NLM_F_CREATE).unwrap();
        assert_eq!(uplink_mtu().unwrap(), 1400, "the smaller of two");
    });
}

#[test]
fn a_panic_in_a_namespace_is_an_error() {
    isolated("a_panic_in_a_namespace_is_an_error", || {
        let pod = netns::create().unwrap();
        let inside = netns::within(pod.as_fd(), || netns::own().unwrap()).unwrap();
        assert!(netns::same(pod.as_fd(), inside.as_fd()).unwrap());
        assert!(!netns::same(pod.as_fd(), netns::own().unwrap().as_fd()).unwrap());
        assert!(netns::within(pod.as_fd(), || panic!("on purpose")).is_err());
    });
}
