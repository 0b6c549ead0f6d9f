//! Steps: something is done, or looked at until it is so.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::feature::{Act, Step, View};
use super::{Scene, sart};
use crate::suite::wait::{s, stays, wait_for};

/// Does a step, or waits until what it says is so.
pub(super) fn perform(scene: &Scene<'_>, step: &Step) -> Result<()> {
    if let Some(act) = step.act {
        return daemon(scene, act);
    }
    let fill = |text: &str| scene.peer.map_or_else(|| text.to_owned(), |peer| peer.fill(text));
    let limit = s(step.within.unwrap_or(10));
    let host = step.on.as_deref().or(scene.peer.map(|peer| peer.host)).unwrap_or(sart::HUB);
    let command = step.run.as_deref().map(fill);
    let words = command.as_deref().map(|command| ["timeout", "20", "sh", "-c", command]);
    let looks = !step.has.texts().is_empty() || !step.hasnt.texts().is_empty();
    let ask = || -> Result<()> {
        if let (Some(words), true) = (&words, looks) {
            let said = scene.ctx.lab.exec(host, words)?;
            let said = [said.stdout, said.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            for text in step.has.texts() {
                let text = fill(text);
                ensure!(said.contains(&text), "`{}`: no {text:?} in {}", words[4], cut(&said));
            }
            for text in step.hasnt.texts() {
                let text = fill(text);
                ensure!(!said.contains(&text), "`{}`: {text:?} is in {}", words[4], cut(&said));
            }
        }
        if step.sart.is_some() && step.grows.is_none() {
            let found = look(scene, step)?;
            match (&found, step.absent) {
                (None, true) => {}
                (None, false) => bail!("{} is not there", step.prefix.as_deref().unwrap_or("it")),
                (Some(found), true) => bail!("is there: {found}"),
                (Some(found), false) => {
                    let is = step.is.iter();
                    let is = is.map(|(pointer, value)| (pointer.clone(), filled(&fill, value)));
                    sart::check(found, &is.collect()).with_context(|| format!("sart: {found}"))?;
                }
            }
        }
        Ok(())
    };
    let before = match &step.grows {
        Some(pointer) => Some((pointer, number(scene, step, pointer)?)),
        None => None,
    };
    if let (Some(words), false) = (&words, looks) {
        scene.ctx.lab.run(host, words)?;
    }
    if let Some((pointer, before)) = before {
        return wait_for(format_args!("{pointer} grows"), limit, || {
            let now = number(scene, step, pointer)?;
            ensure!(now > before, "it is {now}, and was {before}");
            Ok(())
        });
    }
    match step.stays {
        Some(seconds) => stays("a look", s(seconds), ask),
        None if looks || step.sart.is_some() => wait_for("a look", limit, ask),
        None => Ok(()),
    }
}

/// The end of a long text, which mostly has what is new.
fn cut(said: &str) -> String {
    let from = said.char_indices().rev().nth(600).map_or(0, |(at, _)| at);
    format!("{:?}", said.get(from..).unwrap_or_default())
}

fn filled(fill: &impl Fn(&str) -> String, value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text)),
        Value::Array(list) => list.iter().map(|item| filled(fill, item)).collect(),
        other => other.clone(),
    }
}

/// What sart says about the peer, or about its path of the prefix.
fn look(scene: &Scene<'_>, step: &Step) -> Result<Option<Value>> {
    let Some(view) = step.sart else { return Ok(None) };
    let address = match (&step.of, scene.peer) {
        (Some(of), Some(peer)) => peer.fill(of),
        (Some(of), None) => of.clone(),
        (None, Some(peer)) => {
            sart::entries(scene.feature, peer).into_iter().next().unwrap_or_default()
        }
        (None, None) => String::new(),
    };
    match view {
        View::Neighbor => sart::neighbor(scene.ctx, &address).map(Some),
        View::In | View::Out | View::Loc => {
            let prefix = step.prefix.as_deref().context("a table is asked for a prefix")?;
            let prefix = scene.peer.map_or_else(|| prefix.to_owned(), |peer| peer.fill(prefix));
            Ok(sart::paths(scene.ctx, view, &address, &prefix)?.into_iter().next())
        }
    }
}

fn number(scene: &Scene<'_>, step: &Step, pointer: &str) -> Result<u64> {
    let found = look(scene, step)?.unwrap_or_default();
    let number = found.pointer(pointer).and_then(Value::as_u64);
    number.with_context(|| format!("no number at {pointer} of {found}"))
}

fn daemon(scene: &Scene<'_>, act: Act) -> Result<()> {
    let ctx = scene.ctx;
    match (scene.peer, act) {
        (Some(peer), Act::Kill) => peer.crash(ctx),
        (Some(peer), Act::Stop) => peer.stop(ctx),
        (Some(peer), Act::Start) => peer.start(ctx, true),
        (None, Act::Kill) => sart::crash(ctx),
        (None, Act::Stop) => sart::stop(ctx),
        (None, Act::Start) => sart::start(ctx, scene.feature),
    }
}
