//! The generated service trait: each request is a [`Call`] to the router's task.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tonic::{Request, Response, Status};

use crate::call::{Call, Reply, Views, ask};
use crate::events::{Events, Wanted};
use crate::reader::{Messages, Reader};
use crate::v1::{self, router_server};

/// How many watches may run at once on one listener.
const MAX_WATCHES: usize = 32;

/// Events of a watch that may wait for the connection.
const EVENTS: usize = 64;

/// The shortest time between two lists of a watch.
const NEIGHBORS_EVERY: Duration = Duration::from_millis(500);
const ADVERTISED_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Service {
    calls: mpsc::Sender<Call>,
    views: Views,
    events: Events,
    watches: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Service {
    /// Whose API it is.
    pub(crate) const WHOSE: &str = "the router";

    pub(crate) fn new(
        calls: mpsc::Sender<Call>,
        views: Views,
        events: Events,
        stop: watch::Receiver<bool>,
    ) -> Service {
        let watches = Arc::new(Semaphore::new(MAX_WATCHES));
        Service { calls, views, events, watches, stop }
    }

    async fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<Response<T>, Status> {
        ask(&self.calls, Self::WHOSE, call).await
    }

    /// A place among the watches.
    fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        let full =
            |_| Status::resource_exhausted(format!("too many watches: {MAX_WATCHES} run already"));
        Arc::clone(&self.watches).try_acquire_owned().map_err(full)
    }

    /// Streams the present value and each later one, at most one per `every`.
    fn watch<V, T>(
        &self,
        values: impl FnOnce() -> watch::Receiver<V>,
        value: fn(&V) -> Option<T>,
        every: Duration,
    ) -> Result<Response<Messages<T>>, Status>
    where
        V: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let place = self.place()?;
        let mut values = values();
        let (mut reader, messages) = Reader::new(1, self.stop.clone());
        values.mark_changed();
        tokio::spawn(async move {
            let _place = place;
            loop {
                tokio::select! {
                    changed = values.changed() => if changed.is_err() { return },
                    () = reader.gone() => return,
                }
                let value = value(&values.borrow_and_update());
                let Some(value) = value else { continue };
                if !reader.take(value).await {
                    return;
                }
                tokio::time::sleep(every).await;
            }
        });
        Ok(Response::new(messages))
    }
}

#[tonic::async_trait]
impl router_server::Router for Service {
    type WatchNeighborsStream = Messages<v1::NeighborList>;
    type WatchAdvertisedStream = Messages<v1::AdvertisedList>;
    type WatchStream = Messages<v1::Event>;

    async fn apply(
        &self,
        request: Request<v1::ApplyRequest>,
    ) -> Result<Response<v1::ApplyReply>, Status> {
        self.ask(|reply| Call::Apply(request.into_inner(), reply)).await
    }

    async fn forget(
        &self,
        request: Request<v1::ForgetRequest>,
    ) -> Result<Response<v1::ApplyReply>, Status> {
        self.ask(|reply| Call::Forget(request.into_inner(), reply)).await
    }

    async fn edit(
        &self,
        request: Request<v1::EditRequest>,
    ) -> Result<Response<v1::ApplyReply>, Status> {
        self.ask(|reply| Call::Edit(request.into_inner(), reply)).await
    }

    async fn reload(
        &self,
        request: Request<v1::ReloadRequest>,
    ) -> Result<Response<v1::ApplyReply>, Status> {
        self.ask(|reply| Call::Reload(request.into_inner(), reply)).await
    }

    async fn reset(
        &self,
        request: Request<v1::ResetRequest>,
    ) -> Result<Response<v1::ResetReply>, Status> {
        self.ask(|reply| Call::Reset(request.into_inner(), reply)).await
    }

    async fn list_policies(
        &self,
        request: Request<v1::ListPoliciesRequest>,
    ) -> Result<Response<v1::PolicyList>, Status> {
        self.ask(|reply| Call::Policies(request.into_inner(), reply)).await
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let wanted = Wanted::new(request.get_ref()).map_err(Status::invalid_argument)?;
        let place = self.place()?;
        let mut watcher = self.events.watch(wanted);
        // A reader that takes nothing holds these, and its place in the ring.
        let (mut reader, messages) = Reader::new(EVENTS, self.stop.clone());
        tokio::spawn(async move {
            let _place = place;
            loop {
                let event = tokio::select! {
                    event = watcher.next() => event,
                    () = reader.gone() => return,
                };
                let Some(event) = event else { return };
                if !reader.take(event).await {
                    return;
                }
            }
        });
        Ok(Response::new(messages))
    }

    async fn get_global(
        &self,
        _: Request<v1::GetGlobalRequest>,
    ) -> Result<Response<v1::Global>, Status> {
        self.ask(Call::Global).await
    }

    async fn list_neighbors(
        &self,
        request: Request<v1::ListNeighborsRequest>,
    ) -> Result<Response<v1::NeighborList>, Status> {
        self.ask(|reply| Call::Neighbors(request.into_inner(), reply)).await
    }

    async fn list_routes(
        &self,
        request: Request<v1::ListRoutesRequest>,
    ) -> Result<Response<v1::RoutePage>, Status> {
        self.ask(|reply| Call::Routes(request.into_inner(), reply)).await
    }

    async fn explain_route(
        &self,
        request: Request<v1::ExplainRouteRequest>,
    ) -> Result<Response<v1::Explanation>, Status> {
        self.ask(|reply| Call::Explain(request.into_inner(), reply)).await
    }

    async fn get_fib(
        &self,
        request: Request<v1::GetFibRequest>,
    ) -> Result<Response<v1::FibPage>, Status> {
        self.ask(|reply| Call::Fib(request.into_inner(), reply)).await
    }

    async fn watch_neighbors(
        &self,
        _: Request<v1::WatchNeighborsRequest>,
    ) -> Result<Response<Self::WatchNeighborsStream>, Status> {
        let list = |list: &Arc<v1::NeighborList>| Some(v1::NeighborList::clone(list));
        self.watch(|| self.views.neighbors.clone(), list, NEIGHBORS_EVERY)
    }

    async fn watch_advertised(
        &self,
        _: Request<v1::WatchAdvertisedRequest>,
    ) -> Result<Response<Self::WatchAdvertisedStream>, Status> {
        let list = |list: &Option<Arc<v1::AdvertisedList>>| list.as_deref().cloned();
        self.watch(|| self.views.advertised.watch(), list, ADVERTISED_EVERY)
    }
}
