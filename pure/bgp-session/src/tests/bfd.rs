//! BFD and the session (RFC 5882 §4.3).

use bgp_packet::{Cease, Notification};

use super::goodbyes::{closed, stale_of};
use super::{OUT, at, drain, established, plain_open, sent, session, their_open, words};
use crate::{By, Event, State};

fn down(control_plane_independent: bool) -> Event {
    Event::BfdDown { control_plane_independent }
}

#[test]
fn a_lost_path_ends_the_session_and_the_c_bit_says_whether_routes_stay() {
    let mut without_n = their_open();
    let Some(bgp_packet::Capability::GracefulRestart(gr)) = without_n.capabilities.last_mut()
    else {
        panic!()
    };
    gr.notification = false;
    let check = |open: &bgp_packet::Open, independent, expected: &str| {
        let mut s = established(open);
        s.handle(at(10.0), down(independent));
        let effects = drain(&mut s);
        assert_eq!(words(&effects), expected);
        assert_eq!(stale_of(&effects).is_some(), expected.contains("stale"));
        // It is tried again soon: that is no error of the peer.
        assert_eq!((s.status().state, s.status().bfd_up), (State::Active, Some(false)));
        assert_eq!(s.wake_at().unwrap().1, "connect retry");
        (effects, s.status().last_failure.clone().unwrap())
    };
    // No graceful restart at all.
    check(&plain_open(), false, "6/10 close down");
    check(&plain_open(), true, "6/10 close down");
    // The peer's BFD shares the fate of its control plane, which may be what went away.
    check(&their_open(), false, "6/10 close down-stale");
    let (_, failure) = check(&without_n, false, "close down-stale");
    assert_eq!(failure.failure.to_string(), "BFD lost the peer");
    assert_eq!(failure.failure.by(), By::Network);
    // It does not: forwarding is dead.
    check(&without_n, true, "6/10 close down");
    let (effects, _) = check(&their_open(), true, "6/9 close down");
    let inner = Notification::cease(Cease::BfdDown, None);
    assert_eq!(sent(&effects), [inner.into_hard_reset()]);
}

#[test]
fn a_peer_that_restarts_is_helped_only_while_it_forwards() {
    let restarting = || {
        let mut s = established(&their_open());
        s.handle(at(10.0), closed(OUT));
        drain(&mut s);
        s
    };
    let mut s = restarting();
    s.handle(at(11.0), down(false));
    assert_eq!(words(&drain(&mut s)), "");
    assert_eq!(s.helping().count(), 2);
    let mut s = restarting();
    s.handle(at(11.0), down(true));
    assert_eq!(words(&drain(&mut s)), "flush-ipv4 flush-ipv6");
    assert_eq!(s.helping().count(), 0);
}

#[test]
fn it_neither_holds_a_session_back_nor_ends_one_that_is_not_up() {
    let mut s = session();
    s.handle(at(0.0), down(true));
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpConnected { conn: OUT });
    s.handle(at(0.1), down(true));
    assert_eq!(words(&drain(&mut s)), "dial OPEN");
    assert_eq!(s.status().state, State::OpenSent);
}

#[test]
fn a_peer_that_is_seen_again_is_dialled_at_once() {
    let mut s = session();
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpFailed { conn: OUT, reason: "no route".into() });
    drain(&mut s);
    s.handle(at(0.5), Event::BfdUp);
    assert_eq!(words(&drain(&mut s)), "dial");
    // Said twice is said once.
    s.handle(at(0.6), Event::TcpFailed { conn: crate::Conn::Outgoing(2), reason: "no".into() });
    drain(&mut s);
    s.handle(at(0.7), Event::BfdUp);
    assert_eq!(words(&drain(&mut s)), "");
}
