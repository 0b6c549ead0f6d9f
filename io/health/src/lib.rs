//! Health, readiness and Prometheus metrics over HTTP.
//!
//! `/healthz` answers 200 for as long as the process can answer at all. `/readyz` answers 200 when
//! every named check passes, else 503, and lists them either way. `/metrics` is the registry in
//! the OpenMetrics text format.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

mod limit;

/// How long an answer may take to make.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// The named conditions of readiness. Cheap to clone: all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Checks(Arc<Mutex<Vec<Check>>>);

#[derive(Debug)]
struct Check {
    name: &'static str,
    /// Why the check fails; none when it passes.
    failure: Option<String>,
}

/// One named condition of readiness: its owner says whether it holds.
#[derive(Clone, Debug)]
pub struct CheckHandle {
    checks: Checks,
    name: &'static str,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for health and metrics")]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// The running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Checks {
    /// No checks: ready.
    pub fn new() -> Checks {
        Checks::default()
    }

    /// Adds a check that fails with `failure` until its owner says otherwise.
    pub fn add(&self, name: &'static str, failure: &str) -> CheckHandle {
        let handle = CheckHandle { checks: self.clone(), name };
        handle.fail(failure);
        handle
    }

    /// Whether all pass, and one line for each: `name: ok` or `name: why not`.
    pub fn report(&self) -> (bool, String) {
        let checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ready = true;
        let mut text = String::new();
        for check in checks.iter() {
            ready &= check.failure.is_none();
            let _ = writeln!(text, "{}: {}", check.name, check.failure.as_deref().unwrap_or("ok"));
        }
        (ready, text)
    }

    fn set(&self, name: &'static str, failure: Option<String>) {
        let mut checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match checks.iter_mut().find(|check| check.name == name) {
            Some(check) => check.failure = failure,
            None => checks.push(Check { name, failure }),
        }
    }
}

impl CheckHandle {
    /// The condition holds.
    pub fn pass(&self) {
        self.checks.set(self.name, None);
    }

    /// The condition does not hold; `why` is shown.
    pub fn fail(&self, why: &str) {
        self.checks.set(self.name, Some(why.to_owned()));
    }
}

impl Server {
    /// Listens and serves until it is dropped. Metrics are read from `registry` at each request.
    pub async fn start(
        address: SocketAddr,
        checks: Checks,
        registry: Arc<Registry>,
    ) -> Result<Server, ListenError> {
        let failed = |source| ListenError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let task = tokio::spawn(async move {
            let served = axum::serve(limit::Limited::new(listener), routes(checks, registry));
            if let Err(error) = served.await {
                tracing::error!(%error, "health and metrics are not served any more");
            }
        });
        Ok(Server { address, task })
    }

    /// Where it listens, with the port that was chosen when it was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The three routes, for a daemon that serves more on the same port.
pub fn routes(checks: Checks, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(checks))
        .route("/metrics", get(metrics).with_state(registry))
}

async fn readyz(State(checks): State<Checks>) -> impl IntoResponse {
    let (ready, text) = checks.report();
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

async fn metrics(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let encode = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).map(|()| text)
    });
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match tokio::time::timeout(ANSWER_TIME, encode).await {
        Ok(Ok(Ok(text))) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Ok(_) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests;
