//! Best routes to the route table: those learned, and what is dropped in aggregates.

use std::collections::BTreeSet;

use bgp_packet::PeerKind;
use bgp_speaker::{Best, Discard};
use inet::{Prefix, ScopedAddr, Timestamp};
use route_table::{Input, SourceId, Target, distance};

use super::edges;
use super::router::Router;

/// BGP as a source of routes.
pub(super) const BGP: SourceId = SourceId(0);
/// What is dropped in aggregates, as another source.
pub(super) const AGGREGATES: SourceId = SourceId::AGGREGATES;

/// What the table is offered.
#[derive(Debug, Default)]
pub(super) struct Installs {
    /// Best routes are written into the kernel; else the table is offered none.
    on: bool,
    /// Aggregates for which it is offered a route that drops packets.
    discards: BTreeSet<Prefix>,
}

impl Router {
    /// A prefix is reached by other paths.
    pub(super) fn best(&mut self, now: Timestamp, best: &Best) {
        if !self.installs.on {
            return;
        }
        let distances = self.parts.placement.distances;
        let distance = match best.paths.first().map(|path| path.kind) {
            Some(PeerKind::External) | None => distances.ebgp,
            Some(PeerKind::Internal) => distances.ibgp,
        };
        let hops = best.paths.iter().map(|path| {
            let address = ScopedAddr::new(path.next_hop.address, path.peer.link());
            (edges::next_hop(address), path.weight)
        });
        let prefix = best.prefix;
        let target = match best.paths.iter().any(|path| path.discard) {
            true => Some(Target::Blackhole),
            false => Target::via(hops),
        };
        self.table_input(now, Input::Offer { source: BGP, distance, prefix, target });
        let (source, distance) = (AGGREGATES, distances.local);
        if let Some(discard) = best.discard {
            self.installs.discards.insert(prefix);
            let target = match discard {
                Discard::Blackhole => Some(Target::Blackhole),
                Discard::Unreachable => Some(Target::Unreachable),
            };
            self.table_input(now, Input::Offer { source, distance, prefix, target });
        } else if self.installs.discards.remove(&prefix) {
            self.table_input(now, Input::Offer { source, distance, prefix, target: None });
        }
    }

    /// Best routes are written into the kernel, or not: then the table holds none of them, since a
    /// million that nobody wants is as much work as a million that somebody does.
    pub(super) fn install(&mut self, now: Timestamp, on: bool) {
        self.table_input(now, Input::Install(on));
        match (std::mem::replace(&mut self.installs.on, on), on) {
            (false, true) => self.parts.speaker.tell_best_again(),
            (true, false) => {
                self.installs.discards.clear();
                for source in [BGP, AGGREGATES] {
                    let (distance, routes) = (distance::BGP_EXTERNAL, Vec::new());
                    self.table_input(now, Input::Set { source, distance, routes });
                }
            }
            (true, true) | (false, false) => {}
        }
    }
}
