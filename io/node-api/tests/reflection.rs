//! What gRPC reflection tells of each server: the calls that it serves, and no others.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;

use node_api::{FibServer, OnDemand, Server, Views};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;

const BOTH: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// Names of all services, and whether the files of these symbols are known; by one of the
/// reflection's versions.
macro_rules! ask {
    ($version:ident, $at:expr, $symbols:expr) => {{
        use tonic_reflection::pb::$version::ServerReflectionRequest;
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
        let place = tonic::transport::Endpoint::from_shared(format!("http://{}", $at)).unwrap();
        let mut client = ServerReflectionClient::new(place.connect().await.unwrap());
        let (mut services, mut known) = (Vec::new(), Vec::new());
        let list = MessageRequest::ListServices(String::new());
        let symbols = $symbols.map(|name| MessageRequest::FileContainingSymbol(name.to_owned()));
        for what in [list].into_iter().chain(symbols) {
            let asked = tokio_stream::once(ServerReflectionRequest {
                host: String::new(),
                message_request: Some(what),
            });
            let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
            let answer = answers.next().await.unwrap().ok();
            match answer.and_then(|answer| answer.message_response) {
                Some(MessageResponse::ListServicesResponse(list)) => {
                    services.extend(list.service.into_iter().map(|service| service.name));
                }
                Some(MessageResponse::FileDescriptorResponse(_)) => known.push(true),
                Some(_) | None => known.push(false),
            }
        }
        services.sort();
        (services, known)
    }};
}

/// Checks that the server there tells of `own`, and of nothing else that could be called.
async fn check(at: SocketAddr, own: &str, call: &str, anothers: &str) {
    let expect = [BOTH[0], BOTH[1], own].map(str::to_owned).to_vec();
    let symbols = [call, anothers];
    let wanted = (expect, vec![true, false]);
    assert_eq!(ask!(v1, at, symbols), wanted, "v1");
    assert_eq!(ask!(v1alpha, at, symbols), wanted, "v1alpha");
}

const WATCH: &str = "sart.v1.Router.Watch";
const SET_ROUTES: &str = "sart.v1.Fib.SetRoutes";

#[tokio::test]
async fn the_router_tells_of_its_own_calls() {
    let views = Views { neighbors: watch::channel(Arc::default()).1, advertised: OnDemand::new() };
    let mut server = Server::new(mpsc::channel(1).0, views);
    let at = server.listen_tcp("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    check(at, "sart.v1.Router", WATCH, SET_ROUTES).await;
}

#[tokio::test]
async fn the_fib_controller_tells_of_its_own_calls() {
    let mut server = FibServer::new(mpsc::channel(1).0);
    let at = server.listen_tcp("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    check(at, "sart.v1.Fib", SET_ROUTES, WATCH).await;
}
