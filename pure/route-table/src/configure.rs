//! Our routes in another place: another table or metric, with or without next-hop objects.

use crate::entry::Place;
use crate::intern::Id;
use crate::objects::Objects;
use crate::{Config, KernelRoute, Output, RouteTable};

impl RouteTable {
    /// What is in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether this is in force already, so that taking it changes nothing; `install` aside.
    pub fn is_configured(&self, config: &Config) -> bool {
        Config { install: self.config.install, ..config.clone() } == self.config
    }

    /// Whether the kernel was read since the start, and since the place of our routes changed.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// How many routes the kernel has refused and does not hold yet.
    pub fn failing(&self) -> usize {
        self.failures.len()
    }

    /// Takes another configuration. Nothing of what was written so far is known to be in the new
    /// place, so all is as at the start: nothing is written before the next snapshot, and what that
    /// holds of ours stays until it is wanted or swept. Whether routes are written stays as it is.
    pub(crate) fn configure(&mut self, new: Config) {
        if self.is_configured(&new) {
            return;
        }
        let new = Config { install: self.config.install, ..new };
        let old = std::mem::replace(&mut self.config, new);
        self.drop_all_leaving();
        if old.objects != self.config.objects {
            let all: Vec<Id> = self.targets.iter().map(|(id, ..)| id).collect();
            for id in all {
                self.leave_group(id);
            }
            self.objects = Objects::new(self.config.objects);
        }
        let place = |config: &Config| (config.table, config.protocol, config.metric);
        if place(&old) != place(&self.config) {
            let all: Vec<Place> = self.places.values().collect();
            for place in all {
                self.forget_failure(place);
                // A write under way goes to the old place, or to the new one: it is written again.
                self.observe(place, None, true);
                if let Some(entry) = self.entry_mut(place) {
                    entry.adopted = false;
                }
            }
        }
        let elsewhere = place(&old) != place(&self.config);
        let other_objects = old.objects != self.config.objects;
        for output in std::mem::take(&mut self.out) {
            match output {
                // It was for the old place, and is not done.
                Output::Change(change) if elsewhere => self.applied(change.prefix, Ok(())),
                Output::Object(_) if other_objects => {}
                output => self.out.push_back(output),
            }
        }
        (self.synced, self.swept) = (false, false);
        self.everything_is_dirty();
    }

    /// Whether a route is what we have left in a place that was ours.
    pub(crate) fn is_former(&self, route: &KernelRoute) -> bool {
        route.protocol == self.config.protocol
            && self.former.contains(&(route.table, route.metric))
            && !self.is_ours(route)
    }
}
