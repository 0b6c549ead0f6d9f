use std::fmt::Debug;
use std::time::Duration;

use cluster_api::world::{ObjectKey, Seen};
use futures::{TryStreamExt as _, pin_mut};
use kube::api::{ListParams, WatchParams};
use kube::core::{DeserializeGuard, WatchEvent};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Objects per page of a list.
const PAGE: u32 = 500;
/// The API server ends a watch after this long, in seconds (it takes at most 294).
const WATCH_SECONDS: u32 = 290;
/// A watch that says nothing for so long is dead: bookmarks come about once a minute.
const SILENCE: Duration = Duration::from_secs(100);
/// A list's page must come within this time.
const LIST_TIME: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Which objects of a kind are watched; all by default.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// A label selector.
    pub labels: Option<String>,
    /// A field selector, for instance `spec.nodeName=n0`.
    pub fields: Option<String>,
}

/// Watches of several kinds into one channel. Dropping it ends them.
///
/// Each watch lists (the planner sees [`Seen::All`], and knows by that that it has seen all), then
/// follows. It survives whatever the API server does: what is lost is listed again.
pub struct Watches<C> {
    into: mpsc::Sender<C>,
    tasks: JoinSet<()>,
}

impl<C: Send + 'static> Watches<C> {
    /// No watches yet, and the channel that they will speak to. A reader that falls behind by
    /// `capacity` changes slows the watches down; nothing is dropped.
    pub fn new(capacity: usize) -> (Watches<C>, mpsc::Receiver<C>) {
        let (into, from) = mpsc::channel(capacity.max(1));
        (Watches { into, tasks: JoinSet::new() }, from)
    }

    /// A sender into the same channel, for what else the planner must know.
    pub fn sender(&self) -> mpsc::Sender<C> {
        self.into.clone()
    }

    /// Watches a kind; `wrap` makes the consumer's change out of what is seen.
    pub fn add<K>(
        &mut self,
        api: Api<DeserializeGuard<K>>,
        scope: Scope,
        wrap: impl Fn(Seen<K>) -> C + Send + Sync + 'static,
    ) where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
    {
        let into = self.into.clone();
        self.tasks.spawn(async move {
            let watch = Watch { api, scope, wrap, into };
            // Ends only when nobody listens any more.
            let _nobody_listens = watch.run().await;
        });
    }
}

struct Watch<K, W, C> {
    api: Api<DeserializeGuard<K>>,
    scope: Scope,
    wrap: W,
    into: mpsc::Sender<C>,
}

/// The receiver is gone.
struct Closed;

/// How one watch request ended.
enum End {
    /// Go on from this version.
    Resume(String),
    /// The place is lost: list again.
    Lost,
}

