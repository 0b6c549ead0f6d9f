//! What a lab leaves on the machine: nothing, also when it was killed in the middle.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::bring_up::{Mode, UpOptions};
use crate::places;
use crate::progress::Progress;
use crate::suite::ctx::Ctx;
use crate::suite::snapshot::Snapshot;
use crate::suite::wait::{s, wait_for};
use crate::world::{self, Lab};

/// Uses the group's lab up: others come and go in its place.
pub(super) fn nothing_is_left(ctx: &mut Ctx) -> Result<()> {
    let name = ctx.lab.name().to_owned();
    Lab::down(&name)?;
    let before = settled()?;

    let options = UpOptions { topology: "sart".into(), mode: Mode::None, ..UpOptions::default() };
    Lab::up(&options, &Progress::silent())?;
    let start = Instant::now();
    Lab::down(&name)?;
    let took = start.elapsed();
    same(&before).context("after up and down")?;
    // The kernel takes its time with namespaces; a second is what a person does not notice.
    ensure!(took < s(3), "down took {:.1} s", took.as_secs_f32());

    // Killed while it comes up, as by ^C or a crash: `down` takes away what is there.
    let mut up = Command::new(places::program())
        .args(["up", "sart", "--mode", "none"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start lab up")?;
    let some = wait_for("a lab is half up", s(60), || {
        ensure!(world::names().contains(&name), "there is no lab yet");
        let lab = Lab::open(Some(&name))?;
        let hosts = lab.hosts().iter().filter(|host| lab.init(&host.name).is_ok()).count();
        ensure!(hosts > 2, "{hosts} hosts");
        Ok(hosts)
    });
    up.kill()?;
    up.wait()?;
    let hosts = some?;
    Lab::down(&name)?;
    same(&before).with_context(|| format!("after a kill with {hosts} hosts up"))?;

    // The group's end finds a lab again.
    ctx.lab = Lab::up(&options, &Progress::silent())?;
    Ok(())
}

/// Zombies of the hosts and their mounts take a moment to go.
fn same(before: &Snapshot) -> Result<()> {
    wait_for("the machine is as it was", s(10), || Snapshot::take()?.same(before))
}

/// A snapshot that does not change any more.
fn settled() -> Result<Snapshot> {
    wait_for("the machine is quiet", s(10), || {
        let first = Snapshot::take()?;
        std::thread::sleep(s(1));
        let second = Snapshot::take()?;
        second.same(&first)?;
        Ok(second)
    })
}
