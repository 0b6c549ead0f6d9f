//! The lab's registry: every lab serves its own names for the images that the machine has built.

use std::path::Path;

use anyhow::Result;

use crate::bring_up::Mode;
use crate::host::control::Service;
use crate::image::{self, Store, own};
use crate::net::{GATEWAY, SWITCH};
use crate::places;
use crate::progress::Progress;
use crate::world::Lab;

/// The registry's port on the management network's gateway.
pub(crate) const PORT: u16 = 5000;

/// Builds the images that a lab of this mode serves. What is there already costs a second.
///
/// # Errors
/// When a program does not build: cargo's own words are on standard error.
pub(crate) fn ensure(parts: &Path, mode: Mode, progress: &Progress) -> Result<()> {
    let (root, store) = (places::checkout(), base()?);
    own::coredns(&root, &store, &parts.join("coredns"))?;
    own::pause(&root, &store, &parts.join("pause"))?;
    own::test_server(&root, &store)?;
    if mode != Mode::None {
        progress.say("building sart (minutes the first time)");
        own::sart(&root, &store, Some(&parts.join("portmap")))?;
    }
    Ok(())
}

/// Starts the registry in the switch's room.
pub(crate) fn start(lab: &Lab) -> Result<()> {
    base()?.fork(&lab.images())?;
    // The host's first process is this program too.
    let (program, store) = (places::program().to_string_lossy(), lab.images());
    let listen = format!("{GATEWAY}:{PORT}");
    let argv = [&program, "__registry", "--listen", &listen, "--store", &store.to_string_lossy()];
    lab.service(SWITCH, Service::new("registry", argv))
}

/// What the machine has built, for the labs to come.
pub(crate) fn base() -> Result<Store> {
    image::open(&places::cache()?.join("images"))
}
