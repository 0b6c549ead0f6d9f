//! The tables that routes of ours may be in, kept over a restart: one that is not written any more
//! (another configuration, a VRF with another table) is found by the next run and emptied.

use std::collections::BTreeSet;
use std::path::Path;

use super::kept::Kept;

#[derive(Debug)]
pub(super) struct Tables(Kept<BTreeSet<u32>>);

impl Tables {
    /// The tables of the run before.
    pub(super) fn open(socket: &Path) -> Tables {
        Tables(Kept::open(socket, "tables"))
    }

    pub(super) fn all(&self) -> &BTreeSet<u32> {
        self.0.last()
    }

    /// Routes of ours may be there from now on.
    pub(super) fn add(&mut self, table: u32) {
        let mut all = self.all().clone();
        all.insert(table);
        self.0.keep(all);
    }

    /// None of ours is there any more.
    pub(super) fn remove(&mut self, table: u32) {
        let mut all = self.all().clone();
        all.remove(&table);
        self.0.keep(all);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
