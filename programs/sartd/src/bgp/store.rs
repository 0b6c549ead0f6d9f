//! Documents on disk: each owner's last accepted one, under the run directory.
//!
//! The run directory is gone after a reboot, as the kernel's routes are. A file appears whole: it
//! is written under another name and renamed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::held::hold;

/// The file that a router holds for as long as it runs.
pub(crate) const LOCK: &str = "router.lock";

/// The extension of a document that was set aside begins so; the time follows, in Unix seconds.
const ASIDE: &str = "broken-";

/// How many of an owner are kept.
const KEPT: usize = 3;

/// One owner's document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) schema_version: u32,
    pub(super) generation: u64,
    pub(super) document: String,
}

/// What was found at the start.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Documents, in order of their owners.
    pub(super) documents: Vec<(String, Stored)>,
    /// Why an owner's document is left out, in words, and where it is kept.
    pub(super) broken: BTreeMap<String, String>,
}

/// Why a stored document is not there.
enum Unreadable {
    Io(io::Error),
    Broken(String),
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
        let failed = |error: io::Error| {
            let advice = advice(&error);
            anyhow::Error::new(error).context(format!("{}{advice}", at()))
        };
        make_directory(directory).map_err(failed)?;
        make_directory(&desired(directory)).map_err(failed)?;
        let Some(lock) = hold(&directory.join(LOCK)).map_err(failed)? else {
            anyhow::bail!("already-running: a router uses {}; choose another --run-dir", at());
        };
        Ok(Store { directory: directory.to_owned(), _lock: lock })
    }

    /// All stored documents. One that cannot be read is set aside, and told of until its owner has
    /// another one or is forgotten.
    pub(super) fn load(&self) -> Loaded {
        let mut loaded = Loaded::default();
        let mut aside = BTreeMap::new();
        let entries = fs::read_dir(desired(&self.directory)).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let Some(owner) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let extension = path.extension().and_then(|extension| extension.to_str());
            if !is_owner_name(owner) {
                continue;
            }
            let owner = owner.to_owned();
            match extension {
                Some("json") => match read(&path) {
                    Ok(stored) => loaded.documents.push((owner, stored)),
                    Err(why) => {
                        let broken = self.set_aside(&owner, &path, &why);
                        loaded.broken.insert(owner, broken);
                    }
                },
                Some(other) if other.starts_with(ASIDE) => {
                    let latest: &mut PathBuf = aside.entry(owner).or_default();
                    *latest = path.max(std::mem::take(latest));
                }
                Some(_) | None => {}
            }
        }
        for (owner, path) in aside {
            let is_there = loaded.documents.iter().any(|(name, _)| *name == owner);
            if !is_there && !loaded.broken.contains_key(&owner) {
                let words =
                    format!("an earlier run could not read it; it is kept as {}", path.display());
                loaded.broken.insert(owner, words);
            }
        }
        loaded.documents.sort_by(|(a, _), (b, _)| a.cmp(b));
        loaded
    }

    /// Sets a document aside that cannot be read; says what became of it.
    fn set_aside(&self, owner: &str, path: &Path, why: &Unreadable) -> String {
        let words = match why {
            // It may be read another time.
            Unreadable::Io(error) => format!("it cannot be read: {error}"),
            Unreadable::Broken(error) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                // Ten digits until the year 2286: the order of names is that of time.
                let kept = path.with_extension(format!("{ASIDE}{:010}", now.as_secs()));
                let renamed = fs::rename(path, &kept).and_then(|()| self.drop_aside(owner, KEPT));
                let place = match renamed {
                    Ok(()) => format!("it is kept as {}", kept.display()),
                    Err(error) => format!("it could not be set aside: {error}"),
                };
                format!("it is broken ({error}); {place}")
            }
        };
        tracing::error!(owner, words, "a stored document is left out");
        words
    }

    /// Removes what was set aside of an owner, but for the last few.
    fn drop_aside(&self, owner: &str, keep: usize) -> io::Result<()> {
        let mut aside = Vec::new();
        for entry in fs::read_dir(desired(&self.directory))? {
            let path = entry?.path();
            let of_owner = path.file_stem().is_some_and(|stem| stem == owner);
            let extension = path.extension().and_then(|extension| extension.to_str());
            if of_owner && extension.is_some_and(|extension| extension.starts_with(ASIDE)) {
                aside.push(path);
            }
        }
        aside.sort();
        aside.truncate(aside.len().saturating_sub(keep));
        aside.into_iter().try_for_each(|path| absent_is_fine(fs::remove_file(path)))
    }

    /// Stores an owner's document in place of the one before.
    pub(super) fn save(&self, owner: &str, stored: &Stored) -> io::Result<()> {
        let path = self.path(owner);
        // A document may hold keys of TCP.
        write_whole(&path, &path.with_extension("new"), 0o600, &serde_json::to_vec(stored)?)
    }

    /// Removes an owner's document and what was set aside of it; none there is success.
    pub(super) fn remove(&self, owner: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.path(owner)))?;
        self.drop_aside(owner, 0)
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

fn read(path: &Path) -> Result<Stored, Unreadable> {
    let bytes = fs::read(path).map_err(Unreadable::Io)?;
    serde_json::from_slice(&bytes).map_err(|error| Unreadable::Broken(error.to_string()))
}

/// Removes what routers and agents leave in a run directory; what others keep there stays.
pub(crate) fn remove_all(directory: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(desired(directory)))?;
    let router = ["router.running", "router.fib", "router.fib.new", "router.sock", LOCK];
    let agent = ["agent.sock", "agent.served"];
    let fib = ["fib.owners", "fib.owners.new", "fib.tables", "fib.tables.new", "fib.sock"];
    let all = router.into_iter().chain(agent).chain(fib).chain([crate::fib::LOCK]);
    for name in all {
        absent_is_fine(fs::remove_file(directory.join(name)))?;
    }
    Ok(())
}

/// Writes a file that appears whole, with this mode; what a crash has left of it before goes.
pub(crate) fn write_whole(
    path: &Path,
    temporary: &Path,
    mode: u32,
    bytes: &[u8],
) -> io::Result<()> {
    absent_is_fine(fs::remove_file(temporary))?;
    let mut file = File::options().create_new(true).write(true).mode(mode).open(temporary)?;
    file.write_all(bytes)?;
    fs::rename(temporary, path)
}

/// Whether an owner may be called so; the name is a file's name too.
pub(super) fn is_owner_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(legal)
}

fn desired(directory: &Path) -> PathBuf {
    directory.join("desired")
}

/// What to do when the run directory cannot be written to.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            " (run as root, or choose another with --run-dir)"
        }
        _ => "",
    }
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
