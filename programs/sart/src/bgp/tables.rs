//! Tables, page by page.

use inet::Prefix;
use node_api::{RouterClient, v1};

use super::{family, of_family};
use crate::cli::{Common, First, Net, Table, Tables};
use crate::text::Whose;
use crate::{Failure, connect, output, text};

/// Paths asked for at once: what the router looks at in one go.
const PAGE: u32 = 2000;

/// Paths that are written at once.
const PART: usize = 2000;

/// Paths that are held, to be sorted: a full table does not fit beside the router in its pod.
const SORTED: usize = 10_000;

/// The cursor of the first page.
const START: &str = "start";

/// `sart bgp rib`.
pub(super) async fn show(common: &Common, wanted: Tables) -> Result<(), Failure> {
    let Tables { neighbor, longer, community, as_path, accepted, .. } = &wanted;
    let (table, net) = match (wanted.first, wanted.prefix) {
        (None, net) => (Table::Loc, net),
        (Some(First::Table(table)), net) => (table, net),
        (Some(First::Net(net)), None) => (Table::Loc, Some(net)),
        (Some(First::Net(_)), Some(_)) => {
            return Err(Failure::refused("say one prefix or address; a table stands before it"));
        }
    };
    if net.is_some() && (longer.is_some() || wanted.longest.is_some()) {
        return Err(Failure::refused("a prefix cannot be used with --longer or --longest"));
    }
    let (prefix, longest) = match net {
        None => (None, wanted.longest),
        Some(Net::Prefix(prefix)) => (Some(prefix), None),
        Some(Net::Address(address)) => (None, Some(address)),
    };
    let named = family(wanted.family)?;
    let given: Vec<Prefix> =
        [prefix, *longer, longest.map(Prefix::host)].into_iter().flatten().collect();
    let family = of_family(wanted.family, &given)?.unwrap_or(named);
    if *accepted && table != Table::In {
        return Err(Failure::refused("--accepted is for the table `in`"));
    }
    let router = connect::router(common)?;
    let of = match neighbor {
        Some(who) => connect::neighbor(&router, who).await?.to_string(),
        None => String::new(),
    };
    let (table, neighbor, from) = match table {
        Table::Loc => ("loc", String::new(), of),
        Table::In => ("in", of, String::new()),
        Table::Out => ("out", of, String::new()),
    };
    if table != "loc" && neighbor.is_empty() {
        return Err(which_neighbor(&router, table).await?);
    }
    let text = |prefix: &Option<Prefix>| prefix.map(|p| p.to_string()).unwrap_or_default();
    let request = v1::ListRoutesRequest {
        table: table.to_owned(),
        neighbor,
        family: family.to_string(),
        prefix: text(&prefix),
        within: text(longer),
        address: longest.map(|a| a.to_string()).unwrap_or_default(),
        community: community.clone().unwrap_or_default(),
        as_path: as_path.clone().unwrap_or_default(),
        from,
        accepted: *accepted,
        ..Default::default()
    };
    list(common, &router, request).await
}

async fn which_neighbor(router: &RouterClient, table: &str) -> Result<Failure, Failure> {
    let list = router.neighbors(None).await?.neighbors;
    let names: Vec<&str> = list.iter().map(|n| n.name.as_str()).collect();
    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Ok(Failure::Refused(format!(
        "`{table}` is the table of one neighbor: say which with --neighbor; there are: {there}"
    )))
}

/// Shows a table: in the order of prefixes, or, when it is too long for that, in its own.
pub(super) async fn list(
    common: &Common,
    router: &RouterClient,
    request: v1::ListRoutesRequest,
) -> Result<(), Failure> {
    let wide = common.wide();
    let whose = if request.table == "out" { Whose::Sent } else { Whose::Compared };
    let mut pages = Pages::new(router, request);
    let mut held = Vec::new();
    while held.len() < SORTED
        && let Some(page) = pages.next().await?
    {
        held.extend(page);
    }
    if pages.next.is_none() {
        // Stable: the paths of a prefix stay as the router has ordered them.
        held.sort_by_cached_key(|route| route.prefix.parse::<Prefix>().ok());
        return output::answer(common.format(), &held, |all| text::routes(all, whose, wide));
    }
    let mut parts = output::Parts::new(common.format());
    let as_table = |routes: &[v1::Route]| text::part_of_routes(routes, whose, wide);
    // The router's pages may be short: what is written at once is not.
    let mut is_read = true;
    let mut part = held;
    loop {
        is_read = is_read && parts.write(&part, as_table)?;
        part.clear();
        while is_read
            && part.len() < PART
            && let Some(page) = pages.next().await?
        {
            part.extend(page);
        }
        if part.is_empty() {
            break;
        }
    }
    parts.end(|| as_table(&[]));
    Ok(())
}

/// The pages of a table. They are asked for in the table's own order, which costs the router least;
/// one of an older version knows only the order of prefixes.
struct Pages<'a> {
    router: &'a RouterClient,
    /// None after the last page.
    next: Option<v1::ListRoutesRequest>,
}

impl Pages<'_> {
    fn new(router: &RouterClient, request: v1::ListRoutesRequest) -> Pages<'_> {
        let next = v1::ListRoutesRequest { limit: PAGE, cursor: START.to_owned(), ..request };
        Pages { router, next: Some(next) }
    }

    /// The next page, which may be empty although it is not the last.
    async fn next(&mut self) -> Result<Option<Vec<v1::Route>>, Failure> {
        let Some(mut request) = self.next.take() else { return Ok(None) };
        let page = self.router.routes(request.clone()).await?;
        if page.more {
            match page.routes.last() {
                _ if !page.cursor.is_empty() => request.cursor = page.cursor,
                Some(last) => request.after.clone_from(&last.prefix),
                None => return Ok(Some(page.routes)),
            }
            self.next = Some(request);
        }
        Ok(Some(page.routes))
    }
}
