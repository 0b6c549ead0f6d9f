use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::time::Duration;

use super::ping::{reply, request};
use super::{Gap, Outcome, Report, connect};

#[track_caller]
fn check(answered: &[bool], lost: usize, gaps: &[Gap], longest: u64) {
    let interval = Duration::from_millis(10);
    let outcomes: Vec<Outcome> = answered
        .iter()
        .zip(0..)
        .map(|(&answered, i)| Outcome { at: interval * i, took: answered.then_some(interval * i) })
        .collect();
    let report = Report::new(&outcomes, interval, None);
    assert_eq!((report.sent, report.lost), (answered.len(), lost));
    assert_eq!(report.gaps, gaps);
    assert_eq!(report.longest(), Duration::from_millis(longest));
}

#[test]
fn gaps_are_runs_of_lost_questions() {
    check(&[], 0, &[], 0);
    check(&[true, true], 0, &[], 0);
    check(&[false], 1, &[Gap { at: 0, length: 10, lost: 1 }], 10);
    check(
        &[true, false, false, true, false, true],
        3,
        &[Gap { at: 10, length: 20, lost: 2 }, Gap { at: 40, length: 10, lost: 1 }],
        20,
    );
}

#[test]
fn only_the_own_reply_counts() {
    let v4: IpAddr = "10.1.0.1".parse().expect("an address");
    let v6: IpAddr = "fd00::1".parse().expect("an address");
    let mut packet = request(v4, 7, 70_000);
    // The checksum makes the whole sum up to all ones (RFC 1071).
    let sum: u32 = packet.chunks(2).map(|p| u32::from(u16::from_be_bytes([p[0], p[1]]))).sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    assert_eq!(request(v6, 7, 1)[..4], [128, 0, 0, 0]);

    packet[0] = 0;
    let mut whole = vec![0x45; 20];
    whole.extend(packet);
    assert_eq!(reply(v4, &whole, 7), Some(70_000));
    assert_eq!(reply(v4, &whole, 8), None, "another's");
    assert_eq!(reply(v4, &whole[..30], 7), None, "cut short");
    assert_eq!(reply(v4, &[], 7), None);
    whole[20] = 3;
    assert_eq!(reply(v4, &whole, 7), None, "unreachable");
    let mut packet = request(v6, 7, 5);
    packet[0] = 129;
    assert_eq!(reply(v6, &packet, 7), Some(5));
}

#[test]
fn an_answer_counts_only_when_it_is_whole() {
    for (answer, expect) in [
        ("HTTP/1.1 200 OK\r\n\r\n{\"from\":\"x\"}\n", true),
        ("HTTP/1.1 200 OK\r\n\r\n{\"from\":", false),
        ("HTTP/1.1 503 No\r\n\r\n{}", false),
        ("", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut request = [0; 256];
            let _ = stream.read(&mut request).expect("a request");
            stream.write_all(answer.as_bytes()).expect("the caller reads");
        });
        assert_eq!(connect::ask(address).is_ok(), expect, "{answer:?}");
        server.join().expect("no panic");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let error = connect::ask(nobody).expect_err("nobody listens");
    assert!(error.to_string().starts_with("no connection in "), "{error}");
}

#[test]
fn an_answer_that_does_not_come_says_how_far_it_came() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        stream.write_all(b"HTTP/1.1 200 OK\r\n").expect("the caller reads");
        let mut rest = Vec::new();
        // Until the caller has given up.
        let _ = stream.read_to_end(&mut rest);
    });
    let error = connect::ask(address).expect_err("the answer has no end").to_string();
    assert!(error.contains(" connected after ") && error.contains("then 17 bytes"), "{error}");
    assert!(error.ends_with(": silence"), "{error}");
    server.join().expect("no panic");
}
