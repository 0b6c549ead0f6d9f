//! Random histories: whatever happened, in the end each peer has heard what it is told, that is
//! what tables say that were given the end alone, and all is empty when all is taken back.

use std::num::NonZeroU8;
use std::sync::OnceLock;

use bgp_packet::{FamilyFlags, Role};
use bgp_policy::{Adjust, NextHopChange, Policy, Sets};

use super::policy::{accept, rejects_within};
use super::*;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

const PEERS: u64 = 5;

fn random_prefix(dice: &mut Dice) -> String {
    match dice.roll(3) {
        0 => format!("fd00:{}::/64", dice.roll(20)),
        _ => format!("10.{}.0.0/16", dice.roll(30)),
    }
}

/// What is left of a history: without order, walks and caches.
struct Model {
    settings: Settings,
    sessions: BTreeMap<PeerId, SessionFacts>,
    routes: BTreeMap<(PeerId, Prefix, u32), Attributes>,
    own: BTreeMap<Prefix, OwnRoute>,
    aggregates: BTreeMap<Prefix, Aggregate>,
}

impl Model {
    fn forget(&mut self, id: PeerId, family: Option<Family>) {
        let goes = |of: &PeerId, prefix: &Prefix| {
            *of == id && family.is_none_or(|family| prefix.family() == family)
        };
        self.routes.retain(|(of, prefix, _), _| !goes(of, prefix));
    }

    /// An aggregate is there if, and only if, a longer prefix in it is used: counted here one by one.
    fn aggregates_are_there(&self, bench: &Bench) {
        for aggregate in self.aggregates.keys() {
            let counts = |(prefix, paths): &(Prefix, Vec<PathView>)| {
                let used = paths.first().filter(|path| matches!(path.state, PathState::Best(_)));
                let counts = |path: &PathView| self.settings.transit || path.peer == PeerId::LOCAL;
                prefix != aggregate && aggregate.covers(prefix) && used.is_some_and(counts)
            };
            let expect = bench.rib.prefixes(aggregate.family()).any(|row| counts(&row));
            assert_eq!(aggregates::is_there(bench, aggregate), expect, "{aggregate}");
            if self.aggregates[aggregate].summary_only {
                for (id, heard) in &bench.heard {
                    let longer = |p: &&Prefix| *p != aggregate && aggregate.covers(p);
                    assert_eq!(heard.routes.keys().find(longer), None, "{id:?}");
                }
            }
        }
    }

    /// Tables that were given this alone, with the next hops as they are elsewhere.
    fn tables(&self, like: &Bench) -> Bench {
        let mut bench = Bench { rib: Rib::new(99, self.settings.clone()), ..Bench::new() };
        bench.resolve = false;
        for n in 0..PEERS {
            let id = bench.rib.add_peer(ip(&format!("10.0.0.{n}"))).unwrap();
            if let Some(facts) = self.sessions.get(&id) {
                bench.up(id, facts.clone());
            }
        }
        for ((id, prefix, path), attributes) in &self.routes {
            bench.announce_path(*id, *path, attributes, &[&prefix.to_string()]);
        }
        for (prefix, route) in &self.own {
            bench.rib.originate(prefix, Some(route));
        }
        bench.rib.aggregate(self.aggregates.clone());
        for (address, metric) in like.rib.next_hops() {
            bench.rib.next_hop(address, metric);
        }
        bench.settle();
        bench
    }
}

/// What a peer is told, but for path ids: those are as old as the path.
fn told(bench: &Bench, id: PeerId) -> Vec<String> {
    let paths = Family::ALL.into_iter().flat_map(|family| bench.rib.adj_rib_out(id, family));
    let mut told: Vec<String> = paths.map(|path| format!("{path:?}")).collect();
    told.sort();
    told
}

fn random_policy(dice: &mut Dice) -> Option<Policy> {
    static POLICIES: OnceLock<Vec<Policy>> = OnceLock::new();
    let policies = POLICIES.get_or_init(|| {
        let nothing = Sets::default();
        vec![
            rejects_within("10.0.0.0/12"),
            accept(Sets { local_pref: Some(Adjust::Set(200)), ..nothing.clone() }),
            accept(Sets { med: Some(Adjust::Add(5)), ..nothing.clone() }),
            accept(Sets { weight: Some(Adjust::Set(3)), ..nothing.clone() }),
            accept(Sets { discard: Some(true), ..nothing.clone() }),
            accept(Sets { next_hop: Some(NextHopChange::Own), ..nothing }),
        ]
    });
    policies.get(dice.roll(12) as usize).cloned()
}

