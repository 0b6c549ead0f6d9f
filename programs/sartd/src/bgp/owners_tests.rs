use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use bgp_speaker::{Global, Multipath};
use inet::Asn;
use node_api::v1::{self, edit_request::Edit};

use super::{Owners, Store, Stored};

/// A run directory of its own, gone at the end.
struct RunDir(PathBuf);

impl RunDir {
    fn new() -> RunDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sartd-owners-test-{}-{n}", std::process::id());
        RunDir(std::env::temp_dir().join(name))
    }

    fn owners(&self, expected: &[&str]) -> Owners {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        Owners::new(Store::open(&self.0).unwrap(), expected)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn apply(owners: &mut Owners, name: &str, document: &str) -> Result<Vec<String>, String> {
    let request = v1::ApplyRequest {
        owner: name.to_owned(),
        generation: 7,
        schema_version: 1,
        document: document.to_owned(),
        dry_run: false,
        keep_sessions: false,
    };
    let accepted = owners.check(request).map_err(|problems| problems[0].to_string())?;
    let changes = accepted.diff.changes.clone();
    owners.commit(accepted);
    Ok(changes)
}

fn global() -> Global {
    Global {
        multi_path: Multipath::ALL,
        transit: false,
        ..Global::new(Asn::new(65000).unwrap(), "10.0.0.1".parse().unwrap())
    }
}

#[test]
fn documents_outlive_the_process() {
    let directory = RunDir::new();
    let mut owners = directory.owners(&["agent"]);
    assert_eq!(owners.silent(), ["agent"]);
    apply(&mut owners, "agent", "asn: 65000\nrouter_id: 10.0.0.1\nport: 1179").unwrap();
    assert!(owners.silent().is_empty());
    drop(owners);

    let mut owners = directory.owners(&["agent"]);
    let loaded = owners.load();
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0].1.global.as_ref().unwrap().asn.get(), 65000);
    assert_eq!(owners.port(), 1179);
    // A stored document is in force, but its owner has not spoken.
    assert_eq!(owners.silent(), ["agent"]);
    owners.forget("agent");
    assert!(owners.load().is_empty());
}

