//! Container images without a container engine.
//!
//! A [`Containerfile`](containerfile) and a context directory become an image in a [`Store`], which
//! the lab's registry serves. [`own`] knows the images that the lab needs. Names are short
//! (`sart`, `coredns`) and answer for every registry; see [`Name`].

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

mod build;
mod closure;
mod containerfile;
mod layer;
mod name;
pub(crate) mod own;
#[cfg(test)]
pub(crate) mod scratch;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use build::build;
pub(crate) use name::Name;
pub(crate) use store::{MANIFEST, Store};

/// `cargo lab image …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ImageCommand {
    /// Shows the images that the lab's registry serves, and what they weigh
    List,
    /// Gives an image a further name; a name without a registry or a tag answers for all of them
    Tag {
        /// A name that `image list` shows
        image: Name,
        /// The new name, as manifests write it
        name: Name,
    },
    /// Builds an image from a Containerfile (FROM scratch only) and a directory
    Build {
        /// What manifests call it
        name: Name,
        /// The Containerfile; otherwise the one in the directory
        #[arg(short, long)]
        file: Option<std::path::PathBuf>,
        /// What COPY copies from
        context: std::path::PathBuf,
    },
}

/// Runs `cargo lab image …` on the store of the lab that is up, or else of the next one.
pub(crate) fn run(command: ImageCommand, store: &Store) -> Result<()> {
    match command {
        ImageCommand::List => list(store),
        ImageCommand::Tag { image, name } => store.tag(&image, &name),
        ImageCommand::Build { name, file, context } => {
            let file = file.unwrap_or_else(|| context.join("Containerfile"));
            let text =
                fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
            build(store, &text, &context, &name).with_context(|| file.display().to_string())
        }
    }
}

fn list(store: &Store) -> Result<()> {
    println!("{:<40} {:>10}  DIGEST", "IMAGE", "SIZE");
    for (name, descriptor) in store.list()? {
        let manifest = store.manifest(&descriptor)?;
        let bytes: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
        let digest: String = descriptor.digest.chars().take(19).collect();
        println!("{:<40} {:>7.1} MB  {digest}", name.to_string(), bytes as f64 / 1e6);
    }
    Ok(())
}

/// The images under `dir`, made when there is none yet.
pub(crate) fn open(dir: &Path) -> Result<Store> {
    Store::open(dir)
}
