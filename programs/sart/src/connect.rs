//! Choosing the router to talk to.

use std::os::unix::net::UnixStream;
use std::path::Path;

use node_api::{DEFAULT_SOCKET, DEFAULT_TCP, Endpoint, RouterClient, Token};

use crate::Failure;
use crate::cli::Common;

/// The router that the flags name, or this node's.
pub(crate) fn router(common: &Common) -> Result<RouterClient, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
    let endpoint = match &common.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => this_node(Path::new(DEFAULT_SOCKET)).map_err(|error| refused(&error))?,
    };
    let token = match &common.token_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))?;
            Some(Token::new(&text).map_err(|error| refused(&error))?)
        }
        None => None,
    };
    RouterClient::new(endpoint, token.as_ref()).map_err(|error| refused(&error))
}

/// The socket when we may use it, else the TCP port, where anyone on the node may read.
fn this_node(socket: &Path) -> Result<Endpoint, node_api::EndpointError> {
    match UnixStream::connect(socket) {
        Ok(_) => Ok(Endpoint::Unix(socket.to_owned())),
        Err(_) => DEFAULT_TCP.parse(),
    }
}
