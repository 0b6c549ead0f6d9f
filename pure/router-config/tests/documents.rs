//! The features of the document: read, written, read again; and what is refused, with its place.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use router_config::{
    AddPathSend, AsnMatch, BmpTable, ChannelEnd, Document, Host, MaxPrefixesAction, NextHopMode,
    Reason, RouterEnd,
};

#[track_caller]
fn accepted(text: &str) -> Document {
    match Document::parse(text, "r.yaml") {
        Ok(document) => document,
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("refused:\n{}", problems.join("\n"))
        }
    }
}

/// Reads, writes, reads; the written text must say the same, and writing it again changes nothing.
#[track_caller]
fn same_again(text: &str) -> Document {
    let document = accepted(text);
    let written = document.to_yaml().unwrap();
    let again = accepted(&written);
    assert_eq!(again, document, "{written}");
    assert_eq!(again.to_yaml().unwrap(), written);
    assert!(document.diff(&again).is_empty());
    document
}

#[track_caller]
fn refused(text: &str, expect: &[&str]) {
    let problems = Document::parse(text, "r").expect_err("it was accepted");
    let got: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(got, expect, "{text}");
}

/// A key that is understood, but does nothing yet.
#[track_caller]
fn waits(text: &str, key: &str) {
    let problem = same_again(text).desired("r").expect_err("it was taken");
    assert_eq!(problem.reason, Reason::NotBuiltYet);
    assert!(problem.message.starts_with("not supported yet: "), "{problem}");
    assert!(problem.message.contains(key), "{problem}");
}

#[test]
fn a_peer_with_every_key_is_read_and_written() {
    let text = r#"
policies: {in: [], out: []}
neighbors:
  - name: all
    address: fe80::1
    interface: eth0
    asn: 65001
    ttl_security: 1
    password: "se\"cret: 1"
    hold_time: 30
    send_hold_time: 480
    extended_next_hop: true
    extended_messages: false
    graceful_restart: true
    long_lived_graceful_restart: {stale_time: 3600}
    add_path: {send: 4, receive: true}
    local_as: {asn: 65009, prepend: false, replace: true}
    allow_own_as: 2
    accept_as_sets: true
    as_override: true
    remove_private_as: true
    next_hop: self
    route_reflector_client: true
    role: route-server-client
    role_strict: true
    import: [in]
    export: [out, in]
    max_prefixes: {ipv4: {limit: 1000, warn_at: 75, action: restart, restart_after: 60}, ipv6: 10}
    bfd: {transmit: 100, receive: 200, multiplier: 3, multihop: true, passive: true}
    shutdown: "moving: back at 5"
"#;
    let document = same_again(text);
    let neighbor = &document.neighbors[0];
    assert_eq!(neighbor.next_hop, Some(NextHopMode::Own));
    assert_eq!(neighbor.add_path.unwrap().send, Some(AddPathSend::BestN(4)));
    let limit = neighbor.max_prefixes[&inet::Family::Ipv4];
    assert_eq!((limit.limit, limit.action), (1000, Some(MaxPrefixesAction::Restart)));
    assert_eq!(neighbor.password.as_ref().unwrap().reveal(), "se\"cret: 1");
    assert!(!format!("{document:?}").contains("cret: 1"), "the key is not shown");
    let set = document.policies("r").unwrap();
    assert_eq!(neighbor.export_policy(&set, "r").unwrap().unwrap().name(), "out, in");
}

#[test]
fn short_forms_mean_the_same_as_long_ones() {
    let of = |keys: &str| accepted(&format!("neighbors: [{{address: 10.0.0.1, asn: 1, {keys}}}]"));
    for (short, long) in [
        ("add_path: true", "add_path: {send: all, receive: true}"),
        ("add_path: {send: 1}", "add_path: {send: best}"),
        ("bfd: true", "bfd: {enabled: true}"),
        ("bfd: {interval: 50}", "bfd: {transmit: 50, receive: 50}"),
        ("local_as: 7", "local_as: {asn: 7}"),
        ("max_prefixes: {ipv4: 7}", "max_prefixes: {ipv4: {limit: 7}}"),
        ("next_hop_self: true", "next_hop: self"),
        ("shutdown: true", "shutdown: ''"),
        ("shutdown: false", "name:"),
        ("next_hop_self: false", "add_path: false"),
    ] {
        assert_eq!(of(short), of(long), "{short}");
    }
    let policy = |keys: &str| accepted(&format!("policies: {{p: [{{{keys}, action: accept}}]}}"));
    for (short, long) in [
        ("match: {communities: 1:1}", "match: {communities: {any: [1:1]}}"),
        ("set: {communities: [1:1]}", "set: {communities: {replace: [1:1]}}"),
        ("set: {prepend: 2}", "set: {prepend: {asn: own, count: 2}}"),
        ("match: {med: 7}", "match: {med: 7..7}"),
    ] {
        assert_eq!(policy(short), policy(long), "{short}");
    }
}

