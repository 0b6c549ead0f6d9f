//! The API's requests.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp_speaker::Input;
use inet::{Family, Prefix};
use node_api::{Call, Refusal, v1};
use route_table::LinkIndex;
use router_config::Diff;

use super::owners::{self, Accepted, FILE};
use super::router::Router;
use super::show;

/// Prefixes in a page when the request does not say, and at most.
const PAGE: u32 = 1000;
const MAX_PAGE: u32 = 10_000;

impl Router {
    pub(super) fn call(&mut self, call: Call) {
        match call {
            Call::Apply(request, reply) => {
                let dry_run = request.dry_run;
                let checked = self.parts.owners.check(request);
                reply.send(Ok(self.accept(checked, dry_run)));
            }
            Call::Edit(request, reply) => reply.send(match request.edit {
                Some(edit) => {
                    let global = self.parts.speaker.global();
                    let checked = self.parts.owners.check_edit(edit, global);
                    Ok(self.accept(checked, request.dry_run))
                }
                None => Err(Refusal::Invalid("the change is empty".to_owned())),
            }),
            Call::Forget(request, reply) => reply.send(self.forget(&request)),
            Call::Global(reply) => reply.send(Ok(self.global())),
            Call::Neighbors(request, reply) => reply.send(self.list_neighbors(&request)),
            Call::Routes(request, reply) => reply.send(self.routes(&request)),
            Call::Explain(request, reply) => reply.send(self.explain(&request)),
            Call::Fib(request, reply) => reply.send(self.fib(&request)),
        }
    }

