//! Tables page by page, with filters, and why a prefix goes the way it does.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use bgp_packet::Attributes;
use bgp_policy::{
    CommunityKind as _, CommunityPattern, Decided, Explanation, PathPattern, Verdict,
};
use bgp_speaker::{Cursor, Filter, PathState, Reason, Table, TableRow};
use inet::{Family, Prefix, ScopedAddr};
use node_api::{Refusal, Reply, v1};

use super::answers::{Answer, Explaining, SLICE, STEP, Walk, answer_page};
use super::calls::Page;
use super::router::Router;
use super::show;

/// The cursor of the first page.
const START: &str = "start";

/// Paths of one page with a cursor, at most. There are fewer where a slice ends before.
const ROWS: usize = 2000;

/// Which paths of a table are shown.
pub(super) struct Only {
    community: Option<CommunityPattern>,
    as_path: Option<PathPattern>,
    from: Option<ScopedAddr>,
}

impl Router {
    pub(super) fn routes(&mut self, request: &v1::ListRoutesRequest, reply: Reply<v1::RoutePage>) {
        let read = || Ok((self.table(request)?, filter(request)?, Only::new(request)?));
        let (table, (family, filter), only) = match read() {
            Ok(read) => read,
            Err(refusal) => return reply.send(Err(refusal)),
        };
        if !request.cursor.is_empty() {
            return self.rows(request, table, (family, filter), &only, reply);
        }
        // In the order of prefixes: all of the table is looked at, in slices.
        match Page::new(&family.to_string(), "", &request.after, request.limit) {
            Ok(page) => {
                let cursor = Cursor::default();
                let walk = Walk { reply, table, family, filter, only, page, cursor };
                self.answers.add(Answer::Page(Box::new(walk)));
            }
            Err(refusal) => reply.send(Err(refusal)),
        }
    }

    /// A page in the table's own order: what is found in one slice.
    fn rows(
        &self,
        request: &v1::ListRoutesRequest,
        table: Table,
        (family, filter): (Family, Filter),
        only: &Only,
        reply: Reply<v1::RoutePage>,
    ) {
        let began = Instant::now();
        let mut next = match request.cursor.as_str() {
            START => Some(Cursor::default()),
            text => match text.parse() {
                Ok(cursor) => Some(Cursor(cursor)),
                Err(_) => {
                    let why = format!("{text:?} is no cursor; `{START}` is the first page's");
                    return reply.send(Err(Refusal::Invalid(why)));
                }
            },
        };
        let limit = match usize::try_from(request.limit).unwrap_or(ROWS) {
            0 => ROWS,
            limit => limit.min(ROWS),
        };
        let mut rows = Vec::new();
        while let Some(cursor) = next
            && rows.len() < limit
        {
            let step = STEP.min(limit - rows.len());
            let found = self.parts.speaker.page(family, table, filter, cursor, step);
            let found = found.unwrap_or_default();
            rows.extend(found.rows.into_iter().filter(|row| only.has(row)));
            next = found.next;
            if began.elapsed() >= SLICE {
                break;
            }
        }
        let cursor = next.map(|next| next.0.to_string()).unwrap_or_default();
        answer_page(reply, rows, next.is_some(), cursor);
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
        &mut self,
        request: &v1::ExplainRouteRequest,
        reply: Reply<v1::Explanation>,
    ) {
        let wanted = match prefix_or_address(&request.prefix) {
            Ok(wanted) => wanted,
            Err(refusal) => return reply.send(Err(refusal)),
        };
        let speaker = &self.parts.speaker;
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
        let Some(prefix) = found.filter(has) else {
            return reply.send(Ok(v1::Explanation::default()));
        };
        let best = speaker.explain_best(&prefix);
        let steps = best.steps.iter().map(|step| v1::DecisionStep {
            step: step.step.to_string(),
            compared: (0..)
                .zip(&step.values)
                .filter_map(|(path, value)| {
                    let has = |all: &[usize]| all.iter().any(|at| u32::try_from(*at) == Ok(path));
                    let (out, behind) = (has(&step.out), has(&step.behind));
                    Some(v1::Compared { path, value: value.clone()?, out, behind })
                })
                .collect(),
        });
        let neighbors: BTreeSet<ScopedAddr> =
            best.paths.iter().filter_map(|path| path.peer).collect();
        let place = self.parts.placement.place;
        let fib = self.parts.table.route(&prefix);
        let answer = v1::Explanation {
            prefix: prefix.to_string(),
            steps: steps.collect(),
            fib: fib.map(|view| show::fib(&view, place, |link| self.link(link))),
            paths: best.paths.iter().map(|route| show::route(&prefix, route)).collect(),
            ..Default::default()
        };
        let imports = neighbors.into_iter().collect();
        let peers = speaker.peers().map(|peer| peer.wanted.key()).collect();
        let explaining = Explaining { reply, prefix, answer, imports, peers };
        self.answers.add(Answer::Explanation(Box::new(explaining)));
    }

    /// What the import policy of a peer says of its path.
    pub(super) fn explain_import(
        &self,
        neighbor: &ScopedAddr,
        prefix: &Prefix,
    ) -> Option<v1::ImportVerdict> {
        let policy = Some(verdict(&self.parts.speaker.explain_import(neighbor, prefix)?));
        Some(v1::ImportVerdict { neighbor: neighbor.to_string(), policy })
    }

    /// Whether a peer is told of a prefix.
    pub(super) fn advertisement(
        &self,
        neighbor: &ScopedAddr,
        prefix: &Prefix,
    ) -> Option<v1::Advertisement> {
        let export = self.parts.speaker.explain_export(neighbor, prefix)?;
        let paths = export.paths.iter().map(|path| v1::ExportedPath {
            from: path.from.map(|from| from.to_string()).unwrap_or_default(),
            path_id: path.path_id.0,
            refused: path.refused.map(|why| why.to_string()).unwrap_or_default(),
            policy: path.policy.as_ref().map(verdict),
            route: path.sent.as_ref().map(|sent| show::path(prefix, sent)),
        });
        Some(v1::Advertisement {
            neighbor: neighbor.to_string(),
            sent: export.reason == Reason::Announced,
            reason: export.reason.to_string(),
            paths: paths.collect(),
        })
    }
}

impl Only {
    pub(super) fn new(request: &v1::ListRoutesRequest) -> Result<Only, Refusal> {
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

    pub(super) fn has(&self, row: &TableRow) -> bool {
        let Only { community, as_path, from } = self;
        let attributes = &row.attributes;
        community.as_ref().is_none_or(|pattern| has_community(pattern, attributes))
            && as_path.as_ref().is_none_or(|pattern| pattern.matches(&attributes.as_path))
            && from.is_none_or(|from| row.peer.is_some_and(|peer| is(&peer, &from)))
    }
}

/// Whether a neighbor is the one that was named; a link-local address alone names those of all
/// links.
fn is(neighbor: &ScopedAddr, named: &ScopedAddr) -> bool {
    neighbor == named || (named.is_ambiguous() && neighbor.address() == named.address())
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
        Some(PathState::Multipath(step)) => (false, true, step.to_string()),
        Some(PathState::Lost(step)) => (false, false, step.to_string()),
        Some(PathState::Ineligible(why)) => (false, false, why.to_string()),
    }
}
