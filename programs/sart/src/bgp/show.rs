//! Neighbors, their BFD, policies, and why a route goes as it does.

use node_api::v1;
use serde::Serialize;

use crate::cli::{Common, Policy};
use crate::{Failure, connect, output, text};

/// All neighbors in lines.
pub(super) async fn neighbors(common: &Common) -> Result<(), Failure> {
    let list = connect::router(common)?.neighbors(None).await?;
    output::answer(common.format(), &list, |list| text::neighbors(list, common.wide()))
}

/// One neighbor fully.
pub(super) async fn neighbor(common: &Common, who: &str) -> Result<(), Failure> {
    let router = connect::router(common)?;
    let address = connect::neighbor(&router, who).await?;
    let list = router.neighbors(Some(&address.to_string())).await?;
    match list.neighbors.first() {
        Some(neighbor) => output::answer(common.format(), neighbor, text::neighbor),
        None => Err(Failure::Refused(format!("there is no neighbor {address}"))),
    }
}

/// Why a prefix goes the way it does; only what concerns one neighbor, if it is named.
pub(super) async fn explain(
    common: &Common,
    prefix: &str,
    who: Option<&str>,
) -> Result<(), Failure> {
    let router = connect::router(common)?;
    let only = match who {
        Some(who) => Some(connect::neighbor(&router, who).await?.to_string()),
        None => None,
    };
    let mut explanation = router.explain(prefix).await?;
    if let Some(only) = &only {
        explanation.imports.retain(|import| import.neighbor == *only);
        explanation.advertisements.retain(|told| told.neighbor == *only);
        if explanation.advertisements.is_empty() && !explanation.prefix.is_empty() {
            return Err(Failure::Refused(format!("there is no neighbor {only}")));
        }
    }
    let fully = only.is_some() || common.wide();
    output::answer(common.format(), &explanation, |e| text::explanation(e, common.wide(), fully))
}

/// A neighbor that BFD watches.
#[derive(Serialize)]
pub(crate) struct Watched {
    pub(crate) neighbor: String,
    pub(crate) name: String,
    pub(crate) bfd: v1::BfdStatus,
}

/// The BFD sessions, or one of them fully.
pub(super) async fn bfd(common: &Common, who: Option<&str>) -> Result<(), Failure> {
    let router = connect::router(common)?;
    let only = match who {
        Some(who) => Some(connect::neighbor(&router, who).await?.to_string()),
        None => None,
    };
    let list = router.neighbors(only.as_deref()).await?.neighbors;
    let watched = |n: v1::Neighbor| {
        let v1::Neighbor { address: neighbor, name, bfd, .. } = n;
        Some(Watched { neighbor, name, bfd: bfd? })
    };
    let watched: Vec<Watched> = list.into_iter().filter_map(watched).collect();
    match (only, watched.as_slice()) {
        (None, all) => output::answer(common.format(), &all, |all| text::bfd(all, common.wide())),
        (Some(_), [one]) => output::answer(common.format(), one, text::bfd_of),
        (Some(address), _) => {
            Err(Failure::Refused(format!("BFD does not watch the neighbor {address}")))
        }
    }
}

/// The BMP stations.
pub(super) async fn stations(common: &Common) -> Result<(), Failure> {
    let stations = connect::router(common)?.global().await?.stations;
    output::answer(common.format(), &stations, |all| text::stations(all, common.wide()))
}

/// The MRT files.
pub(super) async fn mrt(common: &Common) -> Result<(), Failure> {
    let files = connect::router(common)?.global().await?.mrt;
    output::answer(common.format(), &files, |files| text::mrt(files.as_ref()))
}

pub(super) async fn policy(common: &Common, what: Policy) -> Result<(), Failure> {
    match what {
        Policy::List => policies(common).await,
        Policy::Show { name } => {
            let list = connect::router(common)?.policies(&name).await?;
            output::answer(common.format(), &list, |list| text::policy_texts(&list.policies))
        }
    }
}

/// A policy or list, and who uses it.
#[derive(Serialize)]
pub(crate) struct Listed {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) owner: String,
    /// Addresses of the neighbors whose import it is part of.
    pub(crate) import_of: Vec<String>,
    /// Addresses of the neighbors whose export it is part of.
    pub(crate) export_of: Vec<String>,
}

/// All policies and lists in lines.
pub(super) async fn policies(common: &Common) -> Result<(), Failure> {
    let router = connect::router(common)?;
    let policies = router.policies("").await?.policies;
    let neighbors = router.neighbors(None).await?.neighbors;
    let users = |policy: &v1::PolicyText, names: fn(&v1::Neighbor) -> &Vec<String>| {
        let uses = |n: &&v1::Neighbor| {
            policy.kind == "policy" && n.owner == policy.owner && names(n).contains(&policy.name)
        };
        neighbors.iter().filter(uses).map(|n| n.address.clone()).collect()
    };
    let listed = |policy: &v1::PolicyText| Listed {
        kind: policy.kind.clone(),
        name: policy.name.clone(),
        owner: policy.owner.clone(),
        import_of: users(policy, |n| &n.import),
        export_of: users(policy, |n| &n.export),
    };
    let listed: Vec<Listed> = policies.iter().map(listed).collect();
    output::answer(common.format(), &listed, |listed| text::policies(listed, common.wide()))
}

/// A neighbor and the names of its policies.
#[derive(Serialize)]
pub(crate) struct Policed {
    pub(crate) neighbor: String,
    pub(crate) name: String,
    pub(crate) import: Vec<String>,
    pub(crate) export: Vec<String>,
}

/// The policies of all neighbors, by name.
pub(super) async fn neighbor_policies(common: &Common) -> Result<(), Failure> {
    let list = connect::router(common)?.neighbors(None).await?.neighbors;
    let policed = |n: v1::Neighbor| Policed {
        neighbor: n.address,
        name: n.name,
        import: n.import,
        export: n.export,
    };
    let policed: Vec<Policed> = list.into_iter().map(policed).collect();
    output::answer(common.format(), &policed, |policed| text::neighbor_policies(policed))
}

/// The policies of one neighbor, as they are written.
pub(super) async fn policies_of(common: &Common, who: &str) -> Result<(), Failure> {
    let router = connect::router(common)?;
    let address = connect::neighbor(&router, who).await?;
    let list = router.neighbors(Some(&address.to_string())).await?.neighbors;
    let Some(neighbor) = list.first() else {
        return Err(Failure::Refused(format!("there is no neighbor {address}")));
    };
    let mut policies = router.policies("").await?.policies;
    policies.retain(|policy| {
        let named =
            neighbor.import.contains(&policy.name) || neighbor.export.contains(&policy.name);
        policy.kind == "policy" && policy.owner == neighbor.owner && named
    });
    output::answer(common.format(), &policies, |policies| {
        let names = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let (import, export) = (names(&neighbor.import), names(&neighbor.export));
        format!("# import: {import}\n# export: {export}\n{}", text::policy_texts(policies))
    })
}
