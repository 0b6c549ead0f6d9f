use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use crate::token::Token;
use crate::v1::router_client::RouterClient as Generated;
use crate::v1::{self, edit_request::Edit};

/// How long a call may take; the server gives up before.
const CALL_TIME: Duration = Duration::from_secs(15);

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(3);

/// The largest answer that is taken.
pub(crate) const MAX_REPLY: usize = 64 << 20;

/// Where a router's API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket: all calls.
    Unix(PathBuf),
    /// TCP: reading, and changes with the token.
    Tcp(SocketAddr),
}

/// Why a text names no router.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no router's address: write a socket's path, or an address with a port (127.0.0.1:5000)"
)]
pub struct EndpointError(pub(crate) String);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No router answers there.
    #[error("the router at {0} does not answer: {1}")]
    Unreachable(Endpoint, String),
    /// The router refuses: not allowed.
    #[error("{0}")]
    NotAllowed(String),
    /// The router refuses: the request makes no sense, or not now.
    #[error("{0}")]
    Refused(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The router is of a version that does not know the call.
    #[error("the router does not know this call; is it of an older version?")]
    Unknown,
}

/// Talks to one router. Cheap to clone; connects when first used, and again when it was lost.
#[derive(Clone, Debug)]
pub struct RouterClient {
    line: Line,
    inner: Generated<Channel>,
}

/// What the clients of both daemons share: where it goes, what proves that changes are allowed, and
/// what becomes of a failed call.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    endpoint: Endpoint,
    token: Option<MetadataValue<Ascii>>,
}

impl RouterClient {
    /// A client of the router at `endpoint`. Nothing is connected yet.
    pub fn new(endpoint: Endpoint, token: Option<&Token>) -> Result<RouterClient, EndpointError> {
        let (line, channel) = Line::new(endpoint, token)?;
        let inner = Generated::new(channel).max_decoding_message_size(MAX_REPLY);
        Ok(RouterClient { line, inner })
    }

    /// Where this client's router is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.line.endpoint
    }

    /// Hands over all that `owner` wants; see [`v1::ApplyReply`].
    pub async fn apply(
        &self,
        owner: &str,
        generation: u64,
        document: &str,
        dry_run: bool,
    ) -> Result<v1::ApplyReply, CallError> {
        self.hand_over(owner, generation, document, dry_run, false).await
    }

    /// The same as [`RouterClient::apply`], unless it resets a session: then it is refused.
    pub async fn apply_keeping_sessions(
        &self,
        owner: &str,
        generation: u64,
        document: &str,
        dry_run: bool,
    ) -> Result<v1::ApplyReply, CallError> {
        self.hand_over(owner, generation, document, dry_run, true).await
    }

    async fn hand_over(
        &self,
        owner: &str,
        generation: u64,
        document: &str,
        dry_run: bool,
        keep_sessions: bool,
    ) -> Result<v1::ApplyReply, CallError> {
        let request = v1::ApplyRequest {
            owner: owner.to_owned(),
            generation,
            schema_version: crate::SCHEMA_VERSION,
            document: document.to_owned(),
            dry_run,
            keep_sessions,
        };
        self.done(self.inner.clone().apply(self.request(request)).await)
    }

    /// The owner wants nothing any more.
    pub async fn forget(&self, owner: &str) -> Result<v1::ApplyReply, CallError> {
        let request = v1::ForgetRequest { owner: owner.to_owned(), dry_run: false };
        self.done(self.inner.clone().forget(self.request(request)).await)
    }

    /// What [`RouterClient::forget`] would change.
    pub async fn plan_forget(&self, owner: &str) -> Result<v1::ApplyReply, CallError> {
        let request = v1::ForgetRequest { owner: owner.to_owned(), dry_run: true };
        self.done(self.inner.clone().forget(self.request(request)).await)
    }

    /// Changes the cli's document: global values, or one neighbor or prefix.
    pub async fn edit(&self, edit: Edit) -> Result<v1::ApplyReply, CallError> {
        let request = v1::EditRequest { edit: Some(edit), dry_run: false };
        self.done(self.inner.clone().edit(self.request(request)).await)
    }

    /// What [`RouterClient::edit`] would change.
    pub async fn plan_edit(&self, edit: Edit) -> Result<v1::ApplyReply, CallError> {
        let request = v1::EditRequest { edit: Some(edit), dry_run: true };
        self.done(self.inner.clone().edit(self.request(request)).await)
    }

    /// Has the router read its configuration file again; `dry_run`: only say what that changes;
    /// `keep_sessions`: refuse what resets one.
    pub async fn reload(
        &self,
        dry_run: bool,
        keep_sessions: bool,
    ) -> Result<v1::ApplyReply, CallError> {
        let request = self.request(v1::ReloadRequest { dry_run, keep_sessions });
        self.done(self.inner.clone().reload(request).await)
    }

    /// Begins sessions or their routes anew, of one neighbor or of all.
    pub async fn reset(
        &self,
        neighbor: Option<&str>,
        kind: v1::ResetKind,
        communication: &str,
    ) -> Result<v1::ResetReply, CallError> {
        let request = v1::ResetRequest {
            neighbor: neighbor.unwrap_or_default().to_owned(),
            kind: kind.into(),
            communication: communication.to_owned(),
        };
        self.done(self.inner.clone().reset(self.request(request)).await)
    }

    /// Policies and lists as text: all, or the ones of this name.
    pub async fn policies(&self, name: &str) -> Result<v1::PolicyList, CallError> {
        let request = self.request(v1::ListPoliciesRequest { name: name.to_owned() });
        self.done(self.inner.clone().list_policies(request).await)
    }

    /// What holds for the whole router.
    pub async fn global(&self) -> Result<v1::Global, CallError> {
        self.done(self.inner.clone().get_global(self.request(v1::GetGlobalRequest {})).await)
    }

    /// Every peer, or the one with this address; a link-local one as `fe80::1%eth0`.
    pub async fn neighbors(&self, address: Option<&str>) -> Result<v1::NeighborList, CallError> {
        let address = address.unwrap_or_default().to_owned();
        let request = self.request(v1::ListNeighborsRequest { address });
        self.done(self.inner.clone().list_neighbors(request).await)
    }

    /// One page of a table.
    pub async fn routes(&self, request: v1::ListRoutesRequest) -> Result<v1::RoutePage, CallError> {
        self.done(self.inner.clone().list_routes(self.request(request)).await)
    }

    /// Why a prefix goes the way it does.
    pub async fn explain(&self, prefix: &str) -> Result<v1::Explanation, CallError> {
        let request = self.request(v1::ExplainRouteRequest { prefix: prefix.to_owned() });
        self.done(self.inner.clone().explain_route(request).await)
    }

    /// One page of the FIB.
    pub async fn fib(&self, request: v1::GetFibRequest) -> Result<v1::FibPage, CallError> {
        self.done(self.inner.clone().get_fib(self.request(request)).await)
    }

    /// All peers now and after each change. The stream ends when the router goes.
    pub async fn watch_neighbors(&self) -> Result<Streaming<v1::NeighborList>, CallError> {
        // No time limit: a watch lasts.
        let request = self.authorized(v1::WatchNeighborsRequest {});
        self.done(self.inner.clone().watch_neighbors(request).await)
    }

    /// What each peer is sent, now and after each change.
    pub async fn watch_advertised(&self) -> Result<Streaming<v1::AdvertisedList>, CallError> {
        let request = self.authorized(v1::WatchAdvertisedRequest {});
        self.done(self.inner.clone().watch_advertised(request).await)
    }

    /// What happens from now on. The stream ends when the router goes.
    pub async fn watch(
        &self,
        request: v1::WatchRequest,
    ) -> Result<Streaming<v1::Event>, CallError> {
        let request = self.authorized(request);
        self.done(self.inner.clone().watch(request).await)
    }

    /// What the end of a stream means.
    pub fn stream_error(&self, status: &Status) -> CallError {
        self.line.error(status)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        self.line.request(message)
    }

    fn authorized<T>(&self, message: T) -> Request<T> {
        self.line.authorized(message)
    }

    fn done<T>(&self, done: Result<tonic::Response<T>, Status>) -> Result<T, CallError> {
        self.line.done(done)
    }
}

