//! The program as people run it, against a router that answers as told.

#![allow(clippy::unwrap_used)]

mod world;

use world::{Router, check, sart};

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
    // The router is asked for what was typed, in the family that it has.
    for (command, only, family) in [("list", "fd00::7", "ipv6"), ("get", "10.0.0.7", "ipv4")] {
        let output = router.sart(&["-o", "json", "fib", command, only]);
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&value[0]["source"], &value[0]["next_hops"][0]),
            (&only.into(), &format!("{family}%eth0").into())
        );
    }
}

#[test]
fn a_link_local_neighbor_is_named_with_its_link() {
    let router = Router::start();
    let neighbor = ["bgp", "neighbor"];
    let add = ["add", "fe80::1%eth0", "65001", "--dry-run"];
    let wanted = ["address: fe80::1", "interface: eth0"];
    check(&router, &[&neighbor[..], &add].concat(), 0, &wanted);
    let del = ["del", "fe80::1%eth0"];
    check(&router, &[&neighbor[..], &del].concat(), 0, &["remove neighbor fe80::1%eth0"]);
    let no_link = ["add", "fe80::1", "65001"];
    check(&router, &[&neighbor[..], &no_link].concat(), 2, &["needs an `interface`"]);
    let get = ["get", "fe80::9%eth0"];
    check(&router, &[&neighbor[..], &get].concat(), 2, &["there is no neighbor fe80::9%eth0"]);
    check(&router, &[&neighbor[..], &["get", ""]].concat(), 2, &["no neighbor has an empty name"]);
    let wrong = ["add", "10.0.0.1%eth0", "65001"];
    check(&router, &[&neighbor[..], &wrong].concat(), 2, &["fe80::3%eth0"]);
}

#[test]
fn refusals_are_one_sentence_and_code_2() {
    let router = Router::start();
    let sentence = "sart: there is no path 10.0.0.0/8";
    check(&router, &["bgp", "global", "rib", "del", "10.0.0.0/8"], 2, &[sentence]);
    check(&router, &["bgp", "neighbor", "get", "1.1.1.1"], 2, &["there is no neighbor 1.1.1.1"]);
    let multicast = ["bgp", "global", "rib", "-s", "multicast", "get"];
    check(&router, &multicast, 2, &["multicast tables are not built yet"]);
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
    check(&router, &["bgp", "rib", "out", "spine0"], 2, &["a neighbor goes with --neighbor"]);
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
        let output = sart(&["completion", shell, "--for", "kubectl-sart"]);
        let script = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && script.contains("kubectl-sart"), "{shell}");
        assert!(script.contains("neighbors") && script.contains("node"), "{shell}");
    }
}

#[test]
fn man_pages_are_written_for_each_command() {
    let name = format!("sart-man-test-{}", std::process::id());
    let directory = std::env::temp_dir().join(name).join("man1");
    let help = String::from_utf8(sart(&["--help"]).stdout).unwrap();
    assert!(help.contains("  man ") && help.contains("  completion "), "{help}");
    let output = sart(&["man", directory.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    assert!(page("sart.1").contains("sart bgp explain 10.0.1.0/32"));
    assert!(page("sart-bgp-neighbors.1").contains("its last error"));
    assert!(page("sart-bgp-apply.1").contains("which sessions it resets"));
    assert!(page("sart-fib-channel-set.1").contains("blackhole"));
    assert!(page("kubectl-sart.1").contains("node"));
    std::fs::remove_dir_all(directory.parent().unwrap()).unwrap();
    let output = sart(&["man", "/proc/nowhere/man1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("sart: /proc/nowhere/man1: "));
}

#[test]
fn neighbors_are_shown_in_lines_fully_and_wide() {
    let router = Router::start();
    let neighbors = ["bgp", "neighbors"];
    check(&router, &neighbors, 0, &["spine0", "Active", "cannot connect: refused"]);
    let wide = ["-o", "wide", "bgp", "neighbors"];
    check(&router, &wide, 0, &["ROUTER ID", "GROUPS", "LOST", "1.1.1.9", "core,edge"]);
    let fully = [
        "Last error:    cannot connect: refused",
        "ended by:    network",
        "State:         Active, since",
    ];
    check(&router, &["bgp", "neighbors", "9.9.9.9"], 0, &fully);
    check(&router, &["bgp", "neighbors", "1.1.1.1"], 2, &["there is no neighbor 1.1.1.1"]);
    let rib = ["-o", "wide", "bgp", "global", "rib", "get"];
    check(&router, &rib, 0, &["STALE"]);
    // The name of before still stands for the same.
    check(&router, &["-o", "plain", "bgp", "neighbors"], 0, &["spine0"]);
    check(&router, &["-o", "yaml", "bgp", "neighbors", "9.9.9.9"], 0, &["by: network"]);
    check(&router, &["bgp", "neighbors", "--help"], 0, &["Examples:", "-o wide"]);
}
