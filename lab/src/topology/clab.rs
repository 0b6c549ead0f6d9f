//! The network file: containerlab's format, as far as the lab does what it says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::{Place, parse_yaml, split_words};
use crate::host::Bind;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    topology: FileTopology,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTopology {
    #[serde(default)]
    kinds: BTreeMap<Kind, Settings>,
    #[serde(default)]
    nodes: BTreeMap<String, Spanned<FileNode>>,
    #[serde(default)]
    links: Vec<FileLink>,
}

/// The only kind of node that a namespace can be.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Linux,
}

/// What a kind may say for all of its nodes.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    cmd: Option<Spanned<String>>,
    #[serde(default)]
    exec: Vec<Spanned<String>>,
    #[serde(default)]
    binds: Vec<Spanned<String>>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileNode {
    kind: Kind,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    cmd: Option<Spanned<String>>,
    #[serde(default)]
    exec: Vec<Spanned<String>>,
    #[serde(default)]
    binds: Vec<Spanned<String>>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    network_mode: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLink {
    endpoints: [Spanned<String>; 2],
}

/// A checked network file.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: Vec<Link>,
}

#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) image: Option<String>,
    /// The command that the host runs all the time, in words.
    pub(crate) cmd: Vec<String>,
    /// The commands that set it up, in words, one after another.
    pub(crate) exec: Vec<Vec<String>>,
    pub(crate) binds: Vec<Bind>,
    pub(crate) env: BTreeMap<String, String>,
    /// `network-mode: container:NAME`.
    pub(crate) net_of: Option<String>,
}

impl Host {
    /// Whether the image is this repository's, of any registry and with any tag.
    pub(crate) fn runs(&self, repository: &str) -> bool {
        self.image.as_deref().is_some_and(|image| is_image(image, repository))
    }
}

/// A cable between two interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) ends: [End; 2],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) host: String,
    pub(crate) interface: String,
}

/// Reads and checks a network file.
///
/// # Errors
/// Names the file, line and column of what is unknown or not done here.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Network> {
    let file: File = parse_yaml(path, text)?;
    let defaults = file.topology.kinds.get(&Kind::Linux).cloned().unwrap_or_default();
    let mut hosts = Vec::new();
    for (name, node) in file.topology.nodes {
        hosts.push(host(path, name, node, &defaults)?);
    }
    let mut links: Vec<Link> = Vec::new();
    for link in file.topology.links {
        let mut ends = Vec::new();
        for end in &link.endpoints {
            let place = Place::new(path, end.referenced);
            let end = parse_end(&place, &end.value)?;
            if !hosts.iter().any(|host| host.name == end.host) {
                bail!(place.error(&format!("there is no node {:?}", end.host)));
            }
            if links.iter().flat_map(|l| &l.ends).chain(&ends).any(|other| *other == end) {
                bail!(place.error("this interface has a link already"));
            }
            ends.push(end);
        }
        if let Ok(ends) = ends.try_into() {
            links.push(Link { ends });
        }
    }
    Ok(Network { name: file.name, hosts, links })
}

fn host(path: &Path, name: String, node: Spanned<FileNode>, defaults: &Settings) -> Result<Host> {
    let place = Place::new(path, node.referenced);
    let node = node.value;
    match node.kind {
        Kind::Linux => {}
    }
    let words = |text: &Spanned<String>| {
        split_words(&text.value)
            .map_err(|e| anyhow::anyhow!(Place::new(path, text.referenced).error(&e.to_string())))
    };
    let mut exec = Vec::new();
    for line in defaults.exec.iter().chain(&node.exec) {
        exec.push(words(line)?);
    }
    let mut binds = Vec::new();
    for line in defaults.binds.iter().chain(&node.binds) {
        binds.push(parse_bind(path, line)?);
    }
    let net_of = match &node.network_mode {
        None => None,
        Some(mode) => match mode.value.strip_prefix("container:") {
            Some(other) => Some(other.to_owned()),
            None => bail!(
                Place::new(path, mode.referenced)
                    .error("network-mode: only container:NAME is done here")
            ),
        },
    };
    let mut env = defaults.env.clone();
    env.extend(node.env);
    Ok(Host {
        name,
        place,
        image: node.image.or_else(|| defaults.image.clone()),
        cmd: node
            .cmd
            .as_ref()
            .or(defaults.cmd.as_ref())
            .map(words)
            .transpose()?
            .unwrap_or_default(),
        exec,
        binds,
        env,
        net_of,
    })
}

/// `FROM:TO[:ro|rw]`; a relative FROM starts at the file's folder.
fn parse_bind(path: &Path, line: &Spanned<String>) -> Result<Bind> {
    let place = Place::new(path, line.referenced);
    let fields: Vec<&str> = line.value.split(':').collect();
    let (from, to, read_only) = match fields.as_slice() {
        [from, to] | [from, to, "rw"] => (*from, *to, false),
        [from, to, "ro"] => (*from, *to, true),
        _ => bail!(place.error("expected FROM:TO, FROM:TO:ro or FROM:TO:rw")),
    };
    if !to.starts_with('/') {
        bail!(place.error(&format!("{to:?} is not an absolute path")));
    }
    let from = path.parent().unwrap_or(Path::new("/")).join(from);
    match from.canonicalize() {
        Ok(from) => Ok(Bind { from, to: PathBuf::from(to), read_only }),
        Err(error) => bail!(place.error(&format!("{}: {error}", from.display()))),
    }
}

fn parse_end(place: &Place, text: &str) -> Result<End> {
    match text.split_once(':') {
        Some((host, interface))
            if !interface.is_empty() && interface.len() <= 15 && interface != "eth0" =>
        {
            Ok(End { host: host.to_owned(), interface: interface.to_owned() })
        }
        Some((_, "eth0")) => bail!(place.error("eth0 is the management network's")),
        _ => bail!(place.error("expected NODE:INTERFACE, at most 15 characters for the latter")),
    }
}

fn is_image(image: &str, repository: &str) -> bool {
    let name = image.split('@').next().unwrap_or(image);
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let name = match name.get(slash..).and_then(|last| last.find(':')) {
        Some(colon) => name.get(..slash + colon).unwrap_or(name),
        None => name,
    };
    name.strip_suffix(repository).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}
