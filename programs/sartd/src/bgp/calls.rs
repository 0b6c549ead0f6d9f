//! The API's requests.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use bgp_policy::Definitions;
use bgp_session::State;
use bgp_speaker::{Desired, Input, Multipath, PeerSnapshot, Reset};
use inet::{Family, Prefix, ScopedAddr};
use node_api::{Call, Refusal, v1};
use route_table::LinkIndex;
use router_config::Document;

use super::answers::SLICE;
use super::owners::{self, Accepted, FILE};
use super::replies::{reply_to, resets_sessions, why_not};
use super::router::Router;
use super::{keys, show};

/// Prefixes in a page when the request does not say, and at most.
const PAGE: u32 = 1000;
const MAX_PAGE: u32 = 2000;

/// Octets of a shutdown communication (RFC 9003 §2).
const MAX_COMMUNICATION: usize = 255;

/// How far an apply may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct How {
    /// Only say what would change.
    pub(super) dry_run: bool,
    /// What resets a session is refused.
    pub(super) keep_sessions: bool,
}

impl Router {
    pub(super) fn call(&mut self, call: Call) {
        // Of a change too: its caller has been told that it was not answered.
        if call.is_abandoned() {
            tracing::debug!("a call is left out: its caller has gone");
            return;
        }
        match call {
            Call::Apply(request, reply) => {
                let how = How { dry_run: request.dry_run, keep_sessions: request.keep_sessions };
                let checked = self.parts.owners.check(request);
                reply.send(Ok(self.accept(checked, how)));
            }
            Call::Edit(request, reply) => reply.send(match request.edit {
                Some(edit) => {
                    let global = self.parts.speaker.global();
                    let checked = self.parts.owners.check_edit(edit, global);
                    let how = How { dry_run: request.dry_run, keep_sessions: false };
                    Ok(self.accept(checked, how))
                }
                None => Err(Refusal::Invalid("the change is empty".to_owned())),
            }),
            Call::Reload(request, reply) => self.reload(&request, reply),
            Call::Forget(request, reply) => reply.send(self.forget(&request)),
            Call::Reset(request, reply) => reply.send(self.reset(&request)),
            Call::Policies(request, reply) => reply.send(self.policies(&request)),
            Call::Global(reply) => reply.send(Ok(self.global())),
            Call::Neighbors(request, reply) => reply.send(self.list_neighbors(&request)),
            Call::Routes(request, reply) => self.routes(&request, reply),
            Call::Explain(request, reply) => self.explain(&request, reply),
            Call::Fib(request, reply) => reply.send(self.fib(&request)),
        }
    }

    pub(super) fn accept(
        &mut self,
        checked: Result<Accepted, Vec<router_config::Problem>>,
        how: How,
    ) -> v1::ApplyReply {
        let accepted = match checked {
            Ok(accepted) => accepted,
            Err(problems) => {
                let problems = owners::problems(&problems);
                return v1::ApplyReply { problems, ..Default::default() };
            }
        };
        let plan = self.parts.speaker.plan(&accepted.owner, &accepted.desired);
        let mut reply = reply_to(&accepted.diff, &plan);
        reply.conflicts.extend(self.parts.owners.conflicts_with(&accepted));
        if how.keep_sessions && !reply.resets.is_empty() {
            reply.accepted = false;
            reply.problems = vec![resets_sessions(&reply.resets)];
            return reply;
        }
        let unsigned = keys::without_kernel(&accepted.desired);
        if how.dry_run {
            reply.conflicts.extend(unsigned);
            return reply;
        }
        let changed = !accepted.diff.is_empty();
        let (owner, doc) = self.parts.owners.commit(accepted);
        if changed {
            tracing::info!(owner, changes = reply.changes.len(), "a document was accepted");
        }
        let now = self.parts.clock.now();
        self.tell(now, Input::Desired { owner: owner.clone(), doc });
        self.settle();
        self.wanted_changed();
        self.parts.publisher.changed();
        reply.conflicts = self.conflicts_of(&owner);
        reply.conflicts.extend(unsigned);
        reply
    }

    /// Where what this owner wants does not count, in words.
    fn conflicts_of(&self, of: &str) -> Vec<String> {
        use bgp_speaker::Conflict::{
            DifferentGlobal, DuplicateAggregate, DuplicateDynamic, DuplicatePeer, DuplicatePrefix,
            DuplicateUnnumbered, TooManyPeers,
        };
        let ignored = self.parts.owners.ignored().into_iter();
        let ignored = ignored.filter(|one| one.ignored == of).map(|one| one.to_string());
        self.parts
            .speaker
            .conflicts()
            .filter(|conflict| match conflict {
                DuplicatePeer { ignored, .. }
                | DifferentGlobal { ignored, .. }
                | DuplicateAggregate { ignored, .. }
                | DuplicateUnnumbered { ignored, .. }
                | DuplicateDynamic { ignored, .. }
                | DuplicatePrefix { ignored, .. } => ignored == of,
                TooManyPeers { .. } => true,
            })
            .map(ToString::to_string)
            .chain(ignored)
            .collect()
    }

