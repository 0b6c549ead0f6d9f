//! Puts the plugin and its configuration onto the node.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tracing::{info, warn};

/// The configuration's name in the directory: the first by name is the runtime's choice.
const CONFLIST: &str = "10-sart.conflist";
/// The network's name, as v0.1 had it.
const NETWORK: &str = "sart-network";
/// What is assumed of a plugin that can't be asked: every one since 2018 speaks it.
const OLDEST: &str = "0.4.0";
/// For how long a plugin may take to tell its versions.
const ASK: Duration = Duration::from_secs(5);
/// How often it is looked whether it has answered.
const POLL: Duration = Duration::from_millis(10);

/// From where to where.
#[derive(Clone, Debug)]
pub(crate) struct Install {
    /// The plugin that came with the agent; `portmap` is looked for beside it.
    pub(crate) plugin: PathBuf,
    /// `/opt/cni/bin`.
    pub(crate) bin_dir: PathBuf,
    /// `/etc/cni/net.d`.
    pub(crate) conf_dir: PathBuf,
    /// The links' MTU; none: the uplink's at the time of each ADD.
    pub(crate) mtu: Option<u32>,
}

/// What was installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Installed {
    /// The configuration's version.
    pub(crate) version: String,
    /// Whether hostPorts work.
    pub(crate) portmap: bool,
}

/// Installs the plugin, then the configuration. The configuration makes the node Ready, so it comes
/// last, and only once the agent serves. It blocks, for seconds if a plugin doesn't answer.
pub(crate) fn install(what: &Install) -> anyhow::Result<Installed> {
    let Install { plugin, bin_dir, conf_dir, mtu } = what;
    let place = bin_dir.join("sart-cni");
    copy(plugin, &place)
        .with_context(|| format!("cannot install {} as {}", plugin.display(), place.display()))?;
    let portmap = portmap(&plugin.with_file_name("portmap"), &bin_dir.join("portmap"));
    let ours = versions_of(&place)?;
    let version = highest_common(&ours, portmap.as_deref().unwrap_or(&ours));
    let installed = Installed { version, portmap: portmap.is_some() };
    let path = conf_dir.join(CONFLIST);
    let conflist = format!("{:#}\n", conflist(&installed, *mtu));
    if fs::read_to_string(&path).is_ok_and(|now| now == conflist) {
        return Ok(installed);
    }
    write(&path, conflist.as_bytes(), 0o644)
        .with_context(|| format!("cannot write {}", path.display()))?;
    info!(path = %path.display(), version = installed.version, "the CNI configuration is written");
    Ok(installed)
}

fn conflist(Installed { version, portmap }: &Installed, mtu: Option<u32>) -> Value {
    let mut first = json!({
        "type": "sart-cni",
        // containerd then hands the pod's annotations over.
        "capabilities": {"io.kubernetes.cri.pod-annotations": true},
    });
    if let (Some(mtu), Some(fields)) = (mtu, first.as_object_mut()) {
        fields.insert("mtu".into(), json!(mtu));
    }
    let mut plugins = vec![first];
    if *portmap {
        plugins.push(json!({"type": "portmap", "capabilities": {"portMappings": true}}));
    }
    json!({"cniVersion": version, "name": NETWORK, "plugins": plugins})
}

/// The versions that portmap speaks; none if there is no portmap. The node's own goes first.
fn portmap(ours: &Path, place: &Path) -> Option<Vec<String>> {
    if !place.exists()
        && ours.exists()
        && let Err(error) = copy(ours, place)
    {
        warn!(%error, path = %place.display(), "cannot install portmap");
    }
    if !place.exists() {
        warn!(path = %place.display(), "there is no portmap: hostPorts don't work on this node");
        return None;
    }
    match versions_of(place) {
        Ok(versions) => Some(versions),
        Err(error) => {
            warn!(
                error = format!("{error:#}"),
                "portmap can't be asked for its versions, {OLDEST} is assumed"
            );
            Some(vec![OLDEST.to_owned()])
        }
    }
}

/// Asks a plugin for its versions (CNI's VERSION).
fn versions_of(plugin: &Path) -> anyhow::Result<Vec<String>> {
    let name = plugin.display();
    let mut command = Command::new(plugin);
    command.env_clear().env("CNI_COMMAND", "VERSION").stderr(Stdio::null());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = loop {
        match command.spawn() {
            // A process that another thread is starting still has the file open, as we had when we
            // wrote it.
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && start.elapsed() < ASK =>
            {
                std::thread::sleep(POLL);
            }
            spawned => break spawned.with_context(|| format!("cannot execute {name}"))?,
        }
    };
    if let Some(mut stdin) = child.stdin.take() {
        // One that doesn't read its input may still answer.
        let _ = stdin.write_all(br#"{"cniVersion":"1.0.0"}"#);
    }
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if start.elapsed() > ASK => {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("{name} tells no version within {} s", ASK.as_secs());
            }
            None => std::thread::sleep(POLL),
        }
    };
    anyhow::ensure!(status.success(), "{name} fails when asked for its versions");
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(64 << 10).read_to_end(&mut answer)?;
    }
    let answer: Value = serde_json::from_slice(&answer)
        .with_context(|| format!("{name} answers no JSON when asked for its versions"))?;
    let list = answer.get("supportedVersions").and_then(Value::as_array);
    let list = list.with_context(|| format!("{name} names no versions"))?;
    Ok(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn highest_common(ours: &[String], theirs: &[String]) -> String {
    let common = ours.iter().filter(|version| theirs.contains(version));
    common.max_by_key(|version| number(version)).cloned().unwrap_or_else(|| OLDEST.to_owned())
}

fn number(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// Copies a program unless it is already so; a plugin that is running keeps its old file.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let program = fs::read(from)?;
    if fs::read(to).is_ok_and(|now| now == program)
        && fs::metadata(to)?.permissions().mode() & 0o777 == 0o755
    {
        return Ok(());
    }
    write(to, &program, 0o755)
}

/// Under another name first and renamed, so that nobody ever sees half a file. The runtime passes
/// over files that end in neither `.conf`, `.conflist` nor `.json`.
fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests;
