//! Values that are worked out only while somebody watches them.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

/// A value that costs something: who has it is told when somebody begins to watch.
#[derive(Debug)]
pub struct OnDemand<T> {
    /// None while nobody watches: what was true then is not told later.
    value: watch::Sender<Option<Arc<T>>>,
    asked: Arc<Notify>,
}

impl<T> OnDemand<T> {
    /// Without a value, and without watchers.
    pub fn new() -> OnDemand<T> {
        OnDemand { value: watch::Sender::new(None), asked: Arc::default() }
    }

    /// Whether somebody watches.
    pub fn is_watched(&self) -> bool {
        self.value.receiver_count() > 0
    }

    /// Waits until somebody begins to watch, though others may do already. May be cancelled.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// The value now: watchers are told if it is another one.
    pub fn set(&self, value: T)
    where
        T: PartialEq,
    {
        self.value.send_if_modified(|old| {
            let changed = old.as_deref() != Some(&value);
            if changed {
                *old = Some(Arc::new(value));
            }
            changed
        });
    }

    /// Nobody watches: the next one waits for [`OnDemand::set`].
    pub fn forget(&self) {
        self.value.send_if_modified(|old| {
            *old = None;
            false
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Arc<T>>> {
        let receiver = self.value.subscribe();
        self.asked.notify_one();
        receiver
    }
}

impl<T> Clone for OnDemand<T> {
    fn clone(&self) -> OnDemand<T> {
        OnDemand { value: self.value.clone(), asked: Arc::clone(&self.asked) }
    }
}

impl<T> Default for OnDemand<T> {
    fn default() -> OnDemand<T> {
        OnDemand::new()
    }
}