    fn forget(&mut self, request: &v1::ForgetRequest) -> Result<v1::ApplyReply, Refusal> {
        let owner = &request.owner;
        if owner == FILE {
            let message = "the owner `file` is forgotten by starting the router without a file; to \
                           take something out of it, edit it and run `sart bgp reload`";
            return Err(Refusal::Invalid(message.to_owned()));
        }
        // An owner that is not there is forgotten already.
        let Some(diff) = self.parts.owners.check_forget(owner) else {
            return Ok(v1::ApplyReply { accepted: true, ..Default::default() });
        };
        let plan = self.parts.speaker.plan(owner, &Desired::default());
        let reply = reply_to(&diff, &plan);
        if !request.dry_run {
            self.parts.owners.forget(owner);
            let now = self.parts.clock.now();
            self.tell(now, Input::Forget { owner: owner.clone() });
            self.settle();
            self.wanted_changed();
            self.parts.publisher.changed();
            tracing::info!(owner, "an owner is forgotten");
        }
        Ok(reply)
    }

    fn reset(&mut self, request: &v1::ResetRequest) -> Result<v1::ResetReply, Refusal> {
        let invalid = |text: &str| Err(Refusal::Invalid(text.to_owned()));
        let kind = v1::ResetKind::try_from(request.kind).unwrap_or(v1::ResetKind::Unknown);
        let communication = &request.communication;
        if !communication.is_empty() && kind != v1::ResetKind::Hard {
            return invalid("only a hard reset takes a communication");
        }
        if communication.len() > MAX_COMMUNICATION {
            return invalid("a communication has at most 255 octets");
        }
        let reset = match kind {
            v1::ResetKind::SoftIn => Reset::SoftIn,
            v1::ResetKind::SoftOut => Reset::SoftOut,
            v1::ResetKind::Soft => Reset::Soft,
            v1::ResetKind::Hard => Reset::Hard {
                communication: (!communication.is_empty()).then(|| communication.clone()),
            },
            v1::ResetKind::Unknown => return invalid("say which kind of reset"),
        };
        let only = match request.neighbor.as_str() {
            "" => None,
            text => Some(self.known_peer(text)?),
        };
        let all = self.parts.speaker.peers();
        let peers: Vec<_> =
            all.filter(|peer| only.is_none_or(|a| a == peer.wanted.key())).collect();
        let now = self.parts.clock.now();
        let mut reply = v1::ResetReply::default();
        for peer in peers {
            let address = peer.wanted.key();
            let skip = why_not(&peer, kind);
            match skip {
                Some(reason) => {
                    let (neighbor, reason) = (address.to_string(), reason.to_owned());
                    reply.skipped.push(v1::Reset { neighbor, reason });
                }
                None => {
                    self.tell(now, Input::AdminReset { peer: address, reset: reset.clone() });
                    self.settle();
                    reply.neighbors.push(address.to_string());
                }
            }
        }
        self.parts.publisher.changed();
        tracing::info!(kind = kind.words(), neighbors = reply.neighbors.len(), "reset by a person");
        Ok(reply)
    }

    fn policies(&self, request: &v1::ListPoliciesRequest) -> Result<v1::PolicyList, Refusal> {
        let owners = self.parts.owners.iter();
        let policies =
            owners.flat_map(|(name, owner)| policy_texts(name, &owner.document.definitions));
        let wanted = &request.name;
        let policies: Vec<_> =
            policies.filter(|policy| wanted.is_empty() || policy.name == *wanted).collect();
        if policies.is_empty() && !wanted.is_empty() {
            return Err(Refusal::NotFound(format!("there is no policy or list {wanted}")));
        }
        Ok(v1::PolicyList { policies })
    }

