//! Networks of speakers on a virtual clock, with faults: the main test of the speaker.
//!
//! Each seed is a topology, a history of faults, and a quiet time after which everything must be
//! as an independent reference says. To replay a seed that failed, put it into [`REPLAY`] and run
//! `cargo test -p bgp-speaker --test simulation replay`: the history is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]

mod dice;
mod net;
mod reference;
mod rules;
mod topology;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bgp_packet::{AsPath, Origin};
use bgp_session::State;
use bgp_speaker::{Discard, Reset};
use inet::{Family, Prefix};

use crate::dice::Dice;
use crate::net::{Net, Node, Sabotage};
use crate::rules::is_marked;
use crate::topology::{HOLD, RESTART, Shape, Topology, Wire, own_prefixes};

/// Seeds run by `every_seed_ends_well`, a fifth of them in each shape, unless this variable has
/// another number. Then what they were is counted on standard output.
const SEEDS: u64 = 800;
const SEEDS_VARIABLE: &str = "SIMULATION_SEEDS";
/// A session that was lost more often than this is damped after one more loss.
const MANY_FLAPS: u64 = 2;
/// Seeds to look at more closely.
const REPLAY: &[u64] = &[];

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What seeds were made of: how many of each.
type Counts = BTreeMap<String, u64>;

/// One seed from the first boot to empty tables.
fn run(seed: u64, sabotage: Option<Sabotage>, verbose: bool) -> Result<Counts, String> {
    let mut dice = Dice::new(seed);
    let shape = Shape::ALL[(seed % 5) as usize];
    let topology = Topology::new(shape, &mut dice);
    let mut net = Net::new(topology, dice, verbose);
    net.sabotage = sabotage;
    let begin = net.now;
    let result = catch_unwind(AssertUnwindSafe(|| history(&mut net)));
    let result = result.map(|mut counts| {
        let seconds = (net.now.elapsed() - begin.elapsed()).as_secs();
        counts.insert(format!("network: {shape:?}"), 1);
        counts.insert("speakers".into(), net.nodes.len() as u64);
        counts.insert("cables".into(), net.cables.len() as u64);
        counts.insert("seconds of their clocks".into(), seconds);
        counts
    });
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        let log = net.log.join("\n");
        format!("{log}\nseed {seed} ({shape:?}): {}", text.unwrap_or_default())
    })
}

fn history(net: &mut Net) -> Counts {
    let mut counts = Counts::new();
    for host in 0..net.nodes.len() {
        net.boot(host);
    }
    net.run(seconds(15));
    everything_is_as_it_should_be(net);
    for _ in 0..net.dice().roll(12) {
        *counts.entry(format!("fault: {}", fault(net))).or_default() += 1;
        let time = Duration::from_millis(net.dice().roll(4000));
        net.run(time);
    }
    calm(net);
    everything_is_as_it_should_be(net);
    forwarding_keeps_during_a_graceful_restart(net);
    everything_is_as_it_should_be(net);
    withdraw_reaches_everyone(net);
    memory_returns(net);
    counts
}

