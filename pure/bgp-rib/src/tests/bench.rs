//! Tables, and peers that hear what they tell.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp_packet::{
    AsPath, Attributes, BgpNextHop, Message, Options, Origin, PathId, PeerKind, RefreshKind,
    Segment, decode, encode_attributes, frame_len, pack_paths, pack_withdrawn_paths,
};
use inet::{Asn, Family, Prefix, ScopedAddr};

use crate::*;

pub(super) const AS: u32 = 65000;

/// Tables, and what each peer has heard of them so far.
pub(super) struct Bench {
    pub(super) rib: Rib,
    pub(super) heard: BTreeMap<PeerId, Heard>,
    pub(super) installed: BTreeMap<Prefix, Vec<IpAddr>>,
    pub(super) discards: BTreeMap<Prefix, Discard>,
    pub(super) tracked: BTreeSet<ScopedAddr>,
    /// Prefixes of which more paths came than are taken, told of once a session.
    pub(super) left_out: Vec<Prefix>,
    /// Answer each Track with this distance.
    pub(super) resolve: bool,
}

#[derive(Default)]
pub(super) struct Heard {
    pub(super) options: Option<Options>,
    pub(super) routes: BTreeMap<Prefix, Attributes>,
    pub(super) paths: BTreeMap<(Prefix, PathId), Attributes>,
    pub(super) end_of_rib: BTreeSet<Family>,
    /// BoRR and EoRR, in their order.
    pub(super) frames: Vec<(Family, RefreshKind)>,
    pub(super) bytes: usize,
}

pub(super) fn asn(n: u32) -> Asn {
    Asn::new(n).unwrap()
}

pub(super) fn settings() -> Settings {
    Settings { multipath: Multipath::ALL, ..Settings::new(asn(AS), "1.1.1.1".parse().unwrap()) }
}

pub(super) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn attributes(path: &[u32], next_hop: &str) -> Attributes {
    let segments = match path {
        [] => vec![],
        path => vec![Segment::Sequence(path.to_vec())],
    };
    Attributes::new(Origin::Igp, AsPath { segments }, BgpNextHop::from(ip(next_hop)))
}

pub(super) fn own() -> OwnRoute {
    OwnRoute {
        origin: Origin::Igp,
        med: None,
        local_pref: None,
        communities: vec![],
        large_communities: vec![],
        groups: BTreeSet::new(),
        kernel: None,
    }
}

/// The same session, as the peer sees it.
pub(super) fn other_end(options: &Options) -> Options {
    let (add_path_receive, add_path_send) = (options.add_path_send, options.add_path_receive);
    Options { add_path_receive, add_path_send, ..*options }
}

pub(super) fn with_rules(n: u8, kind: PeerKind, rules: Rules) -> SessionFacts {
    SessionFacts { rules, ..session(n, kind) }
}

