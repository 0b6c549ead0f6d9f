//! Choosing the daemon to talk to.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::OnceLock;

use inet::ScopedAddr;
use node_api::{
    DEFAULT_FIB_SOCKET, DEFAULT_FIB_TCP, DEFAULT_SOCKET, DEFAULT_TCP, Endpoint, FibClient,
    RouterClient, Token, v1,
};

use crate::Failure;
use crate::cli::Common;

/// The router that the flags name, or this node's.
pub(crate) fn router(common: &Common) -> Result<RouterClient, Failure> {
    let endpoint = endpoint(common, "SART_ENDPOINT", DEFAULT_SOCKET, DEFAULT_TCP)?;
    RouterClient::new(endpoint.clone(), token(common, &endpoint)?.as_ref())
        .map_err(Failure::refused)
}

/// The FIB controller that the flags name, or this node's.
pub(crate) fn fib(common: &Common) -> Result<FibClient, Failure> {
    let endpoint = endpoint(common, "SART_FIB_ENDPOINT", DEFAULT_FIB_SOCKET, DEFAULT_FIB_TCP)?;
    FibClient::new(endpoint.clone(), token(common, &endpoint)?.as_ref()).map_err(Failure::refused)
}

/// The address of a neighbor that people name by its address (a link-local one with or without its
/// link, `fe80::1%eth0`), its name or its interface.
pub(crate) async fn neighbor(router: &RouterClient, who: &str) -> Result<ScopedAddr, Failure> {
    if who.is_empty() {
        return Err(Failure::Refused("no neighbor has an empty name".to_owned()));
    }
    let given = who.parse::<ScopedAddr>().ok();
    if let Some(address) = given.filter(|address| !address.is_ambiguous()) {
        return Ok(address);
    }
    let list = router.neighbors(None).await?.neighbors;
    let is = |n: &v1::Neighbor| match given {
        Some(address) => {
            n.address.parse::<ScopedAddr>().is_ok_and(|of| of.address() == address.address())
        }
        None => n.name == who || n.interface == who,
    };
    let named = || list.iter().filter(|n| is(n));
    let found = named().map(|n| n.address.as_str());
    let found: Vec<&str> = found.collect();
    match found.as_slice() {
        [one] => one.parse().map_err(Failure::refused),
        [] => {
            let names: Vec<&str> = list.iter().map(|n| n.name.as_str()).collect();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(Failure::Refused(format!("there is no neighbor {who:?}; there are: {there}")))
        }
        several => {
            let several = several.join(", ");
            Err(Failure::Refused(format!("{who:?} is several neighbors: {several}")))
        }
    }
}

fn endpoint(common: &Common, variable: &str, socket: &str, tcp: &str) -> Result<Endpoint, Failure> {
    if let Some(endpoint) = &common.endpoint {
        return Ok(endpoint.clone());
    }
    match std::env::var(variable) {
        Ok(text) if !text.is_empty() => {
            text.parse().map_err(|error| Failure::Refused(format!("{variable}: {error}")))
        }
        Ok(_) | Err(_) => this_node(Path::new(socket), tcp),
    }
}

/// Why this node's socket was not taken, when it was tried.
static NO_SOCKET: OnceLock<String> = OnceLock::new();

/// The socket when we may use it, else the TCP port, where anyone on the node may read.
fn this_node(socket: &Path, tcp: &str) -> Result<Endpoint, Failure> {
    match UnixStream::connect(socket) {
        Ok(_) => Ok(Endpoint::Unix(socket.to_owned())),
        Err(error) => {
            let _ = NO_SOCKET.set(format!("{}: {error}", socket.display()));
            tcp.parse().map_err(Failure::refused)
        }
    }
}

/// What more a person should know when nobody answers.
pub(crate) fn hint() -> String {
    match NO_SOCKET.get() {
        None => String::new(),
        Some(why) => format!(
            "\nsart: nor at {why}\nsart: does it run here, and are you root? -e says where it is"
        ),
    }
}

/// The token, and a warning where it goes to another machine.
fn token(common: &Common, endpoint: &Endpoint) -> Result<Option<Token>, Failure> {
    let Some(path) = &common.token_file else { return Ok(None) };
    match endpoint {
        Endpoint::Tcp(address) if !address.ip().to_canonical().is_loopback() => eprintln!(
            "sart: token-in-clear: the token goes to {address} unencrypted; ssh to that machine, or \
             use the unix socket there"
        ),
        Endpoint::Tcp(_) | Endpoint::Unix(_) => {}
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))?;
    Token::new(&text).map(Some).map_err(Failure::refused)
}
