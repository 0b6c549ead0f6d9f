//! What a lab needs of the machine itself, and gives back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::places;
use crate::world;

/// Every kubelet, containerd and pod watches files; these limits are the whole machine's.
const RAISED: [(&str, u64); 2] =
    [("fs/inotify/max_user_instances", 8192), ("fs/inotify/max_user_watches", 524_288)];

/// What the sysctls were before the first lab.
#[derive(Serialize, Deserialize)]
struct Before {
    values: Vec<(String, u64)>,
}

fn store() -> PathBuf {
    places::labs().join("sysctls.json")
}

fn read(key: &str) -> Result<u64> {
    let text =
        fs::read_to_string(format!("/proc/sys/{key}")).with_context(|| format!("read {key}"))?;
    text.trim().parse().with_context(|| format!("parse {key}"))
}

fn write(key: &str, value: u64) -> Result<()> {
    fs::write(format!("/proc/sys/{key}"), value.to_string()).with_context(|| format!("set {key}"))
}

/// Raises the limits that are too low, once for all labs.
pub(crate) fn raise() -> Result<()> {
    if !store().exists() {
        let mut values = Vec::new();
        for (key, _) in RAISED {
            values.push((key.to_owned(), read(key)?));
        }
        // Written before anything changes, so that a crash in between can be undone.
        fs::write(store(), serde_json::to_vec(&Before { values })?)?;
    }
    for (key, wanted) in RAISED {
        if read(key)? < wanted {
            write(key, wanted)?;
        }
    }
    Ok(())
}

/// Puts the limits back when no lab is left, and removes the state of all labs.
pub(crate) fn restore_unless_used() -> Result<()> {
    if !world::names().is_empty() {
        return Ok(());
    }
    if let Ok(text) = fs::read(store()) {
        let before: Before = serde_json::from_slice(&text)?;
        for (key, value) in before.values {
            write(&key, value)?;
        }
        fs::remove_file(store())?;
    }
    match fs::remove_dir(places::labs()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// What stands in for `dummy` links where the kernel has none. Nothing is tried: loading such a
/// module would leave links on the machine itself.
///
/// An ifb is like a dummy: always up, and it swallows what it is given.
pub(crate) fn dummy_stand_in() -> Option<&'static str> {
    let loaded = |module: &str| Path::new("/sys/module").join(module).is_dir();
    if loaded("dummy") || can_be_loaded("dummy") {
        None
    } else if loaded("ifb") {
        Some("ifb")
    } else {
        Some("bridge")
    }
}

fn can_be_loaded(module: &str) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let list = Path::new("/lib/modules").join(release.trim()).join("modules.dep");
    let list = fs::read_to_string(list).unwrap_or_default();
    list.lines().any(|line| line.contains(&format!("/{module}.ko")))
}

/// A program in the place of `ip` that asks for the stand-in where it is asked for a dummy.
pub(crate) fn ip_wrapper(stand_in: &str) -> String {
    format!(
        r#"#!/bin/sh
# This kernel has no dummy links.
last=
for word do
    shift
    [ "$last $word" = "type dummy" ] && word={stand_in}
    set -- "$@" "$word"
    last=$word
done
for ip in /usr/sbin/ip /sbin/ip /usr/bin/ip /bin/ip; do
    [ -x "$ip" ] && exec "$ip" "$@"
done
"#
    )
}