#[test]
fn peers_come_by_address_interface_and_prefix() {
    let document = same_again(
        r#"
templates:
  rack: {asn: external, hold_time: 9, bfd: true, groups: [rack]}
neighbors:
  - {interface: eth1, template: rack}
  - {interface: eth2, asn: internal, name: two}
  - {address: 10.0.0.1, template: rack, hold_time: 30, bfd: }
dynamic_neighbors:
  - {prefix: 10.1.0.0/16, asn: [65001, 65010..65019], limit: 50, template: rack, passive: true}
"#,
    );
    let [one, two] = &document.unnumbered[..] else { panic!("{:?}", document.unnumbered) };
    assert_eq!(
        (one.settings.asn_match.clone(), one.settings.hold_time),
        (AsnMatch::External, Some(9))
    );
    assert_eq!(two.settings.asn_match, AsnMatch::Internal);
    // What a neighbor says itself is stronger; a key without value takes nothing from the template.
    assert_eq!((document.neighbors[0].hold_time, document.neighbors[0].bfd), (Some(30), None));
    let dynamic = &document.dynamic_neighbors[0];
    assert_eq!(dynamic.settings.asn_match, AsnMatch::Ranges(vec![65001..=65001, 65010..=65019]));
    assert_eq!(dynamic.limit, Some(50));
    assert!(dynamic.settings.groups.contains("rack"));
}

