use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use crate::socket::{connect, receive, send};

#[test]
fn a_descriptor_travels_beside_the_bytes() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let file = std::fs::File::open("/proc/self/ns/net").unwrap();
    send(&ours, b"hello", Some(file.as_fd())).unwrap();
    send(&ours, b" again", None).unwrap();
    let mut buffer = [0; 5];
    let (n, fd) = receive(theirs.as_fd(), &mut buffer).unwrap();
    assert_eq!(&buffer[..n], b"hello");
    let received = std::fs::File::from(fd.unwrap());
    assert_eq!(received.metadata().unwrap().ino(), file.metadata().unwrap().ino());
    drop(ours);
    let mut rest = String::new();
    theirs.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, " again");
    assert!(matches!(receive(theirs.as_fd(), &mut buffer), Ok((0, None))));
}

#[test]
fn more_bytes_than_the_socket_buffers_arrive_whole() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let bytes: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    let expect = bytes.clone();
    let file = std::fs::File::open("/proc/self/ns/net").unwrap();
    let sender = std::thread::spawn(move || send(&ours, &bytes, Some(file.as_fd())));
    let mut got = Vec::new();
    theirs.read_to_end(&mut got).unwrap();
    sender.join().unwrap().unwrap();
    assert!(got == expect);
}

#[test]
fn a_listener_that_accepts_nothing_is_given_up() {
    let dir = std::env::temp_dir().join(format!("cni-socket-test-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    // The backlog is finite: sooner or later a connect waits, and must come back.
    let mut held = Vec::new();
    let error = loop {
        match connect(&path, Duration::from_millis(20)) {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
        assert!(held.len() < 100_000);
    };
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(matches!(error.raw_os_error(), Some(libc::EAGAIN) | Some(libc::EMFILE)), "{error}");
    assert_eq!(
        connect(&path, Duration::from_millis(20)).unwrap_err().kind(),
        std::io::ErrorKind::NotFound
    );
}