    fn accept(
        &mut self,
        checked: Result<Accepted, Vec<router_config::Problem>>,
        dry_run: bool,
    ) -> v1::ApplyReply {
        let accepted = match checked {
            Ok(accepted) => accepted,
            Err(problems) => {
                let problems = owners::problems(&problems);
                return v1::ApplyReply { problems, ..Default::default() };
            }
        };
        let mut reply = reply_to(&accepted.diff);
        if dry_run {
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
        reply.conflicts = self.conflicts_of(&owner);
        reply
    }

    /// Where what this owner wants does not count, in words.
    fn conflicts_of(&self, of: &str) -> Vec<String> {
        use bgp_speaker::Conflict::{
            DifferentGlobal, DuplicatePeer, DuplicatePrefix, TooManyPeers,
        };
        self.parts
            .speaker
            .conflicts()
            .filter(|conflict| match conflict {
                DuplicatePeer { ignored, .. }
                | DifferentGlobal { ignored, .. }
                | DuplicatePrefix { ignored, .. } => ignored == of,
                TooManyPeers { .. } => true,
            })
            .map(ToString::to_string)
            .collect()
    }

    fn forget(&mut self, request: &v1::ForgetRequest) -> Result<v1::ApplyReply, Refusal> {
        let owner = &request.owner;
        if owner == FILE {
            let message = "the owner `file` is forgotten by starting the router without a file";
            return Err(Refusal::Invalid(message.to_owned()));
        }
        // An owner that is not there is forgotten already.
        let Some(diff) = self.parts.owners.check_forget(owner) else {
            return Ok(v1::ApplyReply { accepted: true, ..Default::default() });
        };
        let reply = reply_to(&diff);
        if !request.dry_run {
            self.parts.owners.forget(owner);
            let now = self.parts.clock.now();
            self.tell(now, Input::Forget { owner: owner.clone() });
            self.settle();
            self.wanted_changed();
            tracing::info!(owner, "an owner is forgotten");
        }
        Ok(reply)
    }

    fn global(&self) -> v1::Global {
        let speaker = &self.parts.speaker;
        let global = speaker.global();
        let neighbors = self.neighbors();
        let up = |n: &&v1::Neighbor| n.state() == v1::SessionState::Established;
        let counts = speaker.counts();
        let fib = self.parts.owners.fib_table();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        v1::Global {
            asn: global.map_or(0, |g| g.asn.get()),
            router_id: global.map(|g| g.router_id.to_string()).unwrap_or_default(),
            multi_path: global.is_some_and(|g| g.multi_path),
            transit: global.is_some_and(|g| g.transit),
            port: self.parts.owners.port().into(),
            fib_table: fib.filter(|table| *table == self.parts.table_id),
            conditions: self.conditions(),
            owners: self.owners(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.parts.clock.unix(inet::Timestamp::ZERO),
            established: count(neighbors.iter().filter(up).count()),
            neighbors: count(neighbors.len()),
            paths: counts.paths as u64,
            prefixes: counts.prefixes as u64,
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
        let snapshot = self.parts.speaker.peer(&address);
        let neighbors =
            snapshot.iter().map(|peer| show::neighbor(&self.parts.clock, peer)).collect();
        Ok(v1::NeighborList { neighbors, conditions })
    }

    fn known_peer(&self, text: &str) -> Result<IpAddr, Refusal> {
        let address: IpAddr =
            text.parse().map_err(|_| Refusal::Invalid(format!("{text:?} is no address")))?;
        if self.parts.speaker.peer(&address).is_none() {
            return Err(Refusal::NotFound(format!("there is no neighbor {address}")));
        }
        Ok(address)
    }

    fn routes(&self, request: &v1::ListRoutesRequest) -> Result<v1::RoutePage, Refusal> {
        let speaker = &self.parts.speaker;
        let mut page = Page::new(&request.family, &request.prefix, &request.after, request.limit)?;
        match request.table.as_str() {
            "loc" => match page.only {
                Some(prefix) => {
                    let routes = speaker.route(&prefix);
                    page.add(prefix, || routes.iter().map(|r| show::route(&prefix, r)).collect());
                }
                None => {
                    for (prefix, routes) in speaker.routes(page.family) {
                        page.add(prefix, || {
                            routes.iter().map(|r| show::route(&prefix, r)).collect()
                        });
                    }
                }
            },
            "in" => {
                let peer = self.known_peer(&request.neighbor)?;
                for (prefix, route) in speaker.adj_rib_in(&peer, page.family) {
                    page.add(prefix, || vec![show::route(&prefix, &route)]);
                }
            }
            "out" => {
                let peer = self.known_peer(&request.neighbor)?;
                for (prefix, attributes) in speaker.adj_rib_out(&peer, page.family) {
                    page.add(prefix, || vec![show::path(&prefix, &attributes)]);
                }
            }
            other => {
                let message = format!("{other:?} is no table; there are: in, loc, out");
                return Err(Refusal::Invalid(message));
            }
        }
        let more = page.more;
        Ok(v1::RoutePage { routes: page.items.into_values().flatten().collect(), more })
    }

    fn explain(&self, request: &v1::ExplainRouteRequest) -> Result<v1::Explanation, Refusal> {
        let speaker = &self.parts.speaker;
        let wanted = prefix_or_address(&request.prefix)?;
        // Longest match: from the address's own length down.
        let found = match wanted {
            Wanted::Prefix(prefix) => Some(prefix),
            Wanted::Address(address) => (0..=Family::of(&address).bits())
                .rev()
                .filter_map(|len| Prefix::truncated(address, len).ok())
                .find(|prefix| !speaker.route(prefix).is_empty()),
        };
        let Some(prefix) = found else { return Ok(v1::Explanation::default()) };
        let paths: Vec<_> =
            speaker.route(&prefix).iter().map(|route| show::route(&prefix, route)).collect();
        let fib = self.parts.table.route(&prefix);
        if paths.is_empty() && fib.is_none() {
            return Ok(v1::Explanation::default());
        }
        let advertisements = speaker
            .peers()
            .filter_map(|peer| {
                let reason = speaker.why_sent(&peer.config.address, &prefix)?;
                Some(v1::Advertisement {
                    neighbor: peer.config.address.to_string(),
                    sent: reason == bgp_speaker::Reason::Announced,
                    reason: reason.to_string(),
                })
            })
            .collect();
        Ok(v1::Explanation {
            prefix: prefix.to_string(),
            paths,
            advertisements,
            fib: fib.map(|view| show::fib(&view, self.parts.table_id, |link| self.link(link))),
        })
    }

    fn fib(&self, request: &v1::GetFibRequest) -> Result<v1::FibPage, Refusal> {
        let mut page = Page::new(&request.family, &request.prefix, &request.after, request.limit)?;
        for view in self.parts.table.routes() {
            page.add(view.prefix, || {
                vec![show::fib(&view, self.parts.table_id, |link| self.link(link))]
            });
        }
        let more = page.more;
        Ok(v1::FibPage { entries: page.items.into_values().flatten().collect(), more })
    }

    fn link(&self, index: LinkIndex) -> String {
        let link = self.parts.table.links().find(|link| link.index == index);
        link.map_or_else(|| format!("link {}", index.0), |link| link.name.to_string())
    }
}

fn reply_to(diff: &Diff) -> v1::ApplyReply {
    let resets = diff.resets.iter().map(|(neighbor, reason)| v1::Reset {
        neighbor: neighbor.to_string(),
        reason: reason.clone(),
    });
    v1::ApplyReply {
        accepted: true,
        changes: diff.changes.clone(),
        resets: resets.collect(),
        ..Default::default()
    }
}

enum Wanted {
    Prefix(Prefix),
    Address(IpAddr),
}

fn prefix_or_address(text: &str) -> Result<Wanted, Refusal> {
    if let Ok(address) = text.parse() {
        return Ok(Wanted::Address(address));
    }
    text.parse().map(Wanted::Prefix).map_err(|error: inet::PrefixError| {
        Refusal::Invalid(format!("{error}; an address is taken too"))
    })
}

/// One page of a walk that comes in no order: the first `limit` prefixes after `after`.
struct Page<T> {
    family: Family,
    only: Option<Prefix>,
    after: Option<Prefix>,
    limit: usize,
    items: BTreeMap<Prefix, Vec<T>>,
    more: bool,
}

impl<T> Page<T> {
    fn new(family: &str, only: &str, after: &str, limit: u32) -> Result<Page<T>, Refusal> {
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

    fn add(&mut self, prefix: Prefix, items: impl FnOnce() -> Vec<T>) {
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
}