fn rules(dice: &mut Dice) -> Rules {
    let mut one_in = |n| dice.roll(n) == 0;
    let mut rules = Rules {
        reflector_client: one_in(3),
        as_override: one_in(6),
        remove_private_as: one_in(6),
        allow_own_as: u8::from(one_in(4)),
        ..Rules::default()
    };
    if one_in(6) {
        rules.without_policy = WithoutPolicy::Reject;
    }
    rules.role = Role::ALL.get(dice.roll(15) as usize).copied();
    (rules.import, rules.export) = (random_policy(dice), random_policy(dice));
    rules.next_hop = match dice.roll(6) {
        0 => NextHopMode::Own,
        1 => NextHopMode::Unchanged,
        _ => NextHopMode::Auto,
    };
    rules.add_path_send = match dice.roll(3) {
        0 => AddPathSend::Best,
        1 => AddPathSend::All,
        _ => AddPathSend::BestN(NonZeroU8::new(2).unwrap()),
    };
    rules
}

fn random_aggregates(dice: &mut Dice) -> BTreeMap<Prefix, Aggregate> {
    let mut all = BTreeMap::new();
    for text in ["10.0.0.0/8", "10.0.0.0/12", "10.8.0.0/13", "10.5.0.0/16", "fd00::/28"] {
        if dice.roll(2) == 0 {
            continue;
        }
        let groups =
            if dice.roll(4) == 0 { BTreeSet::from(["rack".to_owned()]) } else { [].into() };
        let discard = [None, Some(Discard::Blackhole), Some(Discard::Unreachable)];
        let aggregate = Aggregate {
            route: OwnRoute { med: Some(dice.roll(2) as u32), groups, ..own() },
            summary_only: dice.roll(2) == 0,
            discard: discard[dice.roll(3) as usize],
        };
        all.insert(prefix(text), aggregate);
    }
    all
}

fn random_settings(dice: &mut Dice) -> Settings {
    let cluster_id = Some("7.7.7.7".parse().unwrap()).filter(|_| dice.roll(4) == 0);
    let default_local_pref = if dice.roll(4) == 0 { 150 } else { 100 };
    let multipath = match dice.roll(3) {
        0 => Multipath::NONE,
        1 => Multipath { relax_as_path: false, ebgp: 2, ..Multipath::ALL },
        _ => Multipath::ALL,
    };
    let transit = dice.roll(4) > 0;
    Settings { multipath, transit, cluster_id, default_local_pref, ..settings() }
}

fn facts(n: u64, dice: &mut Dice) -> SessionFacts {
    let kind = if n < 3 { PeerKind::External } else { PeerKind::Internal };
    let mut facts = session(n as u8, kind);
    if dice.roll(4) == 0 {
        facts.groups.insert("rack".into());
    }
    if dice.roll(4) == 0 {
        facts.next_hops.ipv6 = None;
    }
    if dice.roll(4) == 0 {
        facts.options.four_octet_as = false;
    }
    let some = |dice: &mut Dice| match dice.roll(3) {
        0 => FamilyFlags::ALL,
        _ => FamilyFlags::NONE,
    };
    facts.options.add_path_receive = some(dice);
    facts.options.add_path_send = some(dice);
    facts.long_lived = some(dice);
    facts.rules = rules(dice);
    facts
}

