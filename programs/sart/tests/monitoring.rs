//! `docs/metrics.md` lists exactly the metrics that the sources have; the dashboard and the alert rules
//! use no other. Each metric is on the dashboard, and each that is to be alerted on has a rule.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn is_name(text: &str) -> bool {
    let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !text.is_empty() && text.chars().all(of_name)
}

/// What an "alert" cell has where nobody is to be told.
const NO_ALERT: &str = "–";

/// Metrics of the document: name to type. A name that stands twice is an error.
fn documented() -> BTreeMap<String, String> {
    rows().into_iter().map(|(name, row)| (name, row.kind)).collect()
}

/// A metric's row.
struct Row {
    kind: String,
    alert: bool,
}

/// Metrics of the document by name.
fn rows() -> BTreeMap<String, Row> {
    let mut metrics = BTreeMap::new();
    for line in read("docs/metrics.md").lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, meaning, alert, _] = cells[..] else { continue };
        let name = name.trim_matches('`');
        if !name.starts_with("sart_") {
            continue;
        }
        assert!(["gauge", "counter", "histogram"].contains(&kind), "{name}: {kind}");
        assert_eq!(labels.is_empty(), !labels.contains('`'), "{name}: labels");
        assert!(!meaning.is_empty() && !alert.is_empty(), "{name}: an empty cell");
        let row = Row { kind: kind.to_owned(), alert: alert != NO_ALERT };
        let before = metrics.insert(name.to_owned(), row);
        assert!(before.is_none(), "{name} stands twice");
    }
    metrics
}

/// States of routes in the kernel that the document says to alert on.
fn alerting_states() -> BTreeSet<String> {
    let mut states = BTreeSet::new();
    for line in read("docs/metrics.md").lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, state, _, alert, _] = cells[..] else { continue };
        if state.starts_with('`') && ![NO_ALERT, "alert"].contains(&alert) {
            states.insert(state.trim_matches('`').to_owned());
        }
    }
    states
}

/// The queries of all rules.
fn rule_queries() -> Vec<String> {
    let rules: Value = serde_saphyr::from_str(&read("deploy/monitoring/sart-rules.yaml")).unwrap();
    let mut queries = Vec::new();
    all(&rules, "expr", &mut queries);
    queries.into_iter().map(str::to_owned).collect()
}

/// The metrics that these queries use; of a histogram its own name.
fn metrics_of<'q>(queries: impl IntoIterator<Item = &'q str>) -> BTreeSet<String> {
    let documented = documented();
    let mut metrics = BTreeSet::new();
    for name in queries.into_iter().flat_map(used) {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let histogram = base.filter(|base| documented.get(*base).is_some_and(|k| k == "histogram"));
        metrics.insert(histogram.unwrap_or(&name).to_owned());
    }
    metrics
}

/// Source files of the daemons that have metrics, without their tests.
fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                sources(&path, found);
            }
        } else if name != "tests" && path.extension().is_some_and(|of| of == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            if code.contains("prometheus_client::") {
                found.push(code.to_owned());
            }
        }
    }
}

/// The literal that a text begins with.
fn literal(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix('"')?.split_once('"').map(|(name, _)| name)
}

/// Names as the sources register them; the encoder appends `_total` to a counter's.
fn registered() -> BTreeSet<String> {
    let mut codes = Vec::new();
    sources(&root().join("programs/sartd/src"), &mut codes);
    sources(&root().join("io/health/src"), &mut codes);
    assert!(codes.len() >= 4, "{} files with metrics", codes.len());
    let mut names = BTreeSet::new();
    for code in codes {
        let prefix = code.split("sub_registry_with_prefix(").nth(1).and_then(literal);
        for (call, unit) in [(".register(", ""), (".register_with_unit(", "_seconds")] {
            for name in code.split(call).skip(1).filter_map(literal) {
                let prefix = prefix.map(|prefix| format!("{prefix}_")).unwrap_or_default();
                names.insert(format!("{prefix}{name}{unit}"));
            }
        }
        // Names that a collector gives.
        for text in code.split('"').filter(|text| text.starts_with("sart_") && is_name(text)) {
            if Some(text) != prefix {
                names.insert(text.to_owned());
            }
        }
    }
    names
}

