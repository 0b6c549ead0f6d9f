//! The cluster's programs, built once from pinned sources and kept as finished binaries.
//!
//! Each part is kept under a hash of all that it is made from, so a change builds it anew and an
//! unchanged one is there at once. Nothing is kept inside the checkout.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::places;
use crate::progress::Progress;
use crate::sys;

pub(crate) mod gobgp;
pub(crate) mod gungraun;
pub(crate) mod kernel;

/// One Go module.
struct Part {
    folder: &'static str,
    what: &'static str,
    /// On two cores without caches.
    takes: &'static str,
    /// Each program and the package that it is built from.
    programs: &'static [(&'static str, &'static str)],
    tags: &'static str,
    ldflags: &'static str,
}

const PARTS: [Part; 4] = [
    Part {
        folder: "kube",
        what: "kube (etcd 3.6.8, Kubernetes 1.36.3)",
        takes: "7 min",
        programs: &[("kube", ".")],
        tags: "providerless",
        ldflags: "-X k8s.io/component-base/version.gitVersion=v1.36.3 \
                  -X k8s.io/component-base/version.gitMajor=1 \
                  -X k8s.io/component-base/version.gitMinor=36 \
                  -X k8s.io/component-base/version/verflag.programName=Kubernetes",
    },
    Part {
        folder: "containerd",
        what: "containerd 2.2.9",
        takes: "1 min",
        programs: &[
            ("containerd", "github.com/containerd/containerd/v2/cmd/containerd"),
            (
                "containerd-shim-runc-v2",
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            ),
            ("ctr", "github.com/containerd/containerd/v2/cmd/ctr"),
        ],
        tags: "no_btrfs no_devmapper no_zfs",
        ldflags: "-X github.com/containerd/containerd/v2/version.Version=v2.2.9",
    },
    Part {
        folder: "coredns",
        what: "CoreDNS 1.15.0",
        takes: "1 min",
        programs: &[("coredns", ".")],
        tags: "",
        ldflags: "",
    },
    Part {
        folder: "cni-plugins",
        what: "CNI plugins 1.9.0",
        takes: "20 s",
        programs: &[
            ("host-local", "github.com/containernetworking/plugins/plugins/ipam/host-local"),
            ("loopback", "github.com/containernetworking/plugins/plugins/main/loopback"),
            ("portmap", "github.com/containernetworking/plugins/plugins/meta/portmap"),
            ("ptp", "github.com/containernetworking/plugins/plugins/main/ptp"),
        ],
        tags: "",
        ldflags: "-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=v1.9.0",
    },
];

/// The names by which `kube` is called.
const KUBE_NAMES: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
];

/// The folder with all programs; builds those that are not there yet.
///
/// # Errors
/// When a build fails: the tool's own words are on standard error.
pub(crate) fn ensure(progress: &Progress) -> Result<PathBuf> {
    let cache = places::cache()?;
    let source = places::checkout().join("lab/kubernetes");
    let mut built = Vec::new();
    let mut names = Sha256::new();
    for part in &PARTS {
        let folder = source.join(part.folder);
        let hash = hash(&folder, &format!("{} {} {:?}", part.tags, part.ldflags, part.programs))?;
        let target = cache.join("built").join(format!("{}-{hash}", part.folder));
        build_once(part.what, part.takes, &target, progress, |out| go_build(part, &folder, out))?;
        names.update(hash.as_bytes());
        built.push(target);
    }
    let folder = source.join("pause");
    let hash = hash(&folder, "")?;
    let target = cache.join("built").join(format!("pause-{hash}"));
    build_once("pause", "1 s", &target, progress, |out| cc_build(&folder.join("pause.c"), out))?;
    names.update(hash.as_bytes());
    built.push(target);
    collect(&cache.join("bin").join(short(names)), &built)
}

fn short(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Names a folder's files and a few words more.
fn hash(folder: &Path, more: &str) -> Result<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let mut bytes = Vec::new();
        fs::File::open(&file).and_then(|mut f| f.read_to_end(&mut bytes))?;
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    }
    hash.update(more.as_bytes());
    Ok(short(hash))
}

