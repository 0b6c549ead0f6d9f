mod admin;
mod bfd;
mod capabilities;
mod failures;
mod goodbyes;
mod long_lived;
mod opens;
mod pair;
mod pair_features;
mod planned;
mod random;
mod send_hold;
mod table;

use std::time::Duration;

use bgp_packet::{
    Capability, GracefulRestart, KEEPALIVE, Message, Notification, Open, Options, PeerKind, decode,
};
use inet::{Asn, Family, Timestamp};

use crate::{Conn, Effect, Event, LocalConfig, PeerConfig, Session};

fn asn(n: u32) -> Asn {
    Asn::new(n).unwrap()
}

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_elapsed(Duration::from_secs_f64(seconds))
}

fn local(n: u32, router_id: &str) -> LocalConfig {
    LocalConfig {
        asn: asn(n),
        router_id: router_id.parse().unwrap(),
        restarting: false,
        preserved: Default::default(),
    }
}

fn peer(n: u32) -> PeerConfig {
    PeerConfig::new("10.0.0.9".parse().unwrap(), asn(n))
}

/// We are AS 65001 with the id 10.0.0.1, the peer is AS 65002.
fn session() -> Session {
    Session::new(peer(65002), local(65001, "10.0.0.1"), 7)
}

/// The peer's OPEN, with the id 10.0.0.2: it is the higher one.
fn their_open() -> Open {
    let gr = GracefulRestart {
        notification: true,
        restart_time: 60,
        families: vec![(Family::Ipv4, true), (Family::Ipv6, false)],
        ..GracefulRestart::default()
    };
    Open {
        asn: asn(65002),
        hold_time: 90,
        router_id: "10.0.0.2".parse().unwrap(),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4),
            Capability::Multiprotocol(Family::Ipv6),
            Capability::RouteRefresh,
            Capability::FourOctetAs(asn(65002)),
            Capability::GracefulRestart(gr),
        ],
    }
}

/// The peer's OPEN without graceful restart.
fn plain_open() -> Open {
    let mut open = their_open();
    open.capabilities.pop();
    open
}

const OUT: Conn = Conn::Outgoing(1);
const IN: Conn = Conn::Incoming(1);

/// A session with `open` accepted and confirmed on the dialled connection.
fn established(open: &Open) -> Session {
    let mut session = session();
    session.handle(at(0.0), Event::Start);
    session.handle(at(0.0), Event::TcpConnected { conn: OUT });
    session.frame(at(0.0), OUT, &open.encode());
    session.frame(at(0.0), OUT, &KEEPALIVE);
    assert_eq!(session.status().state, crate::State::Established);
    drain(&mut session);
    session
}

fn drain(session: &mut Session) -> Vec<Effect> {
    std::iter::from_fn(|| session.poll()).collect()
}

/// Effects in few words; changes of state are left out.
fn words(effects: &[Effect]) -> String {
    let words = effects.iter().filter_map(|effect| {
        Some(match effect {
            Effect::Connect { .. } => "dial".into(),
            Effect::Send { bytes, .. } => match decode(bytes, &Options::new(PeerKind::External)) {
                Ok(Message::Open(_)) => "OPEN".into(),
                Ok(Message::Keepalive) => "KEEPALIVE".into(),
                Ok(Message::Notification(n)) => format!("{}/{}", n.code, n.subcode),
                other => panic!("{other:?}"),
            },
            Effect::Close { conn: Conn::Outgoing(_) } => "close".into(),
            Effect::Close { conn: Conn::Incoming(_) } => "close-in".into(),
            Effect::Up(_) => "up".into(),
            Effect::Down { stale: None, .. } => "down".into(),
            Effect::Down { stale: Some(_), .. } => "down-stale".into(),
            Effect::FlushStale(family) => format!("flush-{family}"),
            Effect::LongLivedStale { family, .. } => format!("long-{family}"),
            Effect::Refresh { .. } => "refresh".into(),
            Effect::StateChanged(_) => return None,
        })
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The NOTIFICATIONs among the effects.
fn sent(effects: &[Effect]) -> Vec<Notification> {
    let notification = |effect: &Effect| match effect {
        Effect::Send { bytes, .. } => match decode(bytes, &Options::new(PeerKind::External)) {
            Ok(Message::Notification(n)) => Some(n),
            _ => None,
        },
        _ => None,
    };
    effects.iter().filter_map(notification).collect()
}
