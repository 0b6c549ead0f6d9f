//! The tables that routes of ours may be in, kept over a restart: one that is not written any more
//! (another configuration, a VRF with another table) is found by the next run and emptied.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::bgp::write_whole;

/// The file beside the API's socket.
#[derive(Debug)]
pub(super) struct Tables {
    file: PathBuf,
    all: BTreeSet<u32>,
}

impl Tables {
    /// The tables of the run before; none when nothing, or nothing readable, is there.
    pub(super) fn open(socket: &Path) -> Tables {
        let file = socket.with_extension("tables");
        let all = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %file.display(), %error, "the tables before are not known");
                BTreeSet::new()
            }),
            Err(_) => BTreeSet::new(),
        };
        Tables { file, all }
    }

    pub(super) fn all(&self) -> &BTreeSet<u32> {
        &self.all
    }

    /// Routes of ours may be there from now on.
    pub(super) fn add(&mut self, table: u32) {
        if self.all.insert(table) {
            self.save();
        }
    }

    /// None of ours is there any more.
    pub(super) fn remove(&mut self, table: u32) {
        if self.all.remove(&table) {
            self.save();
        }
    }

    fn save(&self) {
        let temporary = self.file.with_extension("tables.new");
        let saved = serde_json::to_vec(&self.all)
            .map_err(io::Error::from)
            .and_then(|bytes| write_whole(&self.file, &temporary, 0o644, &bytes));
        if let Err(error) = saved {
            tracing::warn!(file = %self.file.display(), %error, "the tables are not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_kept_over_a_restart() {
        let directory = std::env::temp_dir().join(format!("sartd-tables-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let socket = directory.join("fib.sock");
        let mut first = Tables::open(&socket);
        assert!(first.all().is_empty());
        [100, 254, 101].into_iter().for_each(|table| first.add(table));
        first.remove(254);
        assert_eq!(Tables::open(&socket).all(), &BTreeSet::from([100, 101]));
        fs::write(socket.with_extension("tables"), "x").unwrap();
        assert!(Tables::open(&socket).all().is_empty());
        fs::remove_dir_all(&directory).unwrap();
    }
}
