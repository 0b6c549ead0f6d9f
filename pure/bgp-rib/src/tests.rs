mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp_packet::{
    AsPath, Attributes, BgpNextHop, Message, Options, Origin, PeerKind, Segment, community, decode,
    encode_attributes, frame_len, pack, pack_withdrawn,
};
use inet::{Asn, Family, Prefix};

use crate::*;

const AS: u32 = 65000;

/// Tables, and what each peer has heard of them so far.
struct Bench {
    rib: Rib,
    heard: BTreeMap<PeerId, Heard>,
    installed: BTreeMap<Prefix, Vec<IpAddr>>,
    tracked: BTreeSet<IpAddr>,
    /// Answer each Track with this distance.
    resolve: bool,
}

#[derive(Default)]
struct Heard {
    options: Option<Options>,
    routes: BTreeMap<Prefix, Attributes>,
    end_of_rib: BTreeSet<Family>,
    bytes: usize,
}

fn asn(n: u32) -> Asn {
    Asn::new(n).unwrap()
}

fn settings() -> Settings {
    Settings {
        asn: asn(AS),
        router_id: "1.1.1.1".parse().unwrap(),
        multi_path: true,
        transit: true,
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn attributes(path: &[u32], next_hop: &str) -> Attributes {
    let segments = match path {
        [] => vec![],
        path => vec![Segment::Sequence(path.to_vec())],
    };
    Attributes {
        origin: Origin::Igp,
        as_path: AsPath { segments },
        next_hop: BgpNextHop { address: ip(next_hop), link_local: None },
        med: None,
        local_pref: None,
        atomic_aggregate: false,
        aggregator: None,
        communities: vec![],
        originator_id: None,
        cluster_list: vec![],
        extended_communities: vec![],
        large_communities: vec![],
        unknown: vec![],
    }
}

fn own() -> OwnRoute {
    OwnRoute {
        origin: Origin::Igp,
        med: None,
        local_pref: None,
        communities: vec![],
        large_communities: vec![],
        groups: BTreeSet::new(),
    }
}

fn session(n: u8, kind: PeerKind) -> SessionFacts {
    SessionFacts {
        router_id: format!("2.2.2.{n}").parse().unwrap(),
        options: Options::new(kind),
        groups: BTreeSet::new(),
        next_hops: NextHops { ipv4: Some(ip("10.0.0.100")), ipv6: Some(ip("fd00::100")) },
    }
}

impl Bench {
    fn new() -> Bench {
        Bench {
            rib: Rib::new(7, settings()),
            heard: BTreeMap::new(),
            installed: BTreeMap::new(),
            tracked: BTreeSet::new(),
            resolve: true,
        }
    }

    /// A peer at 10.0.0.`n` whose session is up.
    fn peer(&mut self, n: u8, kind: PeerKind) -> PeerId {
        let id = self.rib.add_peer(ip(&format!("10.0.0.{n}"))).unwrap();
        self.up(id, session(n, kind));
        id
    }

    fn up(&mut self, id: PeerId, facts: SessionFacts) {
        let heard = Heard { options: Some(facts.options), ..Heard::default() };
        self.heard.insert(id, heard);
        self.rib.session_up(id, facts);
    }

    fn announce(&mut self, id: PeerId, attributes: &Attributes, prefixes: &[&str]) {
        let options = self.heard[&id].options.unwrap();
        let raw = encode_attributes(attributes, &options);
        let prefixes = prefixes.iter().map(|p| prefix(p));
        for frame in pack(&raw, &attributes.next_hop, prefixes, &options).unwrap() {
            self.frame(id, &frame, &options);
        }
    }

    fn withdraw(&mut self, id: PeerId, prefixes: &[&str]) {
        let options = self.heard[&id].options.unwrap();
        for frame in pack_withdrawn(prefixes.iter().map(|p| prefix(p)), &options) {
            self.frame(id, &frame, &options);
        }
    }

    fn frame(&mut self, id: PeerId, frame: &[u8], options: &Options) {
        let Ok(Message::Update(update)) = decode(frame, options) else { panic!("no UPDATE") };
        let updated = self.rib.update(id, options, &update);
        assert_eq!(updated.reset, None);
    }

    /// Lets everything go on until nothing is left to do.
    fn settle(&mut self) {
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
    fn install(&mut self) -> bool {
        let Some(best) = self.rib.poll_best() else { return false };
        let hops: Vec<IpAddr> = best.paths.iter().map(|path| path.next_hop.address).collect();
        match hops.is_empty() {
            true => assert!(self.installed.remove(&best.prefix).is_some(), "gone, was not there"),
            false => drop(self.installed.insert(best.prefix, hops)),
        }
        true
    }

    /// One chunk for a peer; whether there was any.
    fn hear(&mut self, id: PeerId) -> bool {
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
    fn agree(&self) {
        assert!(self.rib.groups_agree());
        for (id, heard) in &self.heard {
            for family in Family::ALL {
                let told: BTreeMap<Prefix, Attributes> =
                    self.rib.adj_rib_out(*id, family).collect();
                let has: BTreeMap<Prefix, Attributes> = heard
                    .routes
                    .iter()
                    .filter(|(prefix, _)| prefix.family() == family)
                    .map(|(prefix, attributes)| (*prefix, attributes.clone()))
                    .collect();
                assert_eq!(told, has, "{id:?}");
                assert_eq!(self.rib.out_count(*id, family) as usize, has.len(), "{id:?}");
                for prefix in told.keys() {
                    assert_eq!(self.rib.why_sent(*id, prefix), Reason::Announced);
                }
            }
        }
    }

    fn why(&self, id: PeerId, text: &str) -> String {
        self.rib.why_sent(id, &prefix(text)).to_string()
    }
}

impl Heard {
    /// Takes in messages; how many there were.
    fn take(&mut self, bytes: &[u8]) -> u64 {
        let options = self.options.unwrap();
        let mut rest = bytes;
        let mut messages = 0;
        while let Some(len) = frame_len(rest, options.max_len()).unwrap() {
            let (frame, after) = rest.split_at(len);
            rest = after;
            messages += 1;
            let update = match decode(frame, &options).unwrap() {
                Message::Update(update) => update,
                Message::RouteRefresh { .. } => continue,
                other => panic!("{other:?}"),
            };
            self.end_of_rib.extend(update.end_of_rib);
            for prefix in update.withdrawn.iter().flat_map(|nlri| nlri.iter()) {
                self.routes.remove(&prefix);
            }
            for reach in &update.reach {
                let verdict = update.attributes.decode(&options, reach.next_hop);
                let bgp_packet::Verdict::Accept(attributes, wrong) = verdict else {
                    panic!("{verdict:?}")
                };
                assert_eq!(wrong, []);
                self.routes.extend(reach.nlri.iter().map(|p| (p, attributes.clone())));
            }
        }
        assert!(rest.is_empty());
        self.bytes += bytes.len();
        messages
    }
}

#[test]
fn towards_another_as_we_prepend_and_are_the_next_hop_and_keep_inner_things_to_ourselves() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    let learned = Attributes {
        med: Some(5),
        communities: vec![1, 2],
        extended_communities: vec![[0; 8], [0x40, 0, 0, 0, 0, 0, 0, 0]],
        ..attributes(&[65001, 7], "10.0.0.1")
    };
    bench.announce(from, &learned, &["10.1.0.0/24"]);
    bench.settle();
    let expect = Attributes {
        communities: vec![1, 2],
        extended_communities: vec![[0; 8]],
        ..attributes(&[AS, 65001, 7], "10.0.0.100")
    };
    assert_eq!(bench.heard[&to].routes, BTreeMap::from([(prefix("10.1.0.0/24"), expect)]));
    assert_eq!(bench.why(from, "10.1.0.0/24"), "split-horizon");
    assert_eq!(bench.heard[&from].routes, BTreeMap::new());
    assert_eq!(bench.heard[&to].end_of_rib, Family::ALL.into_iter().collect());
    assert_eq!(bench.installed[&prefix("10.1.0.0/24")], [ip("10.0.0.1")]);
}

#[test]
fn inside_the_as_paths_keep_their_next_hop_and_go_one_step_only() {
    let mut bench = Bench::new();
    let outside = bench.peer(1, PeerKind::External);
    let inside = bench.peer(2, PeerKind::Internal);
    let inside2 = bench.peer(3, PeerKind::Internal);
    bench.announce(
        outside,
        &Attributes { med: Some(5), ..attributes(&[65001], "10.0.0.1") },
        &["10.1.0.0/24"],
    );
    let learned = Attributes { local_pref: Some(200), ..attributes(&[], "10.9.9.9") };
    bench.announce(inside, &learned, &["10.2.0.0/24"]);
    bench.settle();
    let expect =
        Attributes { med: Some(5), local_pref: Some(100), ..attributes(&[65001], "10.0.0.1") };
    assert_eq!(bench.heard[&inside2].routes, BTreeMap::from([(prefix("10.1.0.0/24"), expect)]));
    assert_eq!(bench.why(inside2, "10.2.0.0/24"), "internal-to-internal");
    assert!(bench.heard[&outside].routes.contains_key(&prefix("10.2.0.0/24")));
}

#[test]
fn the_paths_of_one_set_are_equal() {
    let mut bench = Bench::new();
    let states = |bench: &Bench| -> Vec<_> {
        bench.rib.paths(&prefix("10.1.0.0/24")).iter().map(|path| path.state).collect()
    };
    for n in [1, 2] {
        let from = bench.peer(n, PeerKind::External);
        let path = attributes(&[65000 + u32::from(n)], &format!("10.0.0.{n}"));
        bench.announce(from, &path, &["10.1.0.0/24"]);
        bench.settle();
        let best = PathState::Best(if n == 1 { Step::OnlyPath } else { Step::Equal });
        assert_eq!(states(&bench).first(), Some(&best));
    }
    assert_eq!(states(&bench)[1..], [PathState::Multipath]);
    let longer = bench.peer(3, PeerKind::External);
    bench.announce(longer, &attributes(&[65003, 1], "10.0.0.3"), &["10.1.0.0/24"]);
    bench.settle();
    let step = Step::AsPathLength;
    assert_eq!(
        states(&bench),
        [PathState::Best(step), PathState::Multipath, PathState::Lost(step)]
    );
}

#[test]
fn own_routes_win_are_never_installed_and_go_to_their_groups_only() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let id = bench.rib.add_peer(ip("10.0.0.2")).unwrap();
    let racks = BTreeSet::from(["rack".to_owned()]);
    bench.up(id, SessionFacts { groups: racks.clone(), ..session(2, PeerKind::External) });
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.settle();
    assert_eq!(bench.installed.len(), 1);
    let route =
        OwnRoute { med: Some(9), groups: racks, communities: vec![community::NO_EXPORT], ..own() };
    bench.rib.originate(&prefix("10.1.0.0/24"), Some(&route));
    bench.settle();
    assert_eq!(bench.installed, BTreeMap::new());
    let heard = &bench.heard[&id].routes[&prefix("10.1.0.0/24")];
    assert_eq!((heard.med, heard.communities.len()), (Some(9), 1));
    assert_eq!(bench.why(from, "10.1.0.0/24"), "not-in-group");
    let states: Vec<_> =
        bench.rib.paths(&prefix("10.1.0.0/24")).iter().map(|path| path.state).collect();
    assert_eq!(states, [PathState::Best(Step::Local), PathState::Lost(Step::Local)]);
    bench.rib.originate(&prefix("10.1.0.0/24"), None);
    bench.settle();
    assert_eq!(bench.installed.len(), 1);
}

#[test]
fn without_transit_nothing_learned_is_told_and_switching_it_needs_no_reset() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.rib.originate(&prefix("10.2.0.0/24"), Some(&own()));
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 2);
    bench.rib.configure(Settings { transit: false, ..settings() });
    bench.settle();
    assert_eq!(bench.why(to, "10.1.0.0/24"), "no-transit");
    assert_eq!(bench.heard[&to].routes.len(), 1);
    bench.rib.configure(settings());
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 2);
}

