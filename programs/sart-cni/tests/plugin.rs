//! The plugin as the runtime executes it: environment and standard input in, standard output out.

#![allow(clippy::expect_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

/// Runs the plugin; its standard output and whether it succeeded.
fn plugin(env: &[(&str, &str)], stdin: &str) -> (String, bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sart-cni"))
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the plugin starts");
    child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("stdin is read");
    let output = child.wait_with_output().expect("the plugin ends");
    (String::from_utf8(output.stdout).expect("text").trim().to_owned(), output.status.success())
}

fn env<'a>(command: &'a str, netns: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("CNI_COMMAND", command),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", netns),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=a;K8S_POD_UID=u"),
        ("CNI_PATH", "/opt/cni/bin"),
    ]
}

/// A directory of its own, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("sart-plugin-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for the test");
        Dir(dir)
    }

    fn config(&self, more: &str) -> String {
        let socket = self.0.join("agent.sock");
        let socket = socket.display();
        format!(
            r#"{{"cniVersion":"1.1.0","name":"sart-network","type":"sart-cni","socket":"{socket}"{more}}}"#
        )
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An agent that answers one call with this reply; what it was asked.
fn agent(dir: &Dir, reply: &'static str) -> thread::JoinHandle<String> {
    let listener = UnixListener::bind(dir.0.join("agent.sock")).expect("a socket");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a call");
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).expect("a line");
        stream.write_all(reply.as_bytes()).expect("a reader");
        line.trim().to_owned()
    })
}

#[test]
fn add_asks_the_agent_and_prints_the_result() {
    let dir = Dir::new("add");
    let agent = agent(
        &dir,
        concat!(
            r#"{"version":1,"ok":{"allocated":{"addresses":[{"address":"10.1.0.0","pool":"p"},"#,
            r#"{"address":"fd00::","pool":"p"}]},"wired":{"host":{"name":"sart1","mac":"a","mtu":1500},"#,
            r#""pod":{"name":"eth0","mac":"b","mtu":1500},"gateways":["169.254.1.1","fe80::1"]}}}"#,
            "\n"
        ),
    );
    let annotations = r#","runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"sart.terassyi.net/addresspool":"p","other/x":"y"}}"#;
    let (stdout, success) = plugin(&env("ADD", "/proc/self/ns/net"), &dir.config(annotations));
    assert!(success, "{stdout}");
    let result: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    let expect = serde_json::json!({
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "sart1", "mac": "a", "mtu": 1500},
            {"name": "eth0", "mac": "b", "mtu": 1500, "sandbox": "/proc/self/ns/net"},
        ],
        "ips": [
            {"address": "10.1.0.0/32", "gateway": "169.254.1.1", "interface": 1},
            {"address": "fd00::/128", "gateway": "fe80::1", "interface": 1},
        ],
        "routes": [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "::/0", "gw": "fe80::1"}],
        "dns": {},
    });
    assert_eq!(result, expect);
    let asked = concat!(
        r#"{"version":1,"request":{"command":"ADD","attachment":{"network":"sart-network","#,
        r#""containerId":"c1","ifname":"eth0"},"allocate":{"pod":{"namespace":"default","name":"a","#,
        r#""uid":"u","annotations":{"sart.terassyi.net/addresspool":"p"}}},"wire":{"netns":"/proc/self/ns/net"}}}"#
    );
    let got = agent.join().expect("asked");
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(json(&got), json(asked));
}

#[test]
fn a_refusal_is_printed_with_its_name() {
    let dir = Dir::new("refuse");
    let agent = agent(
        &dir,
        "{\"version\":1,\"error\":{\"code\":11,\"reason\":\"no-room\",\"message\":\"pool p is full\"}}\n",
    );
    let (stdout, success) = plugin(&env("ADD", "/proc/self/ns/net"), &dir.config(""));
    assert!(!success);
    assert_eq!(stdout, r#"{"cniVersion":"1.1.0","code":11,"msg":"no-room: pool p is full"}"#);
    agent.join().expect("asked");
}

#[test]
fn del_and_check_ask_the_agent_and_print_nothing() {
    let dir = Dir::new("del");
    let asked = agent(&dir, "{\"version\":1,\"ok\":{}}\n");
    assert_eq!(plugin(&env("DEL", "/run/netns/gone"), &dir.config("")), (String::new(), true));
    assert!(asked.join().expect("asked").contains(r#""command":"DEL""#));
    std::fs::remove_file(dir.0.join("agent.sock")).expect("the first agent's socket");
    let asked = agent(&dir, "{\"version\":1,\"ok\":{}}\n");
    let previous = r#","prevResult":{"cniVersion":"1.1.0","interfaces":[{"name":"sart1"},{"name":"eth0","sandbox":"/x"}],"ips":[{"address":"10.1.0.0/32","interface":1},{"address":"9.9.9.9/32","interface":0}]}"#;
    let config = dir.config(previous);
    assert_eq!(plugin(&env("CHECK", "/proc/self/ns/net"), &config), (String::new(), true));
    let asked = asked.join().expect("asked");
    assert!(asked.contains(r#""addresses":["10.1.0.0"]"#), "{asked}");
}

#[test]
fn status_fails_only_until_first_served_and_after_a_minute() {
    let dir = Dir::new("status");
    let check = |served: Option<f64>, expect: &str| {
        if let Some(served) = served {
            std::fs::write(dir.0.join("agent.served"), format!("{served}\n")).expect("written");
        }
        let (stdout, success) = plugin(&[("CNI_COMMAND", "STATUS")], &dir.config(""));
        assert_eq!(success, expect.is_empty(), "{stdout}");
        assert!(stdout.contains(expect), "{stdout}");
    };
    let uptime = std::fs::read_to_string("/proc/uptime").expect("uptime");
    let now: f64 = uptime.split(' ').next().and_then(|s| s.parse().ok()).expect("seconds");
    check(None, r#""code":50,"msg":"agent-not-started"#);
    check(Some(now - 30.0), "");
    check(Some((now - 100.0).max(0.0)), if now > 100.0 { "agent-away" } else { "" });
    let agent = agent(&dir, "{\"version\":1,\"ok\":{}}\n");
    check(None, "");
    agent.join().expect("asked");
}

#[test]
fn bad_input_is_a_named_error() {
    let dir = Dir::new("bad");
    let check = |env: &[(&str, &str)], stdin: &str, expect: &str| {
        let (stdout, success) = plugin(env, stdin);
        assert!(!success && stdout.contains(expect), "{stdout} lacks {expect}");
    };
    let netns = "/proc/self/ns/net";
    check(&env("ADD", netns), "no json", r#""code":6,"msg":"the network configuration is no JSON"#);
    check(&env("ADD", "/no/such/netns"), &dir.config(""), r#""code":3"#);
    check(&env("ADD", netns), &dir.config(r#","mtu":5"#), "mtu 5 is not between 1280 and 65535");
    check(&env("ADD", netns), &dir.config(r#","prevResult":{}"#), "not-first");
    check(&env("GC", netns), &dir.config(""), "gc-unsupported");
    let mut no_pod = env("ADD", netns);
    no_pod.retain(|(key, _)| *key != "CNI_ARGS");
    check(&no_pod, &dir.config(""), "pod-unknown: CNI_ARGS has no K8S_POD_NAMESPACE");
    let relative = r#"{"cniVersion":"1.1.0","name":"n","socket":"x"}"#;
    check(&env("DEL", ""), relative, "no absolute path");
}
