//! The two ends of a run: alone at its socket, and what becomes of the routes.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use kernel::routes::{OwnRoutes, Owner};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{News, Running, bgp};
use crate::held::hold;

/// How long an answer from the kernel is waited for at the end.
const END_TIME: Duration = Duration::from_secs(5);

/// What is said of a socket that cannot be.
pub(super) const NO_SOCKET: &str = "no unix socket (run as root, or choose another with --socket)";

/// Holds the lock beside the socket: two of one socket would take it, and each other's routes, away.
pub(super) fn alone(socket: &Path) -> anyhow::Result<File> {
    let at = socket.display();
    let directory = socket.parent().filter(|path| !path.as_os_str().is_empty());
    let made = directory.map_or(Ok(()), std::fs::create_dir_all);
    let held = made.and_then(|()| hold(&socket.with_extension("lock")));
    match held.with_context(|| format!("cannot listen on {at}")).context(NO_SOCKET)? {
        Some(lock) => Ok(lock),
        None => anyhow::bail!("already-running: a `sartd fib` has {at}; choose another --socket"),
    }
}

impl Running {
    /// Takes the routes away, unless they are to be kept.
    pub(super) async fn goodbye(
        mut self,
        keep: bool,
        heard: mpsc::Receiver<News>,
    ) -> anyhow::Result<()> {
        // First: they would tell a router anew that has forgotten what is taken back.
        self.tellers.shutdown().await;
        if keep {
            return Ok(());
        }
        let mut taken = JoinSet::new();
        for (endpoint, channel) in std::mem::take(&mut self.routers).into_keys() {
            let token = self.token.clone();
            taken.spawn(tokio::time::timeout(END_TIME, async move {
                bgp::take_back(&endpoint, &channel, token.as_ref()).await;
            }));
        }
        let _ = taken.join_all().await;
        // What is written after its table was emptied would stay. Past the time, who writes there
        // empties it: after what is under way.
        if tokio::time::timeout(END_TIME, self.written(heard)).await.is_err() {
            tracing::warn!("the kernel has not answered all writes");
        }
        let mut failed = None;
        for table in self.tables.all().clone() {
            let writer = self.writers.values().find(|writer| writer.number == Some(table));
            let removed = match writer {
                Some(writer) => writer.routes.remove_all().await,
                None => match OwnRoutes::open(Owner::FIB.in_table(table), &[]) {
                    Ok(routes) => routes.remove_all().await,
                    Err(error) => Err(error),
                },
            };
            match removed {
                Ok(removed) => {
                    tracing::info!(table, removed, "our routes are taken away");
                    self.tables.remove(table);
                }
                // The others go all the same, and this one's by the next run.
                Err(error) => {
                    let named = anyhow::Error::from(error).context(format!("table {table}"));
                    failed.get_or_insert(named);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Waits until all writes are answered.
    async fn written(&mut self, mut heard: mpsc::Receiver<News>) {
        while self.writers.values().any(|writer| writer.under_way) {
            match heard.recv().await {
                Some(News::Written(table, _)) => {
                    if let Some(writer) = self.writers.get_mut(&table) {
                        writer.under_way = false;
                    }
                }
                Some(
                    News::Kernel(..) | News::KernelLost(..) | News::Emptied(_) | News::Router(_),
                ) => {}
                None => return,
            }
        }
    }
}
