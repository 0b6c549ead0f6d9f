use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::answer::{Asked, Part, asked, part};
use crate::image::scratch::Scratch;
use crate::image::{Name, Store, build};

#[test]
fn paths_are_read_with_slashes_in_names() {
    for (path, expect) in [
        ("/v2", Some(Asked::Ping)),
        ("/v2/", Some(Asked::Ping)),
        ("/v2/a/manifests/1", Some(Asked::Manifest { name: "a", reference: "1" })),
        ("/v2/a/b/manifests/1", Some(Asked::Manifest { name: "a/b", reference: "1" })),
        ("/v2/manifests/manifests/1", Some(Asked::Manifest { name: "manifests", reference: "1" })),
        ("/v2/a/blobs/sha256:0", Some(Asked::Blob("sha256:0"))),
        ("/v2/a/tags/list", Some(Asked::Tags("a"))),
        ("/v2/a/tags/other", None),
        ("/v2/manifests/1", None),
        ("/v2/a/manifests/", None),
        ("/v1/", None),
        ("/v2x", None),
    ] {
        assert_eq!(asked(path), expect, "{path}");
    }
}

#[test]
fn one_range_of_bytes_is_understood() {
    for (text, length, expect) in [
        ("bytes=0-", 10, Some(Part::Whole)),
        ("bytes=0-9", 10, Some(Part::Whole)),
        ("bytes=0-99", 10, Some(Part::Whole)),
        ("bytes=2-4", 10, Some(Part::Bytes { first: 2, last: 4 })),
        ("bytes=9-", 10, Some(Part::Bytes { first: 9, last: 9 })),
        ("bytes=10-", 10, Some(Part::Outside)),
        ("bytes=0-", 0, Some(Part::Outside)),
        ("bytes=4-2", 10, None),
        ("bytes=-3", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("lines=0-1", 10, None),
    ] {
        assert_eq!(part(text, length), expect, "{text} of {length}");
    }
}

/// Sends one request and returns the whole answer.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(stream, "{request}\r\nHost: registry\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn an_image_is_served_by_any_registry_s_name() {
    let dir = Scratch::new("registry");
    dir.file("hello", "hello, lab");
    let store = Store::open(&dir.0.join("store")).expect("a store");
    let name: Name = "hello".parse().expect("a name");
    build(&store, "FROM scratch\nCOPY hello /\n", &dir.0, &name).expect("an image");
    let digest = store.list().expect("a list")[0].1.digest.clone();
    let layer = store.manifest(&store.list().expect("a list")[0].1).expect("a manifest").layers[0]
        .digest
        .clone();

    let (send, receive) = std::sync::mpsc::channel();
    let serving = store.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            send.send(listener.local_addr().expect("an address")).expect("the test waits");
            super::serve(listener, serving).await;
        });
    });
    let address = receive.recv().expect("an address");

    for (request, status, expect) in [
        ("GET /v2/ HTTP/1.1", "200", "{}"),
        ("GET /v2/library/hello/manifests/latest?ns=docker.io HTTP/1.1", "200", layer.as_str()),
        ("GET /v2/hello/manifests/1 HTTP/1.1", "200", layer.as_str()),
        (&format!("GET /v2/hello/manifests/{digest} HTTP/1.1"), "200", layer.as_str()),
        ("HEAD /v2/hello/manifests/1 HTTP/1.1", "200", digest.as_str()),
        (&format!("GET /v2/hello/blobs/{layer} HTTP/1.1"), "200", "hello, lab"),
        (
            &format!("GET /v2/hello/blobs/{layer} HTTP/1.1\r\nRange: bytes=0-4"),
            "206",
            "\r\n\r\nhello",
        ),
        ("GET /v2/a/manifests/1?ns=x%3A5000 HTTP/1.1", "404", "no image x:5000/a:1"),
        ("GET /v2/hello/blobs/sha256:../../x HTTP/1.1", "404", "NOT_FOUND"),
        ("GET /v2/hello/blobs/sha256:00 HTTP/1.1", "404", "BLOB_UNKNOWN"),
        ("PUT /v2/hello/manifests/1 HTTP/1.1", "405", "read only"),
        ("GET / HTTP/1.1", "404", "no such path"),
        ("no HTTP at all", "400", ""),
    ] {
        let answer = ask(address, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        assert!(answer.contains(expect), "{request}: {answer}");
    }
    store.tag(&name, &"other:2".parse().expect("a name")).expect("a tag");
    let answer = ask(address, "HEAD /v2/other/manifests/2 HTTP/1.1");
    assert!(answer.contains(&digest), "a tag given later is served: {answer}");
}
