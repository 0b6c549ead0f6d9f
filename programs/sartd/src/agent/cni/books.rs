//! The node's books of addresses, shared between calls, watches and whoever asks for blocks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use inet::{Prefix, Timestamp};
use kernel::pod::Record;
use node_plan::ipam::{
    Assigned, Holder, Need, NodeBlock, NodeIpam, PoolChoice, PoolFacts, Refusal,
};
use tokio::sync::watch;
use tracing::warn;

/// The books. Clones are the same books.
#[derive(Clone)]
pub(crate) struct Books(Arc<Inner>);

struct Inner {
    /// Held for moments only, never while anything is waited for.
    ipam: Mutex<NodeIpam>,
    epoch: Instant,
    /// There may be room for who waits.
    room: watch::Sender<()>,
    /// Another block may be needed, or one be given back.
    demand: watch::Sender<()>,
}

impl Books {
    pub(crate) fn new() -> Books {
        Books(Arc::new(Inner {
            ipam: Mutex::new(NodeIpam::new()),
            epoch: Instant::now(),
            room: watch::Sender::new(()),
            demand: watch::Sender::new(()),
        }))
    }

    /// The node's blocks are these and no others.
    pub(crate) fn set_blocks(&self, blocks: &[NodeBlock]) {
        let now = self.now();
        let mut ipam = self.ipam();
        if !ipam.set_blocks(now, blocks) {
            return;
        }
        for (holder, address) in ipam.strays() {
            let container = &holder.container_id;
            warn!(%address, container, "a pod's address lies in none of this node's blocks");
        }
        drop(ipam);
        self.tell_both();
    }

    /// Nothing is taken any more from blocks that are not among these. New ones don't come by it.
    pub(crate) fn let_go(&self, wanted: &BTreeSet<Prefix>) {
        let blocks = self.blocks().into_iter().filter(|(prefix, _, _)| wanted.contains(prefix));
        let staying = blocks.map(|(prefix, pool, _)| NodeBlock { prefix, pool });
        self.set_blocks(&staying.collect::<Vec<_>>());
    }

    /// The pools for pods are these and no others.
    pub(crate) fn set_pools(&self, pools: Vec<PoolFacts>) {
        if self.ipam().set_pools(pools) {
            self.tell_both();
        }
    }

    /// Changes whenever [`Books::needs`] or [`Books::give_back`] may have something new.
    pub(crate) fn demand(&self) -> watch::Receiver<()> {
        self.0.demand.subscribe()
    }

    /// The blocks that are wanted now.
    pub(crate) fn needs(&self) -> Vec<Need> {
        self.ipam().needs()
    }

    /// The blocks that are to be given back now; nothing is taken from them any more.
    pub(crate) fn give_back(&self) -> Vec<Prefix> {
        let now = self.now();
        self.ipam().give_back(now)
    }

    /// A block could not be given back and stays for a while.
    pub(crate) fn keep(&self, block: &Prefix) {
        let now = self.now();
        self.ipam().keep(now, block);
        // Not demand: whoever gives blocks back would try the same again at once.
        self.0.room.send_replace(());
    }

    /// In how long [`Books::give_back`] should be asked again, if nothing else happens.
    pub(crate) fn wake_in(&self) -> Option<Duration> {
        let at = self.ipam().wake_at()?;
        Some(at.since(self.now()))
    }

    /// Every block with its pool and how many of its addresses are used.
    pub(crate) fn blocks(&self) -> Vec<(Prefix, String, usize)> {
        let ipam = self.ipam();
        ipam.blocks().map(|(prefix, pool, used)| (prefix, pool.to_owned(), used)).collect()
    }

    /// Puts back what links' records say.
    pub(super) fn restore(&self, records: impl IntoIterator<Item = Record>) {
        let records = records.into_iter().map(|record| (holder(&record), assigned(&record)));
        for (holder, address) in self.ipam().restore(records) {
            warn!(%address, container = holder.container_id, "two pods have one address");
        }
        self.tell_both();
    }

