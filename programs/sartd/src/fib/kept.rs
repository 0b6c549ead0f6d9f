//! What is kept over a restart, each in a file beside the API's socket.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bgp::write_whole;

/// One of them.
#[derive(Debug)]
pub(super) struct Kept<T> {
    file: PathBuf,
    /// What it is called: in logs, and the file's extension.
    what: &'static str,
    last: T,
}

impl<T: Default + PartialEq + Serialize + DeserializeOwned> Kept<T> {
    /// What the run before has kept; none when nothing, or nothing readable, is there.
    pub(super) fn open(socket: &Path, what: &'static str) -> Kept<T> {
        let file = socket.with_extension(what);
        let last = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %file.display(), %error, "the {what} are not known");
                T::default()
            }),
            Err(_) => T::default(),
        };
        Kept { file, what, last }
    }

    pub(super) fn last(&self) -> &T {
        &self.last
    }

    /// Keeps this, if it is another than before.
    pub(super) fn keep(&mut self, now: T) {
        if self.last == now {
            return;
        }
        self.last = now;
        if let Err(error) = self.save() {
            tracing::warn!(file = %self.file.display(), %error, "the {} are not kept", self.what);
        }
    }

    fn save(&self) -> io::Result<()> {
        let temporary = self.file.with_extension(format!("{}.new", self.what));
        write_whole(&self.file, &temporary, 0o644, &serde_json::to_vec(&self.last)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::controller::Owners;
    use super::*;

    #[test]
    fn owners_are_kept_over_a_restart() {
        let directory = std::env::temp_dir().join(format!("sartd-kept-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let socket = directory.join("fib.sock");
        let open = || Kept::<Owners>::open(&socket, "owners");
        let mut first = open();
        assert!(first.last().is_empty());
        let owners = Owners::from([("main".to_owned(), vec!["ops".to_owned()])]);
        first.keep(owners.clone());
        assert_eq!(open().last(), &owners);
        fs::write(socket.with_extension("owners"), "x").unwrap();
        assert!(open().last().is_empty());
        fs::remove_dir_all(&directory).unwrap();
    }
}
