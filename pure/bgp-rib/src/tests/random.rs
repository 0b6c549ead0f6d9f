//! Random histories: whatever happened, in the end each peer has heard what it is told, and the
//! tables are empty when all is taken back.

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
    facts
}

fn history(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bench = Bench::new();
    bench.resolve = dice.roll(2) == 0;
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
                bench.up(id, facts);
            }
            1 if up && dice.roll(3) == 0 => {
                bench.heard.remove(&id);
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
                let learned = Attributes {
                    med: Some(dice.roll(2) as u32),
                    local_pref: if n < 3 { None } else { Some(100) },
                    ..attributes(&path, &hop)
                };
                bench.announce(id, &learned, &[&text, &random_prefix_of(&text, &mut dice)]);
            }
            6 if up => bench.withdraw(id, &[&text]),
            7 => {
                let groups = match dice.roll(2) {
                    0 => BTreeSet::from(["rack".to_owned()]),
                    _ => BTreeSet::new(),
                };
                let route = OwnRoute { med: Some(dice.roll(2) as u32), groups, ..own() };
                let route = Some(&route).filter(|_| dice.roll(2) == 0);
                bench.rib.originate(&prefix(&text), route);
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
                bench.rib.session_changed(id, facts);
            }
            10 => match dice.roll(8) {
                0 => bench.rib.refresh(id, Family::Ipv4, dice.roll(2) == 0),
                1 => bench.rib.flush_stale(id, Family::Ipv4),
                2 => bench.rib.mark_stale(id, Family::Ipv6),
                3 => bench.rib.configure(Settings { transit: dice.roll(2) == 0, ..settings() }),
                4 => bench.rib.configure(Settings { multi_path: false, ..settings() }),
                5 => bench.settle(),
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
    for id in ids {
        bench.heard.remove(&id);
        bench.rib.remove_peer(id);
    }
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
