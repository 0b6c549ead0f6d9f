//! Shutdown, reset, too many prefixes.

use bgp_packet::{Notification, Open};
use inet::Family;

use super::{IN, OUT, at, drain, established, peer, plain_open, sent, session, their_open, words};
use crate::{Change, Event, Idle, IdleReason, MaxPrefixesAction, PeerConfig, Session, State, Stop};

fn shut(text: &str) -> PeerConfig {
    PeerConfig { shutdown: Some(text.into()), ..peer(65002) }
}

fn idle(s: &Session) -> Option<IdleReason> {
    s.status().idle.map(|idle| idle.reason)
}

#[test]
fn a_shutdown_says_why_and_holds_until_it_is_taken_back() {
    let mut s = established(&plain_open());
    assert_eq!(s.planned(&shut("new fans")).resets, ["shutdown"]);
    assert_eq!(s.reconfigure(at(1.0), shut("new fans")), Change::Reset);
    let effects = drain(&mut s);
    assert_eq!(words(&effects), "6/2 close down");
    assert_eq!(sent(&effects)[0].communication().unwrap(), "new fans");
    assert_eq!((s.status().state, s.wake_at()), (State::Idle, None));
    assert_eq!(idle(&s), Some(IdleReason::Shutdown));
    // Neither starts, nor connections, nor resets, nor another word bring it up.
    s.handle(at(2.0), Event::Start);
    s.handle(at(2.0), Event::AdminReset { hard: true, communication: None });
    s.handle(at(2.0), Event::BfdUp);
    s.handle(at(2.0), Event::TcpAccepted { conn: IN });
    assert_eq!(s.reconfigure(at(3.0), shut("still")), Change::Live);
    assert_eq!(words(&drain(&mut s)), "close-in");
    let other = PeerConfig { asn: super::asn(65009), ..shut("still") };
    assert_eq!(s.reconfigure(at(3.5), other), Change::Reset);
    assert_eq!(words(&drain(&mut s)), "");
    assert_eq!(s.reconfigure(at(4.0), peer(65009)), Change::Live);
    assert_eq!(words(&drain(&mut s)), "dial");
    assert_eq!(idle(&s), None);
}

#[test]
fn a_shutdown_without_words_leaves_the_data_empty_and_one_with_the_n_bit_is_hard() {
    let mut s = established(&plain_open());
    s.reconfigure(at(1.0), shut(""));
    assert_eq!(sent(&drain(&mut s)), [Notification::new(6, 2)]);
    let mut s = established(&their_open());
    s.reconfigure(at(1.0), shut("bye"));
    let effects = drain(&mut s);
    assert_eq!(words(&effects), "6/9 close down");
    assert_eq!(sent(&effects)[0].inner().unwrap().subcode, 2);
    assert_eq!(sent(&effects)[0].communication().unwrap(), "bye");
}

#[test]
fn a_session_that_is_shut_from_the_beginning_never_dials() {
    let mut s = Session::new(shut("later"), super::local(65001, "10.0.0.1"), 1);
    assert_eq!(idle(&s), Some(IdleReason::Stopped));
    s.handle(at(0.0), Event::Start);
    assert_eq!((words(&drain(&mut s)), idle(&s)), (String::new(), Some(IdleReason::Shutdown)));
    // A stop is a stop: taken back, it does not run.
    s.handle(at(1.0), Event::Stop(Stop::Keep));
    s.reconfigure(at(2.0), peer(65002));
    assert_eq!((words(&drain(&mut s)), s.wake_at()), (String::new(), None));
}

#[test]
fn resets_by_people_are_soft_or_hard_and_end_every_wait() {
    let reset = |open: &Open, hard| {
        let mut s = established(open);
        let communication = Some("try it".to_owned());
        s.handle(at(1.0), Event::AdminReset { hard, communication });
        let effects = drain(&mut s);
        assert_eq!(sent(&effects)[0].communication().unwrap(), "try it");
        words(&effects)
    };
    assert_eq!(reset(&plain_open(), false), "6/4 close down");
    assert_eq!(reset(&plain_open(), true), "6/4 close down");
    assert_eq!(reset(&their_open(), false), "6/4 close down-stale");
    assert_eq!(reset(&their_open(), true), "6/9 close down");
    let again = Event::AdminReset { hard: false, communication: None };
    // While waiting after an error.
    let mut s = established(&plain_open());
    s.frame(at(1.0), OUT, &[0; 19]);
    assert_eq!(idle(&s), Some(IdleReason::Error));
    drain(&mut s);
    s.handle(at(1.1), again.clone());
    assert_eq!(words(&drain(&mut s)), "dial");
    // Not a stopped one.
    let mut s = session();
    s.handle(at(0.0), again);
    assert_eq!((words(&drain(&mut s)), s.wake_at()), (String::new(), None));
}

