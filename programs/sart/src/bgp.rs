//! `sart bgp`.

use inet::{Family, Prefix};
use node_api::v1::{self, edit_request::Edit};
use router_config::{
    AttributeSet, Document, PathGroup, parse_community, parse_large_community, parse_origin,
};

use crate::cli::{AddNeighbor, Bgp, Common, FamilyArgs, Global, Kind, Neighbor, RibAction, Safi};
use crate::{Failure, connect, output, text};

/// Prefixes asked for at once.
const PAGE: u32 = 5000;

pub(crate) async fn run(common: &Common, what: Bgp) -> Result<(), Failure> {
    match what {
        Bgp::Global { what } => global(common, what).await,
        Bgp::Neighbor { what } => neighbor(common, what).await,
        Bgp::Explain { prefix } => {
            let explanation = connect::router(common)?.explain(&prefix).await?;
            output::answer(common.format(), &explanation, text::explanation)
        }
    }
}

async fn global(common: &Common, what: Global) -> Result<(), Failure> {
    match what {
        Global::Get => {
            let global = connect::router(common)?.global().await?;
            output::answer(common.format(), &global, text::global)
        }
        Global::Set(set) => {
            let over = Document {
                asn: set.asn,
                router_id: set.router_id,
                multi_path: set.multi_path,
                ..Document::default()
            };
            edit(common, [merge(&over)?]).await
        }
        Global::Health => {
            connect::router(common)?.global().await?;
            output::answer(common.format(), &Health { status: "ok" }, |h| h.status.to_owned())
        }
        Global::Policy => Err(Failure::not_built_yet("policies")),
        Global::Rib(rib) => {
            let family = family(rib.family)?;
            match rib.what {
                RibAction::Get { prefix } => {
                    let family = of_family(rib.family, prefix.as_slice())?.unwrap_or(family);
                    let request = v1::ListRoutesRequest {
                        table: "loc".to_owned(),
                        prefix: prefix.map(|p| p.to_string()).unwrap_or_default(),
                        ..request(family)
                    };
                    routes(common, request).await
                }
                RibAction::Add { prefixes, attributes: given, groups } => {
                    of_family(rib.family, &prefixes)?;
                    let group = PathGroup {
                        attributes: attributes(&given)?,
                        groups: groups.into_iter().collect(),
                        ..PathGroup::new(prefixes)
                    };
                    let over = Document { paths: vec![group], ..Document::default() };
                    edit(common, [merge(&over)?]).await
                }
                RibAction::Del { prefixes } => {
                    of_family(rib.family, &prefixes)?;
                    edit(common, prefixes.iter().map(|p| Edit::RemovePath(p.to_string()))).await
                }
            }
        }
    }
}

async fn neighbor(common: &Common, what: Neighbor) -> Result<(), Failure> {
    match what {
        Neighbor::Get { address } => {
            let list = connect::router(common)?.neighbors(Some(address)).await?;
            let Some(neighbor) = list.neighbors.first() else {
                return Err(Failure::Refused(format!("there is no neighbor {address}")));
            };
            output::answer(common.format(), neighbor, text::neighbor)
        }
        Neighbor::List => {
            let list = connect::router(common)?.neighbors(None).await?;
            output::answer(common.format(), &list, text::neighbors)
        }
        Neighbor::Add(add) => edit(common, [merge(&with_neighbor(*add))?]).await,
        Neighbor::Del { address } => {
            edit(common, [Edit::RemoveNeighbor(address.to_string())]).await
        }
        Neighbor::Rib { address, kind, family: args } => {
            let table = match kind {
                Kind::In => "in",
                Kind::Out => "out",
            };
            let request = v1::ListRoutesRequest {
                table: table.to_owned(),
                neighbor: address.to_string(),
                ..request(family(args)?)
            };
            routes(common, request).await
        }
        Neighbor::Policy => Err(Failure::not_built_yet("policies")),
    }
}

