//! `sart bgp`.

mod change;
mod show;
mod tables;
mod watch;

use inet::{Family, Prefix};
use node_api::v1::{self, edit_request::Edit};
use router_config::{Document, PathGroup};

pub(crate) use self::show::{Listed, Policed, Watched};
pub(crate) use self::watch::run as watch;
use crate::cli::{Bgp, Bmp, Common, FamilyArgs, Global, Kind, Mrt, Neighbor, Rib, RibAction, Safi};
use crate::{Failure, connect, output, text};

pub(crate) async fn run(common: &Common, what: Bgp) -> Result<(), Failure> {
    match what {
        Bgp::Status => global(common, Global::Get).await,
        Bgp::Global { what } => global(common, what).await,
        Bgp::Neighbor { what } => neighbor(common, what).await,
        Bgp::Neighbors { neighbor: None } => show::neighbors(common).await,
        Bgp::Neighbors { neighbor: Some(who) } => show::neighbor(common, &who).await,
        Bgp::Rib(wanted) => tables::show(common, wanted).await,
        Bgp::Explain { prefix, neighbor } => {
            show::explain(common, &prefix, neighbor.as_deref()).await
        }
        Bgp::Reset(reset) => change::reset(common, reset).await,
        Bgp::Apply(apply) => change::apply(common, apply).await,
        Bgp::Reload(reload) => change::reload(common, reload).await,
        Bgp::Forget(forget) => change::forget(common, forget).await,
        Bgp::Policy(what) => show::policy(common, what).await,
        Bgp::Bfd { neighbor } => show::bfd(common, neighbor.as_deref()).await,
        Bgp::Bmp(Bmp::List) => show::stations(common).await,
        Bgp::Mrt(Mrt::Show) => show::mrt(common).await,
        Bgp::Watch(wanted) => watch(common, wanted).await,
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
            change::edit(common, [change::merge(&over)?], set.dry_run).await
        }
        Global::Health => {
            let conditions = connect::router(common)?.global().await?.conditions;
            output::answer(common.format(), &Health { status: "ok", conditions }, |health| {
                let words = |c: &v1::Condition| format!("\n{}: {}", c.name, c.message);
                let conditions: String = health.conditions.iter().map(words).collect();
                format!("{}{conditions}", health.status)
            })
        }
        Global::Policy => show::policies(common).await,
        Global::Rib(rib) => global_rib(common, rib).await,
    }
}

async fn global_rib(common: &Common, rib: Rib) -> Result<(), Failure> {
    let named = family(rib.family)?;
    match rib.what {
        RibAction::Get { prefix } => {
            let family = of_family(rib.family, prefix.as_slice())?.unwrap_or(named);
            let request = v1::ListRoutesRequest {
                table: "loc".to_owned(),
                family: family.to_string(),
                prefix: prefix.map(|p| p.to_string()).unwrap_or_default(),
                ..Default::default()
            };
            tables::list(common, &connect::router(common)?, request).await
        }
        RibAction::Add { prefixes, attributes, groups, dry_run } => {
            of_family(rib.family, &prefixes)?;
            let group = PathGroup {
                attributes: change::attributes(&attributes)?,
                groups: groups.into_iter().collect(),
                ..PathGroup::new(prefixes)
            };
            let over = Document { paths: vec![group], ..Document::default() };
            change::edit(common, [change::merge(&over)?], dry_run).await
        }
        RibAction::Del { prefixes, dry_run } => {
            of_family(rib.family, &prefixes)?;
            let edits = prefixes.iter().map(|p| Edit::RemovePath(p.to_string()));
            change::edit(common, edits, dry_run).await
        }
    }
}

async fn neighbor(common: &Common, what: Neighbor) -> Result<(), Failure> {
    match what {
        Neighbor::Get { neighbor } => show::neighbor(common, &neighbor).await,
        Neighbor::List => show::neighbors(common).await,
        Neighbor::Add(add) => {
            let dry_run = add.dry_run;
            let over = change::with_neighbor(*add);
            change::edit(common, [change::merge(&over)?], dry_run).await
        }
        Neighbor::Del { address, dry_run } => {
            change::edit(common, [Edit::RemoveNeighbor(address.to_string())], dry_run).await
        }
        Neighbor::Rib { neighbor, kind, family: args } => {
            let router = connect::router(common)?;
            let address = connect::neighbor(&router, &neighbor).await?;
            let table = match kind {
                Kind::In => "in",
                Kind::Out => "out",
            };
            let request = v1::ListRoutesRequest {
                table: table.to_owned(),
                neighbor: address.to_string(),
                family: family(args)?.to_string(),
                ..Default::default()
            };
            tables::list(common, &router, request).await
        }
        Neighbor::Policy { neighbor: None } => show::neighbor_policies(common).await,
        Neighbor::Policy { neighbor: Some(who) } => show::policies_of(common, &who).await,
    }
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

/// The answer of `sart bgp global health`: a router that does not answer is an error instead.
#[derive(serde::Serialize)]
struct Health {
    status: &'static str,
    conditions: Vec<v1::Condition>,
}
