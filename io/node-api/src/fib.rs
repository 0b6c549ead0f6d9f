//! The FIB controller's API: server and client (`proto/sart/v1/fib.proto`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

use crate::call::{Refusal, Reply};
use crate::guard::{Access, Guard, MAX_READ};
use crate::incoming::incoming;
use crate::server::{ServerError, bind_unix};
use crate::token::Token;
use crate::v1::{self, fib_server};

/// Where the controller's unix socket is when nothing else is said.
pub const DEFAULT_FIB_SOCKET: &str = "/run/sart/fib.sock";

/// Where its TCP API is when nothing else is said.
pub const DEFAULT_FIB_TCP: &str = "127.0.0.1:5001";

/// The largest request: some hundred thousand routes.
const MAX_REQUEST: usize = 32 << 20;
/// How long a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long stopping waits for requests that run.
const STOP_TIME: Duration = Duration::from_secs(1);
/// How often a silent connection is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(30);

/// One request to the FIB controller, for the task that owns it.
#[derive(Debug)]
pub enum FibCall {
    /// All that an owner wants of a channel.
    Set(v1::SetRoutesRequest, Reply<v1::SetRoutesReply>),
    /// An owner goes.
    Forget(v1::ForgetRoutesRequest, Reply<v1::SetRoutesReply>),
    /// The channels.
    Channels(Reply<v1::ChannelList>),
    /// A page of a channel.
    Routes(v1::ListChannelRoutesRequest, Reply<v1::ChannelRoutePage>),
}

/// The API's listeners. Dropping it stops them and removes the unix socket.
#[derive(Debug)]
pub struct FibServer {
    calls: mpsc::Sender<FibCall>,
    stop: watch::Sender<bool>,
    socket: Option<PathBuf>,
    tasks: Vec<JoinHandle<()>>,
}

impl FibServer {
    /// A server without listeners, whose requests go to `calls`.
    pub fn new(calls: mpsc::Sender<FibCall>) -> FibServer {
        let (stop, _) = watch::channel(false);
        FibServer { calls, stop, socket: None, tasks: Vec::new() }
    }

    /// Listens on a unix socket (mode 0600), for all calls.
    pub fn listen_unix(&mut self, path: &Path) -> Result<(), ServerError> {
        let listener =
            bind_unix(path).map_err(|error| ServerError::Unix(path.to_owned(), error))?;
        self.socket = Some(path.to_owned());
        let router = self.router(Access::Full);
        let stopped = stopped(self.stop.subscribe());
        self.tasks.push(tokio::spawn(async move {
            ended(router.serve_with_incoming_shutdown(incoming(listener), stopped).await);
        }));
        Ok(())
    }

    /// Listens on TCP: reading for everyone who can connect, changes with the token.
    /// Gives the address, with the port that was chosen when it was 0.
    pub async fn listen_tcp(
        &mut self,
        address: SocketAddr,
        token: Option<Token>,
    ) -> Result<SocketAddr, ServerError> {
        let failed = |error| ServerError::Tcp(address, error);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let router = self.router(Access::Guarded(token));
        let stopped = stopped(self.stop.subscribe());
        self.tasks.push(tokio::spawn(async move {
            ended(router.serve_with_incoming_shutdown(incoming(listener), stopped).await);
        }));
        Ok(bound)
    }

    /// Stops listening, lets requests that run come to their end, and closes all connections.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        for task in std::mem::take(&mut self.tasks) {
            let _ = tokio::time::timeout(STOP_TIME, task).await;
        }
    }

    fn router(&self, access: Access) -> tonic::transport::server::Router {
        let limited = |limit| {
            let service = Service { calls: self.calls.clone() };
            fib_server::FibServer::new(service).max_decoding_message_size(limit)
        };
        let requests = access.requests();
        let (full, reading) = (limited(MAX_REQUEST), limited(MAX_READ));
        let guard = Guard::new(access, "the FIB controller", full, reading);
        tonic::transport::Server::builder()
            .timeout(REQUEST_TIME)
            .concurrency_limit_per_connection(requests as usize)
            .max_concurrent_streams(requests)
            .http2_max_header_list_size(16 << 10)
            .http2_keepalive_interval(Some(PING_EVERY))
            .add_service(guard)
    }
}

impl Drop for FibServer {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the server was dropped, which stops it too.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn ended(result: Result<(), tonic::transport::Error>) {
    if let Err(error) = result {
        tracing::error!(%error, "the FIB controller's API stopped");
    }
}

#[derive(Clone)]
struct Service {
    calls: mpsc::Sender<FibCall>,
}

impl Service {
    async fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> FibCall) -> Result<Response<T>, Status> {
        let stopping = || Status::unavailable("the FIB controller is stopping");
        let (reply, answer) = Reply::channel();
        self.calls.send(call(reply)).await.map_err(|_| stopping())?;
        let answer = answer.await.map_err(|_| stopping())?;
        answer.map(Response::new).map_err(|refusal| match refusal {
            Refusal::Invalid(why) => Status::invalid_argument(why),
            Refusal::NotFound(why) => Status::not_found(why),
            Refusal::NotNow(why) => Status::failed_precondition(why),
        })
    }
}

#[tonic::async_trait]
impl fib_server::Fib for Service {
    async fn set_routes(
        &self,
        request: Request<v1::SetRoutesRequest>,
    ) -> Result<Response<v1::SetRoutesReply>, Status> {
        self.ask(|reply| FibCall::Set(request.into_inner(), reply)).await
    }

    async fn forget_routes(
        &self,
        request: Request<v1::ForgetRoutesRequest>,
    ) -> Result<Response<v1::SetRoutesReply>, Status> {
        self.ask(|reply| FibCall::Forget(request.into_inner(), reply)).await
    }

    async fn list_channels(
        &self,
        _: Request<v1::ListChannelsRequest>,
    ) -> Result<Response<v1::ChannelList>, Status> {
        self.ask(FibCall::Channels).await
    }

    async fn list_channel_routes(
        &self,
        request: Request<v1::ListChannelRoutesRequest>,
    ) -> Result<Response<v1::ChannelRoutePage>, Status> {
        self.ask(|reply| FibCall::Routes(request.into_inner(), reply)).await
    }
}
