//! The FIB controller's API: server and client (`proto/sart/v1/fib.proto`).

use std::net::SocketAddr;
use std::path::Path;

use tokio::sync::mpsc;
use tonic::transport::server::Router;
use tonic::{Request, Response, Status};

use crate::call::{Reply, ask};
use crate::guard::{Access, Guard, MAX_READ};
use crate::listeners::{Listeners, ServerError, limited};
use crate::reflection::with_reflection;
use crate::token::Token;
use crate::v1::{self, fib_server};

/// Where the controller's unix socket is when nothing else is said.
pub const DEFAULT_FIB_SOCKET: &str = "/run/sart/fib.sock";

/// Where its TCP API is when nothing else is said.
pub const DEFAULT_FIB_TCP: &str = "127.0.0.1:5001";

/// The largest request: some hundred thousand routes.
const MAX_REQUEST: usize = 32 << 20;
/// Whose API it is.
const WHOSE: &str = "the FIB controller";

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
    listeners: Listeners,
}

impl FibServer {
    /// A server without listeners, whose requests go to `calls`.
    pub fn new(calls: mpsc::Sender<FibCall>) -> FibServer {
        FibServer { calls, listeners: Listeners::new(WHOSE) }
    }

    /// Listens on a unix socket (mode 0600), for all calls.
    pub fn listen_unix(&mut self, path: &Path) -> Result<(), ServerError> {
        let router = self.router(Access::Full);
        self.listeners.unix(path, router)
    }

    /// Listens on TCP: reading for everyone who can connect, changes with the token.
    /// Gives the address, with the port that was chosen when it was 0.
    pub async fn listen_tcp(
        &mut self,
        address: SocketAddr,
        token: Option<Token>,
    ) -> Result<SocketAddr, ServerError> {
        let router = self.router(Access::Guarded(token));
        self.listeners.tcp(address, router).await
    }

    /// Stops listening, lets requests that run come to their end, and closes all connections.
    pub async fn stop(self) {
        self.listeners.stop().await;
    }

    fn router(&self, access: Access) -> Router {
        let up_to = |limit| {
            let service = Service { calls: self.calls.clone() };
            fib_server::FibServer::new(service).max_decoding_message_size(limit)
        };
        let mut server = limited(&access);
        let guard = Guard::new(access, WHOSE, up_to(MAX_REQUEST), up_to(MAX_READ));
        with_reflection(server.add_service(guard), crate::FIB_DESCRIPTORS)
    }
}

#[derive(Clone)]
struct Service {
    calls: mpsc::Sender<FibCall>,
}

impl Service {
    async fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> FibCall) -> Result<Response<T>, Status> {
        ask(&self.calls, WHOSE, call).await
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
