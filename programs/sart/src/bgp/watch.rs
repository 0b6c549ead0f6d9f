//! `sart watch`: what happens, as it happens.

use node_api::v1::{self, event::What};
use serde::Serialize;

use crate::cli::{Common, EventKind, Watch};
use crate::{Failure, connect, output, text};

/// An event as programs read it.
#[derive(Serialize)]
struct Told<'a> {
    /// Unix time in seconds.
    at: u64,
    #[serde(flatten)]
    what: Kind<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind<'a> {
    Session(&'a v1::SessionEvent),
    Best(&'a v1::BestEvent),
    Condition(&'a v1::ConditionEvent),
    Missed(&'a v1::Missed),
}

pub(crate) async fn run(common: &Common, wanted: Watch) -> Result<(), Failure> {
    let router = connect::router(common)?;
    let neighbor = match &wanted.neighbor {
        Some(who) => connect::neighbor(&router, who).await?.to_string(),
        None => String::new(),
    };
    let request = v1::WatchRequest {
        kinds: kinds(&wanted)?.iter().map(|kind| name(*kind).to_owned()).collect(),
        within: wanted.prefix.map(|p| p.to_string()).unwrap_or_default(),
        neighbor,
    };
    let mut stream = router.watch(request).await?;
    let mut left = wanted.count;
    while left != Some(0) {
        let event = stream.message().await.map_err(|status| router.stream_error(&status))?;
        let Some(event) = event else {
            let endpoint = router.endpoint();
            return Err(Failure::Unreachable(format!("the router at {endpoint} has stopped")));
        };
        let Some(what) = &event.what else { continue };
        let told = Told { at: event.at, what: kind(what) };
        if !output::one_of_many(common.format(), &told, |_| text::event(event.at, what))? {
            break;
        }
        left = left.map(|left| left - 1);
    }
    Ok(())
}

/// What is asked for: a flag that means one kind of event only asks for that kind.
fn kinds(wanted: &Watch) -> Result<Vec<EventKind>, Failure> {
    let mut kinds = wanted.kinds.clone();
    if kinds.is_empty() {
        kinds.extend(wanted.neighbor.as_ref().map(|_| EventKind::Session));
        kinds.extend(wanted.prefix.as_ref().map(|_| EventKind::Best));
    }
    if wanted.prefix.is_some() && !kinds.contains(&EventKind::Best) {
        return Err(Failure::refused("--prefix is for events of the kind `best`"));
    }
    if wanted.neighbor.is_some() && !kinds.contains(&EventKind::Session) {
        return Err(Failure::refused("--neighbor is for events of the kind `session`"));
    }
    Ok(kinds)
}

fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Session => "session",
        EventKind::Best => "best",
        EventKind::Condition => "condition",
    }
}

fn kind(what: &What) -> Kind<'_> {
    match what {
        What::Session(session) => Kind::Session(session),
        What::Best(best) => Kind::Best(best),
        What::Condition(condition) => Kind::Condition(condition),
        What::Missed(missed) => Kind::Missed(missed),
    }
}
