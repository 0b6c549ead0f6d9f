//! Tables page by page, with filters, and why a prefix goes the way it does.

use std::net::IpAddr;

use bgp_packet::Attributes;
use bgp_policy::{
    CommunityKind as _, CommunityPattern, Decided, Explanation, PathPattern, Verdict,
};
use bgp_speaker::{Cursor, Filter, PathState, Reason, Table, TableRow};
use inet::{Family, Prefix};
use node_api::{Refusal, v1};

use super::calls::Page;
use super::router::Router;
use super::show;

/// The cursor of the first page.
const START: &str = "start";

/// Paths of one page with a cursor, at most: what the tables look at in one go.
const ROWS: usize = 500;

/// Which paths of a table are shown.
struct Only {
    community: Option<CommunityPattern>,
    as_path: Option<PathPattern>,
    from: Option<IpAddr>,
}

impl Router {
    pub(super) fn routes(&self, request: &v1::ListRoutesRequest) -> Result<v1::RoutePage, Refusal> {
        let table = self.table(request)?;
        let (family, filter) = filter(request)?;
        let only = Only::new(request)?;
        if !request.cursor.is_empty() {
            return self.rows(request, table, (family, filter), &only);
        }
        // In the order of prefixes: all of the table is looked at.
        let (after, limit) = (&request.after, request.limit);
        let mut page = Page::new(&family.to_string(), "", after, limit)?;
        let mut cursor = Cursor::default();
        loop {
            let known = self.parts.speaker.page(family, table, filter, cursor, ROWS);
            let found = known.unwrap_or_default();
            let mut rows = found.rows.into_iter().filter(|row| only.has(row)).peekable();
            while let Some(first) = rows.next() {
                let prefix = first.prefix;
                let mut of_prefix = vec![first];
                while let Some(row) = rows.next_if(|row| row.prefix == prefix) {
                    of_prefix.push(row);
                }
                // Only what is on the page is put into words.
                page.add(prefix, || of_prefix.iter().map(show::row).collect());
            }
            match found.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        let more = page.more;
        let routes = page.items.into_values().flatten().collect();
        Ok(v1::RoutePage { routes, more, cursor: String::new() })
    }

    /// A page in the table's own order.
    fn rows(
        &self,
        request: &v1::ListRoutesRequest,
        table: Table,
        (family, filter): (Family, Filter),
        only: &Only,
    ) -> Result<v1::RoutePage, Refusal> {
        let cursor = match request.cursor.as_str() {
            START => Cursor::default(),
            text => Cursor(text.parse().map_err(|_| {
                Refusal::Invalid(format!("{text:?} is no cursor; `{START}` is the first page's"))
            })?),
        };
        let limit = usize::try_from(request.limit).unwrap_or(ROWS);
        let limit = if limit == 0 { ROWS } else { limit };
        let found = self.parts.speaker.page(family, table, filter, cursor, limit);
        let found = found.unwrap_or_default();
        let routes = found.rows.iter().filter(|row| only.has(row)).map(show::row).collect();
        let cursor = found.next.map(|next| next.0.to_string()).unwrap_or_default();
        Ok(v1::RoutePage { routes, more: !cursor.is_empty(), cursor })
    }

    fn table(&self, request: &v1::ListRoutesRequest) -> Result<Table, Refusal> {
        match request.table.as_str() {
            "loc" => Ok(Table::Paths),
            "in" if request.accepted => Ok(Table::Accepted(self.known_peer(&request.neighbor)?)),
            "in" => Ok(Table::Received(self.known_peer(&request.neighbor)?)),
            "out" => Ok(Table::Sent(self.known_peer(&request.neighbor)?)),
            other => {
                let message = format!("{other:?} is no table; there are: in, loc, out");
                Err(Refusal::Invalid(message))
            }
        }
    }

    pub(super) fn explain(
        &self,
        request: &v1::ExplainRouteRequest,
    ) -> Result<v1::Explanation, Refusal> {
        let speaker = &self.parts.speaker;
        let wanted = prefix_or_address(&request.prefix)?;
        let has = |prefix: &Prefix| {
            !speaker.route(prefix).is_empty() || self.parts.table.route(prefix).is_some()
        };
        // Longest match: from the address's own length down.
        let found = match wanted {
            Wanted::Prefix(prefix) => Some(prefix),
            Wanted::Address(address) => (0..=Family::of(&address).bits())
                .rev()
                .filter_map(|len| Prefix::truncated(address, len).ok())
                .find(has),
        };
        let Some(prefix) = found.filter(has) else { return Ok(v1::Explanation::default()) };
        let best = speaker.explain_best(&prefix);
        let steps = best.steps.iter().map(|step| v1::DecisionStep {
            step: step.step.to_string(),
            compared: (0..)
                .zip(&step.values)
                .filter_map(|(path, value)| {
                    let out = step.out.iter().any(|out| u32::try_from(*out) == Ok(path));
                    Some(v1::Compared { path, value: value.clone()?, out })
                })
                .collect(),
        });
        let neighbors: std::collections::BTreeSet<IpAddr> =
            best.paths.iter().filter_map(|path| path.peer).collect();
        let imports = neighbors.iter().filter_map(|neighbor| {
            let policy = Some(verdict(&speaker.explain_import(neighbor, &prefix)?));
            Some(v1::ImportVerdict { neighbor: neighbor.to_string(), policy })
        });
        let fib = self.parts.table.route(&prefix);
        Ok(v1::Explanation {
            prefix: prefix.to_string(),
            steps: steps.collect(),
            imports: imports.collect(),
            advertisements: self.advertisements(&prefix),
            fib: fib.map(|view| show::fib(&view, self.parts.table_id, |link| self.link(link))),
            paths: best.paths.iter().map(|route| show::route(&prefix, route)).collect(),
        })
    }

    /// Per peer, whether it is told of a prefix.
    fn advertisements(&self, prefix: &Prefix) -> Vec<v1::Advertisement> {
        let speaker = &self.parts.speaker;
        let told = |peer: bgp_speaker::PeerSnapshot| {
            let address = peer.config.address;
            let export = speaker.explain_export(&address, prefix)?;
            let paths = export.paths.iter().map(|path| v1::ExportedPath {
                from: path.from.map(|from| from.to_string()).unwrap_or_default(),
                path_id: path.path_id.0,
                refused: path.refused.map(|why| why.to_string()).unwrap_or_default(),
                policy: path.policy.as_ref().map(verdict),
                route: path.sent.as_ref().map(|sent| show::path(prefix, sent)),
            });
            Some(v1::Advertisement {
                neighbor: address.to_string(),
                sent: export.reason == Reason::Announced,
                reason: export.reason.to_string(),
                paths: paths.collect(),
            })
        };
        speaker.peers().filter_map(told).collect()
    }
}

impl Only {
    fn new(request: &v1::ListRoutesRequest) -> Result<Only, Refusal> {
        let invalid = |error: &dyn std::fmt::Display| Refusal::Invalid(error.to_string());
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let community = some(&request.community);
        let community = community.map(|text| {
            text.parse().map_err(|error: bgp_policy::CommunityTextError| invalid(&error))
        });
        let as_path = some(&request.as_path);
        let as_path = as_path.map(|text| {
            text.parse().map_err(|error: bgp_policy::PathPatternError| invalid(&error))
        });
        let from = some(&request.from).map(|text| {
            text.parse().map_err(|_| Refusal::Invalid(format!("{text:?} is no address")))
        });
        Ok(Only {
            community: community.transpose()?,
            as_path: as_path.transpose()?,
            from: from.transpose()?,
        })
    }

