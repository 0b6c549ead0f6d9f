//! GoBGP's newer version, which Debian does not have: a peer in tests and benchmarks, built when one
//! of them asks for it.

use std::path::PathBuf;

use anyhow::Result;

use super::{Part, build_once, go_build, hash, places};
use crate::progress::Progress;

const GOBGP: Part = Part {
    folder: "gobgp",
    what: "GoBGP 4.8.0",
    takes: "1 min",
    programs: &[
        ("gobgp", "github.com/osrg/gobgp/v4/cmd/gobgp"),
        ("gobgpd", "github.com/osrg/gobgp/v4/cmd/gobgpd"),
    ],
    tags: "",
    ldflags: "",
};

/// A topology's word for it; `gobgp:3` is Debian's.
pub(crate) const IMAGE: &str = "gobgp:4";

/// The folder with `gobgpd` and `gobgp`, built or not: its name stands for what they are made of.
///
/// # Errors
/// When the sources or the user's home cannot be found.
pub(crate) fn folder() -> Result<PathBuf> {
    let hash = hash(&source(), &format!("{:?}", GOBGP.programs))?;
    Ok(places::cache()?.join("built").join(format!("{}-{hash}", GOBGP.folder)))
}

/// The folder with `gobgpd` and `gobgp`; builds them when they are not there yet.
///
/// # Errors
/// When the build fails: Go's own words are on standard error.
pub(crate) fn ensure(progress: &Progress) -> Result<PathBuf> {
    let folder = folder()?;
    build_once(GOBGP.what, GOBGP.takes, &folder, progress, |out| go_build(&GOBGP, &source(), out))?;
    Ok(folder)
}

/// The names of the programs.
pub(crate) fn programs() -> impl Iterator<Item = &'static str> {
    GOBGP.programs.iter().map(|(name, _)| *name)
}

fn source() -> PathBuf {
    places::checkout().join("lab").join(GOBGP.folder)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn its_version_is_the_one_that_is_pinned() {
        let module = fs::read_to_string(source().join("go.mod")).unwrap();
        let version = GOBGP.what.rsplit(' ').next().unwrap();
        assert!(module.contains(&format!("require github.com/osrg/gobgp/v4 v{version}\n")));
        assert!(folder().unwrap().file_name().unwrap().to_string_lossy().starts_with("gobgp-"));
    }
}
