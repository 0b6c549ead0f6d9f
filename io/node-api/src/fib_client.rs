//! Talks to a FIB controller.

use tonic::transport::Channel;

use crate::client::{CallError, Endpoint, EndpointError, Line, MAX_REPLY};
use crate::token::Token;
use crate::v1::{self, fib_client};

/// Talks to one FIB controller. Cheap to clone; connects when first used.
#[derive(Clone, Debug)]
pub struct FibClient {
    line: Line,
    inner: fib_client::FibClient<Channel>,
}

impl FibClient {
    /// A client of the controller at `endpoint`. Nothing is connected yet.
    pub fn new(endpoint: Endpoint, token: Option<&Token>) -> Result<FibClient, EndpointError> {
        let (line, channel) = Line::new(endpoint, token)?;
        let inner = fib_client::FibClient::new(channel).max_decoding_message_size(MAX_REPLY);
        Ok(FibClient { line, inner })
    }

    /// Hands over all that an owner wants of a channel; see [`v1::SetRoutesReply`].
    pub async fn set(&self, set: v1::SetRoutesRequest) -> Result<v1::SetRoutesReply, CallError> {
        self.line.done(self.inner.clone().set_routes(self.line.request(set)).await)
    }

    /// The owner wants nothing any more of a channel, or of all when that is empty.
    pub async fn forget(
        &self,
        owner: &str,
        channel: &str,
    ) -> Result<v1::SetRoutesReply, CallError> {
        let (owner, channel) = (owner.to_owned(), channel.to_owned());
        let request = self.line.request(v1::ForgetRoutesRequest { owner, channel });
        self.line.done(self.inner.clone().forget_routes(request).await)
    }

    /// The channels.
    pub async fn channels(&self) -> Result<v1::ChannelList, CallError> {
        self.line.done(
            self.inner.clone().list_channels(self.line.request(v1::ListChannelsRequest {})).await,
        )
    }

    /// One page of a channel's routes.
    pub async fn routes(
        &self,
        request: v1::ListChannelRoutesRequest,
    ) -> Result<v1::ChannelRoutePage, CallError> {
        self.line.done(self.inner.clone().list_channel_routes(self.line.request(request)).await)
    }
}
