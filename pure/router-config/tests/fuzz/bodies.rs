//! What the fuzzers do with bytes. One function a target, shared by `fuzz/fuzz_targets` and by the
//! test that replays the kept corpora (`tests/replay.rs`).

use router_config::Document;

/// A target's body: it panics where something is wrong.
pub(crate) type Body = fn(&[u8]);

/// Targets and their bodies; a target's name is that of its folder in `fuzz/corpus`.
pub(crate) const ALL: &[(&str, Body)] = &[("config_document", document)];

/// Any text: what is accepted is written so that it says the same, what is refused is explained.
pub(crate) fn document(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let part = Document::parse_part(text, "part");
    let document = match Document::parse(text, "text") {
        Ok(document) => document,
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let shown = problem.to_string();
                assert!(shown.starts_with("text") && shown.ends_with(')'), "{shown}");
                let lines = u64::try_from(text.split(['\n', '\r']).count()).unwrap();
                assert!(problem.place.is_none_or(|place| (1..=lines + 1).contains(&place.line)));
            }
            return;
        }
    };
    assert_eq!(part.as_ref(), Ok(&document), "a whole document is also a part");
    let written = document.to_yaml().unwrap();
    let again = Document::parse(&written, "again");
    assert_eq!(again.as_ref(), Ok(&document), "{written}");
    assert_eq!(again.unwrap().to_yaml().unwrap(), written);
    assert!(document.diff(&document).is_empty());
    let _ = (document.desired("text"), document.policies("text"), document.fib_table());
}