impl Line {
    /// The line and its channel. Nothing is connected yet.
    pub(crate) fn new(
        endpoint: Endpoint,
        token: Option<&Token>,
    ) -> Result<(Line, Channel), EndpointError> {
        let error = || EndpointError(endpoint.to_string());
        let uri = match &endpoint {
            Endpoint::Unix(path) => format!("unix://{}", path.display()),
            Endpoint::Tcp(address) => format!("http://{address}"),
        };
        let channel = tonic::transport::Endpoint::from_shared(uri)
            .map_err(|_| error())?
            .connect_timeout(CONNECT_TIME)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .connect_lazy();
        let token = match token {
            Some(token) => Some(token.header().parse().map_err(|_| error())?),
            None => None,
        };
        Ok((Line { endpoint, token }, channel))
    }

    /// A request with a time limit.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.authorized(message);
        request.set_timeout(CALL_TIME);
        request
    }

    fn authorized<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    pub(crate) fn done<T>(&self, done: Result<tonic::Response<T>, Status>) -> Result<T, CallError> {
        done.map(tonic::Response::into_inner).map_err(|status| self.error(&status))
    }

    fn error(&self, status: &Status) -> CallError {
        let message = status.message().to_owned();
        match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
                CallError::Refused(message)
            }
            Code::NotFound => CallError::NotFound(message),
            Code::PermissionDenied | Code::Unauthenticated => CallError::NotAllowed(message),
            Code::Unimplemented => CallError::Unknown,
            Code::ResourceExhausted | Code::AlreadyExists => CallError::Refused(message),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => {
                CallError::Unreachable(self.endpoint.clone(), with_sources(status, &message))
            }
        }
    }
}

/// The innermost cause says most: "connection refused" rather than "transport error".
fn with_sources(status: &Status, message: &str) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::eq(cause as *const _ as *const (), status as *const _ as *const ()) {
        return message.to_owned();
    }
    cause.to_string()
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads `/path`, `unix:///path`, `127.0.0.1:5000`, `http://[::1]:5000` or `localhost:5000`.
    /// Other names are not resolved: the router is on this node, and programs are static.
    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let error = || EndpointError(text.to_owned());
        let unix = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:"));
        if let Some(path) = unix.or_else(|| text.starts_with('/').then_some(text)) {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Endpoint::Unix(path)) } else { Err(error()) };
        }
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        if let Some(port) = authority.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| error())?;
            return Ok(Endpoint::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
        }
        authority.parse().map(Endpoint::Tcp).map_err(|_| error())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => path.display().fmt(f),
            Endpoint::Tcp(address) => address.fmt(f),
        }
    }
}
