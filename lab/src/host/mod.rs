//! A host: a set of namespaces whose PID 1 is this program (`lab __host`).

pub(crate) mod control;
pub(crate) mod enter;
mod init;
mod life;
mod rootfs;
mod spawn;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use spawn::{create, run};

/// Where each host sees the programs that the lab has built.
pub(crate) const PARTS: &str = "/opt/sart-lab";

/// What programs in a host find in `PATH`.
pub(crate) const PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/opt/sart-lab:/usr/sbin:/usr/bin:/sbin:/bin";

/// Marks every process of a lab, beside its cgroup.
pub(crate) const MARK: &str = "SART_LAB";

/// What a host is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The lab's own switch room: bridges, the registry, the disks. Sees the machine's root.
    Switch,
    /// A Kubernetes node.
    Node,
    /// Anything else: a router, a client.
    Linux,
}

/// A folder or file that appears in the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bind {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    pub(crate) read_only: bool,
}

/// A file that is written at the host's start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FileSpec {
    pub(crate) path: PathBuf,
    pub(crate) mode: u32,
    pub(crate) content: String,
}

/// All that PID 1 needs to build its host; stored, so that a host can be started again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HostSpec {
    pub(crate) lab: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Runs in the network namespace of this host.
    pub(crate) net_of: Option<String>,
    pub(crate) binds: Vec<Bind>,
    pub(crate) files: Vec<FileSpec>,
    pub(crate) env: Vec<(String, String)>,
    /// Written into /proc/sys, keys with dots.
    pub(crate) sysctls: Vec<(String, String)>,
    /// Machine-wide settings that the host shall see so, whatever they are.
    pub(crate) pretended_sysctls: Vec<(String, String)>,
}

impl HostSpec {
    pub(crate) fn new(lab: &str, name: &str, kind: Kind) -> HostSpec {
        HostSpec {
            lab: lab.to_owned(),
            name: name.to_owned(),
            kind,
            net_of: None,
            binds: Vec::new(),
            files: Vec::new(),
            env: Vec::new(),
            sysctls: Vec::new(),
            pretended_sysctls: Vec::new(),
        }
    }

    /// Adds a file that is written at the start.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: impl Into<String>) {
        self.files.push(FileSpec { path: path.into(), mode, content: content.into() });
    }
}

/// The places of one host in the lab's state.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// `hosts/NAME` in the lab's state.
    pub(crate) folder: PathBuf,
    /// `disks` in the lab's state: filled in the switch's mount namespace only.
    pub(crate) disks: PathBuf,
}

impl Places {
    pub(crate) fn of(state: &Path, host: &str) -> Places {
        Places { folder: state.join("hosts").join(host), disks: state.join("disks") }
    }

    pub(crate) fn spec(&self) -> PathBuf {
        self.folder.join("spec.json")
    }

    pub(crate) fn pid(&self) -> PathBuf {
        self.folder.join("pid.json")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("init.sock")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("log")
    }
}
