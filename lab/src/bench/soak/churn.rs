//! What changes: prefixes get another attribute set, or go and come back.

use std::collections::VecDeque;

use crate::bench::feed::{self, ROUTER_ASN};
use crate::bench::model::{ABSENT, Paths};
use crate::bench::random::Random;
use crate::bench::table::Table;
use crate::bench::wire;

/// A prefix is withdrawn.
const GONE: u32 = u32::MAX;

/// The senders' tables as they are now.
pub(super) struct Churn<'a> {
    table: &'a Table,
    senders: usize,
    random: Random,
    /// The set that each prefix has now, or [`GONE`].
    now: Vec<u32>,
    /// The prefixes of each sender.
    of: Vec<Vec<u32>>,
    /// Withdrawn prefixes of each sender, the longest gone first.
    gone: Vec<VecDeque<u32>>,
}

impl<'a> Churn<'a> {
    /// The table as [`feed::announce`] splits it.
    pub(super) fn new(table: &'a Table, senders: usize, seed: u64) -> Churn<'a> {
        let mut now = vec![GONE; table.real];
        let mut of = vec![Vec::new(); senders];
        for set in 0..table.sets.len() {
            for prefix in table.members(set) {
                now[*prefix as usize] = set as u32;
                of[set % senders].push(*prefix);
            }
        }
        let gone = vec![VecDeque::new(); senders];
        Churn { table, senders, random: Random::new(seed ^ 0x50a4), now, of, gone }
    }

    /// Changes at least `count` prefixes of a sender, few in each message as in the Internet; how
    /// many it were. One in a hundred is away at any time.
    pub(super) fn changes(&mut self, sender: usize, count: usize, out: &mut Vec<u8>) -> usize {
        let mut made = 0;
        while made < count {
            let size = 1 + self.random.below(6) as usize;
            let away = self.gone[sender].len();
            made += if away > self.of[sender].len() / 100 {
                let back: Vec<u32> = self.gone[sender].drain(..size.min(away)).collect();
                self.announce(sender, &back, out)
            } else {
                let some = self.some(sender, size);
                if self.random.below(4) == 0 {
                    self.withdraw(sender, &some, out)
                } else {
                    self.announce(sender, &some, out)
                }
            };
        }
        made
    }

    /// Prefixes of a sender that are there; each once.
    fn some(&mut self, sender: usize, size: usize) -> Vec<u32> {
        let all = &self.of[sender];
        let mut some: Vec<u32> = (0..size)
            .map(|_| all[self.random.below(all.len() as u64) as usize])
            .filter(|prefix| self.now[*prefix as usize] != GONE)
            .collect();
        some.sort_unstable();
        some.dedup();
        some
    }

    fn withdraw(&mut self, sender: usize, prefixes: &[u32], out: &mut Vec<u8>) -> usize {
        for prefix in prefixes {
            self.now[*prefix as usize] = GONE;
            self.gone[sender].push_back(*prefix);
        }
        wire::withdraw(prefixes.iter().map(|p| self.table.keys[*p as usize]), out);
        prefixes.len()
    }

    /// All get one set of the sender's that none of them has.
    fn announce(&mut self, sender: usize, prefixes: &[u32], out: &mut Vec<u8>) -> usize {
        if prefixes.is_empty() {
            return 0;
        }
        let own = (self.table.sets.len() - sender).div_ceil(self.senders) as u64;
        let mut set = 0;
        // With a handful of sets there may be none: then it is announced once more as it is.
        for _ in 0..8 {
            set = (sender + self.senders * self.random.below(own) as usize) as u32;
            if prefixes.iter().all(|prefix| self.now[*prefix as usize] != set) {
                break;
            }
        }
        self.say(sender, set, prefixes, out);
        prefixes.len()
    }

    fn say(&mut self, sender: usize, set: u32, prefixes: &[u32], out: &mut Vec<u8>) {
        for prefix in prefixes {
            self.now[*prefix as usize] = set;
        }
        let keys = prefixes.iter().map(|prefix| self.table.keys[*prefix as usize]);
        wire::announce(&attributes(self.table, sender, set as usize), keys, out);
    }

    /// Gives each prefix of a sender the set that it began with, where it has another.
    pub(super) fn restore(&mut self, sender: usize, out: &mut Vec<u8>) {
        for set in (sender..self.table.sets.len()).step_by(self.senders) {
            let members = self.table.members(set).iter();
            let other: Vec<u32> =
                members.filter(|p| self.now[**p as usize] != set as u32).copied().collect();
            if !other.is_empty() {
                self.say(sender, set as u32, &other, out);
            }
        }
        self.gone[sender].clear();
    }

    /// The path wanted of each prefix now; those beyond the table stay as they were.
    pub(super) fn want(&self, before: &[u32], paths: &mut Paths) -> Vec<u32> {
        let mut want = before.to_vec();
        let sets = self.table.sets.iter().enumerate();
        let numbers: Vec<u32> = sets
            .map(|(number, set)| {
                let sender = number % self.senders;
                paths.number(wire::path_value(&[ROUTER_ASN, feed::asn(sender)], &set.path))
            })
            .collect();
        for (want, now) in want.iter_mut().zip(&self.now) {
            *want = numbers.get(*now as usize).copied().unwrap_or(ABSENT);
        }
        want
    }
}

/// A set as the sender gives it.
pub(super) fn attributes(table: &Table, sender: usize, set: usize) -> Vec<u8> {
    let set = &table.sets[set];
    let path = wire::path_value(&[feed::asn(sender)], &set.path);
    wire::attributes(set, &path, feed::address(sender))
}
