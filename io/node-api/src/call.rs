use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tonic::{Response, Status};

use crate::{OnDemand, v1};

/// Answers one [`Call`]. A dropped reply tells the caller that the router is stopping.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<Result<T, Refusal>>);

/// Why a call is not answered with what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request makes no sense; says what is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The thing asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// Not possible in the present state.
    #[error("{0}")]
    NotNow(String),
    /// As many as this are answered already; later it may be possible.
    #[error("{0}")]
    Busy(String),
}

/// One request to the router, for the task that owns it.
#[derive(Debug)]
pub enum Call {
    /// An owner's whole document.
    Apply(v1::ApplyRequest, Reply<v1::ApplyReply>),
    /// An owner goes.
    Forget(v1::ForgetRequest, Reply<v1::ApplyReply>),
    /// A change of the cli's document.
    Edit(v1::EditRequest, Reply<v1::ApplyReply>),
    /// The configuration file is to be read again.
    Reload(v1::ReloadRequest, Reply<v1::ApplyReply>),
    /// Sessions or routes anew.
    Reset(v1::ResetRequest, Reply<v1::ResetReply>),
    /// The whole router.
    Global(Reply<v1::Global>),
    /// The peers.
    Neighbors(v1::ListNeighborsRequest, Reply<v1::NeighborList>),
    /// A page of a table.
    Routes(v1::ListRoutesRequest, Reply<v1::RoutePage>),
    /// Why a prefix goes where it goes.
    Explain(v1::ExplainRouteRequest, Reply<v1::Explanation>),
    /// A page of the FIB.
    Fib(v1::GetFibRequest, Reply<v1::FibPage>),
    /// Policies as text.
    Policies(v1::ListPoliciesRequest, Reply<v1::PolicyList>),
}

/// What watches are served from. The router replaces the values; each watcher sees the latest.
#[derive(Clone, Debug)]
pub struct Views {
    /// All peers.
    pub neighbors: watch::Receiver<Arc<v1::NeighborList>>,
    /// What each is sent.
    pub advertised: OnDemand<v1::AdvertisedList>,
}

impl<T> Reply<T> {
    /// A reply and the end where the answer comes out.
    pub fn channel() -> (Reply<T>, oneshot::Receiver<Result<T, Refusal>>) {
        let (sender, receiver) = oneshot::channel();
        (Reply(sender), receiver)
    }

    /// Answers. A caller that has gone away is no error.
    pub fn send(self, answer: Result<T, Refusal>) {
        let _ = self.0.send(answer);
    }

    /// Whether nobody waits for the answer any more: the caller hung up, or its time is over.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Comes back when nobody waits for the answer any more.
    pub async fn closed(&mut self) {
        self.0.closed().await;
    }
}

impl Call {
    /// Whether nobody waits for the answer any more: then it need not be worked on.
    pub fn is_abandoned(&self) -> bool {
        match self {
            Call::Apply(_, reply)
            | Call::Forget(_, reply)
            | Call::Edit(_, reply)
            | Call::Reload(_, reply) => reply.is_closed(),
            Call::Reset(_, reply) => reply.is_closed(),
            Call::Global(reply) => reply.is_closed(),
            Call::Neighbors(_, reply) => reply.is_closed(),
            Call::Routes(_, reply) => reply.is_closed(),
            Call::Explain(_, reply) => reply.is_closed(),
            Call::Fib(_, reply) => reply.is_closed(),
            Call::Policies(_, reply) => reply.is_closed(),
        }
    }
}

/// Hands a call to the task that owns the state, and waits for its answer.
pub(crate) async fn ask<C, T>(
    calls: &mpsc::Sender<C>,
    whose: &str,
    call: impl FnOnce(Reply<T>) -> C,
) -> Result<Response<T>, Status> {
    let stopping = || Status::unavailable(format!("{whose} is stopping"));
    let (reply, answer) = Reply::channel();
    calls.send(call(reply)).await.map_err(|_| stopping())?;
    let answer = answer.await.map_err(|_| stopping())?;
    answer.map(Response::new).map_err(|refusal| match refusal {
        Refusal::Invalid(why) => Status::invalid_argument(why),
        Refusal::NotFound(why) => Status::not_found(why),
        Refusal::NotNow(why) => Status::failed_precondition(why),
        Refusal::Busy(why) => Status::resource_exhausted(why),
    })
}