pub(super) fn session(n: u8, kind: PeerKind) -> SessionFacts {
    let peer_asn = if kind == PeerKind::External { 65000 + u32::from(n) } else { AS };
    let next_hops =
        NextHops { ipv4: Some(ip("10.0.0.100")), ipv6: Some(ip("fd00::100")), link_local: None };
    let id = format!("2.2.2.{n}").parse().unwrap();
    SessionFacts { next_hops, ..SessionFacts::new(id, asn(peer_asn), Options::new(kind)) }
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench {
            rib: Rib::new(7, settings()),
            heard: BTreeMap::new(),
            installed: BTreeMap::new(),
            discards: BTreeMap::new(),
            tracked: BTreeSet::new(),
            left_out: Vec::new(),
            resolve: true,
        }
    }

    /// A peer at 10.0.0.`n` whose session is up.
    pub(super) fn peer(&mut self, n: u8, kind: PeerKind) -> PeerId {
        let id = self.rib.add_peer(ip(&format!("10.0.0.{n}"))).unwrap();
        self.up(id, session(n, kind));
        id
    }

    pub(super) fn up(&mut self, id: PeerId, facts: SessionFacts) {
        let heard = Heard { options: Some(facts.options), ..Heard::default() };
        self.heard.insert(id, heard);
        self.rib.session_up(id, facts);
    }

    pub(super) fn announce(&mut self, id: PeerId, attributes: &Attributes, prefixes: &[&str]) {
        self.announce_path(id, 0, attributes, prefixes);
    }

    /// With a path id, where the session has them.
    pub(super) fn announce_path(
        &mut self,
        id: PeerId,
        path: u32,
        attributes: &Attributes,
        what: &[&str],
    ) {
        let options = self.heard[&id].options.unwrap();
        let theirs = other_end(&options);
        let raw = encode_attributes(attributes, &theirs);
        let paths = what.iter().map(|p| (PathId(path), prefix(p)));
        for frame in pack_paths(&raw, &attributes.next_hop, paths, &theirs).unwrap() {
            self.frame(id, &frame, &options);
        }
    }

    pub(super) fn withdraw(&mut self, id: PeerId, prefixes: &[&str]) {
        self.withdraw_path(id, 0, prefixes);
    }

    pub(super) fn withdraw_path(&mut self, id: PeerId, path: u32, what: &[&str]) {
        let options = self.heard[&id].options.unwrap();
        let paths = what.iter().map(|p| (PathId(path), prefix(p)));
        for frame in pack_withdrawn_paths(paths, &other_end(&options)) {
            self.frame(id, &frame, &options);
        }
    }

    pub(super) fn frame(&mut self, id: PeerId, frame: &[u8], options: &Options) {
        let Ok(Message::Update(update)) = decode(frame, options) else { panic!("no UPDATE") };
        let updated = self.rib.update(id, options, &update);
        assert_eq!(updated.reset, None);
        self.left_out.extend(updated.left_out);
    }

    /// A peer at 10.0.0.`n` with rules.
    pub(super) fn peer_with(&mut self, n: u8, kind: PeerKind, rules: Rules) -> PeerId {
        let id = self.rib.add_peer(ip(&format!("10.0.0.{n}"))).unwrap();
        self.up(id, with_rules(n, kind, rules));
        id
    }

    /// What a peer has heard of a prefix.
    pub(super) fn hears(&self, id: PeerId, text: &str) -> Option<&Attributes> {
        self.heard[&id].routes.get(&prefix(text))
    }

    pub(super) fn state(&self, text: &str) -> Option<PathState> {
        self.rib.paths(&prefix(text)).first().map(|path| path.state)
    }

    /// Lets everything go on until nothing is left to do.
    pub(super) fn settle(&mut self) {
        loop {
            let mut idle = true;
            self.rib.work(3);
            while let Some(track) = self.rib.poll_track() {
                idle = false;
                match track {
                    Track::Begin(address) => {
                        assert!(self.tracked.insert(address));
                        if self.resolve {
                            self.rib.next_hop(address, Some(10));
                        }
                    }
                    Track::End(address) => assert!(self.tracked.remove(&address)),
                }
            }
            while self.install() {
                idle = false;
            }
            for id in self.heard.keys().copied().collect::<Vec<_>>() {
                idle &= !self.hear(id);
            }
            if idle && !self.rib.has_work() {
                break;
            }
        }
        self.agree();
    }

    /// One change of the FIB; whether there was any.
    pub(super) fn install(&mut self) -> bool {
        let Some(best) = self.rib.poll_best() else { return false };
        let hops: Vec<IpAddr> = best.paths.iter().map(|path| path.next_hop.address).collect();
        let installed = self.installed.remove(&best.prefix).is_some();
        let was = self.discards.remove(&best.prefix).is_some() || installed;
        match (hops.is_empty(), best.discard) {
            (true, None) => assert!(was, "gone, was not there"),
            (true, Some(discard)) => drop(self.discards.insert(best.prefix, discard)),
            (false, None) if best.paths.iter().any(|path| path.discard) => {
                assert_eq!(best.paths.len(), 1, "none goes where another one drops");
                self.discards.insert(best.prefix, Discard::Blackhole);
            }
            (false, None) => drop(self.installed.insert(best.prefix, hops)),
            (false, Some(_)) => panic!("an aggregate is originated here"),
        }
        true
    }

    /// One chunk for a peer; whether there was any.
    pub(super) fn hear(&mut self, id: PeerId) -> bool {
        match self.rib.fill(id) {
            Fill::Nothing => false,
            Fill::Busy => true,
            Fill::Bytes { bytes, updates, refreshes } => {
                let heard = self.heard.get_mut(&id).unwrap();
                let messages = heard.take(&bytes);
                assert_eq!(messages, updates + refreshes);
                true
            }
        }
    }

    /// What each peer has heard is what the tables say that it is told.
    pub(super) fn agree(&self) {
        assert!(self.rib.groups_agree());
        for (id, heard) in &self.heard {
            for family in Family::ALL {
                let told: BTreeMap<(Prefix, PathId), Attributes> = self
                    .rib
                    .adj_rib_out_paths(*id, family)
                    .map(|(prefix, path, attributes)| ((prefix, path), attributes))
                    .collect();
                let mut has = heard.paths.clone();
                has.retain(|(prefix, _), _| prefix.family() == family);
                assert_eq!(told, has, "{id:?}");
                assert_eq!(self.rib.out_count(*id, family) as usize, has.len(), "{id:?}");
                for (prefix, _) in told.keys() {
                    assert_eq!(self.rib.why_sent(*id, prefix), Reason::Announced);
                }
            }
        }
    }

    pub(super) fn why(&self, id: PeerId, text: &str) -> String {
        self.rib.why_sent(id, &prefix(text)).to_string()
    }
}

