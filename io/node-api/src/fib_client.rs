//! Talks to a FIB controller.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::client::{CallError, Endpoint, EndpointError, with_sources};
use crate::token::Token;
use crate::v1::{self, fib_client};

/// How long a call may take; the server gives up before.
const CALL_TIME: Duration = Duration::from_secs(15);
/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// The largest answer that is taken.
const MAX_REPLY: usize = 64 << 20;

/// Talks to one FIB controller. Cheap to clone; connects when first used.
#[derive(Clone, Debug)]
pub struct FibClient {
    endpoint: Endpoint,
    token: Option<MetadataValue<Ascii>>,
    inner: fib_client::FibClient<Channel>,
}

impl FibClient {
    /// A client of the controller at `endpoint`. Nothing is connected yet.
    pub fn new(endpoint: Endpoint, token: Option<&Token>) -> Result<FibClient, EndpointError> {
        let error = || EndpointError(endpoint.to_string());
        let uri = match &endpoint {
            Endpoint::Unix(path) => format!("unix://{}", path.display()),
            Endpoint::Tcp(address) => format!("http://{address}"),
        };
        let channel = tonic::transport::Endpoint::from_shared(uri)
            .map_err(|_| error())?
            .connect_timeout(CONNECT_TIME)
            .connect_lazy();
        let token = match token {
            Some(token) => Some(token.header().parse().map_err(|_| error())?),
            None => None,
        };
        let inner = fib_client::FibClient::new(channel).max_decoding_message_size(MAX_REPLY);
        Ok(FibClient { endpoint, token, inner })
    }

    /// Hands over all that an owner wants of a channel; see [`v1::SetRoutesReply`].
    pub async fn set(&self, set: v1::SetRoutesRequest) -> Result<v1::SetRoutesReply, CallError> {
        self.done(self.inner.clone().set_routes(self.request(set)).await)
    }

    /// The owner wants nothing any more of a channel, or of all when that is empty.
    pub async fn forget(
        &self,
        owner: &str,
        channel: &str,
    ) -> Result<v1::SetRoutesReply, CallError> {
        let (owner, channel) = (owner.to_owned(), channel.to_owned());
        let request = self.request(v1::ForgetRoutesRequest { owner, channel });
        self.done(self.inner.clone().forget_routes(request).await)
    }

    /// The channels.
    pub async fn channels(&self) -> Result<v1::ChannelList, CallError> {
        self.done(self.inner.clone().list_channels(self.request(v1::ListChannelsRequest {})).await)
    }

    /// One page of a channel's routes.
    pub async fn routes(
        &self,
        request: v1::ListChannelRoutesRequest,
    ) -> Result<v1::ChannelRoutePage, CallError> {
        self.done(self.inner.clone().list_channel_routes(self.request(request)).await)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request.set_timeout(CALL_TIME);
        request
    }

    fn done<T>(&self, done: Result<tonic::Response<T>, Status>) -> Result<T, CallError> {
        done.map(tonic::Response::into_inner).map_err(|status| {
            let message = status.message().to_owned();
            match status.code() {
                Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::OutOfRange
                | Code::ResourceExhausted
                | Code::AlreadyExists => CallError::Refused(message),
                Code::NotFound => CallError::NotFound(message),
                Code::PermissionDenied | Code::Unauthenticated => CallError::NotAllowed(message),
                Code::Unimplemented => CallError::Unknown,
                Code::Ok
                | Code::Cancelled
                | Code::Unknown
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss => {
                    let reason = with_sources(&status, &message);
                    CallError::Unreachable(self.endpoint.clone(), reason)
                }
            }
        })
    }
}