    pub(super) fn allocate(
        &self,
        holder: &Holder,
        choices: &[PoolChoice],
    ) -> Result<Vec<Assigned>, Refusal> {
        let result = self.ipam().allocate(holder, choices);
        self.0.demand.send_replace(());
        result
    }

    pub(super) fn release(&self, holder: &Holder) -> Vec<Assigned> {
        let now = self.now();
        let freed = self.ipam().release(now, holder);
        if !freed.is_empty() {
            self.tell_both();
        }
        freed
    }

    pub(super) fn stop_waiting(&self, holder: &Holder) {
        self.ipam().stop_waiting(holder);
        self.0.demand.send_replace(());
    }

    pub(super) fn held_by(&self, holder: &Holder) -> Option<Vec<Assigned>> {
        self.ipam().held_by(holder).map(<[Assigned]>::to_vec)
    }

    pub(super) fn holders(&self) -> Vec<Holder> {
        self.ipam().holders().map(|(holder, _)| holder.clone()).collect()
    }

    /// Changes whenever an allocation that was refused may now succeed.
    pub(super) fn room(&self) -> watch::Receiver<()> {
        self.0.room.subscribe()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_elapsed(self.0.epoch.elapsed())
    }

    fn tell_both(&self) {
        self.0.room.send_replace(());
        self.0.demand.send_replace(());
    }

    fn ipam(&self) -> MutexGuard<'_, NodeIpam> {
        self.0.ipam.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record of what a holder has. One pool is written once.
pub(super) fn record(holder: &Holder, assigned: &[Assigned]) -> Record {
    let mut pools: Vec<String> = assigned.iter().map(|a| a.pool.clone()).collect();
    if pools.iter().any(String::is_empty) {
        pools.clear();
    }
    if pools.iter().all(|pool| Some(pool) == pools.first()) {
        pools.truncate(1);
    }
    Record {
        pools,
        container_id: holder.container_id.clone(),
        ifname: holder.ifname.clone(),
        addresses: assigned.iter().map(|a| a.address).collect(),
    }
}

fn holder(record: &Record) -> Holder {
    Holder { container_id: record.container_id.clone(), ifname: record.ifname.clone() }
}

/// The other way round; a record without pools, or with too few, leaves them open.
fn assigned(record: &Record) -> Vec<Assigned> {
    let pool = |at: usize| match record.pools.as_slice() {
        [only] => only.clone(),
        pools if pools.len() == record.addresses.len() => {
            pools.get(at).cloned().unwrap_or_default()
        }
        _ => String::new(),
    };
    let addresses = record.addresses.iter().enumerate();
    addresses.map(|(at, address)| Assigned { address: *address, pool: pool(at) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_goes_is_let_go_before_others_come() {
        let block = |text: &str| NodeBlock { prefix: text.parse().unwrap(), pool: "p".into() };
        let books = Books::new();
        books.set_blocks(&[block("10.1.0.0/30"), block("10.1.0.4/30")]);
        let wanted = ["10.1.0.4/30", "10.1.0.8/30"].map(|text| text.parse().unwrap());
        books.let_go(&BTreeSet::from(wanted));
        assert_eq!(books.blocks(), [("10.1.0.4/30".parse().unwrap(), "p".to_owned(), 0)]);
    }

    #[test]
    fn a_record_tells_the_holder_and_its_addresses() {
        let check = |assigned_pools: &[(&str, &str)], pools: &[&str]| {
            let list: Vec<_> = assigned_pools
                .iter()
                .map(|(a, pool)| Assigned { address: a.parse().unwrap(), pool: (*pool).into() })
                .collect();
            let of = Holder { container_id: "c1".into(), ifname: "eth0".into() };
            let record = record(&of, &list);
            assert_eq!(record.pools, pools);
            assert_eq!((holder(&record), assigned(&record)), (of, list));
        };
        check(&[("10.1.0.0", "p"), ("fd00::", "p")], &["p"]);
        check(&[("10.1.0.0", "a"), ("10.2.0.0", "b")], &["a", "b"]);
        check(&[("10.1.0.0", ""), ("10.2.0.0", "")], &[]);
    }
}
