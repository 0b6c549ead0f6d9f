//! `docs/api.md` lists the calls of both services, each once, and whether it needs the token.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The first word of what follows, of letters alone.
fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default()
}

/// Calls as `Service.Call` of a definition, and whether each is a change. That a call's name tells is
/// what the guard goes by.
fn calls(definition: &str, calls: &mut BTreeMap<String, bool>) {
    let mut service = "";
    let text = read(definition);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("service ") {
            service = word(name);
        }
        if let Some(call) = line.trim_start().strip_prefix("rpc ") {
            let call = word(call);
            let reads = ["Get", "List", "Explain", "Watch"].iter().any(|r| call.starts_with(r));
            calls.insert(format!("{service}.{call}"), !reads);
        }
    }
}

#[test]
fn the_page_has_each_call() {
    let mut served = BTreeMap::new();
    calls("proto/sart/v1/router.proto", &mut served);
    calls("proto/sart/v1/fib.proto", &mut served);
    assert!(served.len() > 15, "{served:?}");
    let mut listed = BTreeMap::new();
    for line in read("../../docs/api.md").lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, call, token @ ("yes" | "no"), what, _] = cells[..] else { continue };
        assert!(what.len() > 10, "{call}");
        let before = listed.insert(call.trim_matches('`').to_owned(), token == "yes");
        assert!(before.is_none(), "{call} stands twice");
    }
    assert_eq!(listed, served);
}

#[test]
fn the_page_has_what_is_true_of_the_servers() {
    let page = read("../../docs/api.md");
    for place in [
        node_api::DEFAULT_SOCKET,
        node_api::DEFAULT_TCP,
        node_api::DEFAULT_FIB_SOCKET,
        node_api::DEFAULT_FIB_TCP,
    ] {
        assert!(page.contains(place), "{place}");
    }
    assert!(node_api::Token::new("0123456789abcde").is_err());
    assert!(node_api::Token::new("0123456789abcdef").is_ok() && page.contains("at least 16"));
}
