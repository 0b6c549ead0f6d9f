//! A speaker, a scripted peer, and a clock that stands still unless told.

#![allow(dead_code, reason = "each test program uses a part")]

use std::net::IpAddr;
use std::time::Duration;

use bgp_packet::{
    AsPath, Attributes, BgpNextHop, Capability, GracefulRestart, KEEPALIVE, Message, Open, Options,
    Origin, PeerKind, Segment, decode, encode_attributes, frame_len, pack,
};
use bgp_policy::{Action, Definition, Definitions, Policy, Statement};
use bgp_session::{PeerConfig, State};
use bgp_speaker::*;
use inet::{Asn, Family, Prefix, Timestamp};

pub(crate) const PEER: &str = "10.0.0.2";

pub(crate) struct Bench {
    pub(crate) speaker: Speaker,
    pub(crate) now: Timestamp,
    pub(crate) accepted: u64,
    pub(crate) outputs: Vec<Output>,
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn asn(n: u32) -> Asn {
    Asn::new(n).unwrap()
}

pub(crate) fn global() -> Global {
    let router_id = "1.1.1.1".parse().unwrap();
    Global { multi_path: Multipath::ALL, ..Global::new(asn(65000), router_id) }
}

/// A policy that does this to every route.
pub(crate) fn policy(name: &str, action: Action) -> Policy {
    let definition = Definition { statements: vec![Statement::new(action)], default: None };
    definition.resolve(name, &Definitions::default()).unwrap()
}

/// A peer that never dials, in AS 65002.
pub(crate) fn peer(address: &str) -> PeerConfig {
    PeerConfig { passive: true, ..PeerConfig::new(ip(address), asn(65002)) }
}

pub(crate) fn doc(peers: &[PeerConfig], prefixes: &[&str]) -> Desired {
    let originate = prefixes.iter().map(|text| Origination::new(prefix(text)));
    Desired {
        global: Some(global()),
        peers: peers.iter().cloned().map(Peer::from).collect(),
        originate: originate.collect(),
        ..Desired::default()
    }
}

/// The OPEN of the scripted peer.
pub(crate) fn open() -> Open {
    let families = Family::ALL.map(|family| (family, true));
    Open {
        asn: asn(65002),
        hold_time: 90,
        router_id: "2.2.2.2".parse().unwrap(),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4),
            Capability::Multiprotocol(Family::Ipv6),
            Capability::RouteRefresh,
            Capability::FourOctetAs(asn(65002)),
            Capability::GracefulRestart(GracefulRestart {
                restart_time: 60,
                families: families.to_vec(),
                ..GracefulRestart::default()
            }),
        ],
    }
}

impl Bench {
    pub(crate) fn new(restarting: Option<Duration>) -> Bench {
        let now = Timestamp::from_elapsed(Duration::from_secs(100));
        let speaker = Speaker::new(now, SpeakerConfig { seed: 1, restarting });
        Bench { speaker, now, accepted: 0, outputs: vec![] }
    }

    /// With the peer configured and Established, and room for everything.
    pub(crate) fn established(prefixes: &[&str]) -> (Bench, ConnId) {
        let mut bench = Bench::new(None);
        bench.desired("file", doc(&[peer(PEER)], prefixes));
        bench.handle(Input::OwnersReady);
        let conn = bench.connect(&open());
        assert_eq!(bench.state(PEER), State::Established);
        bench.handle(Input::Room { conn, bytes: 1 << 20 });
        (bench, conn)
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.speaker.handle(self.now, input);
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        loop {
            while let Some(output) = self.speaker.poll() {
                self.outputs.push(output);
            }
            match self.speaker.wake_at() {
                Some((at, "table walk")) if at <= self.now => self.speaker.tick(self.now),
                _ => break,
            }
        }
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.speaker.tick(self.now);
        self.drain();
    }

    pub(crate) fn desired(&mut self, owner: &str, doc: Desired) {
        self.handle(Input::Desired { owner: owner.into(), doc });
    }

    /// The peer connects and says its OPEN.
    pub(crate) fn connect(&mut self, open: &Open) -> ConnId {
        self.accepted += 1;
        let conn = ConnId::Accepted(self.accepted);
        self.handle(Input::Accepted { conn, local: ip("10.0.0.1"), remote: ip(PEER).into() });
        self.handle(Input::Frame { conn, bytes: open.encode() });
        self.handle(Input::Frame { conn, bytes: KEEPALIVE.to_vec() });
        conn
    }

    pub(crate) fn announce(&mut self, conn: ConnId, prefixes: &[Prefix]) {
        let options = Options::new(PeerKind::External);
        let next_hop = BgpNextHop { address: ip(PEER), link_local: None };
        let as_path = AsPath { segments: vec![Segment::Sequence(vec![65002])] };
        let attributes = Attributes::new(Origin::Igp, as_path, next_hop);
        let raw = encode_attributes(&attributes, &options);
        for bytes in pack(&raw, &next_hop, prefixes.iter().copied(), &options).unwrap() {
            self.handle(Input::Frame { conn, bytes });
        }
        self.handle(Input::NextHop { address: ip(PEER).into(), metric: Some(0) });
    }

    pub(crate) fn state(&self, address: &str) -> State {
        self.speaker.peer(ip(address)).unwrap().status.state
    }

    pub(crate) fn why(&self, text: &str) -> String {
        self.speaker.why_sent(ip(PEER), &prefix(text)).unwrap().to_string()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        let outputs = std::mem::take(&mut self.outputs);
        let event = |output| match output {
            Output::Happened(event) => Some(event),
            _ => None,
        };
        outputs.into_iter().filter_map(event).collect()
    }

    /// The messages sent since this was asked last, in short.
    pub(crate) fn said(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for output in std::mem::take(&mut self.outputs) {
            let Output::Send { bytes, .. } = output else { continue };
            let mut rest = &bytes[..];
            while let Some(len) = frame_len(rest, 65535).unwrap() {
                let (frame, after) = rest.split_at(len);
                rest = after;
                said.push(match decode(frame, &Options::new(PeerKind::External)).unwrap() {
                    Message::Update(update) => {
                        let new = update.reach.iter().flat_map(|r| r.nlri.iter());
                        let gone = update.withdrawn.iter().flat_map(|n| n.iter());
                        let new = new.map(|p| format!("+{p}"));
                        let gone = gone.map(|p| format!("-{p}"));
                        let end = update.end_of_rib.map(|family| format!("end of {family}"));
                        new.chain(gone).chain(end).collect::<Vec<_>>().join(" ")
                    }
                    Message::Notification(n) => format!("notification {}/{}", n.code, n.subcode),
                    Message::Open(open) => format!("open {:?}", restart_of(&open)),
                    Message::Keepalive => "keepalive".into(),
                    other => format!("{other:?}"),
                });
            }
        }
        said
    }

    pub(crate) fn closed(&self) -> usize {
        self.outputs.iter().filter(|o| matches!(o, Output::Close { .. })).count()
    }
}

pub(crate) fn restart_of(open: &Open) -> Option<(bool, Vec<(Family, bool)>)> {
    open.capabilities.iter().find_map(|capability| match capability {
        Capability::GracefulRestart(gr) => Some((gr.restarted, gr.families.clone())),
        _ => None,
    })
}
