//! The program as people run it, against a router that answers as told.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use node_api::v1::{self, edit_request::Edit};
use node_api::{Call, Refusal, Server, Views};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

struct Router {
    _runtime: Runtime,
    _server: Server,
    directory: PathBuf,
}

impl Router {
    fn start() -> Router {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sart-cli-test-{}-{n}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let runtime = Runtime::new().unwrap();
        let _inside = runtime.enter();
        let (calls, mut requests) = mpsc::channel(8);
        let views = Views {
            neighbors: watch::channel(Arc::default()).1,
            advertised: watch::channel(Arc::default()).1,
        };
        let mut server = Server::new(calls, views);
        server.listen_unix(&directory.join("router.sock")).unwrap();
        runtime.spawn(async move {
            while let Some(call) = requests.recv().await {
                answer(call);
            }
        });
        drop(_inside);
        Router { _runtime: runtime, _server: server, directory }
    }

    fn sart(&self, arguments: &[&str]) -> Output {
        let socket = self.directory.join("router.sock");
        sart(&[&["-e", socket.to_str().unwrap()], arguments].concat())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn sart(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sart")).args(arguments).output().unwrap()
}

fn neighbor() -> v1::Neighbor {
    v1::Neighbor {
        name: "spine0".to_owned(),
        address: "9.9.9.9".to_owned(),
        asn: 65001,
        state: v1::SessionState::Active as i32,
        last_error: Some(v1::SessionError {
            message: "cannot connect: refused".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn answer(call: Call) {
    let list = v1::NeighborList { neighbors: vec![neighbor()], ..Default::default() };
    match call {
        Call::Edit(request, reply) => {
            // The answer repeats what was asked for, so that a test sees it.
            let asked = match request.edit {
                Some(Edit::Merge(text)) => text,
                Some(Edit::RemoveNeighbor(address)) => format!("remove neighbor {address}"),
                Some(Edit::RemovePath(prefix)) if prefix == "10.0.0.0/8" => {
                    let problem = v1::Problem {
                        message: "there is no path 10.0.0.0/8".to_owned(),
                        ..Default::default()
                    };
                    let problems = vec![problem];
                    return reply.send(Ok(v1::ApplyReply { problems, ..Default::default() }));
                }
                Some(Edit::RemovePath(prefix)) => format!("remove path {prefix}"),
                None => "nothing".to_owned(),
            };
            let changes = vec![asked];
            reply.send(Ok(v1::ApplyReply { accepted: true, changes, ..Default::default() }));
        }
        Call::Neighbors(request, reply) => match request.address.as_str() {
            "" | "9.9.9.9" => reply.send(Ok(list)),
            other => reply.send(Err(Refusal::NotFound(format!("there is no neighbor {other}")))),
        },
        // Two pages of one prefix each.
        Call::Routes(request, reply) => {
            let first = request.after.is_empty();
            let prefix = if first { "10.1.0.0/16" } else { "10.2.0.0/16" };
            let next_hop = format!("{} {} {}", request.table, request.family, request.neighbor);
            let route =
                v1::Route { prefix: prefix.to_owned(), next_hop, best: true, ..Default::default() };
            reply.send(Ok(v1::RoutePage { routes: vec![route], more: first }));
        }
        Call::Global(reply) => reply.send(Ok(v1::Global { asn: 65010, ..Default::default() })),
        Call::Apply(_, reply) | Call::Forget(_, reply) => reply.send(Ok(Default::default())),
        Call::Explain(_, reply) => reply.send(Ok(Default::default())),
        Call::Fib(_, reply) => reply.send(Ok(Default::default())),
    }
}

/// Runs a command and looks for words in what it writes; errors go to standard error.
#[track_caller]
fn check(router: &Router, arguments: &[&str], code: i32, words: &[&str]) {
    let output = router.sart(arguments);
    let text = if code == 0 { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: {word:?} is not in {text}");
    }
}

#[test]
fn the_commands_of_v01_work() {
    let router = Router::start();
    let global = ["bgp", "global"];
    check(&router, &[&global[..], &["get"]].concat(), 0, &["65010"]);
    check(&router, &[&global[..], &["health"]].concat(), 0, &["ok"]);
    let set = ["set", "--asn", "65001", "--router-id", "1.1.1.1", "--multi-path"];
    let wanted = ["asn: 65001", "1.1.1.1", "multi_path: true"];
    check(&router, &[&global[..], &set].concat(), 0, &wanted);
    let add = ["rib", "add", "10.0.10.0/24", "-a", "ipv4", "-t", "origin=igp", "-t", "med=5"];
    check(&router, &[&global[..], &add].concat(), 0, &["10.0.10.0/24", "igp", "med: 5"]);
    let del = ["rib", "del", "10.1.0.0/24", "10.2.0.0/24"];
    let both = ["remove path 10.1.0.0/24", "remove path 10.2.0.0/24"];
    check(&router, &[&global[..], &del].concat(), 0, &both);
    let get = ["rib", "get", "-a", "ipv6", "-s", "unicast"];
    check(&router, &[&global[..], &get].concat(), 0, &["10.1.0.0/16", "10.2.0.0/16", "loc ipv6"]);

    let neighbor = ["bgp", "neighbor"];
    check(&router, &[&neighbor[..], &["list"]].concat(), 0, &["spine0", "Active", "refused"]);
    check(&router, &[&neighbor[..], &["get", "9.9.9.9"]].concat(), 0, &["Remote AS:     65001"]);
    let add = ["add", "10.10.0.1", "65000", "--passive", "--name", "x"];
    check(&router, &[&neighbor[..], &add].concat(), 0, &["asn: 65000", "passive: true"]);
    check(&router, &[&neighbor[..], &["del", "10.10.0.1"]].concat(), 0, &["remove neighbor"]);
    let rib = ["rib", "9.9.9.9", "-k", "out", "-a", "ipv4"];
    check(&router, &[&neighbor[..], &rib].concat(), 0, &["out ipv4 9.9.9.9"]);
}

#[test]
fn answers_are_json_and_yaml_too() {
    let router = Router::start();
    for flags in [["-o", "json"], ["-d", "json"], ["--format", "json"]] {
        let output = router.sart(&[&flags[..], &["bgp", "neighbor", "list"]].concat());
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["neighbors"][0]["state"], "Active");
    }
    check(&router, &["-o", "yaml", "bgp", "global", "get"], 0, &["asn: 65010"]);
}

#[test]
fn refusals_are_one_sentence_and_code_2() {
    let router = Router::start();
    let sentence = "sart: there is no path 10.0.0.0/8";
    check(&router, &["bgp", "global", "rib", "del", "10.0.0.0/8"], 2, &[sentence]);
    check(&router, &["bgp", "neighbor", "get", "1.1.1.1"], 2, &["there is no neighbor 1.1.1.1"]);
    check(&router, &["bgp", "neighbor", "policy"], 2, &["policies are not built yet"]);
    check(&router, &["bgp", "global", "policy"], 2, &["policies are not built yet"]);
    check(&router, &["fib", "channel", "list"], 2, &["not built yet"]);
    check(&router, &["bgp", "neighbor", "add", "10.0.0.1", "0"], 2, &["AS number 0 is reserved"]);
    check(&router, &["bgp", "neighbor", "add", "x", "1"], 2, &["invalid value 'x'"]);
    let add = ["bgp", "neighbor", "add", "10.0.0.1", "1", "--hold-time", "2"];
    check(&router, &add, 2, &["sart: hold_time: it is 0 or at least 3 seconds"]);
    let rib = ["bgp", "global", "rib", "add"];
    check(&router, &[&rib[..], &["10.0.0.1/24"]].concat(), 2, &["did you mean 10.0.0.0/24"]);
    let other = ["10.0.0.0/24", "-a", "ipv6"];
    check(&router, &[&rib[..], &other].concat(), 2, &["10.0.0.0/24 is not of the family ipv6"]);
    let attribute = ["10.0.0.0/24", "-t", "speed=1"];
    check(&router, &[&rib[..], &attribute].concat(), 2, &["unknown attribute \"speed\""]);
    check(&router, &["bgp", "global", "set"], 2, &["--asn"]);
}

#[test]
fn a_router_that_is_away_is_code_1() {
    let output = sart(&["-e", "/nonexistent/router.sock", "bgp", "global", "health"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("the router at /nonexistent/router.sock does not answer"), "{text}");
}

#[test]
fn completions_are_written_without_a_router() {
    for shell in ["bash", "zsh", "fish"] {
        let output = sart(&["completion", shell]);
        assert!(output.status.success() && output.stdout.len() > 1000, "{shell}");
    }
}
