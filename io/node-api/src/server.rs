use std::net::SocketAddr;
use std::path::Path;

use tokio::sync::mpsc;
use tonic::transport::server::Router;

use crate::call::{Call, Views};
use crate::events::Events;
use crate::guard::{Access, Guard, MAX_READ};
use crate::listeners::{Listeners, ServerError, limited};
use crate::reflection::with_reflection;
use crate::service::Service;
use crate::token::Token;
use crate::v1::router_server::RouterServer;

/// Where the router's unix socket is when nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/sart/router.sock";

/// Where the router's TCP API is when nothing else is said.
pub const DEFAULT_TCP: &str = "127.0.0.1:5000";

/// The largest request: a document of some hundred thousand prefixes.
const MAX_REQUEST: usize = 16 << 20;

/// The API's listeners. Dropping it stops them and removes the unix socket.
#[derive(Debug)]
pub struct Server {
    calls: mpsc::Sender<Call>,
    views: Views,
    events: Events,
    listeners: Listeners,
}

impl Server {
    /// A server without listeners, whose requests go to `calls`.
    pub fn new(calls: mpsc::Sender<Call>, views: Views) -> Server {
        let listeners = Listeners::new(Service::WHOSE);
        Server { calls, views, events: Events::new(), listeners }
    }

    /// Where to tell of what happens.
    pub fn events(&self) -> Events {
        self.events.clone()
    }

    /// Listens on a unix socket, for all calls. The socket is mode 0600 and appears whole: it is
    /// bound under another name in the same directory and renamed over what is there.
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
        let (calls, views) = (self.calls.clone(), self.views.clone());
        let service = Service::new(calls, views, self.events.clone(), self.listeners.stopping());
        let up_to = |limit| RouterServer::new(service.clone()).max_decoding_message_size(limit);
        let mut server = limited(&access);
        let guard = Guard::new(access, Service::WHOSE, up_to(MAX_REQUEST), up_to(MAX_READ));
        with_reflection(server.add_service(guard), crate::ROUTER_DESCRIPTORS)
    }
}
