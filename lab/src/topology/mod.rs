//! A topology: a cluster file in kind's format, a network file in containerlab's, or both.

pub(crate) mod clab;
pub(crate) mod kind;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

pub(crate) use words::split as split_words;

use crate::places;

const CLUSTER: &str = "cluster.yaml";
const NETWORK: &str = "topology.clab.yaml";

/// What `lab up` builds.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    pub(crate) name: String,
    pub(crate) cluster: Option<kind::Cluster>,
    pub(crate) network: Option<clab::Network>,
}

impl Topology {
    /// Finds and reads a topology: one of those shipped, by name, or a folder.
    ///
    /// # Errors
    /// When there is none, or a file of it says something that the lab does not do.
    pub(crate) fn load(wanted: &str) -> Result<Topology> {
        let folder = find(wanted)?;
        let cluster = read(&folder.join(CLUSTER))?
            .map(|(file, text)| kind::parse(&file, &text))
            .transpose()?;
        let network = read(&folder.join(NETWORK))?
            .map(|(file, text)| clab::parse(&file, &text))
            .transpose()?;
        let name = match (&cluster, &network) {
            (Some(cluster), _) => cluster.name.clone(),
            (None, Some(network)) => network.name.clone(),
            (None, None) => bail!("{} holds neither {CLUSTER} nor {NETWORK}", folder.display()),
        };
        let topology = Topology { name, cluster, network };
        topology.check_joins()?;
        Ok(topology)
    }

    /// Every host must have one name, and every name that is referred to must be a host's.
    fn check_joins(&self) -> Result<()> {
        let nodes: Vec<&str> =
            self.cluster.iter().flat_map(|c| c.nodes.iter().map(|n| n.name.as_str())).collect();
        let Some(network) = &self.network else { return Ok(()) };
        for host in &network.hosts {
            if nodes.contains(&host.name.as_str()) {
                bail!(host.place.error(&format!("the cluster has a node {:?} too", host.name)));
            }
            if let Some(other) = &host.net_of
                && !nodes.contains(&other.as_str())
                && !network.hosts.iter().any(|h| &h.name == other && h.net_of.is_none())
            {
                bail!(host.place.error(&format!("network-mode: there is no container {other:?}")));
            }
        }
        Ok(())
    }
}

fn find(wanted: &str) -> Result<PathBuf> {
    let shipped = places::checkout().join("lab/topologies");
    if !wanted.contains('/') && shipped.join(wanted).is_dir() {
        return Ok(shipped.join(wanted));
    }
    if Path::new(wanted).is_dir() {
        return Ok(fs::canonicalize(wanted)?);
    }
    let mut names: Vec<String> = fs::read_dir(&shipped)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    bail!("no topology {wanted:?}: give a folder, or one of {}", names.join(", "))
}

fn read(file: &Path) -> Result<Option<(PathBuf, String)>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some((file.to_path_buf(), text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
    }
}

/// A place in a file, for errors: `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    file: String,
    line: u64,
    column: u64,
}

impl Place {
    pub(crate) fn new(file: &Path, location: serde_saphyr::Location) -> Place {
        Place { file: file.display().to_string(), line: location.line(), column: location.column() }
    }

    /// An error message that begins with the place.
    pub(crate) fn error(&self, what: &str) -> String {
        format!("{self}: {what}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Reads YAML; an error names the file, the line and the column.
fn parse_yaml<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let text = error.to_string();
        match error.location() {
            // The place comes first, as a compiler says it, and only once.
            Some(location) => {
                let what = text.split(" at line ").next().unwrap_or(&text).to_owned();
                anyhow::anyhow!(Place::new(file, location).error(&what))
            }
            None => anyhow::anyhow!("{}: {text}", file.display()),
        }
    })
}