#[test]
fn after_a_goodbye_the_peer_has_time_to_read_it() {
    let reset = || Event::AdminReset { hard: true, communication: Some("window 42".into()) };
    let ended = |s: &mut Session, at_least: f64| {
        assert!(!words(&drain(s)).contains("dial"));
        // Not Idle: it listens.
        assert_eq!((s.status().state, idle(s)), (State::Active, None));
        let (due, what) = s.wake_at().unwrap();
        assert_eq!(what, "connect retry");
        assert!((at(at_least + 0.75)..=at(at_least + 1.0)).contains(&due), "{due:?}");
        due
    };
    let mut s = established(&plain_open());
    s.handle(at(5.0), reset());
    let due = ended(&mut s, 5.0);
    s.tick(due);
    assert_eq!(words(&drain(&mut s)), "dial");
    // Nothing was said on a connection that does not stand yet: there is nothing to be read.
    s.handle(at(6.5), reset());
    assert_eq!(words(&drain(&mut s)), "close dial");
    // A peer that has read it, and dials, is let in at once.
    let mut s = established(&plain_open());
    s.handle(at(5.0), reset());
    ended(&mut s, 5.0);
    s.handle(at(5.1), Event::TcpAccepted { conn: IN });
    assert_eq!(words(&drain(&mut s)), "OPEN");
    // Two reasons at once give no less.
    let mut s = established(&plain_open());
    s.reconfigure(at(5.0), PeerConfig { extended_messages: false, ..peer(65002) });
    s.reconfigure(at(5.0), PeerConfig { hold_time: 12, ..peer(65002) });
    s.handle(at(5.0), reset());
    ended(&mut s, 5.0);
    // The same after a new configuration, and after a stop and a start.
    let mut s = established(&plain_open());
    s.reconfigure(at(5.0), PeerConfig { extended_messages: false, ..peer(65002) });
    ended(&mut s, 5.0);
    let mut s = established(&plain_open());
    let why = bgp_packet::Cease::AdministrativeShutdown;
    s.handle(at(5.0), Event::Stop(Stop::Cease { why, communication: None }));
    s.handle(at(5.0), Event::Start);
    ended(&mut s, 5.0);
    // Once it has had its time, no more is given.
    let mut s = established(&plain_open());
    s.reconfigure(at(5.0), shut("a long while"));
    s.reconfigure(at(65.0), peer(65002));
    assert_eq!(words(&drain(&mut s)), "6/2 close down dial");
}

#[test]
fn too_many_prefixes_end_it_for_a_time_or_for_good() {
    let many = |open: &Open, action| {
        let mut s = established(open);
        s.handle(at(10.0), Event::MaxPrefixes { family: Family::Ipv6, limit: 1000, action });
        s
    };
    let mut s = many(&plain_open(), MaxPrefixesAction::Restart { after: 300 });
    let effects = drain(&mut s);
    assert_eq!(words(&effects), "6/1 close down");
    // AFI, SAFI, limit (RFC 4486 §4).
    assert_eq!(sent(&effects)[0].data, [0, 2, 1, 0, 0, 3, 232]);
    let blocked = Idle { reason: IdleReason::MaxPrefixes, until: Some(at(310.0)) };
    assert_eq!(s.status().idle, Some(blocked));
    s.handle(at(20.0), Event::TcpAccepted { conn: IN });
    assert_eq!(words(&drain(&mut s)), "close-in");
    assert_eq!(s.wake_at(), Some((at(310.0), "idle hold")));
    s.tick(at(310.0));
    assert_eq!(words(&drain(&mut s)), "dial");
    // For good; nothing of its routes is kept, whatever was agreed on.
    let mut s = many(&their_open(), MaxPrefixesAction::StayDown);
    assert_eq!(words(&drain(&mut s)), "6/9 close down");
    assert_eq!((s.wake_at(), s.helping().count()), (None, 0));
    assert_eq!(s.status().idle, Some(Idle { reason: IdleReason::MaxPrefixes, until: None }));
    s.handle(at(9000.0), Event::AdminReset { hard: false, communication: None });
    assert_eq!(words(&drain(&mut s)), "dial");
    // Told late, it means nothing.
    let mut s = session();
    s.handle(at(0.0), Event::Start);
    drain(&mut s);
    let action = MaxPrefixesAction::StayDown;
    s.handle(at(0.0), Event::MaxPrefixes { family: Family::Ipv4, limit: 1, action });
    assert_eq!((words(&drain(&mut s)), s.status().state), (String::new(), State::Connect));
}