fn history(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bench = Bench::new();
    bench.resolve = dice.roll(2) == 0;
    let mut model = Model {
        settings: settings(),
        sessions: BTreeMap::new(),
        routes: BTreeMap::new(),
        own: BTreeMap::new(),
        aggregates: BTreeMap::new(),
    };
    let ids: Vec<PeerId> =
        (0..PEERS).map(|n| bench.rib.add_peer(ip(&format!("10.0.0.{n}"))).unwrap()).collect();
    for _ in 0..dice.roll(300) {
        let n = dice.roll(PEERS);
        let id = ids[n as usize];
        let up = bench.heard.contains_key(&id);
        let text = random_prefix(&mut dice);
        match dice.roll(12) {
            0 if !up => {
                let facts = facts(n, &mut dice);
                model.sessions.insert(id, facts.clone());
                bench.up(id, facts);
            }
            1 if up && dice.roll(3) == 0 => {
                bench.heard.remove(&id);
                model.sessions.remove(&id);
                model.forget(id, None);
                let keep = Family::ALL.into_iter().filter(|_| dice.roll(2) == 0).collect();
                bench.rib.session_down(id, &keep);
            }
            2..=5 if up => {
                let hop = match prefix(&text).family() {
                    Family::Ipv4 => format!("10.0.1.{}", dice.roll(3)),
                    Family::Ipv6 => format!("fd01::{}", dice.roll(3)),
                };
                let first = if n < 3 { Some(65001 + n as u32) } else { None };
                let mut path: Vec<u32> = first.into_iter().collect();
                path.extend((0..dice.roll(2)).map(|_| 7));
                path.extend((0..dice.roll(8) / 7).map(|_| AS));
                let learned = Attributes {
                    med: Some(dice.roll(2) as u32),
                    local_pref: if n < 3 { None } else { Some(100) },
                    ..attributes(&path, &hop)
                };
                let with_ids = model.sessions[&id].options.add_path_receive.ipv4;
                let path = if with_ids { dice.roll(3) as u32 } else { 0 };
                let texts = [&text[..], &random_prefix_of(&text, &mut dice)];
                bench.announce_path(id, path, &learned, &texts);
                let routes = texts.map(|text| ((id, prefix(text), path), learned.clone()));
                model.routes.extend(routes);
            }
            6 if up => {
                let with_ids = model.sessions[&id].options.add_path_receive.ipv4;
                let path = if with_ids { dice.roll(3) as u32 } else { 0 };
                bench.withdraw_path(id, path, &[&text]);
                model.routes.remove(&(id, prefix(&text), path));
            }
            7 => {
                let groups = match dice.roll(2) {
                    0 => BTreeSet::from(["rack".to_owned()]),
                    _ => BTreeSet::new(),
                };
                let route = OwnRoute { med: Some(dice.roll(2) as u32), groups, ..own() };
                let route = Some(&route).filter(|_| dice.roll(2) == 0);
                bench.rib.originate(&prefix(&text), route);
                match route {
                    Some(route) => drop(model.own.insert(prefix(&text), route.clone())),
                    None => drop(model.own.remove(&prefix(&text))),
                }
            }
            8 => {
                let metric = Some(dice.roll(3) as u32).filter(|_| dice.roll(3) > 0);
                bench.rib.next_hop(ip(&format!("10.0.1.{}", dice.roll(3))), metric);
            }
            9 if up => {
                // The options of a session never change.
                let facts = SessionFacts {
                    options: bench.heard[&id].options.unwrap(),
                    ..facts(n, &mut dice)
                };
                model.sessions.insert(id, facts.clone());
                bench.rib.session_changed(id, facts);
            }
            10 => match dice.roll(10) {
                // Whether it is framed never changes while a session is up.
                0 => bench.rib.refresh(id, Family::Ipv4, n.is_multiple_of(2)),
                1 => bench.rib.flush_stale(id, Family::Ipv4),
                2 => {
                    bench.rib.mark_stale(id, Family::Ipv6);
                    model.forget(id, Some(Family::Ipv6));
                }
                3 => {
                    model.settings = random_settings(&mut dice);
                    bench.rib.configure(model.settings.clone());
                }
                4 => bench.rib.long_lived(id, Family::Ipv4),
                5 => bench.settle(),
                6 | 7 => {
                    model.aggregates = random_aggregates(&mut dice);
                    bench.rib.aggregate(model.aggregates.clone());
                }
                _ => {
                    bench.install();
                }
            },
            _ => {
                bench.rib.work(dice.roll(20) as usize + 1);
                if up {
                    bench.hear(id);
                }
            }
        }
    }
    bench.settle();
    for (id, family) in ids.iter().flat_map(|id| Family::ALL.map(|family| (*id, family))) {
        bench.rib.flush_stale(id, family);
    }
    bench.settle();
    let expect = model.tables(&bench);
    assert_eq!(bench.installed, expect.installed);
    assert_eq!(bench.discards, expect.discards);
    model.aggregates_are_there(&bench);
    assert_eq!(bench.rib.next_hops(), expect.rib.next_hops());
    for id in model.sessions.keys() {
        assert_eq!(told(&bench, *id), told(&expect, *id), "{id:?}");
        for family in Family::ALL {
            let heard = &bench.heard[id];
            assert!(heard.end_of_rib.contains(&family), "{id:?}");
            assert!(!heard.is_framed(family), "{id:?}");
            let counts = |bench: &Bench| bench.rib.in_counts(*id, family);
            assert_eq!(counts(&bench), counts(&expect), "{id:?}");
        }
    }
    for id in ids {
        bench.heard.remove(&id);
        bench.rib.remove_peer(id);
    }
    bench.rib.aggregate(BTreeMap::new());
    for (text, _) in [("10.0.0.0/16", 30), ("fd00:0::/64", 20)] {
        let all: Vec<Prefix> =
            bench.rib.prefixes(prefix(text).family()).map(|(prefix, _)| prefix).collect();
        for prefix in all {
            bench.rib.originate(&prefix, None);
        }
    }
    bench.settle();
    assert_eq!(bench.rib.counts(), Counts::default());
    assert_eq!(bench.installed, BTreeMap::new());
    assert_eq!(bench.discards, BTreeMap::new());
    assert_eq!(bench.tracked, BTreeSet::new());
}

/// Another prefix of the same family.
fn random_prefix_of(text: &str, dice: &mut Dice) -> String {
    loop {
        let other = random_prefix(dice);
        if prefix(&other).family() == prefix(text).family() {
            return other;
        }
    }
}

#[test]
fn whatever_happens_each_peer_hears_what_it_is_told_and_nothing_is_left_behind() {
    for seed in 1..=1500 {
        let result = std::panic::catch_unwind(|| history(seed));
        assert!(result.is_ok(), "seed {seed}: replay with history({seed})");
    }
}
