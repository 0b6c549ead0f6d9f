//! A kernel that has what Debian's or the machine's own may lack, for tests that are run on it: of
//! Debian's source, with `lab/kernel/config` and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::{build_once, run, short};
use crate::places;
use crate::process::Process;
use crate::progress::Progress;

/// Debian's package, and what it brings.
pub(crate) const PACKAGE: &str = "linux-source-6.12";
const SOURCE: &str = "/usr/src/linux-source-6.12.tar.xz";

/// What the build makes.
pub(crate) const IMAGE: &str = "bzImage";

/// What of the source is not unpacked: two thirds of it, and no Kconfig or Makefile of ours.
const LEFT_OUT: [&str; 10] = [
    "*/Documentation/*/*",
    "*/arch/[a-w]*/*.[chS]",
    "*/arch/[a-w]*/boot/dts/*",
    "*/tools/testing/*",
    "*/tools/perf/*",
    "*/sound/*.[ch]",
    "*/drivers/gpu/*.[ch]",
    "*/drivers/media/*.[ch]",
    "*/drivers/net/wireless/*.[ch]",
    "*/drivers/net/ethernet/*.[ch]",
];

/// The folder of the kernel; builds it unless it is there. Its name is that of its sources.
///
/// # Errors
/// When the package is not installed or the build fails: its words are on standard error.
pub(crate) fn ensure(progress: &Progress) -> Result<PathBuf> {
    let version = version()?;
    let config = places::checkout().join("lab/kernel/config");
    let text = fs::read(&config).with_context(|| format!("read {}", config.display()))?;
    let mut names = Sha256::new();
    names.update(version.as_bytes());
    names.update(text);
    let built = places::cache()?.join("built");
    let target = built.join(format!("linux-{}", short(names)));
    let what = format!("Linux {version} with VRF and TCP-AO");
    if !target.is_dir() {
        sweep(&built);
    }
    build_once(&what, "5 min", &target, progress, |out| build(&config, out))?;
    Ok(target)
}

/// The version of the source as Debian has it.
pub(crate) fn version() -> Result<String> {
    let mut query = Command::new("dpkg-query");
    let out = query.args(["-W", "-f", "${Version}", PACKAGE]).output().context("run dpkg-query")?;
    ensure!(out.status.success(), "the package {PACKAGE} is not installed");
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// A build that was ended leaves a gigabyte behind; the next one takes it away.
fn sweep(built: &Path) {
    for entry in fs::read_dir(built).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(".linux-").and_then(|rest| rest.rsplit('.').next());
        if pid.and_then(|pid| pid.parse().ok()).is_some_and(|pid| Process::of(pid).is_none()) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn build(config: &Path, out: &Path) -> Result<()> {
    let source = out.join("source");
    fs::create_dir(&source)?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--use-compress-program=xz -T0", "--strip-components=1"]);
    tar.arg("--wildcards").args(LEFT_OUT.map(|left_out| format!("--exclude={left_out}")));
    tar.arg("--file").arg(SOURCE).arg("--directory").arg(&source);
    run(tar)?;
    // All that the file does not name is off.
    let mut all = std::ffi::OsString::from("KCONFIG_ALLCONFIG=");
    all.push(config);
    let mut make = make(&source);
    make.arg(all).arg("allnoconfig");
    run(make)?;
    wanted(config, &source.join(".config"))?;
    let jobs = thread::available_parallelism().map_or(2, usize::from);
    let mut make = self::make(&source);
    make.arg(format!("-j{jobs}")).arg(IMAGE);
    run(make)?;
    fs::rename(source.join("arch/x86/boot").join(IMAGE), out.join(IMAGE))?;
    fs::rename(source.join(".config"), out.join("config"))?;
    fs::remove_dir_all(&source).context("remove the source")
}

fn make(source: &Path) -> Command {
    let mut make = Command::new("nice");
    make.args(["-n", "10", "make", "--quiet", "--directory"]).arg(source);
    // The same sources make the same kernel.
    make.env("KBUILD_BUILD_USER", "lab").env("KBUILD_BUILD_HOST", "lab");
    make.env("KBUILD_BUILD_TIMESTAMP", "1970-01-01");
    make
}

/// Whether all that was asked for is on: what an option needs is not brought by itself.
fn wanted(config: &Path, made: &Path) -> Result<()> {
    let (config, made) = (fs::read_to_string(config)?, fs::read_to_string(made)?);
    let off = missing(&config, &made);
    ensure!(off.is_empty(), "not to be had so: {}", off.join(" "));
    Ok(())
}

fn missing<'c>(config: &'c str, made: &str) -> Vec<&'c str> {
    let asked = config.lines().filter(|line| line.starts_with("CONFIG_"));
    asked.filter(|line| !made.lines().any(|made| made == *line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_is_not_on_is_seen() {
        let config = "# A\nCONFIG_A=y\nCONFIG_B=y\n";
        assert_eq!(missing(config, "CONFIG_A=y\n# CONFIG_B is not set\n"), ["CONFIG_B=y"]);
        assert!(missing(config, "CONFIG_B=y\nCONFIG_A=y\n").is_empty());
    }

    #[test]
    fn no_option_is_asked_for_twice() {
        let file = places::checkout().join("lab/kernel/config");
        let text = fs::read_to_string(file).expect("the file is there");
        let mut options: Vec<&str> =
            text.lines().filter(|line| line.starts_with("CONFIG_")).collect();
        let count = options.len();
        options.sort_unstable();
        options.dedup();
        assert_eq!(options.len(), count);
    }
}
