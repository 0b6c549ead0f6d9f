//! Commands that change the router.

use node_api::v1::{self, edit_request::Edit};
use router_config::{AttributeSet, Document, parse_community, parse_large_community, parse_origin};

use crate::cli::{AddNeighbor, Apply, Common, DryRun, Forget, Reload, Reset, Soft};
use crate::{Failure, connect, output, text};

/// Changes the cli's document, one thing after the other.
pub(super) async fn edit(
    common: &Common,
    edits: impl IntoIterator<Item = Edit>,
    DryRun { dry_run }: DryRun,
) -> Result<(), Failure> {
    let router = connect::router(common)?;
    for edit in edits {
        let reply = if dry_run { router.plan_edit(edit).await } else { router.edit(edit).await }?;
        if !reply.accepted {
            let problems: Vec<_> = reply.problems.iter().map(|p| p.message.clone()).collect();
            return Err(Failure::Refused(problems.join("; ")));
        }
        output::answer(common.format(), &reply, |reply| text::applied(reply, dry_run))?;
    }
    Ok(())
}

/// Hands over a whole document. What it resets is said before it is done.
pub(super) async fn apply(common: &Common, apply: Apply) -> Result<(), Failure> {
    let Apply { file, owner, keep_sessions, dry_run: DryRun { dry_run } } = apply;
    let document = output::read(&file)?;
    let router = connect::router(common)?;
    let owners = router.global().await?.owners;
    let before = owners.iter().find(|known| known.name == owner);
    let generation = before.map_or(0, |known| known.generation).saturating_add(1);
    let place = file.display().to_string();
    let plan = accepted(router.apply(&owner, generation, &document, true).await?, &place)?;
    if !may_go_on(common, &plan, keep_sessions, dry_run)? {
        return Ok(());
    }
    // What was planned may be another thing by now: the router decides in the one call.
    let reply = match keep_sessions {
        true => router.apply_keeping_sessions(&owner, generation, &document, false).await?,
        false => router.apply(&owner, generation, &document, false).await?,
    };
    let reply = accepted(reply, &place)?;
    output::answer(common.format(), &reply, |reply| text::applied(reply, false))
}

/// Has the file read again. What it resets is said before it is done.
pub(super) async fn reload(common: &Common, reload: Reload) -> Result<(), Failure> {
    let Reload { keep_sessions, dry_run: DryRun { dry_run } } = reload;
    const PLACE: &str = "the router's file";
    let router = connect::router(common)?;
    let plan = accepted(router.reload(true, false).await?, PLACE)?;
    if !may_go_on(common, &plan, keep_sessions, dry_run)? {
        return Ok(());
    }
    let reply = accepted(router.reload(false, keep_sessions).await?, PLACE)?;
    output::answer(common.format(), &reply, |reply| text::applied(reply, false))
}

/// Shows a plan, or says which sessions the change is about to reset; false when the plan is all
/// that is wanted.
fn may_go_on(
    common: &Common,
    plan: &v1::ApplyReply,
    keep_sessions: bool,
    dry_run: bool,
) -> Result<bool, Failure> {
    if keep_sessions && !plan.resets.is_empty() {
        let resets = plan.resets.iter().map(|r| format!("{} ({})", r.neighbor, r.reason));
        let resets = resets.collect::<Vec<_>>().join(", ");
        return Err(Failure::Refused(format!("nothing is changed: it resets {resets}")));
    }
    if dry_run {
        output::answer(common.format(), plan, |plan| text::applied(plan, true))?;
        return Ok(false);
    }
    for reset in &plan.resets {
        eprintln!("sart: the session with {} will be reset: {}", reset.neighbor, reset.reason);
    }
    Ok(true)
}

/// The reply to a document; refused with all its problems and their places.
fn accepted(reply: v1::ApplyReply, file: &str) -> Result<v1::ApplyReply, Failure> {
    if reply.accepted {
        return Ok(reply);
    }
    let problem = |p: &v1::Problem| match p.line {
        0 => format!("{file}: {} ({})", p.message, p.reason),
        line => format!("{file}:{line}:{}: {} ({})", p.column, p.message, p.reason),
    };
    Err(Failure::Refused(reply.problems.iter().map(problem).collect::<Vec<_>>().join("\n")))
}

/// An owner wants nothing any more.
pub(super) async fn forget(common: &Common, forget: Forget) -> Result<(), Failure> {
    let Forget { owner, dry_run: DryRun { dry_run } } = forget;
    let router = connect::router(common)?;
    let plan = router.plan_forget(&owner).await?;
    if !may_go_on(common, &plan, false, dry_run)? {
        return Ok(());
    }
    let reply = router.forget(&owner).await?;
    output::answer(common.format(), &reply, |reply| text::applied(reply, false))
}

/// Begins sessions anew, or their routes.
pub(super) async fn reset(common: &Common, reset: Reset) -> Result<(), Failure> {
    let kind = match reset.soft {
        None => v1::ResetKind::Hard,
        Some(Soft::In) => v1::ResetKind::SoftIn,
        Some(Soft::Out) => v1::ResetKind::SoftOut,
        Some(Soft::Both) => v1::ResetKind::Soft,
    };
    if reset.neighbor.is_none() && reset.soft.is_none() && !reset.all {
        let message = "say which neighbor's session ends, or --all; --soft keeps sessions up";
        return Err(Failure::Refused(message.to_owned()));
    }
    let router = connect::router(common)?;
    let neighbor = match &reset.neighbor {
        Some(who) => Some(connect::neighbor(&router, who).await?.to_string()),
        None => None,
    };
    let message = reset.message.as_deref().unwrap_or_default();
    let reply = router.reset(neighbor.as_deref(), kind, message).await?;
    if reply.neighbors.is_empty() && !reply.skipped.is_empty() {
        let skipped = reply.skipped.iter().map(|s| format!("{} ({})", s.neighbor, s.reason));
        let skipped = skipped.collect::<Vec<_>>().join(", ");
        return Err(Failure::Refused(format!("nothing is reset: {skipped}")));
    }
    output::answer(common.format(), &reply, |reply| text::reset(reply, kind))
}

/// A document that has only this neighbor.
pub(super) fn with_neighbor(add: AddNeighbor) -> Document {
    let mut neighbor = router_config::Neighbor::new(add.address.address(), add.asn);
    neighbor.interface = add.address.link();
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
pub(super) fn merge(over: &Document) -> Result<Edit, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
    let text = over.to_yaml().map_err(|error| refused(&error))?;
    match Document::parse(&text, "the change") {
        Ok(_) => Ok(Edit::Merge(text)),
        Err(problems) => Err(Failure::Refused(
            problems.iter().map(|p| p.message.clone()).collect::<Vec<_>>().join("; "),
        )),
    }
}

/// Attributes from `key=value` texts.
pub(super) fn attributes(given: &[String]) -> Result<AttributeSet, Failure> {
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
