//! One lock per container: calls for one go one after another, calls for others don't wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use node_plan::ipam::Holder;
use tokio::sync::OwnedMutexGuard;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The locks of the containers that calls are at. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Locks(Arc<Mutex<HashMap<Holder, Lock>>>);

/// Held by a call; the lock is forgotten with its last holder.
pub(super) struct Guard {
    locks: Locks,
    holder: Holder,
    held: Option<OwnedMutexGuard<()>>,
}

impl Locks {
    pub(super) async fn lock(&self, holder: &Holder) -> Guard {
        let lock = self.map().entry(holder.clone()).or_default().clone();
        // Made first: should the wait be given up, its drop forgets the lock.
        let mut guard = Guard { locks: self.clone(), holder: holder.clone(), held: None };
        guard.held = Some(lock.lock_owned().await);
        guard
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Holder, Lock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.held = None;
        let mut map = self.locks.map();
        // Only the map has it: nobody waits for it, and nobody can come while the map is held.
        if map.get(&self.holder).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            map.remove(&self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_is_exclusive_per_container_and_forgotten_after() {
        let locks = Locks::default();
        let holder = |id: &str| Holder { container_id: id.into(), ifname: "eth0".into() };
        let first = locks.lock(&holder("a")).await;
        let other = locks.lock(&holder("b")).await;
        let waits = tokio::spawn({
            let locks = locks.clone();
            async move { locks.lock(&holder("a")).await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(first);
        let second = waits.await.unwrap();
        drop(other);
        assert_eq!(locks.map().len(), 1);
        // A wait that is given up leaves nothing behind either.
        let given_up = tokio::spawn({
            let locks = locks.clone();
            async move { locks.lock(&holder("a")).await }
        });
        tokio::task::yield_now().await;
        given_up.abort();
        assert!(given_up.await.is_err());
        drop(second);
        assert_eq!(locks.map().len(), 0);
    }
}
