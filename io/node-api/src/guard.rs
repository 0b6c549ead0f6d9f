//! Who may call what, judged by a request's head: nothing of a change that is refused is read.

use std::convert::Infallible;

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response, header};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tonic::server::NamedService;

use crate::token::Token;

/// The largest request of those who may only read, in bytes.
pub(crate) const MAX_READ: usize = 64 << 10;

/// How the names of calls begin that change nothing.
const READS: [&str; 4] = ["Get", "List", "Explain", "Watch"];

/// What those who come in through a listener may do.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Everything: the unix socket, whose peers are checked when they connect.
    Full,
    /// Reading; changes need the token, or are refused when there is none.
    Guarded(Option<Token>),
}

impl Access {
    /// Requests of one connection that are worked on at once, watches among them.
    pub(crate) fn requests(&self) -> u32 {
        match self {
            Access::Full => 16,
            Access::Guarded(_) => 4,
        }
    }
}

/// A service behind its access check.
#[derive(Clone)]
pub(crate) struct Guard<S> {
    access: Access,
    /// "the router".
    whose: &'static str,
    /// For those who may change things.
    full: S,
    /// For the others: it takes no large requests.
    reading: S,
}

impl<S> Guard<S> {
    pub(crate) fn new(access: Access, whose: &'static str, full: S, reading: S) -> Guard<S> {
        Guard { access, whose, full, reading }
    }

    /// Whether changes may be made; why not.
    fn may_change(&self, headers: &HeaderMap) -> Result<(), Status> {
        let whose = self.whose;
        match &self.access {
            Access::Full => Ok(()),
            Access::Guarded(None) => Err(Status::permission_denied(format!(
                "read-only: changes go through {whose}'s unix socket, as root"
            ))),
            Access::Guarded(Some(token)) => {
                let given = headers.get(header::AUTHORIZATION);
                if given.is_some_and(|given| token.matches(given.as_bytes())) {
                    Ok(())
                } else {
                    Err(Status::unauthenticated(format!("changes over TCP need {whose}'s token")))
                }
            }
        }
    }
}

/// Whether a call changes nothing. The path is `/package.Service/Method`.
fn reads(path: &str) -> bool {
    let method = path.rsplit('/').next().unwrap_or_default();
    READS.iter().any(|read| method.starts_with(read))
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match (self.full.poll_ready(cx), self.reading.poll_ready(cx)) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            (Poll::Pending, _) | (_, Poll::Pending) => Poll::Pending,
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.may_change(request.headers()) {
            Ok(()) => Box::pin(self.full.call(request)),
            Err(_) if reads(request.uri().path()) => Box::pin(self.reading.call(request)),
            Err(refusal) => Box::pin(std::future::ready(Ok(refusal.into_http()))),
        }
    }
}

impl<S: NamedService> NamedService for Guard<S> {
    const NAME: &'static str = S::NAME;
}

#[cfg(test)]
mod tests {
    use super::reads;

    #[test]
    fn what_is_not_known_to_read_is_a_change() {
        for (path, expect) in [
            ("/sart.v1.Router/GetGlobal", true),
            ("/sart.v1.Router/ExplainRoute", true),
            ("/sart.v1.Router/Watch", true),
            ("/sart.v1.Fib/ListChannelRoutes", true),
            ("/sart.v1.Router/Apply", false),
            ("/sart.v1.Router/Edit", false),
            ("/sart.v1.Fib/SetRoutes", false),
            ("/sart.v1.Router/", false),
            ("", false),
        ] {
            assert_eq!(reads(path), expect, "{path}");
        }
    }
}
