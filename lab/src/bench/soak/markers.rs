//! Markers: prefixes of their own that come and go at a regular beat, and how long their news needs
//! from a sender to each receiver.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::churn::attributes;
use crate::bench::model::Sight;
use crate::bench::table::Table;
use crate::bench::wire;

/// From one marker's news to the next one's.
const BEAT: Duration = Duration::from_millis(20);
/// So many take turns: each has this many beats to get through before its next turn.
const MOST: usize = 128;

/// The markers are the table's first ghosts.
pub(super) struct Markers<'a> {
    table: &'a Table,
    senders: usize,
    receivers: usize,
    each: Vec<Marker>,
    /// Whose turn it is.
    turn: usize,
    due: Option<Instant>,
    ways: Vec<Duration>,
    /// News that was not through when its marker's next turn came.
    late: usize,
}

#[derive(Clone, Default)]
struct Marker {
    present: bool,
    /// When the last news went out, and which receivers have not seen it yet.
    under_way: Option<(Instant, Vec<bool>)>,
}

/// The times that news needed.
pub(super) struct Ways {
    sorted: Vec<Duration>,
    /// News that took longer than from a marker's turn to its next, which was then left out.
    pub(super) late: usize,
}

impl<'a> Markers<'a> {
    pub(super) fn new(table: &'a Table, senders: usize, receivers: usize) -> Markers<'a> {
        let each = vec![Marker::default(); (table.keys.len() - table.real).min(MOST)];
        let (turn, due, ways, late) = (0, None, Vec::new(), 0);
        Markers { table, senders, receivers, each, turn, due, ways, late }
    }

    /// Their indices among the table's prefixes.
    pub(super) fn prefixes(&self) -> Range<usize> {
        self.table.real..self.table.real + self.each.len()
    }

    /// What this sender has to say of markers that are due now.
    pub(super) fn send(&mut self, sender: usize, now: Instant, out: &mut Vec<u8>) {
        loop {
            let (due, turn) = (*self.due.get_or_insert(now), self.turn);
            if due > now || self.sender(turn) != sender || self.each.is_empty() {
                return;
            }
            self.due = Some(due + BEAT);
            self.turn = (turn + 1) % self.each.len();
            if self.each[turn].under_way.is_some() {
                self.late += 1;
            } else {
                self.toggle(turn, now, out);
            }
        }
    }

    /// The last news: this sender's markers go.
    pub(super) fn leave(&mut self, sender: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for number in 0..self.each.len() {
            if self.each[number].present && self.sender(number) == sender {
                self.toggle(number, Instant::now(), &mut out);
            }
        }
        out
    }

    /// As the table's ghosts are shared out.
    fn sender(&self, number: usize) -> usize {
        (self.table.real + number) % self.senders
    }

    fn toggle(&mut self, number: usize, now: Instant, out: &mut Vec<u8>) {
        let sender = self.sender(number);
        let key = std::iter::once(self.table.keys[self.table.real + number]);
        let marker = &mut self.each[number];
        marker.present = !marker.present;
        marker.under_way = Some((now, vec![true; self.receivers]));
        if marker.present {
            wire::announce(&attributes(self.table, sender, sender), key, out);
        } else {
            wire::withdraw(key, out);
        }
    }

    /// What a receiver saw.
    pub(super) fn seen(&mut self, receiver: usize, sights: &[Sight]) {
        for sight in sights {
            let marker = &mut self.each[sight.prefix - self.table.real];
            let Some((sent, missing)) = &mut marker.under_way else { continue };
            if sight.present == marker.present && std::mem::take(&mut missing[receiver]) {
                self.ways.push(sight.at.saturating_duration_since(*sent));
                if !missing.contains(&true) {
                    marker.under_way = None;
                }
            }
        }
    }

    /// All that was measured.
    ///
    /// # Errors
    /// When news has not got through, or there was none.
    pub(super) fn ways(mut self) -> Result<Ways> {
        let lost = self.each.iter().filter(|marker| marker.under_way.is_some()).count();
        ensure!(lost == 0, "the news of {lost} markers never got through");
        ensure!(!self.ways.is_empty(), "no marker was sent");
        self.ways.sort_unstable();
        Ok(Ways { sorted: self.ways, late: self.late })
    }
}

impl Ways {
    /// How many were measured.
    pub(super) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// What so many per mille of the news needed at most.
    pub(super) fn per_mille(&self, share: usize) -> Duration {
        let rank = (self.sorted.len() * share).div_ceil(1000).max(1);
        self.sorted.get(rank - 1).copied().unwrap_or_default()
    }
}
