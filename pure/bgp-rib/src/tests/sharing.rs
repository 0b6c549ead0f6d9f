//! Members of one group get the same bytes but for their own paths, whoever asks first.

use super::*;

/// Peers of one group that announce, change, withdraw and leave; each hears at another time.
fn history(seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = |sides: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % sides
    };
    let mut bench = Bench::new();
    let ids: Vec<PeerId> = (1..=6).map(|n| bench.peer(n, PeerKind::External)).collect();
    for _ in 0..roll(400) {
        let n = roll(6);
        let id = ids[n as usize];
        let up = bench.heard.contains_key(&id);
        let text = format!("10.{}.0.0/16", roll(12));
        match roll(10) {
            0..=3 if up => {
                let path = [65001 + n as u32, 7 + roll(2) as u32];
                let hop = format!("10.0.0.{}", n + 1);
                bench.announce(id, &attributes(&path[..1 + roll(2) as usize], &hop), &[&text]);
            }
            4 | 5 if up => bench.withdraw(id, &[&text]),
            6 if up && roll(8) == 0 => {
                bench.heard.remove(&id);
                bench.rib.session_down(id, &BTreeSet::new());
            }
            6 if !up => bench.up(id, session(n as u8 + 1, PeerKind::External)),
            7 if up && roll(4) == 0 => {
                bench.rib.refresh(id, Family::Ipv4, roll(2) == 0);
            }
            8 => {
                let route = Some(own()).filter(|_| roll(3) > 0);
                bench.rib.originate(&prefix(&text), route.as_ref());
            }
            _ => {
                bench.rib.work(roll(20) as usize + 1);
                while let Some(track) = bench.rib.poll_track() {
                    if let Track::Begin(address) = track {
                        bench.tracked.insert(address);
                        bench.rib.next_hop(address, Some(1));
                    } else if let Track::End(address) = track {
                        bench.tracked.remove(&address);
                    }
                }
                for id in ids.iter().filter(|_| roll(3) > 0) {
                    if bench.heard.contains_key(id) {
                        bench.hear(*id);
                    }
                }
            }
        }
    }
    // Says also whether each has heard what it is told.
    bench.settle();
}

#[test]
fn whoever_asks_first_all_hear_what_they_are_told() {
    for seed in 1..=1500 {
        let result = std::panic::catch_unwind(|| history(seed));
        assert!(result.is_ok(), "seed {seed}: replay with history({seed})");
    }
}

#[test]
fn members_get_the_same_bytes_but_for_their_own_paths() {
    let mut bench = Bench::new();
    let ids: Vec<PeerId> = (1..=4).map(|n| bench.peer(n, PeerKind::External)).collect();
    bench.settle();
    for (n, id) in ids.iter().enumerate().take(2) {
        let texts: Vec<String> = (0..50).map(|i| format!("10.{n}.{i}.0/24")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let path = attributes(&[65001 + n as u32], &format!("10.0.0.{}", n + 1));
        bench.announce(*id, &path, &texts);
    }
    while let Some(Track::Begin(address)) = bench.rib.poll_track() {
        bench.tracked.insert(address);
        bench.rib.next_hop(address, Some(1));
    }
    while bench.rib.has_work() {
        bench.rib.work(1000);
    }
    let said: Vec<Fill> = ids.iter().map(|id| bench.rib.fill(*id)).collect();
    let count = |n: usize| match &said[n] {
        Fill::Bytes { updates, .. } => *updates,
        Fill::Nothing | Fill::Busy => 0,
    };
    assert_eq!([0, 1, 2, 3].map(count), [1, 1, 2, 2]);
    assert_eq!(said[2], said[3]);
    assert_ne!(said[0], said[1]);
}
