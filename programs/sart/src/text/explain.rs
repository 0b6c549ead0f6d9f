//! Why a prefix goes the way it does.

use std::fmt::Write as _;

use node_api::v1;

use super::routes::{Whose, numbered, routes};
use super::{fib, yes};
use crate::output::table;

/// Paths, the decision between them, policies, neighbors and the kernel. `wide`: with more columns;
/// `fully`: with each statement that a policy has asked, and what is sent.
pub(crate) fn explanation(explanation: &v1::Explanation, wide: bool, fully: bool) -> String {
    if explanation.prefix.is_empty() {
        return "no route".to_owned();
    }
    let mut text = format!("{}\n\nPaths, the best first:\n", explanation.prefix);
    let _ = writeln!(text, "{}", numbered(&explanation.paths, wide));
    if !explanation.steps.is_empty() {
        let _ = writeln!(text, "\nThe decision, step by step, down to the path that is announced:");
        let _ = writeln!(text, "{}", decision(explanation));
        let used = explanation.paths.iter().filter(|path| path.best || path.multipath).count();
        if used > 1 {
            let _ = writeln!(text, "The {used} best paths are as good and used together.");
        }
    }
    if !explanation.imports.is_empty() {
        let _ = writeln!(text, "\nWhat import policies said:");
        let _ = writeln!(text, "{}", imports(&explanation.imports));
        if fully {
            for import in &explanation.imports {
                let steps = import.policy.as_ref().map(statements).unwrap_or_default();
                let _ = write!(text, "\nFrom {}:\n{steps}", import.neighbor);
            }
        }
    }
    if !explanation.advertisements.is_empty() {
        let _ = writeln!(text, "\nWho is sent it:");
        let _ = writeln!(text, "{}", advertisements(&explanation.advertisements));
        if fully {
            for told in &explanation.advertisements {
                let _ = write!(text, "{}", exported(told, wide));
            }
        }
    }
    if let Some(entry) = &explanation.fib {
        let _ = writeln!(text, "\nThe kernel:\n{}", fib(std::slice::from_ref(entry)));
    }
    text
}

/// A line for each path, a column for each step.
fn decision(explanation: &v1::Explanation) -> String {
    let steps = &explanation.steps;
    let header = ["PATH"].into_iter().chain(steps.iter().map(|step| step.step.as_str()));
    let row = |path: u32| {
        let cell = |step: &v1::DecisionStep| {
            let compared = step.compared.iter().find(|compared| compared.path == path);
            compared.map_or(String::new(), |compared| match (compared.out, compared.behind) {
                (true, _) => format!("{} (out)", compared.value),
                (false, true) => format!("{} (used, not announced)", compared.value),
                (false, false) => compared.value.clone(),
            })
        };
        let number = format!("#{}", path.saturating_add(1));
        [number].into_iter().chain(steps.iter().map(cell)).collect::<Vec<_>>()
    };
    // A path that cannot be used was never compared.
    let compared = |path: &u32| {
        steps.iter().any(|step| step.compared.iter().any(|compared| compared.path == *path))
    };
    let paths = (0..).zip(&explanation.paths).map(|(path, _)| path);
    table(header, paths.filter(compared).map(row))
}

fn imports(imports: &[v1::ImportVerdict]) -> String {
    let rows = imports.iter().map(|import| {
        let policy = import.policy.clone().unwrap_or_default();
        [import.neighbor.clone(), yes(policy.accepted).to_owned(), policy.decided]
    });
    table(["NEIGHBOR", "ACCEPTED", "BY"], rows)
}

fn advertisements(told: &[v1::Advertisement]) -> String {
    let rows = told.iter().map(|told| {
        // Of a path that something else has kept back, what a policy would say is no reason.
        let asked = |path: &&v1::ExportedPath| path.refused.is_empty() || is_by_policy(path);
        let policies = told.paths.iter().filter(asked).filter_map(|path| path.policy.as_ref());
        let mut decided: Vec<&str> = policies.map(|policy| policy.decided.as_str()).collect();
        decided.dedup();
        let reason = if told.sent { String::new() } else { told.reason.clone() };
        [told.neighbor.clone(), yes(told.sent).to_owned(), reason, decided.join("; ")]
    });
    table(["NEIGHBOR", "SENT", "REASON", "POLICY"], rows)
}

/// Whether the policy is what keeps a path back.
fn is_by_policy(path: &v1::ExportedPath) -> bool {
    path.refused.contains("policy")
}

/// Each path towards one neighbor.
fn exported(told: &v1::Advertisement, wide: bool) -> String {
    let mut text = String::new();
    for path in &told.paths {
        let from = if path.from.is_empty() { "here" } else { &path.from };
        let id = match path.path_id {
            0 => String::new(),
            id => format!(", path id {id}"),
        };
        let outcome = match path.refused.as_str() {
            "" => "is told",
            why => why,
        };
        let _ = writeln!(text, "\nTo {}, the path from {from}{id}: {outcome}", told.neighbor);
        if let Some(policy) = &path.policy {
            text.push_str(&statements(policy));
        }
        if let Some(route) = &path.route {
            for line in routes(std::slice::from_ref(route), Whose::Sent, wide).lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    text
}

/// What a policy said, and each statement that it has asked.
fn statements(policy: &v1::PolicyVerdict) -> String {
    let word = if policy.accepted { "accepted" } else { "rejected" };
    let mut text = format!("  {word}: {}\n", policy.decided);
    for step in &policy.steps {
        let name = match step.name.as_str() {
            "" => String::new(),
            name => format!(" ({name})"),
        };
        let matched = match step.failed.as_str() {
            "" => "matches".to_owned(),
            condition => format!("does not match: {condition}"),
        };
        let _ = writeln!(text, "    {} statement {}{name}: {matched}", step.policy, step.number);
    }
    text
}

#[cfg(test)]
mod tests {
    use node_api::v1;

    use super::explanation;

    #[test]
    fn paths_used_together_are_told_apart_where_one_is_announced() {
        let path = |best, multipath| v1::Route { best, multipath, ..Default::default() };
        let compared = |path, value: &str, out, behind| {
            let value = value.to_owned();
            v1::Compared { path, value, out, behind }
        };
        let step = |step: &str, compared| v1::DecisionStep { step: step.to_owned(), compared };
        let explained = v1::Explanation {
            prefix: "10.0.0.0/24".to_owned(),
            paths: vec![path(true, false), path(false, true), path(false, false)],
            steps: vec![
                step("med", (0..3).map(|n| compared(n, "5", n == 2, false)).collect()),
                step("router-id", (0..2).map(|n| compared(n, "2.2.2.2", false, n == 1)).collect()),
            ],
            ..Default::default()
        };
        let text = explanation(&explained, false, false);
        let (_, decision) = text.split_once("The decision, ").unwrap();
        let lines: Vec<String> = decision
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "step by step, down to the path that is announced:",
                "PATH med router-id",
                "#1 5 2.2.2.2",
                "#2 5 2.2.2.2 (used, not announced)",
                "#3 5 (out) -",
                "The 2 best paths are as good and used together.",
            ]
        );
        let alone =
            v1::Explanation { paths: vec![path(true, false), path(false, false)], ..explained };
        assert!(!explanation(&alone, false, false).contains("together"));
    }
}
