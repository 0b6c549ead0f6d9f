//! TCP-AO in the document (RFC 5925).

#![allow(clippy::unwrap_used, clippy::expect_used)]

use bgp_speaker::TcpAo;
use inet::{AoAlgorithm, AoKey, Secret};
use router_config::{Document, Host};

fn document(keys: &str) -> Document {
    Document::parse(&text(keys), "r").unwrap()
}

fn text(keys: &str) -> String {
    format!("neighbors: [{{address: 10.0.0.1, asn: 1, {keys}}}]")
}

fn key(send_id: u8, receive_id: u8, algorithm: AoAlgorithm, secret: &str) -> AoKey {
    let secret = Secret::new(secret).unwrap();
    AoKey { send_id, receive_id, algorithm, include_options: true, secret }
}

#[test]
fn keys_of_ao_are_read_written_and_reach_the_speaker() {
    let written = "
templates: {rack: {asn: external, tcp_ao: {keys: [{id: 0, key: of all}]}}}
neighbors:
- address: 10.0.0.1
  asn: 1
  tcp_ao:
    keys:
    - {id: 1, key_file: /etc/sart/spine0.ao, algorithm: aes-128-cmac-96}
    - {send_id: 2, recv_id: 3, key: 'hu\"sh: 1', algorithm: hmac-sha256}
    include_options: false
- {interface: eth0, template: rack}
dynamic_neighbors: [{prefix: 10.1.0.0/16, template: rack}]
";
    let document = Document::parse(written, "r").unwrap();
    assert_eq!(Document::parse(&document.to_yaml().unwrap(), "r").unwrap(), document);
    let shown = format!("{document:?}");
    assert!(!shown.contains("sh: 1") && !shown.contains("of all"), "{shown}");
    let read = |path: &str| {
        assert_eq!(path, "/etc/sart/spine0.ao");
        Ok("from a file\n".to_owned())
    };
    let desired = document.desired_on("r", Host { read: &read, ..Host::NONE }).unwrap();
    let mut wanted = vec![
        key(1, 1, AoAlgorithm::AesCmac, "from a file"),
        key(2, 3, AoAlgorithm::HmacSha256, "hu\"sh: 1"),
    ];
    wanted.iter_mut().for_each(|key| key.include_options = false);
    assert_eq!(desired.peers[0].tcp.ao, Some(TcpAo { keys: wanted }));
    let rack = Some(TcpAo { keys: vec![key(0, 0, AoAlgorithm::HmacSha1, "of all")] });
    assert_eq!(
        (&desired.unnumbered[0].peer.tcp.ao, &desired.dynamic[0].peer.tcp.ao),
        (&rack, &rack)
    );
    let shown = format!("{desired:?}");
    assert!(!shown.contains("sh: 1") && !shown.contains("of all"), "{shown}");

    for (answer, words) in [
        (Err("no such file".to_owned()), "tcp_ao: key_file: \"/etc/sart/spine0.ao\": no such file"),
        (Ok("\n".to_owned()), "tcp_ao: key_file: \"/etc/sart/spine0.ao\" has not 1 to 80 octets"),
    ] {
        let read = |_: &str| answer.clone();
        let refused = document.desired_on("r", Host { read: &read, ..Host::NONE });
        assert_eq!(refused.unwrap_err().message, words);
    }
}

