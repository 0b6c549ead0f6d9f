use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use super::{answer, rfc3339, serve};

#[test]
fn times_are_written_in_utc() {
    for (seconds, expect) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399, "2000-02-28T23:59:59.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (1_735_689_599, "2024-12-31T23:59:59.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), expect);
    }
}

#[test]
fn addresses_are_those_of_the_family_that_was_used() {
    let own: SocketAddr = "[::ffff:10.1.0.1]:80".parse().expect("an address");
    let caller: SocketAddr = "[::ffff:192.168.0.2]:40000".parse().expect("an address");
    let text = answer(UNIX_EPOCH, own, caller);
    let expect =
        r#"{"timestamp":"1970-01-01T00:00:00.000Z","from":"10.1.0.1","to":"192.168.0.2:40000"}"#;
    assert_eq!(text.trim_end(), expect);
}

#[test]
fn one_connection_answers_several_requests() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = thread::spawn(move || serve(listener.accept().expect("a caller").0));
    let mut stream = TcpStream::connect(address).expect("a connection");
    let requests = "GET / HTTP/1.1\r\nHost: x\r\n\r\nHEAD /a HTTP/1.1\r\n\r\n\
                    POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx";
    stream.write_all(requests.as_bytes()).expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert_eq!(text.matches("200 OK").count(), 2, "{text}");
    assert_eq!(text.matches("\"from\":\"127.0.0.1\"").count(), 1, "{text}");
    assert_eq!(text.matches("405 Method Not Allowed").count(), 1, "{text}");
    server.join().expect("no panic").expect("no error");
}
