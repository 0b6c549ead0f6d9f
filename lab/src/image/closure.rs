//! The machine's own programs with every library they load, gathered for an image.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Finds `program` on PATH, and in the directories that only root's PATH has.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .with_context(|| format!("{program} is not installed on this machine"))
}

/// Copies `programs` to `root`/usr/bin and the libraries they load to their own places.
pub(crate) fn programs(root: &Path, programs: &[&str]) -> Result<()> {
    let mut files = BTreeMap::new();
    for program in programs {
        let file = find(program)?;
        for library in libraries(&file)? {
            files.insert(library.clone(), library);
        }
        files.insert(Path::new("/usr/bin").join(program), file);
    }
    for (to, from) in files {
        copy(&from, &root.join(to.strip_prefix("/").unwrap_or(&to)))?;
    }
    Ok(())
}

/// Puts the static busybox into `root`/bin with a link for each applet that is not there yet.
pub(crate) fn busybox(root: &Path) -> Result<()> {
    let file = find("busybox")?;
    if !libraries(&file)?.is_empty() {
        bail!("{} is not static: install busybox-static", file.display());
    }
    copy(&file, &root.join("bin/busybox"))?;
    let out = Command::new(&file).arg("--list").output().context("run busybox --list")?;
    for applet in String::from_utf8_lossy(&out.stdout).lines() {
        let own = ["bin", "usr/bin"].map(|dir| root.join(dir).join(applet));
        let there = own.iter().any(|path| fs::symlink_metadata(path).is_ok());
        if !there && !applet.contains('/') {
            symlink("/bin/busybox", root.join("bin").join(applet))?;
        }
    }
    Ok(())
}

/// Copies a file's content (links followed) and its permission bits, making the directories.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::copy(from, to)
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))
        .map(drop)
}

/// What `ldd` prints as absolute paths: the loader and the libraries. Empty for a static program.
fn libraries(file: &Path) -> Result<Vec<PathBuf>> {
    let out = Command::new("ldd").arg(file).output().context("run ldd")?;
    let text = String::from_utf8_lossy(&out.stdout);
    if text.contains("not found") {
        bail!("{} misses a library:\n{text}", file.display());
    }
    Ok(text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .filter(|word| !word.ends_with(':'))
        .map(PathBuf::from)
        .collect())
}
