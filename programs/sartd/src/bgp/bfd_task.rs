//! BFD: a task of its own, so that a busy router is not taken for a dead one.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bfd::{Bfd, Change, Config, DEFAULT_MAX_SESSIONS, Input, Key, Output, Seed, Status};
use sockets::{BfdSockets, Datagram};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::clock::{Clock, Quiet};

/// How often BFD's ports are tried again when another program has them.
const AGAIN: Duration = Duration::from_secs(5);

/// How long the goodbyes may take at the end.
const STOP_TIME: Duration = Duration::from_millis(500);

/// Datagrams that are taken one after another before the timers have their turn.
const BURST: usize = 256;

/// A session has gone up or down.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub(super) key: Key,
    pub(super) change: Change,
}

/// The router's end of the task. Dropping it ends the task without a goodbye.
#[derive(Debug)]
pub(super) struct BfdTask {
    wanted: watch::Sender<BTreeMap<Key, Config>>,
    stop: mpsc::Sender<oneshot::Sender<()>>,
    shared: Shared,
    changed: Arc<Notify>,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// There while any session is wanted and the ports are ours.
    machine: Option<Bfd>,
    /// Sessions that cannot be, and why.
    refused: BTreeMap<Key, String>,
    /// Why the ports cannot be had.
    failure: Option<String>,
    /// What the router has not heard yet, of each session: the last failure, and what came after.
    news: BTreeMap<Key, [Option<Change>; 2]>,
}

/// How BFD with a peer stands.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    Session(Box<Status>),
    /// There is none, in words.
    Without(String),
}

impl BfdTask {
    /// Starts the task. It opens the ports when the first session is wanted.
    pub(super) fn start(clock: Clock) -> BfdTask {
        let (wanted, receiver) = watch::channel(BTreeMap::new());
        let (stop, told) = mpsc::channel(1);
        let (shared, changed) = (Shared::default(), Arc::new(Notify::new()));
        let runner = Runner {
            clock,
            wanted: receiver,
            told,
            changed: Arc::clone(&changed),
            shared: shared.clone(),
        };
        let task = tokio::spawn(runner.run());
        BfdTask { wanted, stop, shared, changed, task }
    }

    /// Waits for news. May be cancelled.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What has happened since the last time, at most two changes of a session: BFD does not wait
    /// for the router, and a failure is never covered by what came after it.
    pub(super) fn news(&self) -> Vec<News> {
        let news = std::mem::take(&mut self.shared.lock().news);
        let each = |(key, changes): (Key, [Option<Change>; 2])| {
            changes.into_iter().flatten().map(move |change| News { key, change })
        };
        news.into_iter().flat_map(each).collect()
    }

    /// The sessions that are wanted from now on.
    pub(super) fn want(&self, wanted: BTreeMap<Key, Config>) {
        self.wanted.send_if_modified(|old| {
            let changed = *old != wanted;
            *old = wanted;
            changed
        });
    }

    /// How a session stands.
    pub(super) fn standing(&self, key: &Key) -> Standing {
        let state = self.shared.lock();
        let status = state.machine.as_ref().and_then(|machine| machine.status(key));
        match status {
            Some(status) => Standing::Session(Box::new(status)),
            None => {
                let refused = state.refused.get(key).or(state.failure.as_ref());
                Standing::Without(refused.cloned().unwrap_or_else(|| "not started yet".to_owned()))
            }
        }
    }

    /// Why no session can be.
    pub(super) fn failure(&self) -> Option<String> {
        self.shared.lock().failure.clone()
    }

    /// Tells the neighbors that no failure is meant, and ends.
    pub(super) async fn stop(self) {
        let (done, stopped) = oneshot::channel();
        if self.stop.send(done).await.is_ok() {
            let _ = tokio::time::timeout(STOP_TIME, stopped).await;
        }
    }
}

impl Drop for BfdTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Runner {
    clock: Clock,
    wanted: watch::Receiver<BTreeMap<Key, Config>>,
    told: mpsc::Receiver<oneshot::Sender<()>>,
    changed: Arc<Notify>,
    shared: Shared,
}

/// Why the sockets are no longer needed.
enum Ended {
    Idle,
    Stopped,
}

