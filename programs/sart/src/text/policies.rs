//! Policies, and the lists that they name.

use std::fmt::Write as _;

use node_api::v1;

use crate::bgp::{Listed, Policed};
use crate::output::table;

/// Users of a policy that stand in its line, without `-o wide`.
const USERS: usize = 3;

/// A line for each policy and list; `wide`: with all their users.
pub(crate) fn policies(listed: &[Listed], wide: bool) -> String {
    let users = |of: &[String]| match of {
        many if many.len() > USERS && !wide => format!("{} neighbors", many.len()),
        few => few.join(", "),
    };
    let rows = listed.iter().map(|policy| {
        [
            policy.kind.clone(),
            policy.name.clone(),
            policy.owner.clone(),
            users(&policy.import_of),
            users(&policy.export_of),
        ]
    });
    table(["KIND", "NAME", "OWNER", "IMPORT OF", "EXPORT OF"], rows)
}

/// Policies and lists as they are written.
pub(crate) fn policy_texts(policies: &[v1::PolicyText]) -> String {
    let mut text = String::new();
    for policy in policies {
        let _ = writeln!(text, "# {} {} of {}", policy.kind, policy.name, policy.owner);
        let _ = writeln!(text, "{}\n", policy.text.trim_end());
    }
    text
}

/// A line for each neighbor.
pub(crate) fn neighbor_policies(policed: &[Policed]) -> String {
    let rows = policed.iter().map(|n| {
        let name = if n.name == n.neighbor { String::new() } else { n.name.clone() };
        [n.neighbor.clone(), name, n.import.join(", "), n.export.join(", ")]
    });
    table(["NEIGHBOR", "NAME", "IMPORT", "EXPORT"], rows)
}