impl<K, W, C> Watch<K, W, C>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
    W: Fn(Seen<K>) -> C,
{
    async fn run(&self) -> Result<(), Closed> {
        let kind = K::kind(&());
        let mut pause = FIRST_PAUSE;
        let mut place: Option<String> = None;
        loop {
            let from = match place.take() {
                Some(version) => version,
                None => match self.list().await {
                    Ok((seen, version)) => {
                        self.send(seen).await?;
                        version
                    }
                    Err(error) => {
                        warn!(kind = %kind, %error, "cannot list");
                        self.rest(&mut pause).await?;
                        continue;
                    }
                },
            };
            let began = Instant::now();
            match self.follow(&from).await? {
                Ok(End::Resume(version)) => place = Some(version),
                Ok(End::Lost) => info!(kind = %kind, "watch lost its place, listing again"),
                Err((error, version)) => {
                    debug!(kind = %kind, %error, "watch ended");
                    place = Some(version);
                }
            }
            // One that lasted is begun again at once; one that did not, not so soon.
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            } else {
                self.rest(&mut pause).await?;
            }
        }
    }

    /// Waits, each time longer; ends early when nobody listens any more.
    async fn rest(&self, pause: &mut Duration) -> Result<(), Closed> {
        tokio::select! {
            () = tokio::time::sleep(*pause) => {}
            () = self.into.closed() => return Err(Closed),
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    async fn send(&self, seen: Seen<K>) -> Result<(), Closed> {
        self.into.send((self.wrap)(seen)).await.map_err(|_| Closed)
    }

    async fn list(&self) -> Result<(Seen<K>, String), kube::Error> {
        let (mut objects, mut bad) = (Vec::new(), Vec::new());
        let mut params = ListParams {
            label_selector: self.scope.labels.clone(),
            field_selector: self.scope.fields.clone(),
            ..ListParams::default()
        }
        .limit(PAGE);
        loop {
            let page = tokio::time::timeout(LIST_TIME, self.api.list(&params)).await;
            let page = page.map_err(|_| kube::Error::Service("a list took too long".into()))??;
            for item in page.items {
                match read(item) {
                    Ok(object) => objects.push(object),
                    Err((key, why)) => {
                        warn!(kind = %K::kind(&()), object = %key, why, "object cannot be read");
                        bad.push((key, why));
                    }
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => {
                    let version = page.metadata.resource_version.unwrap_or_default();
                    return Ok((Seen::All { objects, bad, version: version.clone() }, version));
                }
            }
        }
    }

    /// One watch request. Its error comes with the version to go on from.
    async fn follow(&self, from: &str) -> Result<Result<End, (kube::Error, String)>, Closed> {
        let params = WatchParams {
            label_selector: self.scope.labels.clone(),
            field_selector: self.scope.fields.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            send_initial_events: false,
        };
        let mut place = from.to_owned();
        let started = tokio::time::timeout(LIST_TIME, self.api.watch(&params, from)).await;
        let stream = match started {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if is_gone(&error) => return Ok(Ok(End::Lost)),
            Ok(Err(error)) => return Ok(Err((error, place))),
            Err(_) => {
                let error = kube::Error::Service("a watch took too long to start".into());
                return Ok(Err((error, place)));
            }
        };
        pin_mut!(stream);
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(SILENCE, stream.try_next()) => next,
                () = self.into.closed() => return Err(Closed),
            };
            let event = match next {
                Err(_) | Ok(Ok(None)) => return Ok(Ok(End::Resume(place))),
                Ok(Err(error)) if is_gone(&error) => return Ok(Ok(End::Lost)),
                Ok(Err(error)) => return Ok(Err((error, place))),
                Ok(Ok(Some(event))) => event,
            };
            match event {
                WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                    place = item.resource_version().unwrap_or(place);
                    let seen = match read(item) {
                        Ok(object) => Seen::Put(object),
                        Err((key, why)) => {
                            warn!(kind = %K::kind(&()), object = %key, why, "object cannot be read");
                            Seen::Bad(key, why)
                        }
                    };
                    self.send(seen).await?;
                }
                WatchEvent::Deleted(item) => {
                    place = item.resource_version().unwrap_or(place);
                    match read(item) {
                        Ok(object) => self.send(Seen::Gone(object)).await?,
                        // Deleted and unreadable: a list says what is left.
                        Err(_) => return Ok(Ok(End::Lost)),
                    }
                }
                WatchEvent::Bookmark(mark) => place = mark.metadata.resource_version,
                WatchEvent::Error(status) if status.code == 410 => return Ok(Ok(End::Lost)),
                WatchEvent::Error(status) => {
                    return Ok(Err((kube::Error::Api(status), place)));
                }
            }
        }
    }
}

/// The object without what nobody needs, or its key and why it cannot be read.
fn read<K: Resource>(item: DeserializeGuard<K>) -> Result<K, (ObjectKey, String)> {
    match item.0 {
        Ok(mut object) => {
            object.meta_mut().managed_fields = None;
            Ok(object)
        }
        Err(invalid) => {
            let namespace = invalid.metadata.namespace.unwrap_or_default();
            let name = invalid.metadata.name.unwrap_or_default();
            Err((ObjectKey { namespace, name }, invalid.error))
        }
    }
}

/// 410: the version is too old to go on from.
fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
}

#[cfg(test)]
mod tests;