impl Runner {
    async fn run(mut self) {
        let mut said = None;
        loop {
            tokio::select! {
                some = self.wanted.wait_for(|wanted| !wanted.is_empty()) => {
                    if some.is_err() { return }
                }
                // Nothing to say goodbye to: the answer is the drop.
                _ = self.told.recv() => return,
            }
            match BfdSockets::new() {
                Ok((sockets, datagrams)) => {
                    said = None;
                    match self.serve(sockets, datagrams).await {
                        Ended::Idle => {}
                        Ended::Stopped => return,
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    if said.as_ref() != Some(&text) {
                        tracing::warn!(%error, "no BFD: tried again");
                    }
                    self.shared.lock().failure = Some(text.clone());
                    said = Some(text);
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        _ = self.told.recv() => return,
                    }
                }
            }
        }
    }

    /// Runs sessions as long as there are some.
    async fn serve(
        &mut self,
        mut sockets: BfdSockets,
        mut datagrams: mpsc::Receiver<Datagram>,
    ) -> Ended {
        {
            let mut state = self.shared.lock();
            state.machine = Some(Bfd::new(seed(), DEFAULT_MAX_SESSIONS));
            state.failure = None;
        }
        self.wanted.mark_changed();
        let mut quiet = Quiet::default();
        loop {
            let (wake, idle) = self.turn(&mut sockets, &mut quiet);
            if idle && self.wanted.borrow().is_empty() {
                self.shared.lock().machine = None;
                return Ended::Idle;
            }
            let wake = wake.map(|at| self.clock.instant(at));
            tokio::select! {
                biased;
                // Before the timers: our own sleep must not count as the neighbor's silence.
                Some(datagram) = datagrams.recv() => {
                    self.datagram(&datagram);
                    for _ in 1..BURST {
                        let Ok(datagram) = datagrams.try_recv() else { break };
                        self.datagram(&datagram);
                    }
                }
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.want(),
                    Err(_) => return Ended::Stopped,
                },
                done = self.told.recv() => {
                    self.handle(Input::Wanted(BTreeMap::new()));
                    self.turn(&mut sockets, &mut quiet);
                    if let Some(done) = done {
                        let _ = done.send(());
                    }
                    return Ended::Stopped;
                }
                () = sleep(wake) => {}
            }
        }
    }

    fn datagram(&self, datagram: &Datagram) {
        self.handle(Input::Packet { bytes: &datagram.bytes, arrival: datagram.arrival });
    }

    fn want(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        self.shared.lock().refused.clear();
        self.handle(Input::Wanted(wanted));
    }

    fn handle(&self, input: Input<'_>) {
        let now = self.clock.now();
        if let Some(machine) = &mut self.shared.lock().machine {
            machine.handle(now, input);
        }
    }

    /// Does what is due; gives when the next is, and whether no session is left.
    fn turn(&self, sockets: &mut BfdSockets, quiet: &mut Quiet) -> (Option<inet::Timestamp>, bool) {
        let mut state = self.shared.lock();
        let State { machine: Some(machine), refused, news, .. } = &mut *state else {
            return (None, true);
        };
        machine.tick(self.clock.now());
        while let Some(output) = machine.poll() {
            match output {
                Output::Send { key, bytes } => {
                    if let Err(error) = sockets.send(&key, &bytes)
                        && quiet.may_log()
                    {
                        tracing::info!(peer = %key.peer, %error, "BFD packet not sent");
                    }
                }
                Output::Changed { key, change } => {
                    let [failure, after] = news.entry(key).or_default();
                    if change.is_failure() {
                        (*failure, *after) = (Some(change), None);
                    } else {
                        *after = Some(change);
                    }
                    self.changed.notify_one();
                }
                Output::Gone { key } => sockets.close(&key),
                Output::Refused { key, error } => {
                    tracing::warn!(peer = %key.peer, %error, "no BFD");
                    refused.insert(key, error.to_string());
                }
            }
        }
        (machine.wake_at(), machine.statuses().next().is_none())
    }
}

/// Secret and new for each run of the machine.
fn seed() -> Seed {
    let random = RandomState::new();
    let mut seed = [0; 16];
    let bytes = [0, 1].map(|n| random.hash_one(n));
    for (to, from) in seed.iter_mut().zip(bytes.iter().flat_map(|n| n.to_ne_bytes())) {
        *to = from;
    }
    Seed(seed)
}

async fn sleep(until: Option<tokio::time::Instant>) {
    match until {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
