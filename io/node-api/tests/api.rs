//! The API over a unix socket and TCP, with a fake router behind it.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use node_api::v1::{self, edit_request::Edit};
use node_api::{
    Call, CallError, Endpoint, FibCall, FibClient, FibServer, OnDemand, Refusal, RouterClient,
    Server, Token, Views,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};

const TOKEN: &str = "a-token-long-enough";

/// A router that accepts `asn: 1` and refuses everything else, with its API open.
struct Fake {
    server: Server,
    socket: PathBuf,
    directory: PathBuf,
    tcp: Endpoint,
    neighbors: watch::Sender<Arc<v1::NeighborList>>,
    advertised: OnDemand<v1::AdvertisedList>,
}

impl Fake {
    async fn start(token: Option<&str>) -> Fake {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("node-api-test-{}-{n}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let socket = directory.join("router.sock");
        let (calls, mut requests) = mpsc::channel(8);
        let (neighbors, neighbors_view) = watch::channel(Arc::default());
        let advertised = OnDemand::new();
        let views = Views { neighbors: neighbors_view, advertised: advertised.clone() };
        let mut server = Server::new(calls, views);
        server.listen_unix(&socket).unwrap();
        let token = token.map(|t| Token::new(t).unwrap());
        let tcp = server.listen_tcp("127.0.0.1:0".parse().unwrap(), token).await.unwrap();
        tokio::spawn(async move {
            while let Some(call) = requests.recv().await {
                answer(call);
            }
        });
        let tcp = Endpoint::Tcp(tcp);
        Fake { server, socket, directory, tcp, neighbors, advertised }
    }

    fn unix(&self) -> RouterClient {
        RouterClient::new(Endpoint::Unix(self.socket.clone()), None).unwrap()
    }

    fn tcp(&self, token: Option<&str>) -> RouterClient {
        let token = token.map(|t| Token::new(t).unwrap());
        RouterClient::new(self.tcp.clone(), token.as_ref()).unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn answer(call: Call) {
    let accepted = v1::ApplyReply { accepted: true, ..Default::default() };
    match call {
        Call::Apply(request, reply) if request.document == "asn: 1" => reply.send(Ok(accepted)),
        Call::Apply(request, reply) => {
            let problem =
                v1::Problem { line: 3, column: 1, message: request.document, ..Default::default() };
            reply.send(Ok(v1::ApplyReply { problems: vec![problem], ..Default::default() }));
        }
        Call::Forget(_, reply) | Call::Edit(_, reply) | Call::Reload(_, reply) => {
            reply.send(Ok(accepted));
        }
        Call::Global(reply) => reply.send(Ok(v1::Global { asn: 65000, ..Default::default() })),
        Call::Neighbors(request, reply) => {
            reply.send(Err(Refusal::NotFound(format!("no neighbor {}", request.address))));
        }
        Call::Routes(_, reply) => reply.send(Err(Refusal::Invalid("no such table".to_owned()))),
        // Dropping the reply is what a stopping router does.
        Call::Explain(_, reply) => drop(reply),
        Call::Reset(request, reply) => {
            let neighbors = vec![format!("{} {}", request.neighbor, request.kind().words())];
            reply.send(Ok(v1::ResetReply { neighbors, ..Default::default() }));
        }
        Call::Policies(_, reply) => reply.send(Ok(Default::default())),
        Call::Fib(_, reply) => reply.send(Err(Refusal::NotNow("no FIB".to_owned()))),
    }
}

#[tokio::test]
async fn the_unix_socket_takes_changes_and_reads() {
    let fake = Fake::start(None).await;
    let mode = std::fs::metadata(&fake.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let client = fake.unix();
    assert!(client.apply("agent", 1, "asn: 1", false).await.unwrap().accepted);
    let refused = client.apply("agent", 2, "nonsense", false).await.unwrap();
    assert!(!refused.accepted);
    assert_eq!((refused.problems[0].line, refused.problems[0].message.as_str()), (3, "nonsense"));
    assert!(client.edit(Edit::RemovePath("10.0.0.0/8".to_owned())).await.unwrap().accepted);
    assert_eq!(client.global().await.unwrap().asn, 65000);
}

#[tokio::test]
async fn each_refusal_keeps_its_words() {
    let fake = Fake::start(None).await;
    let client = fake.unix();
    let not_found = client.neighbors(Some("10.0.0.1")).await.unwrap_err();
    assert!(matches!(&not_found, CallError::NotFound(m) if m == "no neighbor 10.0.0.1"));
    let invalid = client.routes(v1::ListRoutesRequest::default()).await.unwrap_err();
    assert!(matches!(&invalid, CallError::Refused(m) if m == "no such table"));
    let not_now = client.fib(v1::GetFibRequest::default()).await.unwrap_err();
    assert!(matches!(&not_now, CallError::Refused(m) if m == "no FIB"));
    let stopping = client.explain("10.0.0.0/8").await.unwrap_err();
    assert!(matches!(stopping, CallError::Unreachable(_, _)));
}

#[tokio::test]
async fn a_call_is_abandoned_when_its_caller_hangs_up() {
    let (calls, mut requests) = mpsc::channel(8);
    let mut server = Server::new(calls, no_views());
    let tcp = server.listen_tcp("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let client = RouterClient::new(Endpoint::Tcp(tcp), None).unwrap();
    let caller = tokio::spawn(async move { client.explain("10.0.0.0/8").await });
    let call = requests.recv().await.unwrap();
    assert!(!call.is_abandoned());
    caller.abort();
    let Call::Explain(_, mut reply) = call else { panic!("{call:?}") };
    reply.closed().await;
    assert!(Call::Explain(Default::default(), reply).is_abandoned());
}

#[tokio::test]
async fn watches_are_counted() {
    let fake = Fake::start(None).await;
    let client = fake.unix();
    let mut held = Vec::new();
    // A connection has sixteen at once.
    for _ in 0..2 {
        let client = fake.unix();
        for _ in 0..16 {
            held.push(client.watch(v1::WatchRequest::default()).await.unwrap());
        }
    }
    let refused = client.watch(v1::WatchRequest::default()).await.unwrap_err().to_string();
    assert_eq!(refused, "too many watches: 32 run already");
    // Of another listener they are others.
    fake.tcp(None).watch(v1::WatchRequest::default()).await.unwrap();
}

#[tokio::test]
async fn over_tcp_changes_need_the_token() {
    let fake = Fake::start(Some(TOKEN)).await;
    assert_eq!(fake.tcp(None).global().await.unwrap().asn, 65000);
    for wrong in [None, Some("another-token-long")] {
        let refused = fake.tcp(wrong).apply("cli", 1, "asn: 1", false).await.unwrap_err();
        assert!(matches!(refused, CallError::NotAllowed(_)), "{refused}");
    }
    assert!(fake.tcp(Some(TOKEN)).apply("cli", 1, "asn: 1", false).await.unwrap().accepted);

    let read_only = Fake::start(None).await;
    let refused = read_only.tcp(Some(TOKEN)).forget("agent").await.unwrap_err();
    assert!(matches!(refused, CallError::NotAllowed(_)), "{refused}");
    let refused = read_only.tcp(None).reload(true, false).await.unwrap_err();
    assert!(matches!(refused, CallError::NotAllowed(_)), "{refused}");
}

#[tokio::test]
async fn without_the_token_nothing_large_is_taken() {
    let fake = Fake::start(Some(TOKEN)).await;
    let large = "#".repeat(4 << 20);
    let client = fake.tcp(None);
    for _ in 0..20 {
        let refused = client.apply("cli", 1, &large, false).await.unwrap_err();
        assert!(matches!(&refused, CallError::NotAllowed(m) if m.contains("token")), "{refused}");
    }
    // A call that only reads is let in, but not at any length.
    let asked = v1::ListRoutesRequest { table: "x".repeat(100_000), ..Default::default() };
    let refused = client.routes(asked.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("65536"), "{refused}");
    let refused = fake.tcp(Some(TOKEN)).routes(asked).await.unwrap_err().to_string();
    assert_eq!(refused, "no such table");
    let taken = fake.tcp(Some(TOKEN)).apply("cli", 1, &large, false).await.unwrap();
    assert_eq!(taken.problems[0].message.len(), large.len());
}

#[tokio::test]
async fn the_fib_controller_takes_changes_with_its_token_alone() {
    let (calls, mut requests) = mpsc::channel(8);
    let mut server = FibServer::new(calls);
    let token = Token::new(TOKEN).unwrap();
    let tcp = server.listen_tcp("127.0.0.1:0".parse().unwrap(), Some(token.clone())).await;
    let tcp = Endpoint::Tcp(tcp.unwrap());
    tokio::spawn(async move {
        while let Some(call) = requests.recv().await {
            match call {
                FibCall::Set(_, reply) | FibCall::Forget(_, reply) => {
                    reply.send(Ok(Default::default()));
                }
                FibCall::Channels(reply) => reply.send(Ok(Default::default())),
                FibCall::Routes(_, reply) => reply.send(Ok(Default::default())),
            }
        }
    });
    let without = FibClient::new(tcp.clone(), None).unwrap();
    without.channels().await.unwrap();
    let refused = without.set(v1::SetRoutesRequest::default()).await.unwrap_err();
    assert_eq!(refused.to_string(), "changes over TCP need the FIB controller's token");
    assert!(matches!(without.forget("a", "").await, Err(CallError::NotAllowed(_))));
    let with = FibClient::new(tcp.clone(), Some(&token)).unwrap();
    with.set(v1::SetRoutesRequest::default()).await.unwrap();
    server.stop().await;
    let away = FibClient::new(tcp, None).unwrap().channels().await.unwrap_err().to_string();
    assert!(away.contains("refused"), "{away}");
}

#[tokio::test]
async fn a_watch_gives_the_list_at_once_and_after_a_change() {
    let fake = Fake::start(None).await;
    let client = fake.unix();
    let mut watch = client.watch_neighbors().await.unwrap();
    assert!(watch.message().await.unwrap().unwrap().neighbors.is_empty());
    let neighbor = v1::Neighbor { address: "10.0.0.1".to_owned(), ..Default::default() };
    fake.neighbors.send_replace(Arc::new(v1::NeighborList {
        neighbors: vec![neighbor],
        ..Default::default()
    }));
    let list = watch.message().await.unwrap().unwrap();
    assert_eq!(list.neighbors[0].address, "10.0.0.1");
}

#[tokio::test]
async fn what_is_sent_is_worked_out_while_somebody_watches() {
    let list = |neighbor: &str| {
        let sent = v1::AdvertisedTo { neighbor: neighbor.to_owned(), ..Default::default() };
        v1::AdvertisedList { neighbors: vec![sent] }
    };
    let fake = Fake::start(None).await;
    let client = fake.unix();
    assert!(!fake.advertised.is_watched());
    // Of long ago, and forgotten.
    fake.advertised.set(list("10.0.0.9"));
    fake.advertised.forget();
    for neighbor in ["10.0.0.1", "10.0.0.2"] {
        let mut watch = client.watch_advertised().await.unwrap();
        fake.advertised.asked().await;
        assert!(fake.advertised.is_watched());
        fake.advertised.set(list(neighbor));
        assert_eq!(watch.message().await.unwrap().unwrap(), list(neighbor));
        drop(watch);
        while fake.advertised.is_watched() {
            tokio::task::yield_now().await;
        }
        fake.advertised.forget();
    }
}

#[tokio::test]
async fn a_watch_of_events_tells_what_happens() {
    use v1::event::What;
    let fake = Fake::start(None).await;
    let client = fake.unix();
    let wrong = v1::WatchRequest { kinds: vec!["rain".to_owned()], ..Default::default() };
    assert!(matches!(client.watch(wrong).await, Err(CallError::Refused(_))));
    let mut watch = client.watch(v1::WatchRequest::default()).await.unwrap();
    let up = v1::SessionEvent { neighbor: "10.0.0.1".to_owned(), ..Default::default() };
    fake.server.events().tell(7, What::Session(up.clone()));
    let event = watch.message().await.unwrap().unwrap();
    assert_eq!((event.at, event.what), (7, Some(What::Session(up))));
}

#[tokio::test]
async fn a_reset_is_a_change() {
    let fake = Fake::start(None).await;
    let peer = Some("10.0.0.1");
    let kind = v1::ResetKind::SoftIn;
    let done = fake.unix().reset(peer, kind, "").await.unwrap();
    assert_eq!(done.neighbors, ["10.0.0.1 soft-in"]);
    let refused = fake.tcp(None).reset(None, kind, "").await.unwrap_err();
    assert!(matches!(refused, CallError::NotAllowed(_)), "{refused}");
}

#[tokio::test]
async fn garbage_disturbs_nobody() {
    let fake = Fake::start(None).await;
    let Endpoint::Tcp(address) = &fake.tcp else { unreachable!() };
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xFF; 100_000],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff",
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        // The server may close while we still write.
        let _ = stream.write_all(garbage).await;
        let mut answer = Vec::new();
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut answer).await;
    }
    assert_eq!(fake.tcp(None).global().await.unwrap().asn, 65000);
}

#[tokio::test]
async fn a_router_that_is_away_is_unreachable_and_comes_back() {
    let mut fake = Fake::start(None).await;
    let client = fake.unix();
    assert_eq!(client.global().await.unwrap().asn, 65000);
    let stopped = std::mem::replace(&mut fake.server, another_server());
    stopped.stop().await;
    let away = client.global().await.unwrap_err();
    assert!(matches!(away, CallError::Unreachable(_, _)), "{away}");
    assert!(!fake.socket.exists());

    let mut again = Fake::start(None).await;
    again.server.listen_unix(&fake.socket).unwrap();
    assert_eq!(client.global().await.unwrap().asn, 65000);

    let nobody =
        RouterClient::new(Endpoint::Unix("/nonexistent/router.sock".into()), None).unwrap();
    let error = nobody.global().await.unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

fn another_server() -> Server {
    Server::new(mpsc::channel(1).0, no_views())
}

fn no_views() -> Views {
    Views { neighbors: watch::channel(Arc::default()).1, advertised: OnDemand::new() }
}

#[test]
fn endpoints_are_read_as_people_write_them() {
    let tcp = |text: &str| Endpoint::Tcp(text.parse().unwrap());
    let check = |text: &str, expect: Option<Endpoint>| {
        assert_eq!(text.parse::<Endpoint>().ok(), expect, "{text}");
    };
    check("localhost:5000", Some(tcp("127.0.0.1:5000")));
    check("http://127.0.0.1:5000", Some(tcp("127.0.0.1:5000")));
    check("[::1]:5000", Some(tcp("[::1]:5000")));
    check("/run/sart/router.sock", Some(Endpoint::Unix("/run/sart/router.sock".into())));
    check("unix:///run/sart/router.sock", Some(Endpoint::Unix("/run/sart/router.sock".into())));
    check("router.example:5000", None);
    check("127.0.0.1", None);
    check("unix:router.sock", None);
}

#[test]
fn messages_are_json_with_names() {
    let neighbor = v1::Neighbor {
        state: v1::SessionState::Established as i32,
        last_error: Some(v1::SessionError { by: v1::By::Peer as i32, ..Default::default() }),
        ..Default::default()
    };
    let text = serde_json::to_string(&neighbor).unwrap();
    assert!(text.contains(r#""state":"Established""#) && text.contains(r#""by":"peer""#), "{text}");
}
