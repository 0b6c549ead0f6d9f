//! The owners of the channels, kept over a restart: those that were there are waited for, before a
//! router is told of less than the run before has told it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::controller::Owners;
use crate::bgp::write_whole;

/// The file beside the API's socket.
#[derive(Debug)]
pub(super) struct Kept {
    file: PathBuf,
    last: Owners,
}

impl Kept {
    /// The owners of the run before; none when nothing, or nothing readable, is there.
    pub(super) fn open(socket: &Path) -> Kept {
        let file = socket.with_extension("owners");
        let last = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %file.display(), %error, "the owners are not known");
                Owners::new()
            }),
            Err(_) => Owners::new(),
        };
        Kept { file, last }
    }

    pub(super) fn owners(&self) -> &Owners {
        &self.last
    }

    /// Keeps these, if they are others than before.
    pub(super) fn keep(&mut self, owners: Owners) {
        if self.last == owners {
            return;
        }
        self.last = owners;
        if let Err(error) = self.save() {
            tracing::warn!(file = %self.file.display(), %error, "the owners are not kept");
        }
    }

    fn save(&self) -> io::Result<()> {
        let temporary = self.file.with_extension("owners.new");
        write_whole(&self.file, &temporary, 0o644, &serde_json::to_vec(&self.last)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_kept_over_a_restart() {
        let directory = std::env::temp_dir().join(format!("sartd-kept-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let socket = directory.join("fib.sock");
        let mut first = Kept::open(&socket);
        assert!(first.owners().is_empty());
        let owners = Owners::from([("main".to_owned(), vec!["ops".to_owned()])]);
        first.keep(owners.clone());
        assert_eq!(Kept::open(&socket).owners(), &owners);
        fs::write(socket.with_extension("owners"), "x").unwrap();
        assert!(Kept::open(&socket).owners().is_empty());
        fs::remove_dir_all(&directory).unwrap();
    }
}
