//! The images that the lab serves: sart itself, test-server, coredns and pause.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::build::build;
use super::closure;
use super::name::Name;
use super::store::Store;

/// Chooses the cargo profile that sart is built with: `release` unless this variable says other.
/// `dev` is for whoever changes sart and runs clusters again and again.
pub(crate) const PROFILE: &str = "SART_LAB_PROFILE";

/// The machine's programs in the test-server image; busybox fills the rest.
const TOOLS: &[&str] = &["curl", "ip", "nc", "ping"];

/// Builds sart's static programs and the image `sart` from `deploy/Containerfile`.
/// `portmap`, when given, comes along for clusters whose nodes have none.
pub(crate) fn sart(root: &Path, store: &Store, portmap: Option<&Path>) -> Result<()> {
    let mut programs = programs(root)?;
    let profile = profile();
    let small = if profile == "release" { "plugin" } else { profile.as_str() };
    programs.append(&mut cargo_static(root, &["sart-cni"], small)?);
    let context = fresh(root, "sart")?;
    for name in ["sartd", "sart", "sart-cni"] {
        let program = programs.get(name).with_context(|| format!("cargo built no {name}"))?;
        closure::copy(program, &context.dir.join(name))?;
    }
    if let Some(portmap) = portmap {
        closure::copy(portmap, &context.dir.join("portmap"))?;
    }
    from_file(store, &root.join("deploy/Containerfile"), &context.dir, "sart")
}

/// Builds the static programs `sartd` and `sart`; their paths by name.
pub(crate) fn programs(root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    cargo_static(root, &["sartd", "sart"], &profile())
}

fn profile() -> String {
    std::env::var(PROFILE).unwrap_or_else(|_| "release".to_owned())
}

/// Builds the image `test-server`: our HTTP server and a shell with network tools.
pub(crate) fn test_server(root: &Path, store: &Store) -> Result<()> {
    let programs = cargo_static(root, &["test-server"], "plugin")?;
    let program = programs.get("test-server").context("cargo built no test-server")?;
    let context = fresh(root, "test-server")?;
    closure::copy(program, &context.dir.join("test-server"))?;
    let tree = context.dir.join("root");
    closure::programs(&tree, TOOLS)?;
    // A real shell: busybox's runs its own applets before those on PATH.
    closure::programs(&tree, &["dash"])?;
    fs::create_dir_all(tree.join("bin"))?;
    std::os::unix::fs::symlink("/usr/bin/dash", tree.join("bin/sh"))?;
    closure::busybox(&tree)?;
    fs::create_dir_all(tree.join("tmp"))?;
    let file = root.join("lab/test-server/Containerfile");
    from_file(store, &file, &context.dir, "test-server")
}

/// Makes the image `coredns` of a static program.
pub(crate) fn coredns(root: &Path, store: &Store, program: &Path) -> Result<()> {
    single(root, store, "coredns", program, include_str!("coredns.Containerfile"))
}

/// Makes the image `pause` of a static program.
pub(crate) fn pause(root: &Path, store: &Store, program: &Path) -> Result<()> {
    single(root, store, "pause", program, include_str!("pause.Containerfile"))
}

fn single(root: &Path, store: &Store, name: &str, program: &Path, text: &str) -> Result<()> {
    let context = fresh(root, name)?;
    closure::copy(program, &context.dir.join(name))?;
    build(store, text, &context.dir, &name.parse::<Name>()?)
}

fn from_file(store: &Store, file: &Path, context: &Path, name: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    build(store, &text, context, &name.parse::<Name>()?).with_context(|| file.display().to_string())
}

/// An image's context, emptied, and ours alone until it is dropped.
struct Context {
    dir: PathBuf,
    /// Two labs may come up at once.
    _lock: fs::File,
}

/// Where an image's context lies: `docker build -f deploy/Containerfile target/image/sart`.
fn fresh(root: &Path, name: &str) -> Result<Context> {
    let all = target(root).join("image");
    fs::create_dir_all(&all).with_context(|| format!("make {}", all.display()))?;
    let lock = fs::File::create(all.join(format!(".{name}.lock")))?;
    lock.lock().context("lock the image's context")?;
    let context = all.join(name);
    match fs::remove_dir_all(&context) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("empty {}", context.display()));
        }
        _ => fs::create_dir_all(&context)?,
    }
    Ok(Context { dir: context, _lock: lock })
}

/// Where cargo builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// Builds packages as static programs; their paths by name.
fn cargo_static(
    root: &Path,
    packages: &[&str],
    profile: &str,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut cargo = cargo(root);
    cargo.args(["build", "--message-format=json-render-diagnostics", "--profile", profile]);
    // With a target given, the flags reach only what runs there: no build script, no macro.
    cargo.args(["--target", &host_triple(root)?]);
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    for package in packages {
        cargo.args(["--package", package]);
    }
    let terminal = std::io::stderr().is_terminal();
    cargo.stdout(Stdio::piped());
    cargo.stderr(if terminal { Stdio::inherit() } else { Stdio::piped() });
    let out = cargo.spawn().context("start cargo")?.wait_with_output()?;
    ensure!(
        out.status.success(),
        "cargo could not build {}:\n{}",
        packages.join(", "),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(String::from_utf8_lossy(&out.stdout).lines().filter_map(executable).collect())
}

/// Builds a package's program of the same name for this machine, with optimisation.
pub(crate) fn release(root: &Path, package: &str) -> Result<PathBuf> {
    let mut cargo = cargo(root);
    cargo.args(["build", "--quiet", "--message-format=json-render-diagnostics", "--release"]);
    cargo.args(["--package", package, "--bin", package]).stdout(Stdio::piped());
    crate::sys::die_with_parent(&mut cargo);
    let out = cargo.spawn().context("start cargo")?.wait_with_output()?;
    ensure!(out.status.success(), "cargo could not build {package}");
    let said = String::from_utf8_lossy(&out.stdout);
    let built = said.lines().filter_map(executable).find(|(name, _)| name == package);
    built.map(|(_, path)| path).with_context(|| format!("cargo built no {package}"))
}

/// The program in one of cargo's messages, if there is one.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let path = PathBuf::from(message.get("executable")?.as_str()?);
    let name = message.get("target")?.get("name")?.as_str()?.to_owned();
    Some((name, path))
}

/// The target that rustc builds for by itself.
pub(crate) fn host_triple(root: &Path) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = Command::new(rustc).arg("-vV").current_dir(root).output().context("run rustc")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// The cargo that started us, else the one on PATH.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    cargo.current_dir(root);
    crate::sys::with_signals(&mut cargo);
    cargo
}