/// Metrics in a query. Brackets must be closed, or it is no query.
fn used(query: &str) -> BTreeSet<String> {
    for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
        let count = |of: char| query.chars().filter(|c| *c == of).count();
        assert_eq!(count(open), count(close), "{query}");
    }
    query
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("sart_"))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn check_used(place: &str, query: &str, documented: &BTreeMap<String, String>) -> bool {
    let used = used(query);
    for name in &used {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().any(|part| {
            name.strip_suffix(part)
                .is_some_and(|base| documented.get(base).is_some_and(|kind| kind == "histogram"))
        });
        let plain = documented.get(name).is_some_and(|kind| kind != "histogram");
        assert!(of_histogram || plain, "{place}: {name} is not in docs/metrics.md");
    }
    !used.is_empty()
}

/// All values of a key, anywhere in a document.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if name == key => found.push(text),
                    other => all(other, key, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| all(value, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_document_lists_the_metrics_of_the_sources() {
    let listed: BTreeSet<String> = documented()
        .into_iter()
        .map(|(name, kind)| match (kind.as_str(), name.strip_suffix("_total")) {
            ("counter", base) => base.expect("a counter's name ends in _total").to_owned(),
            _ => name,
        })
        .collect();
    let registered = registered();
    let missing: Vec<_> = registered.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&registered).collect();
    assert!(missing.is_empty(), "not in docs/metrics.md: {missing:?}");
    assert!(gone.is_empty(), "docs/metrics.md has what the sources have not: {gone:?}");
}

#[test]
fn the_dashboard_uses_metrics_that_are() {
    let documented = documented();
    let dashboard: Value =
        serde_json::from_str(&read("deploy/monitoring/sart-dashboard.json")).unwrap();
    let mut queries = Vec::new();
    all(&dashboard, "expr", &mut queries);
    assert!(queries.len() > 20, "{}", queries.len());
    for query in queries {
        assert!(check_used("the dashboard", query, &documented), "{query}");
    }
    let mut variables = Vec::new();
    all(&dashboard, "definition", &mut variables);
    for query in variables {
        assert!(check_used("a variable", query, &documented), "{query}");
    }
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
    }
}

#[test]
fn the_rules_use_metrics_that_are_and_say_what_to_do() {
    let documented = documented();
    let rules: Value = serde_saphyr::from_str(&read("deploy/monitoring/sart-rules.yaml")).unwrap();
    let mut names = BTreeSet::new();
    for group in rules["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let name = rule["alert"].as_str().unwrap();
            assert!(names.insert(name), "{name} is there twice");
            assert!(check_used(name, rule["expr"].as_str().unwrap(), &documented), "{name}");
            let severity = rule["labels"]["severity"].as_str().unwrap();
            assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
            for text in ["summary", "description"] {
                assert!(rule["annotations"][text].as_str().unwrap().len() > 10, "{name}: {text}");
            }
        }
    }
    assert!(names.len() > 15, "{names:?}");
}

#[test]
fn what_is_to_be_alerted_on_has_a_rule() {
    let queries = rule_queries();
    let ruled = metrics_of(queries.iter().map(String::as_str));
    let rows = rows();
    let silent: Vec<_> =
        rows.iter().filter(|(name, row)| row.alert && !ruled.contains(*name)).collect();
    let silent: Vec<_> = silent.into_iter().map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "docs/metrics.md says when to alert, no rule does: {silent:?}");
    let states = alerting_states();
    assert!(states.len() >= 4, "{states:?}");
    for state in states {
        let selector = format!("sart_fib_routes{{state=\"{state}\"}}");
        assert!(queries.iter().any(|query| query.contains(&selector)), "no rule for {selector}");
    }
}

#[test]
fn each_metric_is_on_the_dashboard() {
    let dashboard: Value =
        serde_json::from_str(&read("deploy/monitoring/sart-dashboard.json")).unwrap();
    let mut queries = Vec::new();
    all(&dashboard, "expr", &mut queries);
    let shown = metrics_of(queries);
    let hidden: Vec<_> = documented().into_keys().filter(|name| !shown.contains(name)).collect();
    assert!(hidden.is_empty(), "on no panel of the dashboard: {hidden:?}");
    // Panels do not lie over each other.
    let mut cells = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && cells.insert((x, y)), "{} at {x}, {y}", panel["title"]);
            }
        }
    }
}

#[test]
fn an_unknown_metric_is_found_in_a_query() {
    let documented = BTreeMap::from([("sart_x".to_owned(), "histogram".to_owned())]);
    assert!(check_used("", "rate(sart_x_bucket{a=\"b\"}[5m])", &documented));
    for query in ["sart_y", "sart_x", "sum(sart_x_total)"] {
        let found = std::panic::catch_unwind(|| check_used("", query, &documented));
        assert!(found.is_err(), "{query}");
    }
}