/// Something goes wrong, or changes; where that is so already, nothing does.
fn fault(net: &mut Net) -> &'static str {
    let (hosts, wires) = (net.nodes.len() as u64, net.cables.len() as u64);
    let host = net.dice().roll(hosts) as usize;
    let wire = net.dice().roll(wires) as usize;
    match net.dice().roll(21) {
        0 | 1 => {
            let seen = net.dice().once_in(2);
            net.cut(wire, seen);
            "a cable is cut"
        }
        2 => {
            net.mend(wire);
            "a cable is mended"
        }
        3 => {
            let (stay, silent) = (net.dice().once_in(2), net.dice().once_in(2));
            net.crash(host, stay, silent);
            "a process crashes"
        }
        4 | 5 => {
            if net.nodes[host].speaker.is_none() {
                net.boot(host);
            }
            "a process starts again"
        }
        6 => {
            net.half_open(host);
            "a connection is half open"
        }
        7 => {
            let end = net.topology.wires[wire].ends[0];
            let at = net.topology.wires[wire].ends[1].host;
            let address: IpAddr = match net.dice().once_in(2) {
                true => end.four.into(),
                false => end.six.into(),
            };
            let lost = !net.nodes[at].lost.contains(&address);
            net.lose_hop(at, address, lost);
            "a next hop is lost or found"
        }
        8 | 9 => {
            let n = net.dice().roll(3) as usize;
            let prefix = own_prefixes(host)[n];
            let kernel = net.topology.hosts[host].from_kernel && n == 1;
            let own = &mut net.topology.hosts[host].own;
            if own.remove(&prefix).is_none() {
                own.insert(prefix, if kernel { Origin::Incomplete } else { Origin::Egp });
            }
            net.originate(host);
            "a prefix comes or goes"
        }
        10 => {
            net.nodes[host].slow = !net.nodes[host].slow;
            "a reader becomes slow or fast"
        }
        11..=13 => {
            let mine = net.dice().roll(2) as usize;
            let mut dice = net.dice().split();
            net.topology.roll_rules(wire, mine, &mut dice);
            net.configure(net.topology.wires[wire].ends[mine].host);
            "a policy changes"
        }
        14 => {
            let (mine, shut) = (net.dice().roll(2) as usize, net.dice().once_in(2));
            let limit = 1 + net.dice().roll(6) as u32;
            net.topology.wires[wire].limits[mine] = Some((limit, shut));
            net.configure(net.topology.wires[wire].ends[mine].host);
            "a limit of prefixes is set"
        }
        15 => {
            let communication = Some("a test".to_owned());
            let kinds = [Reset::SoftIn, Reset::SoftOut, Reset::Soft, Reset::Hard { communication }];
            let (mine, kind) = (net.dice().roll(2) as usize, net.dice().roll(4) as usize);
            net.reset(wire, mine, kinds[kind].clone());
            "a session is reset"
        }
        16 => {
            let (mine, up) = (net.dice().roll(2) as usize, net.dice().once_in(3));
            net.bfd(wire, mine, up);
            "BFD says up or down"
        }
        17 | 18 => {
            let mut dice = net.dice().split();
            net.topology.roll_aggregate(host, &mut dice);
            net.originate(host);
            "an aggregate changes"
        }
        _ => {
            net.desired_twice_is_once(host);
            "the same document comes again"
        }
    }
}

/// No more faults. All processes run; some cables and next hops stay lost.
fn calm(net: &mut Net) {
    net.note(|| "calm".into());
    for host in 0..net.nodes.len() {
        if net.nodes[host].speaker.is_none() {
            net.boot(host);
        }
        net.nodes[host].slow = false;
    }
    for wire in 0..net.cables.len() {
        if !net.dice().once_in(3) {
            net.mend(wire);
        }
        for mine in 0..2 {
            if net.topology.wires[wire].limits[mine].take().is_some() {
                net.configure(net.topology.wires[wire].ends[mine].host);
                net.reset(wire, mine, Reset::Hard { communication: None });
            }
        }
    }
    net.resolve_all();
    net.run(seconds(HOLD + RESTART * 2 + 30));
}

fn everything_is_as_it_should_be(net: &Net) {
    every_session_is_up_where_the_cable_works(net);
    what_one_tells_the_other_has_heard(net);
    every_fib_equals_the_reference(net);
    nothing_goes_in_circles(net);
}

/// Who follows next hops comes to an end.
fn nothing_goes_in_circles(net: &Net) {
    let owner = |address: &IpAddr| {
        let ends = net.topology.wires.iter().flat_map(|wire| wire.ends);
        let mut at = ends.filter(|e| [IpAddr::V4(e.four), IpAddr::V6(e.six)].contains(address));
        at.next().unwrap().host
    };
    let prefixes: BTreeSet<Prefix> =
        net.nodes.iter().flat_map(|node| node.fib.keys().copied()).collect();
    for prefix in prefixes {
        // Hosts from which everything ends somewhere.
        let mut done: BTreeSet<usize> = (0..net.nodes.len())
            .filter(|host| !net.nodes[*host].fib.contains_key(&prefix))
            .collect();
        loop {
            let ends = |host: &usize| {
                let hops = &net.nodes[*host].fib[&prefix].0;
                hops.iter().all(|hop| done.contains(&owner(hop)))
            };
            let rest = (0..net.nodes.len()).filter(|host| !done.contains(host));
            let more: Vec<usize> = rest.filter(ends).collect();
            if more.is_empty() {
                break;
            }
            done.extend(more);
        }
        assert_eq!(done.len(), net.nodes.len(), "nothing_goes_in_circles: {prefix}");
    }
}

fn every_session_is_up_where_the_cable_works(net: &Net) {
    for (n, wire) in net.topology.wires.iter().enumerate() {
        if net.cables[n].down_since.is_some() {
            continue;
        }
        for end in 0..2 {
            let speaker = net.nodes[wire.ends[end].host].speaker.as_ref().unwrap();
            let status = speaker.peer(wire.address(1 - end)).unwrap().status;
            assert_eq!(status.state, State::Established, "wire {n} end {end}: {status:?}");
        }
    }
}

