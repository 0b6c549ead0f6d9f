//! Tables of VRFs: followed as their devices come, go, or are made anew with another table.

use std::collections::BTreeSet;

use kernel::routes::{OwnRoutes, Owner};
use router_config::FibPlace;
use tokio::sync::mpsc;

use super::{News, Running, Writer, open};
use crate::bgp::no_vrf;

/// The pause after a table could not be emptied.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

impl Running {
    /// Whether news by this way to the kernel still count.
    pub(super) fn is_way(&self, table: FibPlace, way: u64) -> bool {
        self.writers.get(&table).is_some_and(|writer| writer.way == way)
    }

    /// Links have changed: a VRF may have another table now, or none.
    pub(super) fn follow(&mut self, table: FibPlace) -> anyhow::Result<()> {
        self.follow_one(table)?;
        // What this one has given up may be what another waits for.
        self.follow_missing()
    }

    /// Looks for the tables of VRFs that have none, perhaps since another had it.
    pub(super) fn follow_missing(&mut self) -> anyhow::Result<()> {
        let waiting: Vec<FibPlace> = self.missing.keys().copied().collect();
        waiting.into_iter().try_for_each(|table| self.follow_one(table))
    }

    /// Begins to empty the tables that a run before has written, and this one does not.
    pub(super) fn empty_others(&mut self) -> anyhow::Result<()> {
        let written: BTreeSet<u32> = self.writers.values().filter_map(|w| w.number).collect();
        for table in self.tables.all().clone() {
            if !written.contains(&table) && self.emptying.insert(table) {
                tracing::info!(table, "what a run before has left there is removed");
                empty(OwnRoutes::open(Owner::FIB.in_table(table), &[])?, self.news.clone());
            }
        }
        Ok(())
    }

    /// Of a table that is there under another name too, or is being emptied, nothing is written:
    /// each would take the other's routes away.
    fn follow_one(&mut self, table: FibPlace) -> anyhow::Result<()> {
        let FibPlace::Vrf(name) = table else { return Ok(()) };
        let Some(state) = self.controller.tables.get(&table) else { return Ok(()) };
        let found = state.vrf(&name).map(|(_, number)| number);
        let taken = |number: u32| {
            let by = |(other, writer): &(&FibPlace, &Writer)| {
                **other != table && writer.number == Some(number)
            };
            self.writers.iter().find(by).map(|(other, _)| *other)
        };
        let why = match found {
            Some(number) if self.emptying.contains(&number) => {
                Some(format!("its table {number} is being emptied"))
            }
            Some(number) => {
                taken(number).map(|other| format!("its table {number} is {other} already"))
            }
            None => Some(no_vrf(state, name)),
        };
        let number = found.filter(|_| why.is_none());
        match why.map(|why| format!("VrfMissing: {why}")) {
            Some(why) => {
                if self.missing.get(&table) != Some(&why) {
                    tracing::warn!(why, "a channel is without a table");
                }
                self.missing.insert(table, why);
            }
            None => drop(self.missing.remove(&table)),
        }
        let Some(writer) = self.writers.get_mut(&table) else { return Ok(()) };
        if writer.number == number {
            return Ok(());
        }
        tracing::info!(vrf = %name, table = number, "the VRF's table");
        let way = writer.way + 1;
        let (routes, listener) = open(table, way, number, &self.news)?;
        let old = std::mem::replace(&mut writer.routes, routes);
        if let Some(before) = writer.number
            && self.controller.writes(table)
        {
            writer.left.push(old);
            self.emptying.insert(before);
        }
        std::mem::replace(&mut writer.listener, listener).abort();
        (writer.number, writer.way) = (number, way);
        let waiting = std::mem::take(&mut writer.waiting);
        if let Some(number) = number
            && self.controller.writes(table)
        {
            self.tables.add(number);
        }
        let now = self.now();
        self.controller.place(now, table, number);
        // These were for the old table. All is read anew, so that nothing is concluded.
        for write in waiting {
            self.controller.input(now, table, write.done(Ok(())));
        }
        Ok(())
    }
}

/// Empties a table of our routes; told as [`News::Emptied`].
pub(super) fn empty(left: OwnRoutes, news: mpsc::Sender<News>) {
    let table = left.owner().table;
    tokio::spawn(async move {
        while let Err(error) = left.remove_all().await {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(table, error, "routes are left in a table before; tried again");
            tokio::time::sleep(AGAIN).await;
        }
        let _ = news.send(News::Emptied(table)).await;
    });
}
