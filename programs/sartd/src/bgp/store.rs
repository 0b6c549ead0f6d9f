//! Documents on disk: each owner's last accepted one, under the run directory.
//!
//! The run directory is gone after a reboot, as the kernel's routes are. A file appears whole: it
//! is written under another name and renamed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// One owner's document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) schema_version: u32,
    pub(super) generation: u64,
    pub(super) document: String,
}

/// The run directory. Held by one router at a time.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

impl Store {
    /// Opens the run directory and makes it when it is not there.
    pub(super) fn open(directory: &Path) -> anyhow::Result<Store> {
        let at = || format!("the run directory {}", directory.display());
        make_directory(directory).with_context(at)?;
        make_directory(&desired(directory)).with_context(at)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(directory.join("router.lock"))
            .with_context(at)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("another router uses {}; choose another --run-dir", at());
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(at),
        }
        Ok(Store { directory: directory.to_owned(), _lock: lock })
    }

    /// All stored documents. One that cannot be read is left out, with a line of log.
    pub(super) fn load(&self) -> Vec<(String, Stored)> {
        let mut all = Vec::new();
        let entries = fs::read_dir(desired(&self.directory)).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let is_ours = path.extension().is_some_and(|extension| extension == "json");
            let Some(owner) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            if !is_ours || !is_owner_name(owner) {
                continue;
            }
            let read = fs::read_to_string(&path)
                .map_err(|error| error.to_string())
                .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
            match read {
                Ok(stored) => all.push((owner.to_owned(), stored)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), error, "a stored document is left out");
                }
            }
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Stores an owner's document in place of the one before.
    pub(super) fn save(&self, owner: &str, stored: &Stored) -> io::Result<()> {
        let path = self.path(owner);
        let temporary = path.with_extension("new");
        // A document may hold keys of TCP; a file of a crash in between may have another mode.
        absent_is_fine(fs::remove_file(&temporary))?;
        let mut file = File::options().create_new(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(serde_json::to_string(stored)?.as_bytes())?;
        fs::rename(&temporary, &path)
    }

    /// Removes an owner's document; none there is success.
    pub(super) fn remove(&self, owner: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.path(owner)))
    }

    /// Whether a router ran before with this directory and did not take its routes away.
    pub(super) fn was_running(&self) -> bool {
        self.directory.join("router.running").exists()
    }

    /// Notes that a router runs, or that it has taken its routes away.
    pub(super) fn set_running(&self, running: bool) -> io::Result<()> {
        let path = self.directory.join("router.running");
        if running { fs::write(path, "") } else { absent_is_fine(fs::remove_file(path)) }
    }

    fn path(&self, owner: &str) -> PathBuf {
        desired(&self.directory).join(owner).with_extension("json")
    }
}

/// Removes what routers and agents leave in a run directory; what others keep there stays.
pub(crate) fn remove_all(directory: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(desired(directory)))?;
    for name in ["router.running", "router.lock", "router.sock", "agent.sock", "agent.served"] {
        absent_is_fine(fs::remove_file(directory.join(name)))?;
    }
    Ok(())
}

/// Whether an owner may be called so; the name is a file's name too.
pub(super) fn is_owner_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(legal)
}

fn desired(directory: &Path) -> PathBuf {
    directory.join("desired")
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