fn every_fib_equals_the_reference(net: &Net) {
    let works = net.works();
    let mut topology = net.topology.clone();
    match net.sabotage {
        None | Some(Sabotage::NoForwardingBit | Sabotage::NoWithdraw) => {}
        Some(Sabotage::TieBreak) => {
            for host in &mut topology.hosts {
                host.router_id = u32::MAX - host.router_id;
            }
        }
        Some(Sabotage::NoPolicies) => {
            topology.wires.iter_mut().for_each(|wire| wire.rules = Default::default());
        }
        Some(Sabotage::NoReflection) => {
            topology.wires.iter_mut().for_each(|wire| wire.client = [false; 2]);
        }
        Some(Sabotage::NoAggregates) => {
            topology.hosts.iter_mut().for_each(|host| host.aggregates.clear());
        }
        Some(Sabotage::NoSummaries) => {
            let all = topology.hosts.iter_mut().flat_map(|host| host.aggregates.values_mut());
            all.for_each(|summary| summary.only = false);
        }
    }
    let expect = reference::fibs(&topology, &works, |h, hop| net.nodes[h].lost.contains(hop));
    for (host, (expect, drops)) in expect.iter().enumerate() {
        let node = &net.nodes[host];
        assert!(node.settled, "{host} has not settled");
        let fib: BTreeMap<Prefix, BTreeSet<IpAddr>> =
            node.fib.iter().map(|(prefix, route)| (*prefix, route.0.clone())).collect();
        assert_eq!(fib, *expect, "every_fib_equals_the_reference: host {host}");
        let dropped: BTreeMap<Prefix, Discard> =
            node.drops.iter().map(|(prefix, drop)| (*prefix, drop.0)).collect();
        assert_eq!(dropped, *drops, "every_fib_equals_the_reference: host {host} drops");
    }
}

/// What stands in one's Adj-RIB-Out stands in the other's Adj-RIB-In.
fn what_one_tells_the_other_has_heard(net: &Net) {
    for (n, wire) in net.topology.wires.iter().enumerate() {
        if net.cables[n].down_since.is_some() {
            continue;
        }
        for end in 0..2 {
            let teller = net.nodes[wire.ends[end].host].speaker.as_ref().unwrap();
            let hearer = net.nodes[wire.ends[1 - end].host].speaker.as_ref().unwrap();
            assert!(teller.groups_agree(), "groups of {}", wire.ends[end].host);
            for family in Family::ALL {
                let told: BTreeSet<(Prefix, String, IpAddr, bool)> = teller
                    .adj_rib_out(&wire.address(1 - end), family)
                    .map(|(prefix, a)| {
                        (prefix, words(&a.as_path), a.next_hop.address, is_marked(&a))
                    })
                    .collect();
                let heard: BTreeSet<(Prefix, String, IpAddr, bool)> = hearer
                    .adj_rib_in(&wire.address(end), family)
                    .map(|(prefix, path)| {
                        assert!(!path.stale, "{prefix} is still stale");
                        let a = path.attributes;
                        (prefix, words(&a.as_path), a.next_hop.address, is_marked(&a))
                    })
                    .collect();
                assert_eq!(told, heard, "what_one_tells_the_other_has_heard: wire {n}");
            }
        }
    }
}

fn words(path: &AsPath) -> String {
    format!("{:?}", path.segments)
}

/// A process restarts, its routes stay in the kernel: nobody loses a route meanwhile.
fn forwarding_keeps_during_a_graceful_restart(net: &mut Net) {
    let hosts = net.nodes.len() as u64;
    let host = net.dice().roll(hosts) as usize;
    // With no route in the kernel it would be a first start.
    if net.nodes[host].fib.is_empty() {
        return;
    }
    // Sessions that were lost time and again are held down (RFC 4271 §8.1.1, DampPeerOscillations):
    // nobody is waited for that long.
    let held_down = |wire: &Wire| {
        let ends = (0..2).filter(|_| wire.end_of(host).is_some());
        let mut peers = ends.filter_map(|end| {
            let speaker = net.nodes[wire.ends[end].host].speaker.as_ref()?;
            speaker.peer(wire.address(1 - end))
        });
        peers.any(|peer| peer.status.flaps > MANY_FLAPS)
    };
    if net.topology.wires.iter().any(held_down) {
        return;
    }
    let there = |node: &Node| node.fib.keys().chain(node.drops.keys()).copied().collect();
    net.guarded = net.nodes.iter().map(there).collect();
    let silent = net.dice().once_in(2);
    net.crash(host, true, silent);
    let away = net.dice().roll(5000);
    net.run(Duration::from_millis(away));
    net.boot(host);
    net.run(seconds(HOLD + RESTART + 15));
    net.guarded.iter_mut().for_each(BTreeSet::clear);
}

