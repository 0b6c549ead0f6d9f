//! The fuzzers' corpora, replayed without a fuzzer, and their first seeds.

#![allow(clippy::unwrap_used)]

#[path = "fuzz/bodies.rs"]
mod bodies;
#[path = "../../../fuzz/replay.rs"]
mod corpora;
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[test]
fn the_corpora_have_no_findings() {
    corpora::replay(bodies::ALL);
}

#[test]
fn the_seeds_are_in_the_corpora() {
    seeds::keep(bodies::ALL, &first());
}

#[test]
fn damaged_seeds_have_no_findings() {
    seeds::damage(bodies::ALL, &first(), 500);
}

/// Each request and reply, and one that is refused.
fn first() -> Vec<seeds::Seed> {
    let key = r#""attachment":{"network":"sart-network","containerId":"c1","ifname":"eth0"}"#;
    let pod = r#"{"namespace":"default","name":"a","uid":"0-1","annotations":{"k":"v \u00e9\n"}}"#;
    let link = r#"{"name":"eth0","mac":"0a:00:00:00:00:01","mtu":1500}"#;
    let request = |name, body: String| {
        ("cni_request", name, format!("{{\"version\":1,\"request\":{body}}}\n").into_bytes())
    };
    let reply = |name, body: String| {
        ("cni_reply", name, format!("{{\"version\":1,{body}}}\n").into_bytes())
    };
    vec![
        request(
            "add",
            format!(
                r#"{{"command":"ADD",{key},"allocate":{{"pod":{pod}}},"wire":{{"netns":"/run/netns/x","mtu":9000}}}}"#
            ),
        ),
        request("del", format!(r#"{{"command":"DEL",{key}}}"#)),
        request(
            "check",
            format!(r#"{{"command":"CHECK",{key},"addresses":["10.1.0.0","fd00::1"]}}"#),
        ),
        request("status", r#"{"command":"STATUS"}"#.into()),
        ("cni_request", "later", b"{\"version\":2,\"new\":1}\n".to_vec()),
        reply(
            "done",
            format!(
                r#""ok":{{"allocated":{{"addresses":[{{"address":"10.1.0.0","pool":"default"}}]}},"wired":{{"host":{link},"pod":{link},"gateways":["169.254.1.1","fe80::1"]}}}}"#
            ),
        ),
        reply("nothing", r#""ok":{}"#.into()),
        reply(
            "refusal",
            r#""error":{"code":11,"reason":"no-room","message":"try again","details":"x"}"#.into(),
        ),
    ]
}
