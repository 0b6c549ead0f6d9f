use std::collections::BTreeMap;

use crate::*;

fn attachment() -> Attachment {
    Attachment { network: "sart-network".into(), container_id: "c1".into(), ifname: "eth0".into() }
}

fn add() -> Request {
    let pod = Pod {
        namespace: "default".into(),
        name: "a".into(),
        uid: Some("0-1".into()),
        annotations: Some(BTreeMap::from([(
            "sart.terassyi.net/addresspool".into(),
            "default".into(),
        )])),
    };
    Request::Add {
        attachment: attachment(),
        allocate: Allocate { pod },
        wire: Some(Wire { netns: "/run/netns/x".into(), mtu: None }),
    }
}

/// The line is a contract between two versions of sart on one node: the text is pinned.
#[test]
fn requests_have_this_text() {
    let check = |request: Request, text: &str| {
        let line = encode_request(&request).unwrap();
        assert_eq!(String::from_utf8(line.clone()).unwrap(), format!("{text}\n"));
        assert_eq!(decode_request(&line).unwrap(), request);
    };
    check(
        add(),
        r#"{"version":1,"request":{"command":"ADD","attachment":{"network":"sart-network","containerId":"c1","ifname":"eth0"},"allocate":{"pod":{"namespace":"default","name":"a","uid":"0-1","annotations":{"sart.terassyi.net/addresspool":"default"}}},"wire":{"netns":"/run/netns/x"}}}"#,
    );
    check(
        Request::Del { attachment: attachment() },
        r#"{"version":1,"request":{"command":"DEL","attachment":{"network":"sart-network","containerId":"c1","ifname":"eth0"}}}"#,
    );
    check(
        Request::Check {
            attachment: attachment(),
            addresses: vec!["10.1.0.0".parse().unwrap(), "fd00::1".parse().unwrap()],
        },
        r#"{"version":1,"request":{"command":"CHECK","attachment":{"network":"sart-network","containerId":"c1","ifname":"eth0"},"addresses":["10.1.0.0","fd00::1"]}}"#,
    );
    check(Request::Status {}, r#"{"version":1,"request":{"command":"STATUS"}}"#);
}

#[test]
fn replies_have_this_text() {
    let check = |reply: Reply, text: &str| {
        let line = encode_reply(&reply).unwrap();
        assert_eq!(String::from_utf8(line.clone()).unwrap(), format!("{text}\n"));
        assert_eq!(decode_reply(&line).unwrap(), reply);
    };
    let link = |name: &str| Link { name: name.into(), mac: "0a:00:00:00:00:01".into(), mtu: 1500 };
    check(
        Reply::Ok(Done {
            allocated: Some(Allocated {
                addresses: vec![AllocatedAddress {
                    address: "10.1.0.0".parse().unwrap(),
                    pool: "default".into(),
                }],
            }),
            wired: Some(Wired {
                host: link("sart0"),
                pod: link("eth0"),
                gateways: vec!["169.254.1.1".parse().unwrap()],
            }),
        }),
        r#"{"version":1,"ok":{"allocated":{"addresses":[{"address":"10.1.0.0","pool":"default"}]},"wired":{"host":{"name":"sart0","mac":"0a:00:00:00:00:01","mtu":1500},"pod":{"name":"eth0","mac":"0a:00:00:00:00:01","mtu":1500},"gateways":["169.254.1.1"]}}}"#,
    );
    check(Reply::Ok(Done::default()), r#"{"version":1,"ok":{}}"#);
    check(
        Reply::Error(Refusal {
            code: 11,
            reason: "no-room".into(),
            message: "try again".into(),
            details: None,
        }),
        r#"{"version":1,"error":{"code":11,"reason":"no-room","message":"try again"}}"#,
    );
}

#[test]
fn what_is_no_line_is_refused_by_name() {
    let check = |line: &str, name: &str, text: &str| {
        let error = decode_request(line.as_bytes()).unwrap_err();
        assert_eq!(error.name(), name, "{line}");
        let source = std::error::Error::source(&error).map(|s| s.to_string()).unwrap_or_default();
        let said = format!("{error} {source}");
        assert!(said.contains(text), "{line}: {said}");
    };
    check("", "line-unfinished", "no end");
    check("{}", "line-unfinished", "no end");
    check("{}\n{}\n", "line-trailing", "behind");
    check("hello\n", "line-syntax", "expected value");
    check("{}\n", "line-syntax", "missing field `version`");
    check("{\"version\":2,\"new\":1}\n", "line-version", "version 2, version 1 is understood");
    check(
        "{\"version\":1,\"request\":{\"command\":\"STATUS\",\"x\":1}}\n",
        "line-syntax",
        "unknown field `x`",
    );
    check(
        "{\"version\":1,\"request\":{\"command\":\"GC\"}}\n",
        "line-syntax",
        "unknown variant `GC`",
    );
    check(
        "{\"version\":1,\"request\":{\"command\":\"STATUS\"},\"more\":1}\n",
        "line-syntax",
        "unknown field `more`",
    );
    check(&" ".repeat(MAX_LINE + 1), "line-too-long", "1048576 are allowed");
    assert_eq!(decode_reply(b"{\"version\":1}\n").unwrap_err().name(), "line-ambiguous");
    let both =
        b"{\"version\":1,\"ok\":{},\"error\":{\"code\":1,\"reason\":\"\",\"message\":\"\"}}\n";
    assert_eq!(decode_reply(both).unwrap_err().name(), "line-ambiguous");
}

#[test]
fn a_line_that_is_too_long_is_never_sent() {
    let Request::Add { attachment, mut allocate, wire } = add() else { unreachable!() };
    allocate.pod.name = "x".repeat(MAX_LINE);
    let request = Request::Add { attachment, allocate, wire };
    assert_eq!(encode_request(&request).unwrap_err().name(), "line-too-long");
}
