//! What a feature's file says.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::peer::Peer;
use crate::places;

/// One row of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Feature {
    /// What the table calls it.
    pub(super) title: String,
    /// Numbers, with commas between.
    #[serde(default)]
    pub(super) rfc: String,
    /// One sentence: what was seen to work.
    pub(super) says: String,
    /// Keys of sart's document.
    #[serde(default)]
    pub(super) sart: Map<String, Value>,
    /// Keys of each of its neighbors.
    #[serde(default)]
    pub(super) neighbor: Map<String, Value>,
    /// Flags of `sartd bgp`.
    #[serde(default)]
    pub(super) args: Vec<String>,
    /// Done before all daemons start.
    #[serde(default)]
    pub(super) before: Vec<Step>,
    /// Steps of every peer, before its own.
    #[serde(default)]
    pub(super) every: Vec<Step>,
    /// What is done when all peers meet: the first list at the first `meet`, and so on.
    #[serde(default)]
    pub(super) acts: Vec<Vec<Step>>,
    /// Done in the end, whatever came before.
    #[serde(default)]
    pub(super) after: Vec<Step>,
    peers: BTreeMap<String, Cell>,
}

/// One peer's part in a feature.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cell {
    /// Why there is nothing to try.
    pub(super) lacks: Option<String>,
    /// It lacks the feature, but others' steps need its routes.
    #[serde(default)]
    helps: bool,
    /// Lines for the places in its configuration.
    #[serde(default)]
    pub(super) config: BTreeMap<String, String>,
    /// Keys of sart's neighbor.
    #[serde(default)]
    pub(super) neighbor: Map<String, Value>,
    /// The session must be Established before the first step.
    #[serde(default = "yes")]
    pub(super) up: bool,
    #[serde(default)]
    pub(super) before: Vec<Step>,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
    #[serde(default)]
    pub(super) after: Vec<Step>,
}

/// Something done or looked at. What is looked at is asked until it is so.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// Waits for the other peers, then for the feature's next act.
    #[serde(default)]
    pub(super) meet: bool,
    /// To a daemon: the peer's, or sart's in an act.
    #[serde(rename = "do")]
    pub(super) act: Option<Act>,
    /// A command of the shell.
    pub(super) run: Option<String>,
    /// Where it runs, if not on the peer (in an act: sart's host).
    pub(super) on: Option<String>,
    /// The words that it must print, blanks made one.
    #[serde(default)]
    pub(super) has: Many,
    /// Words that it must not print.
    #[serde(default)]
    pub(super) hasnt: Many,
    /// What `sart` is asked for.
    pub(super) sart: Option<View>,
    /// The neighbor's address, if not the peer's first.
    pub(super) of: Option<String>,
    /// The prefix in a table.
    pub(super) prefix: Option<String>,
    /// The prefix must not be there.
    #[serde(default)]
    pub(super) absent: bool,
    /// What must stand at JSON pointers.
    #[serde(default)]
    pub(super) is: BTreeMap<String, Value>,
    /// A number at a JSON pointer that `run` makes greater.
    pub(super) grows: Option<String>,
    /// Seconds until it must be so; 10 if not said.
    pub(super) within: Option<u64>,
    /// Seconds that it must stay so.
    pub(super) stays: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Act {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
    /// Starts it again.
    Start,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum View {
    /// The neighbor, fully.
    Neighbor,
    /// A prefix as received from it.
    In,
    /// A prefix as sent to it.
    Out,
    /// Its path of a prefix in the table of all.
    Loc,
}

/// One text or several.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Many {
    #[default]
    None,
    One(String),
    All(Vec<String>),
}

impl Many {
    pub(super) fn texts(&self) -> &[String] {
        match self {
            Many::None => &[],
            Many::One(text) => std::slice::from_ref(text),
            Many::All(texts) => texts,
        }
    }
}

fn yes() -> bool {
    true
}

/// Where the files are.
pub(super) fn folder() -> PathBuf {
    places::checkout().join("lab/topologies/routers/interop")
}

impl Feature {
    pub(super) fn load(name: &str) -> Result<Feature> {
        let file = folder().join(format!("{name}.yaml"));
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let feature: Feature = serde_saphyr::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
        for peer in super::PEERS {
            let name = peer.like.unwrap_or(peer.name);
            feature
                .peers
                .get(name)
                .with_context(|| format!("{}: nothing about {name}", file.display()))?;
        }
        Ok(feature)
    }

    /// A peer's part; every peer has one, if not of its own.
    pub(super) fn cell(&self, peer: &Peer) -> &Cell {
        match (self.peers.get(peer.name), peer.like) {
            (None, Some(other)) => &self.peers[other],
            (Some(_), _) | (None, None) => &self.peers[peer.name],
        }
    }

    /// The steps of a cell between the meetings.
    pub(super) fn phases<'a>(&'a self, cell: &'a Cell) -> Vec<Vec<&'a Step>> {
        let mut phases: Vec<Vec<&Step>> =
            self.every.split(|step| step.meet).map(|part| part.iter().collect()).collect();
        for (at, part) in cell.steps.split(|step| step.meet).enumerate() {
            match phases.get_mut(at) {
                Some(phase) => phase.extend(part),
                None => phases.push(part.iter().collect()),
            }
        }
        phases
    }
}

impl Cell {
    /// Whether its daemon runs.
    pub(super) fn takes_part(&self) -> bool {
        self.lacks.is_none() || self.helps
    }
}

/// The families that a peer's sessions have together.
pub(super) fn families(feature: &Feature, peer: &Peer) -> Vec<String> {
    let of = |entry: &Map<String, Value>| {
        entry.get("families").and_then(Value::as_array).map_or_else(
            || vec!["ipv4".to_owned(), "ipv6".to_owned()],
            |list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        )
    };
    let entries = super::sart::neighbors(feature, peer);
    let mut all: Vec<String> = entries.iter().flat_map(of).collect();
    all.sort();
    all.dedup();
    all
}