/// What nobody originates any more is nowhere.
fn withdraw_reaches_everyone(net: &mut Net) {
    let hosts = net.nodes.len() as u64;
    let host = net.dice().roll(hosts) as usize;
    let own = std::mem::take(&mut net.topology.hosts[host].own);
    net.originate(host);
    net.run(seconds(10));
    for prefix in own.keys() {
        if net.topology.hosts.iter().any(|host| host.own.contains_key(prefix)) {
            continue;
        }
        for (n, node) in net.nodes.iter().enumerate() {
            assert!(!node.fib.contains_key(prefix), "withdraw_reaches_everyone: {prefix} at {n}");
            let routes = node.speaker.as_ref().unwrap().route(prefix);
            assert!(routes.is_empty(), "withdraw_reaches_everyone: {prefix} at {n}: {routes:?}");
        }
    }
    every_fib_equals_the_reference(net);
}

/// Without routes the tables are empty, whatever they held.
fn memory_returns(net: &mut Net) {
    for host in 0..net.nodes.len() {
        net.topology.hosts[host].own.clear();
        net.originate(host);
    }
    net.run(seconds(10));
    for (host, node) in net.nodes.iter().enumerate() {
        let counts = node.speaker.as_ref().unwrap().counts();
        let kept = (counts.prefixes, counts.paths, counts.attribute_sets, counts.next_hops);
        assert_eq!(kept, (0, 0, 0, 0), "memory_returns: host {host}: {counts:?}");
    }
}

#[test]
fn every_seed_ends_well() {
    #[allow(clippy::disallowed_methods, reason = "how long to test, not what")]
    let wanted = std::env::var(SEEDS_VARIABLE).ok().map(|text| text.parse().expect("a number"));
    let seeds: u64 = wanted.unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get() as u64);
    let ended: Vec<(u64, Result<Counts, String>)> = std::thread::scope(|scope| {
        let part = |n| {
            scope.spawn(move || {
                let seeds = (0..seeds).filter(move |seed| seed % threads == n);
                seeds.map(|seed| (seed, run(seed, None, false))).collect::<Vec<_>>()
            })
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    let (mut counts, mut failed) = (Counts::new(), Vec::new());
    for (seed, ending) in ended {
        match ending {
            Ok(of_seed) => of_seed.into_iter().for_each(|(what, n)| {
                *counts.entry(what).or_default() += n;
            }),
            Err(what) => {
                eprintln!("{what}");
                failed.push(seed);
            }
        }
    }
    failed.sort_unstable();
    if wanted.is_some() {
        counts.iter().for_each(|(what, n)| println!("counted: {what}: {n}"));
        failed.iter().for_each(|seed| println!("failed: {seed}"));
    }
    let n = failed.len();
    assert_eq!(n, 0, "{n} of {seeds} seeds failed; put one into REPLAY to see its history");
}

#[test]
fn replay() {
    for seed in REPLAY {
        if let Err(what) = run(*seed, None, true) {
            panic!("{what}");
        }
    }
}

/// The simulation finds what is broken on purpose.
fn is_caught(sabotage: Sabotage, by: &str) {
    let found = (0..40).filter_map(|seed| run(seed, Some(sabotage), false).err());
    let found: Vec<String> = found.filter(|what| what.contains(by)).collect();
    assert!(!found.is_empty(), "{sabotage:?} was not caught by {by}");
}

#[test]
fn a_broken_tie_break_is_caught() {
    is_caught(Sabotage::TieBreak, "every_fib_equals_the_reference");
}

#[test]
fn a_missing_f_bit_is_caught() {
    is_caught(Sabotage::NoForwardingBit, "forwarding_keeps_during_a_graceful_restart");
}

#[test]
fn a_lost_withdraw_is_caught() {
    is_caught(Sabotage::NoWithdraw, "withdraw_reaches_everyone");
}

#[test]
fn a_policy_that_is_not_asked_is_caught() {
    is_caught(Sabotage::NoPolicies, "every_fib_equals_the_reference");
}

#[test]
fn an_aggregate_that_is_not_there_is_caught() {
    is_caught(Sabotage::NoAggregates, "every_fib_equals_the_reference");
}

#[test]
fn a_longer_prefix_that_is_not_kept_back_is_caught() {
    is_caught(Sabotage::NoSummaries, "every_fib_equals_the_reference");
}

#[test]
fn a_reflector_that_does_not_reflect_is_caught() {
    is_caught(Sabotage::NoReflection, "every_fib_equals_the_reference");
}