fn with_neighbor(add: AddNeighbor) -> Document {
    let mut neighbor = router_config::Neighbor::new(add.address, add.asn);
    neighbor.name = add.name;
    neighbor.passive = add.passive.then_some(true);
    neighbor.hold_time = add.hold_time;
    neighbor.keepalive_time = add.keepalive_time;
    neighbor.ebgp_multihop = add.ebgp_multihop;
    neighbor.local_address = add.local_address;
    neighbor.groups = add.groups.into_iter().collect();
    Document { neighbors: vec![neighbor], ..Document::default() }
}

/// The change that lays a document over the cli's. It is checked here first, so that a wrong value
/// is told even when no router answers.
fn merge(over: &Document) -> Result<Edit, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
    let text = over.to_yaml().map_err(|error| refused(&error))?;
    match Document::parse(&text, "the change") {
        Ok(_) => Ok(Edit::Merge(text)),
        Err(problems) => Err(Failure::Refused(
            problems.iter().map(|p| p.message.clone()).collect::<Vec<_>>().join("; "),
        )),
    }
}

async fn edit(common: &Common, edits: impl IntoIterator<Item = Edit>) -> Result<(), Failure> {
    let router = connect::router(common)?;
    for edit in edits {
        let reply = router.edit(edit).await?;
        if !reply.accepted {
            let problems: Vec<_> = reply.problems.iter().map(|p| p.message.clone()).collect();
            return Err(Failure::Refused(problems.join("; ")));
        }
        output::answer(common.format(), &reply, text::applied)?;
    }
    Ok(())
}

fn request(family: Family) -> v1::ListRoutesRequest {
    v1::ListRoutesRequest { family: family.to_string(), limit: PAGE, ..Default::default() }
}

async fn routes(common: &Common, mut request: v1::ListRoutesRequest) -> Result<(), Failure> {
    let router = connect::router(common)?;
    let mut routes = Vec::new();
    loop {
        let page = router.routes(request.clone()).await?;
        routes.extend(page.routes);
        match routes.last() {
            Some(last) if page.more => request.after.clone_from(&last.prefix),
            _ => break,
        }
    }
    output::answer(common.format(), &routes, |routes| text::routes(routes))
}

/// The family that the flags name.
pub(crate) fn family(args: FamilyArgs) -> Result<Family, Failure> {
    match args.safi {
        Safi::Unicast => Ok(args.afi.unwrap_or(Family::Ipv4)),
        Safi::Multicast => Err(Failure::not_built_yet("multicast tables")),
    }
}

/// The family of the prefixes; refused when a flag says another one.
pub(crate) fn of_family(args: FamilyArgs, prefixes: &[Prefix]) -> Result<Option<Family>, Failure> {
    for prefix in prefixes {
        if let Some(afi) = args.afi
            && afi != prefix.family()
        {
            return Err(Failure::Refused(format!("{prefix} is not of the family {afi}")));
        }
    }
    Ok(prefixes.first().map(Prefix::family))
}

/// Attributes from `key=value` texts.
fn attributes(given: &[String]) -> Result<AttributeSet, Failure> {
    let mut set = AttributeSet::default();
    for text in given {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::Refused(format!("{text:?} is not KEY=VALUE")));
        };
        let number = || {
            value.parse().map_err(|_| {
                Failure::Refused(format!("{key}: {value:?} is not a number below 2^32"))
            })
        };
        let refused =
            |error: router_config::CommunityError| Failure::Refused(format!("{key}: {error}"));
        match key {
            "origin" => set.origin = Some(parse_origin(value).map_err(refused)?),
            "local_pref" => set.local_pref = Some(number()?),
            "med" | "multi_exit_disc" => set.med = Some(number()?),
            "community" => set.communities.push(parse_community(value).map_err(refused)?),
            "large_community" => {
                set.large_communities.push(parse_large_community(value).map_err(refused)?);
            }
            _ => {
                return Err(Failure::Refused(format!(
                    "unknown attribute {key:?}; there are: origin, local_pref, med, community, large_community"
                )));
            }
        }
    }
    Ok(set)
}

/// The answer of `sart bgp global health`: a router that does not answer is an error instead.
#[derive(serde::Serialize)]
struct Health {
    status: &'static str,
}
