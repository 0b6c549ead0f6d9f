//! The folder is the rule: guards the house's floors from `cargo metadata`.
//!
//! `pure` knows only `pure`; `io` knows `pure` and, as drawn in ARCHITECTURE.md, a few rooms of its
//! own floor; `programs` wire both and nothing depends on a program.

#![allow(clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What no crate of `pure` may depend on: runtimes, clients, kernels, clocks, randomness.
const NOT_IN_PURE: &[&str] = &[
    "anyhow",
    "axum",
    "hyper",
    "kube-client",
    "kube-runtime",
    "libc",
    "netlink-packet-core",
    "netlink-packet-route",
    "netlink-sys",
    "nix",
    "rand",
    "reqwest",
    "rtnetlink",
    "rustix",
    "socket2",
    "tokio",
    "tonic",
    "tower",
    "tracing-subscriber",
];

/// Sideways steps on the floor of `io` that ARCHITECTURE.md draws: none is needed so far.
const SIDEWAYS_IN_IO: &[(&str, &str)] = &[];

struct House {
    /// Package name to its floor: `pure`, `io`, `programs` or `lab`.
    floors: BTreeMap<String, String>,
    /// Package name to the names it depends on, tests and builds left out.
    needs: BTreeMap<String, BTreeSet<String>>,
}

fn house() -> House {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("lab lies in the workspace");
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("cargo metadata is JSON");
    let mut house = House { floors: BTreeMap::new(), needs: BTreeMap::new() };
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name").to_owned();
        let manifest = Path::new(package["manifest_path"].as_str().expect("path"));
        let inside = manifest.strip_prefix(root).expect("a member lies in the workspace");
        let floor = inside.components().next().expect("a folder").as_os_str();
        let needs = package["dependencies"].as_array().expect("dependencies").iter();
        let needs = needs
            .filter(|d| d["kind"].is_null())
            .map(|d| d["name"].as_str().expect("name").to_owned());
        house.needs.insert(name.clone(), needs.collect());
        house.floors.insert(name, floor.to_string_lossy().into_owned());
    }
    house
}

#[test]
fn dependencies_go_down_only() {
    let house = house();
    assert!(house.floors.len() > 15, "the workspace was not read: {:?}", house.floors);
    let mut wrong = Vec::new();
    for (name, needs) in &house.needs {
        let from = house.floors[name].as_str();
        for need in needs {
            let Some(to) = house.floors.get(need).map(String::as_str) else {
                continue;
            };
            let sideways = SIDEWAYS_IN_IO.contains(&(name.as_str(), need.as_str()));
            let down = match (from, to) {
                ("pure", "pure") | ("io", "pure") => true,
                ("io", "io") => sideways,
                ("programs" | "lab", "pure" | "io") => true,
                _ => false,
            };
            if !down {
                wrong.push(format!("{name} ({from}) -> {need} ({to})"));
            }
        }
    }
    assert!(wrong.is_empty(), "against the house's floors:\n{}", wrong.join("\n"));
}

#[test]
fn pure_touches_no_world() {
    let house = house();
    let mut wrong = Vec::new();
    for (name, needs) in &house.needs {
        if house.floors[name] == "pure" {
            let outside = needs.iter().filter(|need| NOT_IN_PURE.contains(&need.as_str()));
            wrong.extend(outside.map(|need| format!("{name} -> {need}")));
        }
    }
    assert!(wrong.is_empty(), "pure code that touches the world:\n{}", wrong.join("\n"));
}

#[test]
fn the_router_links_no_kubernetes_client_and_no_tls() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("lab lies in the workspace");
    let out = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--prefix=none", "--edges=normal", "--package=sartd"])
        .args(["--no-default-features", "--features=router"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8_lossy(&out.stdout);
    assert!(tree.contains("bgp-speaker"), "no tree: {}", String::from_utf8_lossy(&out.stderr));
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(!["kube", "kube-client", "rustls", "ring"].contains(&name), "router links {line}");
    }
}
