//! The two ways to the kernel: what is written, and what it tells.

use std::time::Duration;

use route_table::KernelEvent;
use tokio::task::JoinHandle;

use super::router::Router;

/// Kernel writes of one batch.
const BATCH: usize = 4096;

/// Kernel writes that wait for the batch under way. What is not put out yet is decided later, by what
/// is wanted then: a prefix that changes twice is written once, and one write may do for many.
pub(super) const WAITING: usize = 2 * BATCH;

/// The pause before the kernel's news are asked for again after they stopped.
const REOPEN: Duration = Duration::from_secs(1);

/// What the route table is told of a batch.
pub(super) type Written = Vec<route_table::Input>;

impl Router {
    /// The kernel's routes, or one that is different now.
    pub(super) fn kernel(&mut self, event: std::io::Result<KernelEvent>) {
        match event {
            Ok(event) => {
                let now = self.parts.clock.now();
                if matches!(event, KernelEvent::Snapshot(_)) {
                    self.parts.publisher.kernel_read();
                }
                let of_links = matches!(
                    event,
                    KernelEvent::Snapshot(_) | KernelEvent::Link(_) | KernelEvent::LinkGone(_)
                );
                self.table_input(now, route_table::Input::Kernel(event));
                if of_links {
                    self.follow_vrf(now);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the kernel's news stopped");
                self.kernel_lost = Some(error.to_string());
                self.reopen_at = Some(self.parts.clock.now() + REOPEN);
            }
        }
    }

    /// Begins the next batch of kernel writes, when none is under way.
    pub(super) fn write(&mut self) {
        if self.writing.is_some() || self.changes.is_empty() {
            return;
        }
        let rest = self.changes.split_off(self.changes.len().min(BATCH));
        let batch = std::mem::replace(&mut self.changes, rest);
        let routes = self.parts.routes.clone();
        self.writing = Some(tokio::spawn(async move {
            let results = routes.write(batch.clone()).await;
            batch.iter().zip(results).map(|(write, result)| write.done(result)).collect()
        }));
    }

    /// What the kernel said of a batch.
    pub(super) fn written(&mut self, written: Written) {
        let now = self.parts.clock.now();
        for answer in written {
            let refused = match &answer {
                route_table::Input::Applied { prefix, result: Err(errno) } => {
                    Some((format!("route {prefix}"), *errno))
                }
                route_table::Input::ObjectApplied { id, result: Err(errno) } => {
                    Some((format!("next hop {}", id.0), *errno))
                }
                _ => None,
            };
            if let Some((what, errno)) = refused {
                self.parts.write_failures.inc();
                if self.quiet.may_log() {
                    let error = std::io::Error::from_raw_os_error(errno.0);
                    tracing::warn!(what, %error, "the kernel refused a write; tried again");
                }
            }
            self.table_input(now, answer);
        }
        self.parts.publisher.changed();
    }
}

/// The result of a task, once; never when there is none.
pub(super) async fn finished(task: &mut Option<JoinHandle<Written>>) -> Written {
    let Some(handle) = task else { return std::future::pending().await };
    let written = handle.await;
    *task = None;
    // A task that panicked has answered nothing; the route table learns from the kernel's news.
    written.unwrap_or_default()
}

/// How a task ended, none when it panicked; never when there is none.
pub(super) async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(task) => task.await.ok(),
        None => std::future::pending().await,
    }
}