/// Builds into a folder of its own and renames it, so a half-built part is never taken for one.
fn build_once(
    what: &str,
    takes: &str,
    target: &Path,
    progress: &Progress,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    if target.is_dir() {
        return Ok(());
    }
    progress.say(format_args!("building {what}, about {takes} on 2 cores …"));
    let start = Instant::now();
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let half = target.with_file_name(format!(".{name}.{}", std::process::id()));
    // Of a run that was ended, with the number of this one.
    if half.exists() {
        fs::remove_dir_all(&half).with_context(|| format!("empty {}", half.display()))?;
    }
    fs::create_dir_all(&half).with_context(|| format!("make {}", half.display()))?;
    let result = build(&half).with_context(|| format!("build {what}"));
    if result.is_err() {
        fs::remove_dir_all(&half).ok();
        return result;
    }
    match fs::rename(&half, target) {
        // Another process was faster.
        Err(_) if target.is_dir() => fs::remove_dir_all(&half)?,
        other => other.with_context(|| format!("make {}", target.display()))?,
    }
    progress.say(format_args!("built {what} in {:.0} s", start.elapsed().as_secs_f32()));
    Ok(())
}

/// The first Go that fetches the newer one that a module asks for.
const OLDEST_GO: u32 = 21;

/// Says in words what an old Go would say in riddles.
fn check_go() -> Result<()> {
    let output = Command::new("go").args(["env", "GOVERSION"]).output();
    let output = output.context("run go: install Go 1.26, https://go.dev/dl")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match minor(&version) {
        Some(minor) if minor < OLDEST_GO => {
            bail!("{version} is too old: install Go 1.26, https://go.dev/dl")
        }
        _ => Ok(()),
    }
}

/// 26 of `go1.26.8`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("go1.")?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn go_build(part: &Part, folder: &Path, out: &Path) -> Result<()> {
    check_go()?;
    for (program, package) in part.programs {
        let mut go = Command::new("go");
        go.current_dir(folder).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
        go.args(["build", "-trimpath", "-buildvcs=false", "-tags", part.tags]);
        go.arg("-ldflags").arg(format!("-s -w {}", part.ldflags));
        go.arg("-o").arg(out.join(program)).arg(package);
        run(go)?;
    }
    Ok(())
}

fn cc_build(source: &Path, out: &Path) -> Result<()> {
    let mut cc = Command::new("cc");
    cc.args(["-static", "-Os", "-s", "-o"]).arg(out.join("pause")).arg(source);
    run(cc)
}

fn run(mut command: Command) -> Result<()> {
    // An interrupt ends it, too.
    sys::with_signals(&mut command);
    sys::die_with_parent(&mut command);
    // Standard output stays for what the user asked for.
    let output = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let program = command.get_program().to_string_lossy().into_owned();
    let output = output.and_then(|child| child.wait_with_output());
    let status = output.with_context(|| format!("run {program}"))?.status;
    if !status.success() {
        bail!("{program}: {status}");
    }
    Ok(())
}

/// One folder with a link to every program: what hosts see as theirs.
fn collect(folder: &Path, built: &[PathBuf]) -> Result<PathBuf> {
    if folder.is_dir() {
        return Ok(folder.to_path_buf());
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let half = folder.with_file_name(format!(".{name}.{}", std::process::id()));
    fs::create_dir_all(&half)?;
    for part in built {
        for entry in fs::read_dir(part)? {
            let program = entry?.path();
            let place = half.join(program.file_name().unwrap_or_default());
            // Hard links: the folder is bound into hosts, which do not see the others.
            fs::hard_link(&program, &place).with_context(|| format!("make {}", place.display()))?;
        }
    }
    for name in KUBE_NAMES {
        symlink("kube", half.join(name))?;
    }
    match fs::rename(&half, folder) {
        Err(_) if folder.is_dir() => fs::remove_dir_all(&half)?,
        other => other?,
    }
    Ok(folder.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_is_read() {
        assert_eq!(minor("go1.26.8"), Some(26));
        assert_eq!(minor("go1.19"), Some(19));
        assert_eq!(minor("go1.21rc2"), Some(21));
        assert_eq!(minor("devel"), None);
    }

    #[test]
    fn every_part_has_its_sources_and_a_hash_of_its_own() {
        let source = places::checkout().join("lab/kubernetes");
        let mut hashes: Vec<String> =
            PARTS.iter().map(|part| hash(&source.join(part.folder), "").unwrap()).collect();
        hashes.push(hash(&source.join("pause"), "").unwrap());
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), PARTS.len() + 1);
        assert_ne!(
            hash(&source.join("pause"), "a").unwrap(),
            hash(&source.join("pause"), "b").unwrap()
        );
    }
}