#[test]
fn keys_that_cannot_be_are_refused_with_their_place() {
    let long = format!("keys: [{{id: 1, key: {}}}]", "k".repeat(81));
    let length = "key: it is not a text of 1 to 80 octets; a number stands in quotes";
    // What `tcp_ao` has, what the place points at, and the message.
    let cases: &[(&str, &str, &str)] = &[
        ("", "{}", "`keys` is missing"),
        ("keys: []", "[]", "keys: at least one is needed"),
        ("keys: 1", "1}", "keys: 1 is not a list"),
        ("keys: [1]", "1]", "a key: 1 is not a mapping"),
        ("keys: [{key: k}]", "{key", "`id` is missing, or `send_id` and `recv_id`"),
        ("keys: [{send_id: 1, key: k}]", "{send", "`id` is missing, or `send_id` and `recv_id`"),
        ("keys: [{id: 256, key: k}]", "256", "id: 256 is not a number from 0 to 255"),
        (
            "keys: [{id: 1, recv_id: 2, key: k}]",
            "1, recv",
            "id: it goes not together with `send_id` and `recv_id`",
        ),
        (
            "keys: [{id: 1, key: a}, {id: 1, key: b}]",
            "1, key: b",
            "id: 1 is there twice, first on line 1",
        ),
        (
            "keys: [{id: 1, key: a}, {send_id: 2, recv_id: 1, key: b}]",
            "1, key: b",
            "recv_id: 1 is there twice, first on line 1",
        ),
        ("keys: [{id: 1}]", "{id", "`key` or `key_file` is missing"),
        ("keys: [{id: 1, key: a, key_file: b}]", "b}", "key_file: it goes not together with `key`"),
        ("keys: [{id: 1, key: \"\"}]", "\"\"", length),
        ("keys: [{id: 1, key: 123}]", "123", length),
        (&long, "kkk", length),
        (
            "keys: [{id: 1, key: k, algorithm: md5}]",
            "md5",
            "algorithm: \"md5\" is not hmac-sha1-96, aes-128-cmac-96 or hmac-sha256",
        ),
        (
            "keys: [{id: 1, key: k, maclen: 12}]",
            "maclen",
            "unknown key `maclen`; there are: id, send_id, recv_id, algorithm, key, key_file",
        ),
        (
            "keys: [{id: 1, key: k}], current: 1",
            "current",
            "unknown key `current`; there are: keys",
        ),
        (
            "keys: [{id: 1, key: k}], include_options: 1",
            "1}",
            "include_options: 1 is not true or false",
        ),
    ];
    for (ao, at, message) in cases {
        refused(&text(&format!("tcp_ao: {{{ao}}}")), at, message);
    }
    let ao = "tcp_ao: {keys: [{id: 1, key: k}]}";
    for other in ["password", "password_file"] {
        let message = format!("tcp_ao: it goes not together with `{other}`");
        refused(&text(&format!("{other}: x, {ao}")), "{keys", &message);
    }
}

fn refused(text: &str, at: &str, message: &str) {
    let problems = Document::parse(text, "r").expect_err(text);
    let [problem] = &problems[..] else { panic!("{text}: {problems:?}") };
    assert!(problem.message.starts_with(message), "{text}: {}", problem.message);
    let column = usize::try_from(problem.place.unwrap().column).unwrap();
    assert!(text[column - 1..].starts_with(at), "{text}: {column}");
}

/// A connection lives on as long as it keeps a key, or gets one with ids of its own.
#[test]
fn a_change_of_keys_says_what_resets() {
    let one = "tcp_ao: {keys: [{id: 1, key: a}]}";
    for (old, new, resets) in [
        (one, "tcp_ao: {keys: [{id: 1, key: a}, {id: 2, key: b}]}", Some(false)),
        (one, "tcp_ao: {keys: [{id: 2, key: b}]}", Some(false)),
        (one, "tcp_ao: {keys: [{id: 1, key: b}]}", Some(true)),
        (one, "tcp_ao: {keys: [{id: 1, key_file: /a}]}", Some(true)),
        (one, "tcp_ao: {keys: [{id: 1, key: a}], include_options: false}", Some(true)),
        (one, "name:", Some(true)),
        ("password: x", one, Some(true)),
        (one, "tcp_ao: {keys: [{id: 1, key: a, algorithm: hmac-sha1-96}]}", None),
        (one, "tcp_ao: {keys: [{send_id: 1, recv_id: 1, key: a}], include_options: true}", None),
    ] {
        let diff = document(old).diff(&document(new));
        assert_eq!(diff.is_empty(), resets.is_none(), "{old} {new}: {:?}", diff.changes);
        assert_eq!(diff.resets.len(), usize::from(resets == Some(true)), "{old} {new}");
    }
}
