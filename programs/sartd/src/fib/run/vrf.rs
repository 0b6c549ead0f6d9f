//! Tables of VRFs: followed as their devices come, go, or are made anew with another table.

use tokio::sync::mpsc;

use super::{News, Running, Writer, open};
use crate::bgp::no_vrf;
use router_config::FibPlace;

/// The pause after a table that a VRF had before could not be emptied.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

impl Running {
    /// Whether news by this way to the kernel still count.
    pub(super) fn is_way(&self, table: FibPlace, way: u64) -> bool {
        self.writers.get(&table).is_some_and(|writer| writer.way == way)
    }

    /// Links have changed, or a table is empty: a VRF may have another table now, or none.
    pub(super) fn follow(&mut self, table: FibPlace) -> anyhow::Result<()> {
        self.follow_one(table)?;
        // What this one has given up may be what another waits for.
        let waiting: Vec<FibPlace> = self.missing.keys().copied().collect();
        waiting
            .into_iter()
            .filter(|other| *other != table)
            .try_for_each(|other| self.follow_one(other))
    }

    /// Of a table that is there under another name too, or is being emptied, nothing is written:
    /// each would take the other's routes away.
    fn follow_one(&mut self, table: FibPlace) -> anyhow::Result<()> {
        let FibPlace::Vrf(name) = table else { return Ok(()) };
        let Some(state) = self.controller.tables.get(&table) else { return Ok(()) };
        let found = state.vrf(&name).map(|(_, number)| number);
        let taken = |number: u32| {
            let by = |(other, writer): &(&FibPlace, &Writer)| {
                **other != table && [writer.number, writer.emptying].contains(&Some(number))
            };
            self.writers.iter().find(by).map(|(other, _)| *other)
        };
        let why = match (found, found.and_then(taken)) {
            (Some(_), None) => None,
            (Some(number), Some(other)) => Some(format!("its table {number} is {other} already")),
            (None, _) => Some(no_vrf(state, name)),
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
        // What is written into a table that is being emptied would go too.
        if writer.number == number || writer.leaving || writer.left.is_some() {
            return Ok(());
        }
        tracing::info!(vrf = %name, table = number, "the VRF's table");
        let way = writer.way + 1;
        let (routes, listener) = open(table, way, number, &self.news)?;
        let old = std::mem::replace(&mut writer.routes, routes);
        writer.left = writer.number.map(|_| old);
        writer.emptying = writer.number;
        std::mem::replace(&mut writer.listener, listener).abort();
        (writer.number, writer.way) = (number, way);
        let waiting = std::mem::take(&mut writer.waiting);
        let now = self.now();
        self.controller.place(now, table, number);
        // These were for the old table. All is read anew, so that nothing is concluded.
        for write in waiting {
            self.controller.input(now, table, write.done(Ok(())));
        }
        Ok(())
    }
}

/// Begins to empty the table that a VRF had before, if there is one.
pub(super) fn empty(table: FibPlace, writer: &mut Writer, news: &mpsc::Sender<News>) {
    let Some(left) = writer.left.take() else { return };
    writer.leaving = true;
    let news = news.clone();
    tokio::spawn(async move {
        while let Err(error) = left.remove_all().await {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(%table, error, "routes are left in the table before; tried again");
            tokio::time::sleep(AGAIN).await;
        }
        let _ = news.send(News::Left(table)).await;
    });
}