    fn global(&self) -> v1::Global {
        let speaker = &self.parts.speaker;
        let global = speaker.global();
        let up = |peer: &PeerSnapshot| peer.status.state == State::Established;
        let counts = speaker.counts();
        let fib = self.parts.owners.fib();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (stations, mrt) = self.monitor.show();
        v1::Global {
            asn: global.map_or(0, |g| g.asn.get()),
            router_id: global.map(|g| g.router_id.to_string()).unwrap_or_default(),
            multi_path: global.is_some_and(|g| g.multi_path != Multipath::NONE),
            transit: global.is_some_and(|g| g.transit),
            port: self.parts.owners.port().into(),
            // None, too, while its VRF is not there.
            fib_table: fib.and(Some(self.parts.placement.place.table)).filter(|table| *table != 0),
            conditions: self.conditions(),
            owners: self.owners(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.parts.clock.unix(inet::Timestamp::ZERO),
            established: count(speaker.peers().filter(up).count()),
            neighbors: count(speaker.peers().count()),
            paths: counts.paths as u64,
            prefixes: counts.prefixes as u64,
            stations,
            mrt,
        }
    }

    fn owners(&self) -> Vec<v1::Owner> {
        let owners = self.parts.owners.iter();
        owners
            .map(|(name, owner)| v1::Owner {
                name: name.to_owned(),
                generation: owner.generation,
                schema_version: owner.schema_version,
                has_spoken: owner.spoken,
                conflicts: self.conflicts_of(name),
            })
            .collect()
    }

    fn list_neighbors(
        &self,
        request: &v1::ListNeighborsRequest,
    ) -> Result<v1::NeighborList, Refusal> {
        let conditions = self.conditions();
        if request.address.is_empty() {
            return Ok(v1::NeighborList { neighbors: self.neighbors(), conditions });
        }
        let address = self.known_peer(&request.address)?;
        let snapshot = self.parts.speaker.peer(address);
        let neighbors = snapshot.iter().map(|peer| self.neighbor(peer)).collect();
        Ok(v1::NeighborList { neighbors, conditions })
    }

    /// The peer of this address. The link of a link-local one may be left out where that says
    /// enough.
    pub(super) fn known_peer(&self, text: &str) -> Result<ScopedAddr, Refusal> {
        let address: ScopedAddr =
            text.parse().map_err(|_| Refusal::Invalid(format!("{text:?} is no address")))?;
        if self.parts.speaker.peer(address).is_some() {
            return Ok(address);
        }
        let all = self.parts.speaker.peers().map(|peer| peer.wanted.key());
        let meant =
            |peer: &ScopedAddr| address.is_ambiguous() && peer.address() == address.address();
        let found: Vec<ScopedAddr> = all.filter(meant).collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(Refusal::NotFound(format!("there is no neighbor {address}"))),
            several => {
                let several: Vec<_> = several.iter().map(ToString::to_string).collect();
                let message = format!("{address} is several neighbors: {}", several.join(", "));
                Err(Refusal::Invalid(message))
            }
        }
    }

    /// What one slice finds; at least one prefix.
    fn fib(&self, request: &v1::GetFibRequest) -> Result<v1::FibPage, Refusal> {
        let began = Instant::now();
        if let Ok(address) = request.prefix.parse::<IpAddr>() {
            let all = (0..=Family::of(&address).bits()).rev();
            let mut all = all.filter_map(|bits| Prefix::truncated(address, bits).ok());
            let longest = all.find_map(|prefix| self.parts.table.route(&prefix));
            let place = self.parts.placement.place;
            let shown = longest.map(|view| show::fib(&view, place, |link| self.link(link)));
            return Ok(v1::FibPage { entries: shown.into_iter().collect(), more: false });
        }
        let mut page = Page::new(&request.family, &request.prefix, &request.after, request.limit)?;
        let shown = |view| show::fib(&view, self.parts.placement.place, |link| self.link(link));
        if let Some(only) = page.only {
            if let Some(view) = self.parts.table.route(&only) {
                page.add(only, || vec![shown(view)]);
            }
        } else {
            for view in self.parts.table.routes_after(page.before()) {
                if view.prefix.family() != page.family {
                    break;
                }
                page.add(view.prefix, || vec![shown(view)]);
                if !page.items.is_empty() && began.elapsed() >= SLICE {
                    page.more = true;
                }
                if page.more {
                    break;
                }
            }
        }
        let more = page.more;
        Ok(v1::FibPage { entries: page.items.into_values().flatten().collect(), more })
    }

    pub(super) fn link(&self, index: LinkIndex) -> String {
        let link = self.parts.table.links().find(|link| link.index == index);
        link.map_or_else(|| format!("link {}", index.0), |link| link.name.to_string())
    }
}

/// Policies and lists of a document, each as it is written there.
fn policy_texts(owner: &str, definitions: &Definitions) -> Vec<v1::PolicyText> {
    let mut texts = Vec::new();
    let mut add = |kind: &str, name: &str, only: Definitions| {
        let document = Document { definitions: only, ..Document::default() };
        texts.push(v1::PolicyText {
            kind: kind.to_owned(),
            name: name.to_owned(),
            owner: owner.to_owned(),
            // Of values that were read from text, none cannot be written.
            text: document.to_yaml().unwrap_or_default(),
        });
    };
    let nothing = Definitions::default;
    for (name, policy) in &definitions.policies {
        let policies = [(name.clone(), policy.clone())].into();
        add("policy", name, Definitions { policies, ..nothing() });
    }
    for (name, list) in &definitions.prefix_lists {
        let prefix_lists = [(name.clone(), list.clone())].into();
        add("prefix-list", name, Definitions { prefix_lists, ..nothing() });
    }
    for (name, list) in &definitions.community_lists {
        let community_lists = [(name.clone(), list.clone())].into();
        add("community-list", name, Definitions { community_lists, ..nothing() });
    }
    for (name, list) in &definitions.as_path_lists {
        let as_path_lists = [(name.clone(), list.clone())].into();
        add("as-path-list", name, Definitions { as_path_lists, ..nothing() });
    }
    texts
}