impl Heard {
    /// RFC 7313 §4: not before End-of-RIB, and no end without a beginning.
    fn frame(&mut self, family: Family, kind: RefreshKind) {
        assert!(self.end_of_rib.contains(&family), "{kind:?} before End-of-RIB");
        if kind == RefreshKind::End {
            assert!(self.is_framed(family), "EoRR without BoRR");
        }
        self.frames.push((family, kind));
    }

    /// Whether BoRR has come, and EoRR not yet.
    pub(super) fn is_framed(&self, family: Family) -> bool {
        let last = self.frames.iter().rev().find(|(of, _)| *of == family);
        last.is_some_and(|(_, kind)| *kind == RefreshKind::Begin)
    }

    /// Takes in messages; how many there were.
    pub(super) fn take(&mut self, bytes: &[u8]) -> u64 {
        let options = other_end(&self.options.unwrap());
        let mut rest = bytes;
        let mut messages = 0;
        while let Some(len) = frame_len(rest, options.max_len()).unwrap() {
            let (frame, after) = rest.split_at(len);
            rest = after;
            messages += 1;
            let update = match decode(frame, &options).unwrap() {
                Message::Update(update) => update,
                Message::RouteRefresh { family, kind } => {
                    self.frame(family, kind);
                    continue;
                }
                other => panic!("{other:?}"),
            };
            self.end_of_rib.extend(update.end_of_rib);
            for (id, prefix) in update.withdrawn.iter().flat_map(|nlri| nlri.paths()) {
                self.routes.remove(&prefix);
                self.paths.remove(&(prefix, id));
            }
            for reach in &update.reach {
                let verdict = update.attributes.decode(&options, reach.next_hop);
                let bgp_packet::Verdict::Accept(attributes, wrong) = verdict else {
                    panic!("{verdict:?}")
                };
                assert_eq!(wrong, []);
                self.routes.extend(reach.nlri.iter().map(|p| (p, attributes.clone())));
                let paths = reach.nlri.paths().map(|(id, p)| ((p, id), attributes.clone()));
                self.paths.extend(paths);
            }
        }
        assert!(rest.is_empty());
        self.bytes += bytes.len();
        messages
    }
}
