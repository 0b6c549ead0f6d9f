//! Who asked the API for what: over all clusters of a run, no 403 and no rule that nobody used.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ctx::{Ctx, list, name, text};

const AUDIT: &str = "audit.log";
const RULES: &str = "rbac-rules.json";
/// Requests under a stolen token are made and refused on purpose there.
const ON_PURPOSE: &str = "security";

/// One thing that one ServiceAccount may do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Right {
    pub(super) account: String,
    pub(super) group: String,
    /// With its subresource after a slash.
    pub(super) resource: String,
    pub(super) verb: String,
}

/// Copies a cluster's audit log and the rights of sart's accounts into the group's logs.
pub(crate) fn keep(ctx: &Ctx) -> Result<()> {
    let Ok(control_plane) = ctx.lab.control_plane() else { return Ok(()) };
    let log = ctx.lab.logs(control_plane).join(AUDIT);
    if log.exists() {
        fs::copy(&log, ctx.logs.join(AUDIT)).context("copy the audit log")?;
    }
    let rights = rights(ctx)?;
    fs::write(ctx.logs.join(RULES), serde_json::to_vec_pretty(&rights)?)?;
    Ok(())
}

/// What the bindings give to the ServiceAccounts whose name begins with `sart`.
fn rights(ctx: &Ctx) -> Result<BTreeSet<Right>> {
    let mut rights = BTreeSet::new();
    for bindings in ["clusterrolebindings", "rolebindings"] {
        for binding in ctx.all(bindings)? {
            let subjects = list(&binding, "/subjects").iter();
            let accounts: Vec<&str> = subjects
                .filter(|subject| text(subject, "/kind") == "ServiceAccount")
                .map(|subject| text(subject, "/name"))
                .filter(|account| account.starts_with("sart"))
                .collect();
            if accounts.is_empty() {
                continue;
            }
            let (kind, role) = (text(&binding, "/roleRef/kind"), text(&binding, "/roleRef/name"));
            let namespace = text(&binding, "/metadata/namespace");
            let role = match kind {
                "Role" => ctx.get(&["role", "-n", namespace, role])?,
                _ => ctx.get(&["clusterrole", role])?,
            };
            ensure!(!list(&role, "/rules").is_empty(), "{} has no rules", name(&role));
            for account in accounts {
                for rule in list(&role, "/rules") {
                    expand(account, rule, &mut rights);
                }
            }
        }
    }
    Ok(rights)
}

fn expand(account: &str, rule: &Value, rights: &mut BTreeSet<Right>) {
    let words = |field: &str| -> Vec<String> {
        list(rule, field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    for group in words("/apiGroups") {
        for resource in words("/resources") {
            for verb in words("/verbs") {
                let (account, group, resource) =
                    (account.to_owned(), group.clone(), resource.clone());
                rights.insert(Right { account, group, resource, verb });
            }
        }
    }
}

/// Reads the logs of every group below `logs`.
pub(crate) fn check(logs: &Path, say: &mut dyn FnMut(String)) -> Result<()> {
    let (mut given, mut used) = (BTreeSet::new(), BTreeSet::new());
    let (mut allowed, mut said_no) = (BTreeSet::new(), Vec::new());
    for entry in fs::read_dir(logs)? {
        let folder = entry?.path();
        if let Ok(bytes) = fs::read(folder.join(RULES)) {
            given.append(&mut serde_json::from_slice(&bytes)?);
        }
        if folder.file_name().is_some_and(|n| n.to_string_lossy().starts_with(ON_PURPOSE)) {
            continue;
        }
        let Ok(file) = File::open(folder.join(AUDIT)) else { continue };
        for line in BufReader::new(file).lines() {
            let Ok(event) = serde_json::from_str::<Value>(&line?) else { continue };
            let Some(right) = right(&event) else { continue };
            let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
            let words = text(&event, "/responseStatus/message");
            match code {
                // A namespace that is being deleted refuses new objects so too.
                Some(403) if words.contains("because it is being terminated") => {}
                Some(403) => said_no.push((right.clone(), words.chars().take(200).collect())),
                _ => drop(allowed.insert(right.clone())),
            }
            used.insert(right);
        }
    }
    // An API server that has just started knows no roles for a moment, and refuses what it allows
    // later; a policy's word always counts.
    let refused = said_no.iter().filter(|(right, words): &&(Right, String)| {
        words.contains("denied request") || !allowed.contains(right)
    });
    let refused = refused.map(|(right, words)| format!("{right}: {words}")).collect();
    ensure!(!given.is_empty(), "no ServiceAccount of sart's was found");
    ensure!(!used.is_empty(), "no request of sart's was found in any audit log");
    verdict(&given, &used, &refused, say)
}

pub(super) fn verdict(
    given: &BTreeSet<Right>,
    used: &BTreeSet<Right>,
    refused: &BTreeSet<String>,
    say: &mut dyn FnMut(String),
) -> Result<()> {
    let mut wrong: Vec<String> =
        refused.iter().map(|request| format!("refused (403): {request}")).collect();
    for right in given {
        if [&right.group, &right.resource, &right.verb].iter().any(|word| *word == "*") {
            wrong.push(format!("a right without bounds: {right}"));
        } else if !used.contains(right) {
            wrong.push(format!("never used: {right}"));
        }
    }
    if wrong.is_empty() {
        say(format!("{} rights, each used; no 403", given.len()));
        return Ok(());
    }
    bail!("{} findings:\n    {}", wrong.len(), wrong.join("\n    "))
}

/// What a request needed, when one of sart's accounts made it.
fn right(event: &Value) -> Option<Right> {
    let user = text(event, "/user/username");
    let account = user.strip_prefix("system:serviceaccount:kube-system:")?;
    let resource = text(event, "/objectRef/resource");
    if !account.starts_with("sart") || resource.is_empty() {
        return None;
    }
    let resource = match text(event, "/objectRef/subresource") {
        "" => resource.to_owned(),
        sub => format!("{resource}/{sub}"),
    };
    let group = text(event, "/objectRef/apiGroup").to_owned();
    let verb = text(event, "/verb").to_owned();
    Some(Right { account: account.to_owned(), group, resource, verb })
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { account, group, resource, verb } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{account} {verb} {resource}{dot}{group}")
    }
}
