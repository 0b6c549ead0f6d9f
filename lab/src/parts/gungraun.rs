//! The program that runs the instruction counts: of the same version as the library that `benches`
//! is built with. It is run beside, as valgrind is, and no part of what is shipped.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{build_once, places, run};
use crate::progress::Progress;

const NAME: &str = "gungraun-runner";

/// The folder with the program; builds it when it is not there yet.
///
/// # Errors
/// When the build fails: cargo's own words are on standard error.
pub(crate) fn ensure(progress: &Progress) -> Result<PathBuf> {
    let file = places::checkout().join("Cargo.lock");
    let lock = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let version = version(&lock).context("Cargo.lock has no gungraun")?;
    let what = format!("{NAME} {version}");
    let folder = places::cache()?.join("built").join(format!("{NAME}-{version}"));
    build_once(&what, "2 min", &folder, progress, |out| {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--quiet", "--locked", "--version", &format!("={version}"), NAME]);
        let target = out.join("target");
        cargo.arg("--root").arg(out).env("CARGO_TARGET_DIR", &target).current_dir(out);
        run(cargo)?;
        fs::remove_dir_all(&target).with_context(|| format!("remove {}", target.display()))
    })?;
    Ok(folder.join("bin"))
}

/// The library's version in a lock file.
fn version(lock: &str) -> Option<&str> {
    let (_, rest) = lock.split_once("name = \"gungraun\"\nversion = \"")?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_of_the_librarys_version() {
        let lock = "[[package]]\nname = \"gungraun-macros\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"gungraun\"\nversion = \"0.2.0\"\n";
        assert_eq!(version(lock), Some("0.2.0"));
        assert_eq!(version("name = \"other\""), None);
        let file = places::checkout().join("Cargo.lock");
        let lock = fs::read_to_string(file).unwrap();
        assert!(version(&lock).is_some_and(|version| version.split('.').count() == 3));
    }
}