/// One page of a walk that comes in no order: the first `limit` prefixes after `after`.
pub(super) struct Page<T> {
    pub(super) family: Family,
    pub(super) only: Option<Prefix>,
    after: Option<Prefix>,
    limit: usize,
    pub(super) items: BTreeMap<Prefix, Vec<T>>,
    pub(super) more: bool,
}

impl<T> Page<T> {
    pub(super) fn new(
        family: &str,
        only: &str,
        after: &str,
        limit: u32,
    ) -> Result<Page<T>, Refusal> {
        let prefix = |text: &str| match text {
            "" => Ok(None),
            text => text.parse().map(Some),
        };
        let invalid = |error: inet::PrefixError| Refusal::Invalid(error.to_string());
        let only: Option<Prefix> = prefix(only).map_err(invalid)?;
        let family = match only {
            Some(prefix) => prefix.family(),
            None => show::family(family).map_err(invalid)?,
        };
        let limit = if limit == 0 { PAGE } else { limit.min(MAX_PAGE) } as usize;
        let after = prefix(after).map_err(invalid)?;
        Ok(Page { family, only, after, limit, items: BTreeMap::new(), more: false })
    }

    /// The prefix behind which the page begins in a walk that comes in the order of prefixes, IPv4
    /// first.
    fn before(&self) -> Option<Prefix> {
        let last = || Prefix::host(IpAddr::V4(Ipv4Addr::BROADCAST));
        let after = self.after.filter(|after| after.family() == self.family);
        after.or_else(|| (self.family == Family::Ipv6).then(last))
    }

    pub(super) fn add(&mut self, prefix: Prefix, items: impl FnOnce() -> Vec<T>) {
        let asked = self.only.is_none_or(|only| only == prefix);
        let due = self.after.is_none_or(|after| prefix > after);
        if !asked || !due || prefix.family() != self.family {
            return;
        }
        if self.items.len() >= self.limit {
            self.more = true;
            // The page keeps the first ones: a later one is not even looked at.
            if self.items.last_key_value().is_some_and(|(last, _)| prefix > *last) {
                return;
            }
        }
        let items = items();
        if !items.is_empty() {
            self.items.insert(prefix, items);
        }
        if self.items.len() > self.limit {
            self.items.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    fn page(after: &str, limit: u32) -> (Vec<String>, bool) {
        let mut page = Page::new("ipv4", "", after, limit).unwrap();
        for text in ["10.3.0.0/16", "10.1.0.0/16", "fd00::/64", "10.2.0.0/16", "10.0.0.0/16"] {
            let prefix: inet::Prefix = text.parse().unwrap();
            page.add(prefix, || vec![text.to_owned()]);
        }
        (page.items.into_values().flatten().collect(), page.more)
    }

    #[test]
    fn pages_are_in_order_and_say_whether_there_is_more() {
        assert_eq!(page("", 2), (vec!["10.0.0.0/16".to_owned(), "10.1.0.0/16".to_owned()], true));
        let rest = vec!["10.2.0.0/16".to_owned(), "10.3.0.0/16".to_owned()];
        assert_eq!(page("10.1.0.0/16", 2), (rest.clone(), false));
        assert_eq!(page("10.1.0.0/16", 0), (rest, false));
        assert_eq!(page("10.3.0.0/16", 2), (Vec::new(), false));
    }

    #[test]
    fn a_walk_in_order_begins_with_the_pages_family() {
        let before = |family, after| {
            let page: Page<()> = Page::new(family, "", after, 0).unwrap();
            page.before().map(|prefix| prefix.to_string())
        };
        assert_eq!(before("ipv4", ""), None);
        assert_eq!(before("ipv4", "10.0.0.0/8").as_deref(), Some("10.0.0.0/8"));
        // All of IPv4 stands before IPv6.
        assert_eq!(before("ipv6", "").as_deref(), Some("255.255.255.255/32"));
        assert_eq!(before("ipv6", "10.0.0.0/8").as_deref(), Some("255.255.255.255/32"));
        assert_eq!(before("ipv6", "fd00::/8").as_deref(), Some("fd00::/8"));
    }
}
