//! What has happened, for people: the log, and those who watch.

use bgp_policy::Source;
use bgp_speaker::{Event, MaxPrefixesAction, PathState};
use inet::{Prefix, ScopedAddr, Timestamp};
use node_api::v1::{self, event::What};

use super::router::Router;
use super::show;

impl Router {
    pub(super) fn happened(&mut self, now: Timestamp, event: Event) {
        self.parts.publisher.changed();
        match event {
            Event::Session { peer, name, state, reason } => {
                match &reason {
                    Some(reason) => tracing::warn!(%peer, name, %state, reason, "session"),
                    None => tracing::info!(%peer, name, %state, "session"),
                }
                let session = v1::SessionEvent {
                    neighbor: peer.to_string(),
                    name,
                    state: show::state(state).into(),
                    reason: reason.unwrap_or_default(),
                };
                self.parts.events.tell(self.parts.clock.unix(now), What::Session(session));
            }
            Event::Added { peer, source } => tracing::info!(%peer, %source, "a new peer"),
            Event::Removed { peer } => {
                self.conns.forget_peer(&peer);
                tracing::info!(%peer, "a peer is no more");
            }
            Event::MaxPrefixes { peer, family, count, limit, exceeded } => {
                let what = match exceeded {
                    None => "many prefixes",
                    Some(MaxPrefixesAction::Warn) => "too many prefixes: told, no more",
                    Some(MaxPrefixesAction::Restart { .. }) => {
                        "too many prefixes: the session ends, and is tried again"
                    }
                    Some(MaxPrefixesAction::Shut) => {
                        "too many prefixes: the session ends until it is reset"
                    }
                };
                tracing::warn!(%peer, %family, count, limit, "{what}");
            }
            Event::Bfd { peer, up: true } => tracing::info!(%peer, "BFD sees the peer"),
            Event::Bfd { peer, up: false } => tracing::warn!(%peer, "BFD has lost the peer"),
            Event::Refused { remote, reason } => {
                if self.quiet.may_log() {
                    tracing::info!(%remote, %reason, "BGP connection refused");
                }
            }
            Event::Conflict(conflict) => tracing::warn!("{conflict}"),
            Event::Malformed { peer, what } => {
                if self.quiet.may_log() {
                    tracing::warn!(%peer, ?what, "a malformed UPDATE was survived (RFC 7606)");
                }
            }
            Event::PathsLeftOut { peer, prefix } => {
                if self.quiet.may_log() {
                    let most = bgp_speaker::MAX_PATHS;
                    tracing::warn!(%peer, %prefix, most, "more paths to a prefix than are taken");
                }
            }
            Event::SelectionDeferred { until } => {
                let until = self.parts.clock.unix(until);
                tracing::info!(until, "choosing waits for the peers' tables");
            }
            Event::SelectionBegan { timed_out } => tracing::info!(timed_out, "choosing begins"),
        }
    }

    /// Tells those who watch how a prefix is reached from now on.
    pub(super) fn tell_best(&self, now: Timestamp, prefix: &Prefix) {
        let routes = self.parts.speaker.route(prefix);
        let used = routes.iter().filter(|route| match route.state {
            PathState::Best(_) | PathState::Multipath(_) => true,
            PathState::Lost(_) | PathState::Ineligible(_) => false,
        });
        let next_hops = used.map(|route| match (route.source, &route.peer) {
            (Source::Local, _) => "local".to_owned(),
            (Source::Aggregate, _) => "aggregate".to_owned(),
            (Source::Kernel(_), _) => "kernel".to_owned(),
            (Source::Ebgp | Source::Ibgp, _) if route.discard => "blackhole".to_owned(),
            (Source::Ebgp | Source::Ibgp, peer) => {
                let link = peer.as_ref().and_then(ScopedAddr::link);
                ScopedAddr::new(route.attributes.next_hop.address, link).to_string()
            }
        });
        let next_hops = next_hops.collect();
        let best = v1::BestEvent { prefix: prefix.to_string(), next_hops };
        self.parts.events.tell(self.parts.clock.unix(now), What::Best(best));
    }

    /// Tells those who watch of conditions that have come and gone.
    pub(super) fn tell_conditions(&self, old: &[v1::Condition], new: &[v1::Condition]) {
        let at = self.parts.clock.unix(self.parts.clock.now());
        let tell = |condition: &v1::Condition, holds| {
            let condition = Some(condition.clone());
            self.parts.events.tell(at, What::Condition(v1::ConditionEvent { condition, holds }));
        };
        old.iter().filter(|c| !new.contains(c)).for_each(|c| tell(c, false));
        new.iter().filter(|c| !old.contains(c)).for_each(|c| tell(c, true));
    }
}
