//! A router and a FIB controller that answer as told, and the program run against them.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use node_api::v1::{self, edit_request::Edit};
use node_api::{Call, Events, FibCall, FibServer, Refusal, Server, Views};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

pub(crate) struct Router {
    _runtime: Runtime,
    server: Server,
    _fib: FibServer,
    directory: PathBuf,
}

impl Router {
    pub(crate) fn start() -> Router {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sart-cli-test-{}-{n}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let runtime = Runtime::new().unwrap();
        let inside = runtime.enter();
        let (calls, mut requests) = mpsc::channel(8);
        let views =
            Views { neighbors: watch::channel(Arc::default()).1, advertised: Default::default() };
        let mut server = Server::new(calls, views);
        server.listen_unix(&directory.join("router.sock")).unwrap();
        runtime.spawn(async move {
            while let Some(call) = requests.recv().await {
                answer(call);
            }
        });
        let (calls, mut requests) = mpsc::channel(8);
        let mut fib = FibServer::new(calls);
        fib.listen_unix(&directory.join("fib.sock")).unwrap();
        runtime.spawn(async move {
            while let Some(call) = requests.recv().await {
                answer_of_controller(call);
            }
        });
        drop(inside);
        Router { _runtime: runtime, server, _fib: fib, directory }
    }

    pub(crate) fn events(&self) -> Events {
        self.server.events()
    }