#[test]
fn peers_that_cannot_be_are_refused_with_their_place() {
    // The keys, what the place points at, and the message.
    let cases: &[(&str, &str, &str)] = &[
        ("ttl_security: 255", "255", "ttl_security: 255 is not a number from 1 to 254"),
        (r#"name: "a\nb""#, r#""a\nb""#, "name: \"a\\nb\" is not one line of text"),
        (
            "ttl_security: 1, ebgp_multihop: 2",
            "1,",
            "ttl_security: it goes not together with `ebgp_multihop`",
        ),
        (
            "password: 123456",
            "123456",
            "password: it is not a text of 1 to 80 octets; a number stands in quotes",
        ),
        (
            "password: a, password_file: b",
            "b,",
            "password_file: it goes not together with `password`",
        ),
        ("send_hold_time: 90", "90,", "send_hold_time: it is not more than the hold time, 90"),
        (
            "graceful_restart: false, long_lived_graceful_restart: {stale_time: 1}",
            "{stale",
            "long_lived_graceful_restart: it needs `graceful_restart`",
        ),
        (
            "role: friend",
            "friend",
            "role: not a role (provider, route-server, route-server-client, customer or peer): \"friend\"",
        ),
        ("role_strict: true", "true", "role_strict: it needs a `role`"),
        ("add_path: {send: 256}", "256", "send: 256 is not all, best or a number from 1 to 255"),
        ("allow_own_as: 11", "11", "allow_own_as: 11 is not a number from 0 to 10"),
        ("next_hop: me", "me", "next_hop: \"me\" is not auto, self or unchanged"),
        (
            "next_hop: auto, next_hop_self: true",
            "true",
            "next_hop_self: it goes not together with `next_hop`",
        ),
        ("import: x", "x,", "import: there is no policy \"x\""),
        ("import: []", "[]", "import: at least one is needed"),
        (
            "max_prefixes: {ipv4: {limit: 1, action: warn, restart_after: 1}}",
            "1}}",
            "restart_after: it needs the action `restart`",
        ),
        (
            "max_prefixes: {ipv5: 1}",
            "ipv5",
            "unknown key `ipv5` (did you mean `ipv4`?); there are: ipv4, ipv6",
        ),
        ("bfd: {interval: 5}", "5}", "interval: 5 is not a number from 10 to 60000"),
        ("template: x", "x,", "template: there is no template \"x\""),
        (
            "interface: a/b",
            "a/b",
            "interface: not an interface name (1 to 15 printable ASCII characters, no space, no '/'): \"a/b\"",
        ),
        ("prefix: 10.0.0.0/8", "prefix", "unknown key `prefix`; there are: template, interface,"),
        ("shutdown: [a]", "[a]", "shutdown: a list is not true, false or a text for the peer"),
    ];
    for (keys, at, message) in cases {
        let text = format!("neighbors: [{{address: 10.0.0.1, {keys}, asn: 1}}]");
        let problems = Document::parse(&text, "r").expect_err(keys);
        let [problem] = &problems[..] else { panic!("{keys}: {problems:?}") };
        assert!(problem.message.starts_with(message), "{keys}: {}", problem.message);
        let column = usize::try_from(problem.place.unwrap().column).unwrap();
        assert!(text[column - 1..].starts_with(at), "{keys}: {column}");
    }
    refused(
        "templates:\n  t: {asn: 0, limit: 3}\nneighbors:\n- {interface: a, template: t}\n- {address: fe80::1, asn: 1}\n- {asn: 1}\n- {interface: b, asn: 9..3}\n",
        &[
            "r:2:12: asn: AS number 0 is reserved (bad-value)",
            "r:2:15: unknown key `limit`; there are: asn, router_id, port, passive, local_address, ebgp_multihop, ttl_security, password, password_file, tcp_ao, hold_time, keepalive_time, connect_retry_time, send_hold_time, families, extended_next_hop, extended_messages, graceful_restart, long_lived_graceful_restart, add_path, local_as, role, role_strict, max_prefixes, bfd, shutdown, allow_own_as, accept_as_sets, as_override, remove_private_as, next_hop, next_hop_self, route_reflector_client, import, export, groups (unknown-key)",
            "r:5:13: address: fe80::1: a link-local address needs an `interface` (bad-value)",
            "r:6:3: `address` or `interface` is missing (missing)",
            "r:7:23: asn: the range 9..3 ends before it begins (bad-value)",
        ],
    );
}

#[test]
fn the_rest_of_the_document_is_read_and_written() {
    let document = same_again(
        r#"
asn: 65000
router_id: 10.0.0.1
cluster_id: 10.0.0.2
multi_path: {ebgp: 8, ibgp: 4, relax_as_path: false, link_bandwidth: true}
require_policy: true
default_local_pref: 150
fib: {table: 100, metric: 20, next_hop_objects: false, distance: {ebgp: 20, ibgp: 200, local: 5}}
endpoint: 127.0.0.1:5001
channels:
  - name: main
    ip_version: ipv4
    subscribers: [{protocol: kernel, tables: [254, 8]}, {protocol: bgp, endpoint: "127.0.0.1:5000"}]
    publishers: [{protocol: kernel, tables: 100}, {protocol: bgp}, {protocol: bgp, endpoint: /run/x}]
policies: {static-only: [{action: accept}]}
redistribute:
  - {source: connected}
  - {source: static, table: 100, policy: static-only}
aggregates: [{prefix: 10.0.0.0/8, summary_only: true}]
bmp:
  - {address: 10.0.0.9, port: 11019, tables: [pre_policy, loc_rib], statistics_interval: 60, connect_retry_time: 5, buffer: 64}
mrt: {directory: /var/lib/sart, table_interval: 3600, updates_interval: 300}
"#,
    );
    assert_eq!(document.multi_path, Some(true));
    assert_eq!(document.fib_table(), Some(100));
    let ends = &document.channels[0].publishers[1..];
    let sockets = ["/run/sart/router.sock", "/run/x"]
        .map(|path| ChannelEnd::Bgp { endpoint: RouterEnd::Socket(path.to_owned()) });
    assert_eq!(ends, sockets);
    assert!(document.bmp[0].tables.contains(&BmpTable::LocRib));
    let mut other = accepted("multi_path: false\naggregates: [{prefix: 10.0.0.0/8}]\nfib: {}");
    other.merge(document.clone());
    assert_eq!(other.multi_path_rules, document.multi_path_rules);
    assert_eq!(other.aggregates, document.aggregates);
    assert_eq!(other.fib_options, document.fib_options);
    refused(
        "redistribute: [{source: bgp}, {source: static, policy: p}]\nmrt: {directory: /x}\nbmp: [{address: 10.0.0.1}]\nchannels: [{name: a, ip_version: v4, subscribers: [{protocol: tcp}]}]\n",
        &[
            "r:1:25: source: \"bgp\" is not a kernel source (connected, static or kernel) (bad-value)",
            "r:1:56: policy: there is no policy \"p\" (bad-value)",
            "r:2:6: mrt: `table_interval` or `updates_interval` is needed (missing)",
            "r:3:7: `port` is missing (missing)",
            "r:4:63: protocol: \"tcp\" is not a protocol (kernel or bgp) (bad-value)",
        ],
    );
    refused(
        "bmp:\n  - {address: fe80::1, port: 0, tables: [adj_rib_out]}\n  - {address: 10.0.0.1, port: 1, rate: 1}\n  - {address: 10.0.0.1, port: 1, statistics_interval: 0}\nmrt: {directory: mrt, table_interval: 59}\n",
        &[
            "r:2:15: address: fe80::1 is no address that can be dialled (bad-value)",
            "r:2:30: port: 0 is not a number from 1 to 65535 (bad-value)",
            "r:2:42: tables: \"adj_rib_out\" is not a table (pre_policy, post_policy or loc_rib) (bad-value)",
            "r:3:34: unknown key `rate`; there are: address, port, tables, statistics_interval, connect_retry_time, buffer (unknown-key)",
            "r:4:5: bmp: 10.0.0.1:1 is there twice (doubled)",
            "r:4:55: statistics_interval: 0 is not a number from 1 to 86400 (bad-value)",
            "r:5:18: directory: \"mrt\" does not begin with / (bad-value)",
            "r:5:39: table_interval: 59 is not a number from 60 to 604800 (bad-value)",
        ],
    );
}

#[test]
fn what_does_nothing_yet_is_refused_by_its_name() {
    // These are for the program around the speaker, which says what it can do.
    for (text, key) in [
        ("fib: {vrf: blue}", "fib.vrf"),
        ("fib: {metric: 7}", "fib.metric"),
        ("fib: {next_hop_objects: false}", "fib.next_hop_objects"),
        ("fib: {distance: {ebgp: 9}}", "fib.distance"),
        ("fib: {distance: {local: 9}}", "fib.distance.local"),
        ("endpoint: 127.0.0.1:1", "endpoint"),
        ("channels: [{name: a, ip_version: ipv4}]", "channels"),
        ("bmp: [{address: 10.0.0.1, port: 1}]", "bmp"),
        ("mrt: {directory: /x, table_interval: 60}", "mrt"),
    ] {
        waits(text, key);
        let document = accepted(text);
        assert_eq!(document.host_keys(), [key]);
        assert!(document.desired_on("r", Host { keys: &[key], ..Host::NONE }).is_ok());
    }
}

#[test]
fn a_key_is_read_from_its_file() {
    let of = |content: Result<&'static str, &'static str>| {
        let document = accepted("neighbors: [{address: 10.0.0.1, asn: 1, password_file: /key}]");
        let read = move |path: &str| {
            assert_eq!(path, "/key");
            content.map(str::to_owned).map_err(str::to_owned)
        };
        let desired = document.desired_on("r", Host { read: &read, ..Host::NONE });
        desired.map(|desired| desired.peers[0].tcp.password.clone())
    };
    assert_eq!(of(Ok("secret\n")), Ok(Some(inet::Secret::new("secret").unwrap())));
    for (content, words) in
        [(Err("no such file"), "\"/key\": no such file"), (Ok("\n"), "\"/key\" has not 1 to 80")]
    {
        let problem = of(content).unwrap_err();
        assert!(problem.message.starts_with(&format!("password_file: {words}")), "{problem}");
    }
    let nobody_reads = accepted("neighbors: [{address: 10.0.0.1, asn: 1, password_file: /key}]");
    assert!(nobody_reads.desired("r").is_err());
}

#[test]
fn each_key_of_a_peer_reaches_the_speaker() {
    let of = |keys: &str| -> bgp_speaker::Peer {
        let text = format!(
            "policies: {{in: [], out: []}}\nneighbors: [{{address: 10.0.0.1, asn: 1, {keys}}}]"
        );
        accepted(&text).desired("r").unwrap().peers.remove(0)
    };
    let plain = of("name:");
    assert_eq!(
        plain,
        bgp_speaker::Peer::new("10.0.0.1".parse().unwrap(), inet::Asn::new(1).unwrap())
    );
    for keys in [
        "port: 1",
        "passive: true",
        "local_address: 10.0.0.2",
        "interface: eth0",
        "ebgp_multihop: 2",
        "ttl_security: 1",
        "password: x",
        "tcp_ao: {keys: [{id: 1, key: x}]}",
        "hold_time: 9",
        "keepalive_time: 9",
        "connect_retry_time: 9",
        "send_hold_time: 900",
        "families: [ipv4]",
        "extended_next_hop: true",
        "extended_messages: false",
        "graceful_restart: false",
        "long_lived_graceful_restart: {stale_time: 9}",
        "add_path: {send: best}",
        "add_path: {receive: true}",
        "add_path: {send: 2}",
        "local_as: 7",
        "local_as: {asn: 7, prepend: false}",
        "allow_own_as: 1",
        "accept_as_sets: true",
        "as_override: true",
        "remove_private_as: true",
        "next_hop: self",
        "next_hop: unchanged",
        "route_reflector_client: true",
        "role: peer",
        "role: peer, role_strict: true",
        "import: in",
        "export: out",
        "max_prefixes: {ipv4: 1}",
        "bfd: true",
        "bfd: {interval: 50, multihop: true}",
        "shutdown: bye",
        "groups: [a]",
        "router_id: 1.1.1.1",
        "name: a",
    ] {
        assert_ne!(of(keys), plain, "{keys}");
    }
    assert_eq!(of("bfd: false"), plain);
    assert_eq!(of("add_path: false"), plain);
}

#[test]
fn the_rest_of_the_document_reaches_the_speaker() {
    let desired = accepted(
        r#"
asn: 65000
router_id: 1.1.1.1
cluster_id: 2.2.2.2
multi_path: {ebgp: 4, link_bandwidth: true}
require_policy: true
default_local_pref: 7
policies: {p: [{action: accept}]}
neighbors: [{interface: eth0, asn: external}]
dynamic_neighbors: [{prefix: 10.0.0.0/8, asn: 65010..65019}]
redistribute: [{source: static, policy: p}, {source: connected, table: 7}]
"#,
    )
    .desired("r")
    .unwrap();
    let global = desired.global.unwrap();
    assert_eq!(global.cluster_id, "2.2.2.2".parse().ok());
    assert_eq!((global.multi_path.ebgp, global.multi_path.ibgp), (4, 64));
    assert!(global.multi_path.link_bandwidth && global.require_policy);
    assert_eq!(global.default_local_pref, 7);
    let unnumbered = &desired.unnumbered[0];
    assert_eq!(unnumbered.peer.tcp.interface, Some(unnumbered.link));
    assert!(unnumbered.peer.session.ipv4_over_ipv6);
    assert_eq!(unnumbered.peer.rules.without_policy, bgp_speaker::WithoutPolicy::Reject);
    assert_eq!(desired.dynamic[0].limit, 100);
    let tables: Vec<_> =
        desired.redistribute.iter().map(|r| (r.table, r.policy.is_some())).collect();
    assert_eq!(tables, [(254, true), (7, false)]);
}

#[test]
fn a_changed_peer_says_what_resets_it() {
    let of = |keys: &str| {
        accepted(&format!(
            "policies: {{p: []}}\nneighbors: [{{address: 10.0.0.1, asn: 1, {keys}}}, {{interface: e, asn: internal, {keys}}}]"
        ))
    };
    let plain = of("name:");
    for (keys, resets) in [
        ("role: peer", true),
        ("password: x", false),
        ("add_path: true", true),
        ("ttl_security: 1", true),
        ("local_as: 7", true),
        ("extended_messages: false", true),
        ("import: p", false),
        ("role: peer, role_strict: true", true),
        ("send_hold_time: 900", false),
        ("shutdown: bye", true),
        ("max_prefixes: {ipv4: 1}", false),
        ("bfd: true", false),
        ("next_hop: self", false),
    ] {
        let diff = plain.diff(&of(keys));
        assert_eq!(diff.changes.len(), 2, "{keys}: {:?}", diff.changes);
        assert_eq!(diff.resets.len(), usize::from(resets), "{keys}");
        assert_eq!(diff.other_resets.len(), usize::from(resets), "{keys}");
    }
    for same in ["extended_messages: true", "next_hop: auto", "role_strict: false"] {
        assert!(plain.diff(&of(same)).is_empty(), "{same}");
    }
    let gone = plain.diff(&Document::default());
    assert_eq!(
        gone.changes,
        ["policy p is removed", "neighbor 10.0.0.1 is removed", "neighbor on e is removed"]
    );
}

#[test]
fn next_hop_objects_are_auto_on_or_off() {
    for (text, expect) in [
        ("auto", None),
        ("on", Some(true)),
        ("true", Some(true)),
        ("off", Some(false)),
        ("false", Some(false)),
    ] {
        let document = same_again(&format!("fib: {{next_hop_objects: {text}}}"));
        assert_eq!(document.fib_options.next_hop_objects, expect, "{text}");
    }
    refused(
        "fib: {next_hop_objects: 7}",
        &["r:1:25: next_hop_objects: 7 is not auto, on or off (bad-value)"],
    );
}
