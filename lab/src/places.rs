//! Where things are on the machine: the checkout, the cache, the state of running labs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The checkout that this program was built from.
pub(crate) fn checkout() -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.parent().unwrap_or(lab).to_path_buf()
}

/// This program, to start it again: by the kernel's link, since cargo puts a new file at the path
/// when the tests that this program runs build it with other features.
pub(crate) fn program() -> &'static Path {
    Path::new("/proc/self/exe")
}

/// What is built once and kept: `$XDG_CACHE_HOME/sart-lab`, else `~/.cache/sart-lab`.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(base.join("sart-lab"))
}

/// The state of all labs.
pub(crate) fn labs() -> PathBuf {
    PathBuf::from("/run/sart-lab")
}

/// The state of one lab.
pub(crate) fn state(lab: &str) -> PathBuf {
    labs().join(lab)
}
