//! A layer: files gathered by their path in the image, written as one reproducible tar.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// What lies at one path of an image. Owner is root, time is 0: equal content, equal digest.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Dir(u32),
    File { from: PathBuf, mode: u32 },
    Link(PathBuf),
}

/// The files of one layer, by path relative to the image's root.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    entries: BTreeMap<PathBuf, Entry>,
}

impl Layer {
    /// True when nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds `from` (a file, a symbolic link or a directory with all in it) as `to`.
    /// `chmod` replaces the permission bits; without it a file keeps only whether it is executable.
    pub(crate) fn add(&mut self, from: &Path, to: &Path, chmod: Option<u32>) -> Result<()> {
        let meta =
            fs::symlink_metadata(from).with_context(|| format!("read {}", from.display()))?;
        let to = to.strip_prefix("/").unwrap_or(to).to_owned();
        if meta.is_dir() {
            self.dir(&to, chmod);
            let list = fs::read_dir(from).with_context(|| format!("list {}", from.display()))?;
            for item in list {
                let item = item?;
                self.add(&item.path(), &to.join(item.file_name()), chmod)?;
            }
        } else if meta.is_symlink() {
            self.parents(&to);
            self.entries.insert(to, Entry::Link(fs::read_link(from)?));
        } else if meta.is_file() {
            self.parents(&to);
            let executable = meta.permissions().mode() & 0o111 != 0;
            let mode = chmod.unwrap_or(if executable { 0o755 } else { 0o644 });
            self.entries.insert(to, Entry::File { from: from.to_owned(), mode });
        } else {
            bail!("{} is neither file, directory nor link", from.display());
        }
        Ok(())
    }

    /// Writes the tar to `path`; returns its SHA-256 (hex) and its length in bytes.
    pub(crate) fn write(&self, path: &Path) -> Result<(String, u64)> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        let mut tar = tar::Builder::new(Hashing::new(io::BufWriter::new(file)));
        for (at, entry) in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            match entry {
                Entry::Dir(mode) => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_mode(*mode);
                    tar.append_data(&mut header, at.join(""), io::empty())?;
                }
                Entry::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    tar.append_link(&mut header, at, target)?;
                }
                Entry::File { from, mode } => {
                    let source =
                        File::open(from).with_context(|| format!("open {}", from.display()))?;
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_mode(*mode);
                    header.set_size(source.metadata()?.len());
                    tar.append_data(&mut header, at, source)?;
                }
            }
        }
        let mut hashing = tar.into_inner()?;
        hashing.flush()?;
        Ok(hashing.finish())
    }

    fn dir(&mut self, at: &Path, chmod: Option<u32>) {
        if at.as_os_str().is_empty() {
            return;
        }
        self.parents(at);
        self.entries.insert(at.to_owned(), Entry::Dir(chmod.unwrap_or(0o755)));
    }

    fn parents(&mut self, at: &Path) {
        for parent in at.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()) {
            self.entries.entry(parent.to_owned()).or_insert(Entry::Dir(0o755));
        }
    }
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
    length: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), length: 0 }
    }

    fn finish(self) -> (String, u64) {
        (hex(&self.hash.finalize()), self.length)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        let taken = bytes.get(..written).unwrap_or(bytes);
        self.hash.update(taken);
        self.length += taken.len() as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