    /// The program, to be run against the router; commands of `fib channel`, against the controller.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let of_fib = arguments.windows(2).any(|two| two == ["fib", "channel"]);
        let socket = self.directory.join(if of_fib { "fib.sock" } else { "router.sock" });
        let mut command = Command::new(env!("CARGO_BIN_EXE_sart"));
        command.arg("-e").arg(socket).args(arguments);
        command
    }

    pub(crate) fn sart(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A file with this text.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub(crate) fn sart(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sart")).args(arguments).output().unwrap()
}

/// Runs a command and looks for words in what it writes; errors go to standard error.
#[track_caller]
pub(crate) fn check(router: &Router, arguments: &[&str], code: i32, words: &[&str]) {
    let output = router.sart(arguments);
    let text = if code == 0 { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: {word:?} is not in {text}");
    }
}

/// The answer of a command as JSON.
#[track_caller]
pub(crate) fn json(router: &Router, arguments: &[&str]) -> serde_json::Value {
    let output = router.sart(&[&["-o", "json"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ao_key(send_id: u32, recv_id: u32, algorithm: &str, include_options: bool) -> v1::TcpAoKey {
    v1::TcpAoKey { send_id, recv_id, algorithm: algorithm.to_owned(), include_options }
}

fn neighbor() -> v1::Neighbor {
    v1::Neighbor {
        name: "spine0".to_owned(),
        address: "9.9.9.9".to_owned(),
        asn: 65001,
        owner: "file".to_owned(),
        state: v1::SessionState::Active as i32,
        last_error: Some(v1::SessionError {
            message: "cannot connect: refused".to_owned(),
            by: v1::By::Network as i32,
            at: 1,
            ..Default::default()
        }),
        session: Some(v1::Session { remote_router_id: "1.1.1.9".to_owned(), ..Default::default() }),
        groups: vec!["core".to_owned(), "edge".to_owned()],
        import: vec!["from-spines".to_owned()],
        authentication: "tcp-ao".to_owned(),
        tcp_ao_keys: vec![ao_key(1, 1, "hmac-sha1-96", true), ao_key(2, 3, "hmac-sha256", false)],
        bfd: Some(v1::BfdStatus {
            state: "Down".to_owned(),
            remote_state: "AdminDown".to_owned(),
            diagnostic: "Control Detection Time Expired".to_owned(),
            detection_time: 900,
            downs: 3,
            packets_sent: 77,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A neighbor whose session a NOTIFICATION has ended.
fn refused() -> v1::Neighbor {
    v1::Neighbor {
        name: "leaf".to_owned(),
        address: "fe80::1".to_owned(),
        interface: "eth7".to_owned(),
        state: v1::SessionState::Idle as i32,
        idle_reason: "max-prefixes".to_owned(),
        idle_until: 951_782_400,
        last_error: Some(v1::SessionError {
            message: "we sent Cease".to_owned(),
            by: v1::By::Us as i32,
            at: 1,
            code: 6,
            subcode: 1,
            code_words: "Cease".to_owned(),
            subcode_words: "Maximum Number of Prefixes Reached".to_owned(),
            data: "00010100000064".to_owned(),
            details: vec!["at most 100 prefixes of ipv4".to_owned()],
            state: v1::SessionState::Established as i32,
        }),
        received: Some(v1::Messages { update: 4711, ..Default::default() }),
        capabilities_sent: vec!["route-refresh".to_owned(), "four-octet-as 65000".to_owned()],
        capabilities_received: vec!["ipv4-unicast".to_owned()],
        sent: Some(v1::Messages::default()),
        ..Default::default()
    }
}

fn answer(call: Call) {
    match call {
        // The answers repeat what was asked for, so that a test sees it.
        Call::Edit(request, reply) => {
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
            let planned = if request.dry_run { "planned: " } else { "" };
            let changes = vec![format!("{planned}{asked}")];
            reply.send(Ok(v1::ApplyReply { accepted: true, changes, ..Default::default() }));
        }
        Call::Neighbors(request, reply) => {
            let list = |neighbors| v1::NeighborList { neighbors, ..Default::default() };
            reply.send(match request.address.as_str() {
                "" => Ok(list(vec![neighbor(), refused()])),
                "9.9.9.9" => Ok(list(vec![neighbor()])),
                "fe80::1" => Ok(list(vec![refused()])),
                other => Err(Refusal::NotFound(format!("there is no neighbor {other}"))),
            });
        }
        Call::Routes(request, reply) => reply.send(Ok(page(&request))),
        Call::Global(reply) => {
            let owner = v1::Owner { name: "apply".to_owned(), generation: 4, ..Default::default() };
            let owners = vec![owner];
            let station = v1::Station {
                address: "10.0.0.9:11019".to_owned(),
                tables: vec!["pre_policy".to_owned(), "loc_rib".to_owned()],
                state: "Waiting".to_owned(),
                messages: 77,
                losses: 3,
                last_error: "too-slow: more waits than its buffer holds".to_owned(),
                ..Default::default()
            };
            let mrt = v1::MrtFiles {
                directory: "/var/lib/sart/mrt".to_owned(),
                files: 2,
                last_table: "/var/lib/sart/mrt/rib.20261121.170000.mrt".to_owned(),
                next_table: 951_782_400,
                ..Default::default()
            };
            let (stations, mrt) = (vec![station], Some(mrt));
            let global = v1::Global { asn: 65010, owners, stations, mrt, ..Default::default() };
            reply.send(Ok(global));
        }
        Call::Apply(request, reply) => reply.send(Ok(applied(&request))),
        Call::Reload(request, reply) => {
            let document = "hold_time".to_owned();
            let v1::ReloadRequest { dry_run, keep_sessions } = request;
            let owner = "file".to_owned();
            let asked =
                v1::ApplyRequest { owner, document, dry_run, keep_sessions, ..Default::default() };
            reply.send(Ok(applied(&asked)));
        }
        Call::Forget(request, reply) => {
            let planned = if request.dry_run { "planned: " } else { "" };
            let changes = vec![format!("{planned}forget {}", request.owner)];
            reply.send(Ok(v1::ApplyReply { accepted: true, changes, ..Default::default() }));
        }
        Call::Explain(request, reply) => reply.send(Ok(match request.prefix.as_str() {
            "10.0.1.7" => explanation(),
            _ => v1::Explanation::default(),
        })),
        Call::Fib(request, reply) => {
            let next_hops = vec![format!("{}%eth0", request.family)];
            let prefix = "10.0.0.0/8".to_owned();
            let kernel_next_hops = vec![format!("{}%eth1*2", request.family)];
            let (table, source) = (254, request.prefix);
            let entry = v1::FibEntry {
                prefix,
                next_hops,
                kernel_next_hops,
                table,
                source,
                ..Default::default()
            };
            reply.send(Ok(v1::FibPage { entries: vec![entry], more: false }));
        }
        Call::Reset(request, reply) => {
            let asked = format!("{} {:?}", request.kind().words(), request.communication);
            let skip = |neighbor: &str| v1::Reset {
                neighbor: neighbor.to_owned(),
                reason: "not-established".to_owned(),
            };
            reply.send(Ok(match request.neighbor.as_str() {
                "fe80::1" => v1::ResetReply { neighbors: vec![], skipped: vec![skip("fe80::1")] },
                "" => v1::ResetReply { neighbors: vec![asked], skipped: vec![skip("fe80::1")] },
                one => {
                    v1::ResetReply { neighbors: vec![format!("{one} {asked}")], skipped: vec![] }
                }
            }));
        }
        Call::Policies(request, reply) => {
            let text = |kind: &str, name: &str| v1::PolicyText {
                kind: kind.to_owned(),
                name: name.to_owned(),
                owner: "file".to_owned(),
                text: format!("written: {name}"),
            };
            let all = [text("policy", "from-spines"), text("prefix-list", "ours")];
            let wanted = |p: &v1::PolicyText| request.name.is_empty() || p.name == request.name;
            let policies: Vec<_> = all.into_iter().filter(wanted).collect();
            reply.send(match policies.is_empty() {
                true => Err(Refusal::NotFound(format!("there is no policy {}", request.name))),
                false => Ok(v1::PolicyList { policies }),
            });
        }
    }
}

fn applied(request: &v1::ApplyRequest) -> v1::ApplyReply {
    if request.document.contains("broken") {
        let problem = v1::Problem {
            line: 1,
            column: 3,
            reason: "unknown-key".to_owned(),
            message: "broken is unknown".to_owned(),
        };
        return v1::ApplyReply { problems: vec![problem], ..Default::default() };
    }
    // What it would reset has come up after the plan.
    if request.document.contains("meanwhile") && request.keep_sessions && !request.dry_run {
        let problem = v1::Problem {
            reason: "resets-sessions".to_owned(),
            message: "nothing is changed: it resets 9.9.9.9 (asn changed)".to_owned(),
            ..Default::default()
        };
        return v1::ApplyReply { problems: vec![problem], ..Default::default() };
    }
    let planned = if request.dry_run { "planned: " } else { "" };
    let reset =
        v1::Reset { neighbor: "9.9.9.9".to_owned(), reason: "hold_time changed".to_owned() };
    v1::ApplyReply {
        accepted: true,
        changes: vec![format!("{planned}{} of {}", request.generation, request.owner)],
        resets: request.document.contains("hold_time").then_some(reset).into_iter().collect(),
        ..Default::default()
    }
}

const LONG_PAGE: u32 = 3000;
const LONG_PAGES: u32 = 5;

/// Two pages of one prefix each, of a router that knows no cursors; of one that does, in another
/// order and with an empty page between them, when the community 1:1 is asked for; of one with a long
/// table, when it is 2:2.
fn page(request: &v1::ListRoutesRequest) -> v1::RoutePage {
    let v1::ListRoutesRequest { table, family, neighbor, within, address, .. } = request;
    let route = |prefix: &str| v1::Route {
        prefix: prefix.to_owned(),
        next_hop: format!("{table} {family} {neighbor}"),
        as_path: format!("{within}{address} {} {}", request.as_path, request.from),
        origin: if request.accepted { "accepted".to_owned() } else { String::new() },
        best: true,
        ..Default::default()
    };
    if request.community == "2:2" {
        let page: u32 = request.cursor.parse().unwrap_or_default();
        let prefixes = (0..LONG_PAGE).map(|n| page * LONG_PAGE + n);
        let prefixes = prefixes.map(|n| format!("10.{}.{}.0/24", 200 - n / 256, n % 256));
        let routes = prefixes.map(|prefix| route(&prefix)).collect();
        let cursor = (page + 1).to_string();
        return match page + 1 == LONG_PAGES {
            true => v1::RoutePage { routes, ..Default::default() },
            false => v1::RoutePage { routes, more: true, cursor },
        };
    }
    if request.community != "1:1" {
        let first = request.after.is_empty();
        let prefix = if first { "10.1.0.0/16" } else { "10.2.0.0/16" };
        return v1::RoutePage { routes: vec![route(prefix)], more: first, cursor: String::new() };
    }
    let (routes, cursor) = match request.cursor.as_str() {
        "start" => (vec![route("10.20.0.0/16")], "1"),
        "1" => (vec![], "2"),
        _ => (vec![route("10.3.0.0/16")], ""),
    };
    v1::RoutePage { routes, more: !cursor.is_empty(), cursor: cursor.to_owned() }
}

fn explanation() -> v1::Explanation {
    let prefix = "10.0.1.0/24".to_owned();
    let path = |neighbor: &str, best: bool| v1::Route {
        prefix: prefix.clone(),
        neighbor: neighbor.to_owned(),
        best,
        ..Default::default()
    };
    let compared = |path, value: &str, out| {
        let value = value.to_owned();
        v1::Compared { path, value, out, ..Default::default() }
    };
    let step = |step: &str, compared| v1::DecisionStep { step: step.to_owned(), compared };
    let verdict = |accepted, decided: &str, failed: &str| v1::PolicyVerdict {
        accepted,
        decided: decided.to_owned(),
        steps: vec![v1::PolicyStep {
            policy: "to-leaf".to_owned(),
            number: 1,
            name: "ours".to_owned(),
            failed: failed.to_owned(),
        }],
    };
    let exported = v1::ExportedPath {
        from: "9.9.9.9".to_owned(),
        refused: "policy-rejects".to_owned(),
        policy: Some(verdict(false, "the default of policy to-leaf", "prefix")),
        ..Default::default()
    };
    v1::Explanation {
        prefix: prefix.clone(),
        paths: vec![path("9.9.9.9", true), path("8.8.8.8", false), path("7.7.7.7", false)],
        steps: vec![
            step("local-pref", vec![compared(0, "100", false), compared(1, "50", true)]),
            step("as-path-length", vec![compared(0, "2", false)]),
        ],
        imports: vec![v1::ImportVerdict {
            neighbor: "9.9.9.9".to_owned(),
            policy: Some(verdict(true, "policy from-spines, statement 1", "")),
        }],
        advertisements: vec![
            v1::Advertisement {
                neighbor: "fe80::1".to_owned(),
                reason: "policy-rejects".to_owned(),
                paths: vec![exported],
                ..Default::default()
            },
            v1::Advertisement {
                neighbor: "9.9.9.9".to_owned(),
                reason: "split-horizon".to_owned(),
                ..Default::default()
            },
        ],
        fib: Some(v1::FibEntry { prefix, table: 254, installed: true, ..Default::default() }),
    }
}

fn answer_of_controller(call: FibCall) {
    match call {
        FibCall::Set(request, reply) => {
            if request.routes.iter().any(|route| route.prefix == "10.9.0.0/16") {
                let problems = vec!["10.9.0.0/16: not now".to_owned()];
                return reply.send(Ok(v1::SetRoutesReply { problems, ..Default::default() }));
            }
            // What was asked for comes back as the refusal.
            reply.send(Err(Refusal::Invalid(format!("{request:?}"))));
        }
        FibCall::Forget(request, reply) => reply.send(match request.owner.as_str() {
            "ops" => Ok(v1::SetRoutesReply { accepted: true, ..Default::default() }),
            other => Err(Refusal::NotFound(format!("{other} {}", request.channel))),
        }),
        FibCall::Channels(reply) => {
            let channel = v1::ChannelStatus {
                name: "main".to_owned(),
                family: "ipv4".to_owned(),
                subscribers: vec!["kernel 8".to_owned()],
                publishers: vec!["kernel 254".to_owned()],
                owners: vec!["ops".to_owned()],
                routes: 2,
            };
            reply.send(Ok(v1::ChannelList { channels: vec![channel] }));
        }
        FibCall::Routes(request, reply) => {
            if request.channel != "main" {
                let message = format!("there is no channel {:?}", request.channel);
                return reply.send(Err(Refusal::NotFound(message)));
            }
            let first = request.after.is_empty();
            let route = v1::ChannelRoute {
                prefix: if first { "10.1.0.0/16" } else { "10.2.0.0/16" }.to_owned(),
                target: "via 10.0.0.1".to_owned(),
                source: "ops".to_owned(),
                distance: 30,
                tables: vec!["254 installed".to_owned()],
            };
            reply.send(Ok(v1::ChannelRoutePage { routes: vec![route], more: first }));
        }
    }
}