    fn has(&self, row: &TableRow) -> bool {
        let Only { community, as_path, from } = self;
        let attributes = &row.attributes;
        community.as_ref().is_none_or(|pattern| has_community(pattern, attributes))
            && as_path.as_ref().is_none_or(|pattern| pattern.matches(&attributes.as_path))
            && from.is_none_or(|from| row.peer == Some(from))
    }
}

fn has_community(pattern: &CommunityPattern, attributes: &Attributes) -> bool {
    match pattern {
        CommunityPattern::Standard(p) => attributes.communities.iter().any(|c| p.matches(c)),
        CommunityPattern::Extended(p) => {
            attributes.extended_communities.iter().any(|c| p.matches(c))
        }
        CommunityPattern::Large(p) => attributes.large_communities.iter().any(|c| p.matches(c)),
    }
}

/// Which prefixes a request asks for, and of which family.
fn filter(request: &v1::ListRoutesRequest) -> Result<(Family, Filter), Refusal> {
    let invalid = |error: inet::PrefixError| Refusal::Invalid(error.to_string());
    let given = [&request.prefix, &request.within, &request.address];
    if given.iter().filter(|text| !text.is_empty()).count() > 1 {
        let message = "`prefix`, `within` and `address` exclude each other";
        return Err(Refusal::Invalid(message.to_owned()));
    }
    if !request.prefix.is_empty() {
        let prefix: Prefix = request.prefix.parse().map_err(invalid)?;
        return Ok((prefix.family(), Filter::Exact(prefix)));
    }
    if !request.within.is_empty() {
        let prefix: Prefix = request.within.parse().map_err(invalid)?;
        return Ok((prefix.family(), Filter::Within(prefix)));
    }
    if !request.address.is_empty() {
        let text = &request.address;
        let wrong = |_| Refusal::Invalid(format!("{text:?} is no address"));
        let address: IpAddr = text.parse().map_err(wrong)?;
        return Ok((Family::of(&address), Filter::LongestMatch(address)));
    }
    Ok((show::family(&request.family).map_err(invalid)?, Filter::All))
}

/// What a policy said.
fn verdict(explanation: &Explanation) -> v1::PolicyVerdict {
    let steps = explanation.steps.iter().map(|step| v1::PolicyStep {
        policy: step.policy.clone(),
        number: u32::try_from(step.number).unwrap_or(u32::MAX),
        name: step.name.clone().unwrap_or_default(),
        failed: step.failed.unwrap_or_default().to_owned(),
    });
    v1::PolicyVerdict {
        accepted: explanation.outcome.verdict == Verdict::Accept,
        decided: match &explanation.decided {
            Decided::Statement { policy, number, name: None } => {
                format!("policy {policy}, statement {number}")
            }
            Decided::Statement { policy, number, name: Some(name) } => {
                format!("policy {policy}, statement {number} ({name})")
            }
            Decided::Default { policy } => format!("the default of policy {policy}"),
            Decided::Nothing => "no policy decided: rejected".to_owned(),
        },
        steps: steps.collect(),
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

/// The words of a path's state: whether it is best, one of several, and why not.
pub(super) fn words(state: Option<&PathState>) -> (bool, bool, String) {
    match state {
        None => (false, false, String::new()),
        Some(PathState::Best(step)) => (true, false, step.to_string()),
        Some(PathState::Multipath) => (false, true, String::new()),
        Some(PathState::Lost(step)) => (false, false, step.to_string()),
        Some(PathState::Ineligible(why)) => (false, false, why.to_string()),
    }
}
