//! Replays kept corpora in an ordinary test: include it by path and hand it a crate's bodies.

use std::path::PathBuf;

/// `fuzz/corpus`, seen from any crate two folders below the root.
pub(crate) fn corpus() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus"))
}

/// A target's name and its body.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Runs each target's body over all that its folder holds; a target without a corpus fails.
pub(crate) fn replay(targets: &[Target]) {
    for (target, body) in targets {
        let folder = corpus().join(target);
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "no corpus for {target}");
        for file in files {
            // Printed by the test harness if the body panics.
            println!("{}", file.display());
            body(&std::fs::read(&file).unwrap());
        }
    }
}
