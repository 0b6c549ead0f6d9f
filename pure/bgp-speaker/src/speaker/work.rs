//! What takes longer than one call: done a part at a time.

use super::{OWN_ROUTES, Speaker, WALK};

/// Whose turn it was. Each takes about as long as a call may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turn {
    /// Own routes that have changed.
    Own,
    /// What peers have said in long UPDATEs and behind them.
    Backlog,
    /// Walks over the tables.
    #[default]
    Tables,
}

impl Turn {
    const ALL: usize = 3;

    fn next(self) -> Turn {
        match self {
            Turn::Own => Turn::Backlog,
            Turn::Backlog => Turn::Tables,
            Turn::Tables => Turn::Own,
        }
    }
}

impl Speaker {
    /// Goes on with one of the things under way: the next in turn.
    pub(super) fn work(&mut self) {
        for _ in 0..Turn::ALL {
            self.working = self.working.next();
            let Some(rib) = &mut self.rib else { return };
            match self.working {
                Turn::Own if self.own_changes.is_empty() => continue,
                Turn::Own => self.take_own_routes(),
                Turn::Backlog if self.backlogs.is_empty() => continue,
                Turn::Backlog => self.work_backlog(),
                Turn::Tables if !rib.has_work() => continue,
                Turn::Tables => rib.work(WALK),
            }
            self.changes += 1;
            return;
        }
    }

    /// Whether something is under way that [`Speaker::tick`] goes on with.
    pub(super) fn has_work(&self) -> bool {
        let walks = |rib: &bgp_rib::Rib| {
            rib.has_work() || !self.own_changes.is_empty() || !self.backlogs.is_empty()
        };
        self.busy || self.rib.as_ref().is_some_and(walks)
    }

    fn take_own_routes(&mut self) {
        let Some(rib) = &self.rib else { return };
        for _ in 0..rib.at_the_cost_of(OWN_ROUTES) {
            let Some(prefix) = self.own_changes.pop_first() else { break };
            let route = self.own_route(&prefix);
            if let Some(rib) = &mut self.rib {
                rib.originate(&prefix, route.as_ref());
            }
        }
    }
}
