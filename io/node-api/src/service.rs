//! The generated service trait: access checks, then a [`Call`] to the router's task.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::call::{Call, Refusal, Reply, Views};
use crate::token::Token;
use crate::v1::{self, router_server};

/// How many watches may run at once on one listener.
const MAX_WATCHES: usize = 32;

/// The shortest time between two lists of a watch.
const NEIGHBORS_EVERY: Duration = Duration::from_millis(500);
const ADVERTISED_EVERY: Duration = Duration::from_secs(1);

/// What those who come in through a listener may do.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Everything: the unix socket, whose peers are checked when they connect.
    Full,
    /// Reading; changes need the token, or are refused when there is none.
    Guarded(Option<Token>),
}

#[derive(Clone)]
pub(crate) struct Service {
    access: Access,
    calls: mpsc::Sender<Call>,
    views: Views,
    watches: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Service {
    pub(crate) fn new(
        access: Access,
        calls: mpsc::Sender<Call>,
        views: Views,
        stop: watch::Receiver<bool>,
    ) -> Service {
        Service { access, calls, views, watches: Arc::new(Semaphore::new(MAX_WATCHES)), stop }
    }

    /// Refuses a change that the caller may not make.
    fn may_change<T>(&self, request: &Request<T>) -> Result<(), Status> {
        match &self.access {
            Access::Full => Ok(()),
            Access::Guarded(None) => Err(Status::permission_denied(
                "read-only: changes go through the router's unix socket, as root",
            )),
            Access::Guarded(Some(token)) => {
                let header = request.metadata().get("authorization");
                if header.is_some_and(|header| token.matches(header.as_bytes())) {
                    Ok(())
                } else {
                    Err(Status::unauthenticated("changes over TCP need the router's token"))
                }
            }
        }
    }

    async fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<Response<T>, Status> {
        let stopping = || Status::unavailable("the router is stopping");
        let (reply, answer) = Reply::channel();
        self.calls.send(call(reply)).await.map_err(|_| stopping())?;
        let answer = answer.await.map_err(|_| stopping())?;
        answer.map(Response::new).map_err(|refusal| match refusal {
            Refusal::Invalid(why) => Status::invalid_argument(why),
            Refusal::NotFound(why) => Status::not_found(why),
            Refusal::NotNow(why) => Status::failed_precondition(why),
        })
    }

    /// Streams the present value and each later one, at most one per `every`.
    fn watch<T>(
        &self,
        mut values: watch::Receiver<Arc<T>>,
        every: Duration,
    ) -> Result<Response<ReceiverStream<Result<T, Status>>>, Status>
    where
        T: Clone + Send + Sync + 'static,
    {
        let permit = Arc::clone(&self.watches)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many watches"))?;
        let (sender, receiver) = mpsc::channel(1);
        let mut stop = self.stop.clone();
        values.mark_changed();
        tokio::spawn(async move {
            let _permit = permit;
            loop {
                tokio::select! {
                    changed = values.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                    _ = stop.wait_for(|stop| *stop) => return,
                }
                let value = T::clone(&values.borrow_and_update());
                if sender.send(Ok(value)).await.is_err() {
                    return;
                }
                tokio::time::sleep(every).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[tonic::async_trait]
impl router_server::Router for Service {
    type WatchNeighborsStream = ReceiverStream<Result<v1::NeighborList, Status>>;
    type WatchAdvertisedStream = ReceiverStream<Result<v1::AdvertisedList, Status>>;

    async fn apply(
        &self,
        request: Request<v1::ApplyRequest>,
    ) -> Result<Response<v1::ApplyReply>, Status> {
        self.may_change(&request)?;
        self.ask(|reply| Call::Apply(request.into_inner(), reply)).await
    }

    async fn forget(
        &self,
        request: Request<v1::ForgetRequest>,
    ) -> Result<Response<v1::ApplyReply>, Status> {
        self.may_change(&request)?;
        self.ask(|reply| Call::Forget(request.into_inner(), reply)).await
    }

    async fn edit(
        &self,
        request: Request<v1::EditRequest>,
    ) -> Result<Response<v1::ApplyReply>, Status> {
        self.may_change(&request)?;
        self.ask(|reply| Call::Edit(request.into_inner(), reply)).await
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
        self.watch(self.views.neighbors.clone(), NEIGHBORS_EVERY)
    }

    async fn watch_advertised(
        &self,
        _: Request<v1::WatchAdvertisedRequest>,
    ) -> Result<Response<Self::WatchAdvertisedStream>, Status> {
        self.watch(self.views.advertised.clone(), ADVERTISED_EVERY)
    }
}