#[test]
fn a_refused_document_changes_nothing() {
    let directory = RunDir::new();
    let mut owners = directory.owners(&[]);
    apply(&mut owners, "agent", "asn: 65000\nrouter_id: 10.0.0.1").unwrap();
    let check = |owners: &mut Owners, name, document, expect: &str| {
        assert_eq!(apply(owners, name, document).unwrap_err(), expect);
    };
    check(&mut owners, "agent", "asn: 0", "agent:1:6: asn: AS number 0 is reserved (bad-value)");
    check(
        &mut owners,
        "agent",
        "asn: 65000",
        "agent: `router_id` is missing: it comes together with `asn` (missing)",
    );
    for name in ["", "../etc", "file", "cli", "Agent"] {
        assert!(apply(&mut owners, name, "").is_err(), "{name:?}");
    }
    let changes = apply(&mut owners, "agent", "asn: 65000\nrouter_id: 10.0.0.1").unwrap();
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn a_later_form_is_refused() {
    let directory = RunDir::new();
    let owners = directory.owners(&[]);
    let request =
        v1::ApplyRequest { owner: "agent".to_owned(), schema_version: 2, ..Default::default() };
    let problems = owners.check(request).unwrap_err();
    assert!(problems[0].message.contains("version 2"), "{problems:?}");
}

#[test]
fn the_cli_changes_its_own_document_only() {
    let directory = RunDir::new();
    let mut owners = directory.owners(&[]);
    apply(&mut owners, "agent", "neighbors: [{address: 10.0.0.9, asn: 1}]").unwrap();
    let edit = |owners: &mut Owners, edit| match owners.check_edit(edit, Some(&global())) {
        Ok(accepted) => {
            owners.commit(accepted);
            Ok(())
        }
        Err(problems) => Err(problems[0].message.clone()),
    };
    edit(&mut owners, Edit::Merge("neighbors: [{address: 10.0.0.1, asn: 1}]".to_owned())).unwrap();
    edit(&mut owners, Edit::Merge("paths: [{prefixes: [10.1.0.0/24]}]".to_owned())).unwrap();
    let refused = edit(&mut owners, Edit::RemoveNeighbor("10.0.0.9".to_owned())).unwrap_err();
    assert_eq!(refused, "neighbor 10.0.0.9 is wanted by agent, and only changed there");
    let refused = edit(&mut owners, Edit::RemovePath("10.2.0.0/24".to_owned())).unwrap_err();
    assert_eq!(refused, "there is no path 10.2.0.0/24");
    edit(&mut owners, Edit::RemovePath("10.1.0.0/24".to_owned())).unwrap();
    drop(owners);

    let mut owners = directory.owners(&[]);
    let loaded = owners.load();
    let cli = loaded.iter().find(|(name, _)| name == "cli").unwrap();
    assert_eq!(cli.1.peers.len(), 1);
    assert!(cli.1.originate.is_empty());
    assert!(cli.1.global.is_none());
}

#[test]
fn what_the_cli_leaves_out_stays_as_it_is() {
    let directory = RunDir::new();
    let owners = directory.owners(&[]);
    let edit = Edit::Merge("asn: 65001".to_owned());
    let accepted = owners.check_edit(edit, Some(&global())).unwrap();
    let wanted = Global { asn: Asn::new(65001).unwrap(), ..global() };
    assert_eq!(accepted.desired.global, Some(wanted));
    let edit = Edit::Merge("asn: 65001".to_owned());
    assert!(owners.check_edit(edit, None).is_err());
}

#[test]
fn a_refused_document_of_the_cli_is_not_overwritten() {
    let directory = RunDir::new();
    let mut owners = directory.owners(&[]);
    let later = Stored { schema_version: 9, generation: 1, document: "speed: 1".to_owned() };
    owners.store().save("cli", &later).unwrap();
    assert!(owners.load().is_empty());
    assert_eq!(owners.silent(), ["cli"]);
    let edit = || Edit::Merge("neighbors: [{address: 10.0.0.1, asn: 1}]".to_owned());
    let refused = &owners.check_edit(edit(), None).unwrap_err()[0].message;
    assert!(refused.starts_with("DocumentRefused: ") && refused.contains("version 9"), "{refused}");
    assert_eq!(owners.store().load().documents, [("cli".to_owned(), later)]);
    assert!(owners.check_forget("cli").is_some_and(|diff| diff.is_empty()));
    owners.forget("cli");
    assert!(owners.silent().is_empty() && owners.store().load().documents.is_empty());
    owners.check_edit(edit(), None).unwrap();
}

#[test]
fn a_run_directory_has_one_router() {
    let directory = RunDir::new();
    let _first = directory.owners(&[]);
    let second = Store::open(&directory.0).unwrap_err().to_string();
    assert!(second.contains("already-running: a router uses"), "{second}");
}

#[test]
fn a_broken_document_is_kept_aside_and_told_of() {
    let directory = RunDir::new();
    let mut owners = directory.owners(&[]);
    apply(&mut owners, "agent", "asn: 65000\nrouter_id: 10.0.0.1").unwrap();
    let edit = || Edit::Merge("neighbors: [{address: 10.0.0.1, asn: 1}]".to_owned());
    let accepted = owners.check_edit(edit(), Some(&global())).unwrap();
    owners.commit(accepted);
    drop(owners);
    let desired = directory.0.join("desired");
    // A disk that was full, and bytes that are no text.
    std::fs::write(desired.join("agent.json"), "{\"schema_version\":1,\"gene").unwrap();
    std::fs::write(desired.join("cli.json"), [0xFF, 0xFE, 0]).unwrap();

    // The second run says so too: a restart makes nobody forget.
    for run in 0..2 {
        let mut owners = directory.owners(&[]);
        assert!(owners.load().is_empty());
        assert_eq!(owners.silent(), ["agent", "cli"], "run {run}");
        for owner in ["agent", "cli"] {
            let words = &owners.refused[owner];
            let (_, kept) = words.split_once("it is kept as ").unwrap();
            assert!(!std::fs::read(kept).unwrap().is_empty(), "{words}");
        }
        assert!(owners.check_edit(edit(), None).is_err(), "its document would be replaced");
    }
    let mut owners = directory.owners(&[]);
    owners.load();
    apply(&mut owners, "agent", "asn: 65000\nrouter_id: 10.0.0.1").unwrap();
    assert_eq!(owners.silent(), ["cli"]);
    owners.forget("cli");
    assert!(owners.silent().is_empty());
    drop(owners);
    let mut owners = directory.owners(&[]);
    assert_eq!((owners.load().len(), owners.refused.len()), (1, 0));
}

#[test]
fn of_broken_documents_the_last_three_are_kept() {
    let directory = RunDir::new();
    let owners = directory.owners(&[]);
    let desired = directory.0.join("desired");
    for n in 1..=5 {
        std::fs::write(desired.join(format!("agent.broken-000000000{n}")), "").unwrap();
    }
    std::fs::write(desired.join("agent.json"), "?").unwrap();
    owners.store().load();
    let mut names: Vec<_> =
        std::fs::read_dir(&desired).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[..2], ["agent.broken-0000000004", "agent.broken-0000000005"]);
}

#[test]
fn the_file_and_the_cli_have_their_own_ways() {
    let directory = RunDir::new();
    let mut owners = directory.owners(&[]);
    let refused = apply(&mut owners, "file", "asn: 1").unwrap_err();
    assert!(refused.contains("edit that") && refused.contains("`sart bgp reload`"), "{refused}");
    let refused = apply(&mut owners, "cli", "asn: 1").unwrap_err();
    assert!(refused.contains("as another owner"), "{refused}");
}

#[test]
fn the_file_is_compared_and_never_stored() {
    let directory = RunDir::new();
    let mut owners = directory.owners(&[]);
    let document = |text: &str| router_config::Document::parse(text, "file").unwrap();
    let text = "asn: 65000\nrouter_id: 10.0.0.1";
    owners.set_file(document(text)).unwrap();
    assert!(owners.check_file(document(text)).unwrap().diff.is_empty());
    let accepted = owners.check_file(document(&format!("{text}\nport: 1179"))).unwrap();
    assert_eq!(accepted.diff.changes.len(), 1, "{:?}", accepted.diff);
    owners.commit(accepted);
    assert_eq!(owners.port(), 1179);
    assert!(owners.iter().all(|(_, owner)| owner.generation == 2));
    assert!(owners.store().load().documents.is_empty());
}
