//! From a Containerfile and a context directory to an image in the store.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::containerfile::{self, Containerfile, Copy};
use super::layer::Layer;
use super::name::Name;
use super::store::{CONFIG, MANIFEST, Manifest, Store};

/// Builds `text` (a Containerfile) over `context` and names the image.
/// Building the same again gives the same digests.
pub(crate) fn build(store: &Store, text: &str, context: &Path, name: &Name) -> Result<()> {
    let file = containerfile::parse(text)?;
    let mut layers = Vec::new();
    for copy in &file.copies {
        let layer = gather(copy, context).with_context(|| format!("line {}: COPY", copy.line))?;
        layers.push(store.put_layer(&layer)?);
    }
    let digests: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let config = store.put(CONFIG, &serde_json::to_vec(&configuration(&file, &digests))?)?;
    let manifest = Manifest { schema_version: 2, media_type: MANIFEST.to_owned(), config, layers };
    let manifest = store.put(MANIFEST, &serde_json::to_vec(&manifest)?)?;
    store.name(name, manifest)
}

/// The image configuration of the OCI image specification. Layers are not compressed, so a
/// layer's own digest is also its diff id.
fn configuration(file: &Containerfile, layers: &[&str]) -> serde_json::Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let env: Vec<String> = file.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let ports: BTreeMap<&str, _> = file.expose.iter().map(|p| (p.as_str(), json!({}))).collect();
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": file.entrypoint,
            "Cmd": file.cmd,
            "Env": env,
            "ExposedPorts": ports,
            "User": file.user.clone().unwrap_or_default(),
            "Labels": file.labels,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": layers},
    })
}

/// The files of one COPY. As Docker does: of a directory its content is copied; a pattern may
/// match nothing as long as another source of the same COPY is there.
fn gather(copy: &Copy, context: &Path) -> Result<Layer> {
    let mut layer = Layer::default();
    for source in &copy.sources {
        for from in matches(context, source)? {
            let to = Path::new(&copy.target);
            if from.is_dir() {
                layer.add(&from, to, copy.chmod)?;
            } else if copy.target.ends_with('/') {
                let name = from.file_name().context("a source without a name")?;
                layer.add(&from, &to.join(name), copy.chmod)?;
            } else {
                layer.add(&from, to, copy.chmod)?;
            }
        }
    }
    ensure!(!layer.is_empty(), "nothing of {:?} is in the context", copy.sources);
    Ok(layer)
}

/// The paths that `source` means, sorted. Only a source without a pattern has to exist.
fn matches(context: &Path, source: &str) -> Result<Vec<PathBuf>> {
    let mut found = vec![context.to_owned()];
    for part in source.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let mut next = Vec::new();
        for dir in found {
            if !part.contains(['*', '?', '[']) {
                next.push(dir.join(part));
                continue;
            }
            for item in fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
                let item = item?;
                if glob(part.as_bytes(), item.file_name().as_encoded_bytes()) {
                    next.push(item.path());
                }
            }
        }
        found = next;
    }
    if !source.contains(['*', '?', '[']) {
        for path in &found {
            if fs::symlink_metadata(path).is_err() {
                bail!("{source} is not in the context {}", context.display());
            }
        }
    }
    found.retain(|path| fs::symlink_metadata(path).is_ok());
    found.sort();
    Ok(found)
}

/// `*`, `?` and `[abc]`, within one part of a path.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        ([b'?', rest @ ..], [_, more @ ..]) => glob(rest, more),
        ([b'[', rest @ ..], [c, more @ ..]) => match rest.iter().position(|b| *b == b']') {
            Some(end) => rest[..end].contains(c) && glob(&rest[end + 1..], more),
            None => false,
        },
        ([p, rest @ ..], [c, more @ ..]) if p == c => glob(rest, more),
        _ => false,
    }
}
