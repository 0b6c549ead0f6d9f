//! Two machines, a wire between them that may lose and delay, and a clock moved by hand.

#![allow(unreachable_pub, dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bfd::{Arrival, Bfd, Change, Config, Hop, Input, Key, Output, Packet, Seed, Status, decode};
use inet::Timestamp;

pub const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))];

pub fn key(side: usize) -> Key {
    Key { hop: Hop::Single, peer: ADDRESSES[1 - side], local: None, link: 0 }
}

pub fn arrival(side: usize) -> Arrival {
    let (remote, local) = (ADDRESSES[1 - side], ADDRESSES[side]);
    Arrival { hop: Hop::Single, remote, local, link: 3, ttl: 255 }
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn at(time: Duration) -> Timestamp {
    Timestamp::from_elapsed(time)
}

pub fn config(tx: u64, rx: u64, multiplier: u8) -> Config {
    Config { desired_min_tx: ms(tx), required_min_rx: ms(rx), multiplier, ..Config::default() }
}

/// What becomes of a packet: `None` is lost, else so late.
pub type Wire = Box<dyn FnMut(Timestamp) -> Option<Duration>>;

pub struct Pair {
    pub now: Timestamp,
    pub machines: [Bfd; 2],
    pub wire: Wire,
    flying: BTreeMap<(Timestamp, u64), (usize, [u8; 24])>,
    count: u64,
    /// Each packet: when, from whom, what.
    pub sent: Vec<(Timestamp, usize, Packet)>,
    pub changes: Vec<(Timestamp, usize, Change)>,
    pub gone: Vec<usize>,
    pub heard_at: [Timestamp; 2],
}

impl Pair {
    pub fn new(configs: [Config; 2], wire: Wire) -> Pair {
        let machines = [1, 2].map(|seed| Bfd::new(Seed([seed; 16]), 16));
        let mut pair = Pair {
            now: Timestamp::ZERO,
            machines,
            wire,
            flying: BTreeMap::new(),
            count: 0,
            sent: Vec::new(),
            changes: Vec::new(),
            gone: Vec::new(),
            heard_at: [Timestamp::ZERO; 2],
        };
        for (side, config) in configs.into_iter().enumerate() {
            pair.want(side, Some(config));
        }
        pair
    }

    pub fn up(tx: u64, rx: u64, multiplier: u8) -> Pair {
        let mut pair = Pair::new([config(tx, rx, multiplier); 2], Box::new(|_| Some(ms(1))));
        pair.run(Duration::from_secs(10));
        assert!(pair.both_up());
        pair
    }

    pub fn want(&mut self, side: usize, config: Option<Config>) {
        let wanted = config.map(|config| (key(side), config)).into_iter().collect();
        self.machines[side].handle(self.now, Input::Wanted(wanted));
        self.drain(side);
    }

    pub fn status(&self, side: usize) -> Status {
        self.machines[side].status(&key(side)).unwrap()
    }

    pub fn both_up(&self) -> bool {
        (0..2).all(|side| self.status(side).state == bfd::State::Up)
    }

    fn drain(&mut self, side: usize) {
        while let Some(output) = self.machines[side].poll() {
            match output {
                Output::Send { bytes, .. } => {
                    self.sent.push((self.now, side, decode(&bytes).unwrap()));
                    if let Some(late) = (self.wire)(self.now) {
                        self.count += 1;
                        self.flying.insert((self.now + late, self.count), (1 - side, bytes));
                    }
                }
                Output::Changed { change, .. } => self.changes.push((self.now, side, change)),
                Output::Gone { .. } => self.gone.push(side),
                Output::Refused { error, .. } => panic!("{error}"),
            }
        }
    }

    /// Lets so much time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let arrives = self.flying.first_key_value().map(|((at, _), _)| *at);
            let wakes = self.machines.iter().filter_map(Bfd::wake_at).min();
            let next = arrives.into_iter().chain(wakes).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (side, bytes) = entry.remove();
                self.heard_at[side] = self.now;
                let input = Input::Packet { bytes: &bytes, arrival: arrival(side) };
                self.machines[side].handle(self.now, input);
                self.drain(side);
            }
            for side in 0..2 {
                self.machines[side].tick(self.now);
                self.drain(side);
            }
        }
        self.now = end;
    }
}