#[test]
fn well_known_communities_are_honoured() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let other = bench.peer(2, PeerKind::External);
    let inside = bench.peer(3, PeerKind::Internal);
    let tagged = |c| Attributes { communities: vec![c], ..attributes(&[65001], "10.0.0.1") };
    bench.announce(from, &tagged(community::NO_EXPORT), &["10.1.0.0/24"]);
    bench.announce(from, &tagged(community::NO_ADVERTISE), &["10.2.0.0/24"]);
    bench.announce(from, &tagged(community::GRACEFUL_SHUTDOWN), &["10.3.0.0/24"]);
    bench.announce(other, &attributes(&[65002, 1, 2, 3], "10.0.0.2"), &["10.3.0.0/24"]);
    bench.settle();
    assert_eq!(bench.why(other, "10.1.0.0/24"), "no-export");
    assert_eq!(bench.why(inside, "10.1.0.0/24"), "announced");
    assert_eq!(bench.why(inside, "10.2.0.0/24"), "no-advertise");
    assert_eq!(bench.installed[&prefix("10.3.0.0/24")], [ip("10.0.0.2")]);
}

#[test]
fn what_cannot_be_used_says_why() {
    let mut bench = Bench::new();
    bench.resolve = false;
    let from = bench.peer(1, PeerKind::External);
    bench.announce(from, &attributes(&[65001, AS], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.2.0.0/24"]);
    bench.announce(from, &attributes(&[65001], "10.0.0.100"), &["10.3.0.0/24"]);
    bench.settle();
    let state = |bench: &Bench, text| bench.rib.paths(&prefix(text)).first().map(|p| p.state);
    assert_eq!(state(&bench, "10.1.0.0/24"), Some(PathState::Ineligible(Ineligible::AsLoop)));
    let unresolved = PathState::Ineligible(Ineligible::UnresolvedNextHop);
    assert_eq!(state(&bench, "10.2.0.0/24"), Some(unresolved));
    // Our own address as next hop: as if withdrawn.
    assert_eq!(state(&bench, "10.3.0.0/24"), None);
    assert_eq!(
        bench.rib.in_counts(from, Family::Ipv4),
        InCounts { received: 2, accepted: 1, stale: 0 }
    );
    assert_eq!(bench.why(from, "10.2.0.0/24"), "no-route");
    bench.rib.next_hop(ip("10.0.0.1"), Some(1));
    bench.settle();
    assert_eq!(state(&bench, "10.2.0.0/24"), Some(PathState::Best(Step::OnlyPath)));
    bench.rib.next_hop(ip("10.0.0.1"), None);
    bench.settle();
    assert_eq!(bench.installed, BTreeMap::new());
}

#[test]
fn without_an_address_of_the_family_nothing_is_announced_until_there_is_one() {
    let mut bench = Bench::new();
    let id = bench.rib.add_peer(ip("10.0.0.1")).unwrap();
    let v4_only = NextHops { ipv4: Some(ip("10.0.0.100")), ipv6: None };
    bench.up(id, SessionFacts { next_hops: v4_only, ..session(1, PeerKind::External) });
    bench.rib.originate(&prefix("fd01::/64"), Some(&own()));
    bench.settle();
    assert_eq!(bench.why(id, "fd01::/64"), "no-next-hop");
    bench.rib.session_changed(id, session(1, PeerKind::External));
    bench.settle();
    assert_eq!(bench.why(id, "fd01::/64"), "announced");
    let without = SessionFacts { next_hops: v4_only, ..session(1, PeerKind::External) };
    bench.rib.session_changed(id, without);
    bench.settle();
    assert_eq!(bench.heard[&id].routes, BTreeMap::new());
}

#[test]
fn stale_paths_are_used_until_renewed_or_flushed_and_do_not_outlive_a_second_restart() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let both = &["10.1.0.0/24", "10.2.0.0/24"];
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), both);
    bench.settle();
    let all = Family::ALL.into_iter().collect();
    bench.heard.clear();
    bench.rib.session_down(from, &all);
    bench.settle();
    assert_eq!(bench.installed.len(), 2);
    assert_eq!(bench.rib.in_counts(from, Family::Ipv4).stale, 2);
    bench.up(from, session(1, PeerKind::External));
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &both[..1]);
    bench.settle();
    assert_eq!(bench.installed.len(), 2);
    bench.rib.flush_stale(from, Family::Ipv4);
    bench.settle();
    assert_eq!(bench.installed.keys().copied().collect::<Vec<_>>(), [prefix(both[0])]);
    // Restarts twice without sending anything in between.
    bench.heard.clear();
    bench.rib.session_down(from, &all);
    bench.up(from, session(1, PeerKind::External));
    bench.settle();
    assert_eq!(bench.installed.len(), 1);
    bench.heard.clear();
    bench.rib.session_down(from, &all);
    bench.settle();
    assert_eq!(bench.installed.len(), 0);
    assert_eq!(bench.rib.counts(), Counts::default());
}

