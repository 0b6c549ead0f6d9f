//! Aggregates: originated while a longer prefix is used.

use std::collections::BTreeMap;

use inet::{Family, Prefix};

use crate::aggregate::{self, Aggregate, Count, PATH_ID};
use crate::attrs::Maker;
use crate::peer::{PeerId, at};
use crate::rib::Rib;

impl Rib {
    /// These are the aggregates from now on, in place of the last ones. What is there already is
    /// counted by a walk. No announced prefix is away in between: one that an aggregate keeps back
    /// goes after the aggregate has come, and comes before it goes.
    pub fn aggregate(&mut self, wanted: BTreeMap<Prefix, Aggregate>) {
        let old = std::mem::replace(&mut self.aggregates.wanted, wanted);
        for family in Family::ALL {
            let gone: Vec<Prefix> = aggregate::of(&old, family)
                .filter(|(prefix, _)| !self.aggregates.wanted.contains_key(prefix))
                .map(|(prefix, _)| *prefix)
                .collect();
            for prefix in gone {
                self.expose(family, &prefix);
                self.families[at(family)].tally.remove(&prefix);
            }
            let (mut added, mut exposed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
            let tally = &mut self.families[at(family)].tally;
            for (prefix, new) in aggregate::of(&self.aggregates.wanted, family) {
                match old.get(prefix) {
                    None => added.push(*prefix),
                    Some(was) if was == new => {}
                    Some(was) => {
                        exposed.extend(
                            Some(*prefix).filter(|_| was.summary_only && !new.summary_only),
                        );
                        changed.push(*prefix);
                    }
                }
            }
            tally.add(added);
            tally.due.extend(changed);
            for prefix in exposed {
                self.expose(family, &prefix);
            }
        }
    }

    /// What rests on our AS number or router id, or on `transit`, is done anew.
    pub(super) fn aggregate_again(&mut self, counts_else: bool) {
        for rib in &mut self.families {
            rib.tally.all_due();
            if counts_else {
                rib.tally.count_again();
            }
        }
    }

    /// The longer prefixes are announced again.
    fn expose(&mut self, family: Family, prefix: &Prefix) {
        if self.aggregates.suppressing.remove(prefix).is_some() {
            self.families[at(family)].export_within(*prefix);
        }
    }

    /// Originates and withdraws what is due, so many at most in each family.
    pub(super) fn settle_aggregates(&mut self, most: usize) {
        for family in Family::ALL {
            let mut left = most;
            // One may be what a shorter one waits for.
            while left > 0
                && let Some(prefix) = self.families[at(family)].tally.due.pop_last()
            {
                left -= 1;
                self.settle_aggregate(family, &prefix);
            }
            let rib = &self.families[at(family)];
            if rib.pass.is_some() || rib.wanted.any {
                continue;
            }
            while left > 0
                && let Some(prefix) = self.families[at(family)].tally.leaving.pop_first()
            {
                left -= 1;
                self.withdraw(PeerId::LOCAL, &prefix, PATH_ID);
                self.tell_again(family, &prefix);
            }
        }
    }

    fn settle_aggregate(&mut self, family: Family, prefix: &Prefix) {
        let count = self.families[at(family)].tally.counts.get(prefix).copied();
        let Some((wanted, count)) = self.aggregates.wanted.get(prefix).zip(count) else { return };
        let summary_only = wanted.summary_only;
        let Count { contributors, complete } = count;
        match (contributors, complete) {
            (1.., _) => {
                let route = wanted.route.clone();
                self.originate_as(prefix, PATH_ID, &route, Maker::Aggregate);
            }
            (0, true) => self.withdraw(PeerId::LOCAL, prefix, PATH_ID),
            // It stays as it is until all is counted.
            (0, false) => {}
        }
        self.tell_again(family, prefix);
        if complete && summary_only && self.aggregates.suppressing.insert(*prefix, ()) {
            self.families[at(family)].export_within(*prefix);
        }
    }

    /// The FIB is told once more: its path may be the same while what is asked of it is not.
    fn tell_again(&mut self, family: Family, prefix: &Prefix) {
        let rib = &mut self.families[at(family)];
        if let Some(idx) = rib.table.find(self.keyed, prefix) {
            rib.tell_again(idx);
        }
    }
}
