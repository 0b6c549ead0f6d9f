//! The table in `docs/interop.md`: made from what the cases have seen.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::feature::Feature;
use super::peer::PEERS;
use crate::places;
use crate::suite::ctx::Ctx;

/// How a feature ends with a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Works,
    Fails(String),
    /// The peer has it not, and why.
    Lacks(String),
}

/// A row, as it is kept from its case to the table's.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    title: String,
    rfc: String,
    says: String,
    outcomes: Vec<Outcome>,
}

/// Rows lie beside the folders of the groups, so that a case's second try replaces the first's.
fn file(ctx: &Ctx, name: &str) -> PathBuf {
    ctx.logs.with_file_name("interop-rows").join(format!("{name}.json"))
}

/// Keeps a row for the table.
pub(super) fn keep(ctx: &Ctx, name: &str, feature: &Feature, outcomes: &[Outcome]) -> Result<()> {
    let row = Row {
        title: feature.title.clone(),
        rfc: feature.rfc.clone(),
        says: feature.says.trim().to_owned(),
        outcomes: outcomes.to_vec(),
    };
    let file = file(ctx, name);
    fs::create_dir_all(file.parent().unwrap_or(&ctx.logs))?;
    fs::write(&file, serde_json::to_vec_pretty(&row)?)
        .with_context(|| format!("write {}", file.display()))
}

/// What the cases have seen must be what the committed table says.
pub(super) fn compare(ctx: &Ctx, names: &[&str]) -> Result<()> {
    let mut rows = Vec::new();
    for name in names {
        let file = file(ctx, name);
        let Ok(text) = fs::read(&file) else {
            bail!("interop/{name} was not run: the table is made by cargo lab test interop/");
        };
        rows.push(serde_json::from_slice::<Row>(&text)?);
    }
    let mut titles = Vec::new();
    for peer in PEERS {
        titles.push(format!("{} {}", peer.title, peer.version(ctx)?));
    }
    let fresh = render(&titles, &rows);
    let (made, committed) =
        (ctx.logs.with_file_name("interop.md"), places::checkout().join("docs/interop.md"));
    fs::write(&made, &fresh).with_context(|| format!("write {}", made.display()))?;
    if fs::read_to_string(&committed).is_ok_and(|text| text == fresh) {
        return Ok(());
    }
    bail!(
        "docs/interop.md is not what was seen; if that is right: cp {} {}",
        made.display(),
        committed.display()
    )
}

fn render(titles: &[String], rows: &[Row]) -> String {
    let mut text = String::from(
        "# Interoperability\n\n\
         Each feature of the router against other routers, seen to work on both sides: in sart's\n\
         answers and in the peer's own. This page is made by `cargo lab test interop/`, which fails\n\
         when it is no longer true; [lab/topologies/routers/interop](../lab/topologies/routers/interop)\n\
         has the configurations.\n\n",
    );
    let _ = writeln!(text, "| feature | RFC | {} |", titles.join(" | "));
    let _ = writeln!(text, "|---|---|{}", ":-:|".repeat(titles.len()));
    let mut notes: Vec<String> = Vec::new();
    for row in rows {
        let _ = write!(text, "| {} | {} |", row.title, row.rfc);
        for (outcome, title) in row.outcomes.iter().zip(titles) {
            match outcome {
                Outcome::Works => text.push_str(" ✓ |"),
                Outcome::Fails(_) => text.push_str(" **fails** |"),
                Outcome::Lacks(why) => {
                    let note = format!("{}: {why}", called(title, titles));
                    let at = notes.iter().position(|known| *known == note).unwrap_or_else(|| {
                        notes.push(note);
                        notes.len() - 1
                    });
                    let _ = write!(text, " –[^{}] |", at + 1);
                }
            }
        }
        text.push('\n');
    }
    text.push_str("\n✓ works, – the peer has it not (the note says what is missing).\n\n");
    text.push_str("## What was seen\n\n| feature | |\n|---|---|\n");
    for row in rows {
        let _ = writeln!(text, "| {} | {} |", row.title, row.says.replace('\n', " "));
    }
    text.push('\n');
    for (at, note) in notes.iter().enumerate() {
        let _ = writeln!(text, "[^{}]: {note}.", at + 1);
    }
    text
}

/// A peer's name in a note: with its version where two have one name.
fn called<'a>(title: &'a str, titles: &[String]) -> &'a str {
    let name = |title: &'a str| title.split(' ').next().unwrap_or_default();
    let same = titles.iter().filter(|other| other.split(' ').next() == Some(name(title)));
    if same.count() > 1 { title } else { name(title) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_sign_for_each_peer_and_equal_notes_are_one() {
        let lacks = || Outcome::Lacks("has no table".into());
        let row = |title: &str| Row {
            title: title.into(),
            rfc: "4271".into(),
            says: "It is so.".into(),
            outcomes: vec![Outcome::Works, Outcome::Fails("no".into()), lacks()],
        };
        let titles = ["A 1", "B 2", "C 3"].map(str::to_owned);
        assert_eq!(called("C 3", &["C 3".into(), "C 4".into()]), "C 3");
        let text = render(&titles, &[row("one"), row("two")]);
        assert!(text.contains("| one | 4271 | ✓ | **fails** | –[^1] |"), "{text}");
        assert!(text.contains("| two | 4271 | ✓ | **fails** | –[^1] |"), "{text}");
        assert!(text.contains("[^1]: C: has no table."), "{text}");
        assert!(!text.contains("[^2]"), "{text}");
    }
}