#[test]
fn peers_told_the_same_share_a_group_and_equal_sets_are_kept_once() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let ids: Vec<_> = (2..10).map(|n| bench.peer(n, PeerKind::External)).collect();
    let prefixes: Vec<String> = (0..200).map(|n| format!("10.1.{n}.0/24")).collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &prefixes);
    bench.settle();
    let counts = bench.rib.counts();
    assert_eq!((counts.groups, counts.attribute_sets, counts.paths), (2, 1, 200));
    assert_eq!(bench.heard[&ids[0]].bytes, bench.heard[&ids[7]].bytes);
    bench.withdraw(from, &prefixes);
    bench.settle();
    bench.rib.remove_peer(from);
    bench.heard.remove(&from);
    bench.settle();
    assert_eq!(bench.rib.counts(), Counts { groups: 2, ..Counts::default() });
}

#[test]
fn after_a_restart_nothing_is_chosen_or_told_before_select() {
    let mut bench = Bench::new();
    bench.rib.defer();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.rib.originate(&prefix("10.2.0.0/24"), Some(&own()));
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    for _ in 0..10 {
        bench.rib.work(100);
    }
    assert!(!bench.hear(to) && bench.rib.poll_best().is_none() && !bench.rib.is_settled());
    assert_eq!(bench.why(to, "10.1.0.0/24"), "selection-deferred");
    bench.rib.select();
    bench.settle();
    assert!(bench.rib.is_settled());
    assert_eq!((bench.heard[&to].routes.len(), bench.heard[&to].end_of_rib.len()), (2, 2));
    assert_eq!(bench.installed.len(), 1);
}

#[test]
fn attributes_that_leave_no_room_for_a_prefix_are_not_announced() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.settle();
    // The longest that fits into a message; with our AS number in front it no longer does.
    let path: Vec<u32> = std::iter::once(65001).chain(2..250).collect();
    let long = |n| Attributes { communities: vec![9; n], ..attributes(&path, "10.0.0.1") };
    let fits = (700..1000).rev().find(|n| {
        let raw = encode_attributes(&long(*n), &Options::new(PeerKind::External));
        let hop = BgpNextHop { address: ip("10.0.0.1"), link_local: None };
        pack(&raw, &hop, [prefix("10.1.0.0/24")], &Options::new(PeerKind::External)).is_ok()
    });
    bench.announce(from, &long(fits.unwrap()), &["10.1.0.0/24"]);
    while bench.install() || bench.hear(to) || bench.hear(from) {}
    assert_eq!(bench.heard[&to].routes, BTreeMap::new());
}
