//! Which changes end a session, said before.

use bgp_packet::{AddPathMode, Capability, Role};
use inet::Family;

use super::{asn, at, drain, established, peer, their_open, words};
use crate::{
    AsnMatch, Change, GracefulRestartConfig, IdleHold, LocalAs, LongLivedConfig, PeerConfig,
    Planned,
};

/// Every field with a change of it, and whether that ends the session.
type Row = (&'static str, bool, fn(&mut PeerConfig));

const FIELDS: [Row; 24] = [
    ("asn", true, |c| c.asn = asn(65003)),
    ("local_as", true, |c| c.local_as = Some(LocalAs::new(asn(64999)))),
    ("shutdown", true, |c| c.shutdown = Some("x".into())),
    ("local_address", true, |c| c.local_address = Some("10.0.0.7".parse().unwrap())),
    ("ebgp_multihop", true, |c| c.ebgp_multihop = Some(3)),
    ("families", true, |c| c.families = [Family::Ipv4].into()),
    ("graceful_restart", true, |c| {
        c.graceful_restart = GracefulRestartConfig { enabled: true, restart_time: 5 };
    }),
    ("long_lived", true, |c| c.long_lived = Some(LongLivedConfig { stale_time: 9 })),
    ("extended_messages", true, |c| c.extended_messages = false),
    ("add_path", true, |c| c.add_path = [(Family::Ipv4, AddPathMode::Both)].into()),
    ("ipv4_over_ipv6", true, |c| c.ipv4_over_ipv6 = true),
    ("role", true, |c| c.role = Some(Role::Peer)),
    ("name", false, |c| c.name = Some("spine0".into())),
    ("asn_match", false, |c| c.asn_match = AsnMatch::External),
    ("router_id", false, |c| c.router_id = Some("10.0.0.2".parse().unwrap())),
    ("port", false, |c| c.port = 1790),
    ("passive", false, |c| c.passive = true),
    ("hold_time", false, |c| c.hold_time = 30),
    ("keepalive_time", false, |c| c.keepalive_time = Some(3)),
    ("send_hold_time", false, |c| c.send_hold_time = Some(30)),
    ("connect_retry_time", false, |c| c.connect_retry_time = 60),
    ("idle_hold", false, |c| c.idle_hold = IdleHold { damp: false, ..IdleHold::default() }),
    ("role_strict", false, |c| c.role_strict = true),
    ("groups", false, |c| c.groups = ["a".to_owned()].into()),
];

#[test]
fn each_field_has_its_place_and_the_session_does_as_was_said() {
    for (field, resets, change) in FIELDS {
        let mut s = established(&their_open());
        let mut new = s.config().clone();
        change(&mut new);
        let planned = s.config().change_to(&new);
        let expected = match resets {
            true => Planned { resets: vec![field], live: vec![] },
            false => Planned { resets: vec![], live: vec![field] },
        };
        assert_eq!(planned, expected, "{field}");
        assert_eq!(s.planned(&new), expected, "{field}");
        assert_eq!(s.reconfigure(at(10.0), new.clone()), planned.change(), "{field}");
        assert_eq!(s.config(), &new);
        let said = words(&drain(&mut s));
        assert_eq!(said.contains("down"), resets, "{field}: {said}");
        assert_eq!(s.reconfigure(at(10.0), new), Change::Nothing);
        assert_eq!(words(&drain(&mut s)), "");
    }
}

#[test]
fn all_that_differs_is_named() {
    let mut new = peer(65002);
    for (_, _, change) in FIELDS {
        change(&mut new);
    }
    let planned = peer(65002).change_to(&new);
    // With another rule for AS numbers, the number alone ends nothing.
    assert_eq!(planned.resets.len() + planned.live.len(), FIELDS.len());
    assert!(planned.live.contains(&"asn") && planned.resets.contains(&"local_as"));
    assert_eq!(planned.change(), Change::Reset);
}

#[test]
fn the_peer_at_the_other_end_may_be_a_wrong_one_now() {
    let check = |change: fn(&mut PeerConfig), expected: &[&str], said: &str| {
        let mut s = established(&their_open());
        let mut new = s.config().clone();
        change(&mut new);
        assert_eq!(s.planned(&new).resets, expected);
        s.reconfigure(at(10.0), new);
        assert_eq!(words(&drain(&mut s)), said);
    };
    let (soft, hard) = ("6/6 close down-stale", "6/9 close down");
    check(|c| c.router_id = Some("10.0.0.3".parse().unwrap()), &["router_id"], soft);
    check(|c| c.asn_match = AsnMatch::Internal, &["asn_match"], hard);
    check(|c| c.asn_match = AsnMatch::Ranges(vec![1..=9, 65002..=65002]), &[], "");
    let mut s = established(&their_open());
    let wide = PeerConfig { asn_match: AsnMatch::External, ..peer(65002) };
    s.reconfigure(at(1.0), wide.clone());
    let another = PeerConfig { asn: asn(65009), ..wide };
    assert_eq!(s.planned(&another).live, ["asn"]);
    // Back to exactly the one that is there.
    assert_eq!(s.reconfigure(at(1.0), peer(65002)), Change::Live);
    // Strictness ends only sessions with peers that told no role.
    let strict = |role| {
        let mut open = their_open();
        open.capabilities.extend(role);
        let mut s = established(&open);
        let config = PeerConfig { role: Some(Role::Provider), ..peer(65002) };
        s.reconfigure(at(1.0), config.clone());
        s.tick(at(2.0));
        s.handle(at(2.0), crate::Event::TcpConnected { conn: crate::Conn::Outgoing(2) });
        s.frame(at(2.0), crate::Conn::Outgoing(2), &open.encode());
        s.planned(&PeerConfig { role_strict: true, ..config }).resets
    };
    assert_eq!(strict(None), ["role_strict"]);
    assert_eq!(strict(Some(Capability::Role(Role::Customer))), Vec::<&str>::new());
}

#[test]
fn prepending_is_a_matter_of_the_tables() {
    let local_as = |replace| Some(LocalAs { replace, ..LocalAs::new(asn(64999)) });
    let old = PeerConfig { local_as: local_as(false), ..peer(65002) };
    let new = PeerConfig { local_as: local_as(true), ..peer(65002) };
    assert_eq!(old.change_to(&new), Planned { resets: vec![], live: vec!["local_as"] });
}
