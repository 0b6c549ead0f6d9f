use serde_json::json;

use super::*;
use crate::BlockRequest;

fn object(name: &str, uid: &str, version: u64, node: &str) -> BlockRequest {
    serde_json::from_value(json!({
        "apiVersion": "sart.terassyi.net/v1alpha2", "kind": "BlockRequest",
        "metadata": { "name": name, "uid": uid, "resourceVersion": version.to_string() },
        "spec": { "pool": "p", "node": node },
    }))
    .unwrap()
}

fn all(version: u64, objects: &[BlockRequest]) -> Seen<BlockRequest> {
    Seen::All { objects: objects.to_vec(), bad: Vec::new(), version: version.to_string() }
}

fn nodes(mirror: &Mirror<BlockRequest>) -> String {
    let nodes = mirror.iter().map(|(key, o)| format!("{key}={}", o.spec.node));
    nodes.collect::<Vec<_>>().join(" ")
}

/// Runs steps on a mirror that has listed `a=old` at version 10.
fn check(steps: impl FnOnce(&mut Mirror<BlockRequest>), expect: &str) {
    let mut mirror = Mirror::default();
    assert!(!mirror.listed());
    mirror.see(all(10, &[object("a", "1", 10, "old")]));
    assert!(mirror.listed());
    steps(&mut mirror);
    assert_eq!(nodes(&mirror), expect);
}

#[test]
fn the_watch_is_followed() {
    check(|_| {}, "a=old");
    check(|m| drop(m.see(Seen::Put(object("a", "1", 11, "new")))), "a=new");
    check(|m| drop(m.see(Seen::Gone(object("a", "1", 11, "old")))), "");
    check(|m| drop(m.see(all(20, &[object("b", "2", 15, "b")]))), "b=b");
}

#[test]
fn an_own_write_stays_until_the_watch_has_passed_it() {
    let write = |m: &mut Mirror<BlockRequest>| {
        m.wrote(object("a", "1", 20, "own"));
        m.wrote(object("b", "2", 21, "own"));
    };
    check(write, "a=own b=own");
    check(
        |m| {
            write(m);
            m.see(Seen::Put(object("a", "1", 15, "late news")));
            m.see(all(16, &[object("a", "1", 15, "late news")]));
        },
        "a=own b=own",
    );
    check(
        |m| {
            write(m);
            m.see(Seen::Put(object("a", "1", 22, "newer")));
            m.see(all(30, &[object("a", "1", 22, "newer")]));
        },
        "a=newer",
    );
    // An answer that comes after the watch has told newer things.
    check(
        |m| {
            m.see(Seen::Put(object("a", "1", 25, "newer")));
            m.wrote(object("a", "1", 20, "own"));
        },
        "a=newer",
    );
}

#[test]
fn an_own_deletion_stays_until_the_watch_has_passed_it() {
    let key = ObjectKey::cluster("a");
    let late = || Seen::Put(object("a", "1", 15, "late news"));
    check(
        |m| {
            m.deleted(&key);
            m.see(late());
        },
        "",
    );
    check(
        |m| {
            m.deleted(&key);
            m.see(Seen::Put(object("a", "other", 16, "made anew")));
        },
        "a=made anew",
    );
    // Deleted and made again by us; then the watch tells of the deletion.
    check(
        |m| {
            m.deleted(&key);
            m.wrote(object("a", "other", 20, "own"));
            m.see(Seen::Gone(object("a", "1", 15, "old")));
        },
        "a=own",
    );
}

#[test]
fn what_cannot_be_read_is_not_gone() {
    let key = ObjectKey::cluster("a");
    check(|m| drop(m.see(Seen::Bad(key.clone(), "why".into()))), "a=old");
    let list = Seen::All {
        objects: vec![],
        bad: vec![(ObjectKey::cluster("a"), "why".into())],
        version: "30".into(),
    };
    check(
        |m| {
            m.see(list);
            assert_eq!(m.bad().count(), 1);
        },
        "a=old",
    );
}
