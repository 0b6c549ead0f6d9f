use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use cni_wire::{Done, Reply};

use super::*;

/// Writes bytes as a plugin does, and reads the reply line.
async fn say(dir: &Dir, bytes: Vec<u8>, hang_up: bool) -> String {
    let path = dir.0.join("agent.sock");
    tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        let namespace = kernel::netns::own().unwrap();
        cni::socket::send(&stream, &bytes, Some(namespace.as_fd())).unwrap();
        if hang_up {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    })
    .await
    .unwrap()
}

async fn ask(dir: &Dir, request: &Request) -> Reply {
    let line = say(dir, cni_wire::encode_request(request).unwrap(), false).await;
    cni_wire::decode_reply(line.as_bytes()).unwrap()
}

async fn serve(dir: &Dir, links: &Arc<FakeLinks>) -> tokio::task::JoinHandle<()> {
    let books = Books::new();
    books.set_blocks(&[block("10.1.0.0/30")]);
    let metrics = CallMetrics::unregistered();
    let config = dir.config();
    let pods = Arc::new(FakePods);
    let server = Server::start_with(&config, books, pods, links.clone(), metrics).await;
    tokio::spawn(server.unwrap().run())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_served_and_survive_a_restart() {
    let dir = Dir::new("serve");
    let links = Arc::new(FakeLinks::default());
    let first = serve(&dir, &links).await;
    let Reply::Ok(done) = ask(&dir, &add("a")).await else { panic!() };
    assert_eq!(done.wired.as_ref().unwrap().gateways, [ip("169.254.1.1")]);
    assert_eq!(ips(done.allocated), [ip("10.1.0.0")]);
    let mode = std::fs::metadata(dir.0.join("agent.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    first.abort();
    assert!(first.await.is_err());

    let _second = serve(&dir, &links).await;
    let Reply::Ok(done) = ask(&dir, &add("b")).await else { panic!() };
    assert_eq!(ips(done.allocated), [ip("10.1.0.1")]);
    assert_eq!(ask(&dir, &del("a")).await, Reply::Ok(Done::default()));
    assert_eq!(ask(&dir, &Request::Status {}).await, Reply::Ok(Done::default()));
    assert_eq!(links.count(), 1);
    // The mark is the machine's uptime; it is written at once.
    let mark = std::fs::read_to_string(dir.0.join("agent.served")).unwrap();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds = |text: &str| text.split_whitespace().next().unwrap().parse::<f64>().unwrap();
    assert!((seconds(&uptime) - seconds(&mark)).abs() < 60.0, "{mark}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_a_named_refusal_and_others_are_served() {
    let dir = Dir::new("garbage");
    let _server = serve(&dir, &Arc::new(FakeLinks::default())).await;
    let check = async |bytes: &[u8], expect: &str| {
        let line = say(&dir, bytes.to_vec(), true).await;
        let Ok(Reply::Error(refusal)) = cni_wire::decode_reply(line.as_bytes()) else {
            panic!("{line}")
        };
        assert_eq!((refusal.code, refusal.reason.as_str()), (6, expect), "{refusal:?}");
    };
    check(b"GET / HTTP/1.1\r\n\r\n", "line-trailing").await;
    check(b"hello\n", "line-syntax").await;
    check(b"{\"version\":7}\n", "line-version").await;
    check(b"{\"version\":1", "line-unfinished").await;
    check(&[0xff; 300], "line-unfinished").await;
    let mut long = vec![b' '; cni_wire::MAX_LINE];
    long.push(b'\n');
    check(&long, "line-too-long").await;
    assert_eq!(ask(&dir, &Request::Status {}).await, Reply::Ok(Done::default()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_says_nothing_holds_nobody_up() {
    let dir = Dir::new("silent");
    let _server = serve(&dir, &Arc::new(FakeLinks::default())).await;
    let silent: Vec<_> =
        (0..50).map(|_| UnixStream::connect(dir.0.join("agent.sock")).unwrap()).collect();
    assert_eq!(ask(&dir, &Request::Status {}).await, Reply::Ok(Done::default()));
    drop(silent);
}
