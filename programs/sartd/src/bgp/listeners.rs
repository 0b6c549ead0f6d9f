//! The API's and health's listeners. Only the unix socket must be there at the start: another
//! program's port does not keep routes out of the kernel.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use health::Checks;
use node_api::{Server, Token};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

/// How often a port that is taken is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The conditions of what is not listened on, and why.
pub(super) type Failures = BTreeMap<&'static str, String>;

/// The API, whose unix socket is heard on, and where else it and health are wanted.
pub(super) struct Listeners {
    pub(super) server: Server,
    pub(super) grpc: SocketAddr,
    pub(super) token: Option<Token>,
    pub(super) health_port: u16,
    pub(super) checks: Checks,
    pub(super) registry: Arc<Registry>,
    pub(super) failures: watch::Sender<Failures>,
    /// The API is heard on TCP.
    pub(super) api: bool,
    pub(super) health: Option<health::Server>,
}

impl Listeners {
    /// Opens what is not open yet.
    pub(super) async fn open(&mut self) {
        if !self.api {
            let opened = self.server.listen_tcp(self.grpc, self.token.clone()).await;
            self.api = self.opened("ApiListenFailed", opened).is_some();
        }
        if self.health.is_none() {
            let opened = open_health(self.health_port, &self.checks, &self.registry).await;
            self.health = self.opened("HealthListenFailed", opened);
        }
    }

    /// Tries again until all are open; never ends.
    pub(super) async fn keep_trying(&mut self) {
        while !self.api || self.health.is_none() {
            tokio::time::sleep(AGAIN).await;
            self.open().await;
        }
        std::future::pending().await
    }

    /// Notes what became of a listener.
    fn opened<T>(
        &self,
        condition: &'static str,
        opened: Result<T, impl Into<anyhow::Error>>,
    ) -> Option<T> {
        let (opened, failure) = match opened {
            Ok(opened) => (Some(opened), None),
            Err(error) => (None, Some(format!("{:#}; tried again", error.into()))),
        };
        self.failures.send_if_modified(|failures| {
            let changed = failures.get(condition) != failure.as_ref();
            if changed && let Some(reason) = &failure {
                tracing::warn!(reason, "{condition}");
            }
            match failure {
                Some(reason) => failures.insert(condition, reason),
                None => failures.remove(condition),
            };
            changed
        });
        opened
    }
}

/// Health and metrics on all addresses of both families, or of IPv4 where the kernel has no IPv6.
pub(crate) async fn open_health(
    port: u16,
    checks: &Checks,
    registry: &Arc<Registry>,
) -> Result<health::Server, health::ListenError> {
    let (v6, v4) = ((Ipv6Addr::UNSPECIFIED, port), (Ipv4Addr::UNSPECIFIED, port));
    let start =
        |address: SocketAddr| health::Server::start(address, checks.clone(), Arc::clone(registry));
    match start(v6.into()).await {
        Ok(server) => Ok(server),
        Err(_) => start(v4.into()).await,
    }
}
