use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Checks, Server};

async fn fetch(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_three_routes_answer() {
    let mut registry = Registry::with_prefix("sart_test");
    let calls: Counter = Counter::default();
    registry.register("calls", "Calls", calls.clone());
    let checks = Checks::new();
    let synced = checks.add("kernel", "routes not read yet");
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(any, checks.clone(), Arc::new(registry)).await.unwrap();

    assert!(fetch(server.address(), "/healthz").await.starts_with("HTTP/1.1 200"));
    let not_ready = fetch(server.address(), "/readyz").await;
    assert!(not_ready.starts_with("HTTP/1.1 503"), "{not_ready}");
    assert!(not_ready.contains("kernel: routes not read yet"), "{not_ready}");
    synced.pass();
    let ready = fetch(server.address(), "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("kernel: ok"), "{ready}");
    calls.inc();
    let metrics = fetch(server.address(), "/metrics").await;
    assert!(metrics.contains("sart_test_calls_total 1"), "{metrics}");
    assert!(fetch(server.address(), "/other").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn garbage_is_no_trouble() {
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(any, Checks::new(), Arc::default()).await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&[0xFF; 1000]).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(fetch(server.address(), "/readyz").await.starts_with("HTTP/1.1 200"));
}
