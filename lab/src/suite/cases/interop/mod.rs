//! Each feature of the router against each peer of another make that has it.
//!
//! A feature is a file in `lab/topologies/routers/interop`: how sart and each peer are configured,
//! and what both sides must say then. A case configures all of them anew in the lab that is up and
//! walks through the steps, all peers at the same time. The last case compares what came out with
//! the table in `docs/interop.md`.

use std::thread;

use anyhow::{Result, anyhow, bail};

use crate::suite::ctx::Ctx;
use crate::suite::groups::Case;
use crate::suite::wait::{s, wait_for};

mod feature;
mod peer;
mod sart;
mod step;
mod table;

use feature::{Cell, Feature, Step};
use peer::{PEERS, Peer};
use table::Outcome;

/// One case for each feature, and the table.
macro_rules! features {
    ($($name:literal),* $(,)?) => {
        #[cfg(test)]
        const NAMES: &[&str] = &[$($name),*];
        pub(super) const CASES: &[Case] = &[
            $(Case { name: $name, run: |ctx| run(ctx, $name) },)*
            Case { name: "table", run: |ctx| table::compare(ctx, &[$($name),*]) },
        ];
    };
}

features! {
    "capabilities",
    "multiprotocol",
    "extended-messages",
    "four-octet-as",
    "two-octet-as",
    "hold-time",
    "no-hold-time",
    "send-hold-time",
    "active",
    "passive",
    "collision",
    "bad-peer-as",
    "multihop",
    "tcp-md5",
    "ttl-security",
    "dynamic-neighbors",
    "unnumbered",
    "ipv4-over-ipv6",
    "bfd",
    "bfd-multihop",
    "bfd-graceful-restart",
    "shutdown-communication",
    "cease",
    "reset-by-sart",
    "route-refresh",
    "refresh-by-sart",
    "enhanced-route-refresh",
    "graceful-restart-of-peer",
    "graceful-restart-of-sart",
    "graceful-restart-notification",
    "long-lived-graceful-restart",
    "long-lived-graceful-restart-of-sart",
    "treat-as-withdraw",
    "attributes",
    "communities",
    "no-export",
    "no-peer",
    "blackhole",
    "graceful-shutdown",
    "prepend",
    "aggregate",
    "aggregate-of-peer",
    "multipath",
    "multipath-ibgp",
    "link-bandwidth",
    "add-path-receive",
    "add-path-send",
    "route-reflection",
    "import-policy",
    "export-policy",
    "require-policy",
    "max-prefixes",
    "max-prefixes-of-peer",
    "roles",
    "local-as",
    "allow-own-as",
    "as-override",
}

/// What a step may ask for: the lab and whose cell it is.
struct Scene<'a> {
    ctx: &'a Ctx,
    feature: &'a Feature,
    /// None for what is done once for all peers.
    peer: Option<&'static Peer>,
}

fn run(ctx: &Ctx, name: &str) -> Result<()> {
    let feature = Feature::load(name)?;
    let outcomes = outcomes(ctx, &feature);
    table::keep(ctx, name, &feature, &outcomes)?;
    let failed: Vec<String> = PEERS
        .iter()
        .zip(&outcomes)
        .filter_map(|(peer, outcome)| match outcome {
            Outcome::Works | Outcome::Lacks(_) => None,
            Outcome::Fails(why) => Some(format!("{}: {why}", peer.name)),
        })
        .collect();
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("; ")) }
}

/// How it ends with each peer, in their order.
fn outcomes(ctx: &Ctx, feature: &Feature) -> Vec<Outcome> {
    let cells: Vec<&Cell> = PEERS.iter().map(|peer| feature.cell(peer)).collect();
    let mut broken: Vec<Option<String>> = match prepare(ctx, feature) {
        Ok(peers) => peers.into_iter().map(|peer| peer.err().map(|e| format!("{e:#}"))).collect(),
        Err(error) => vec![Some(format!("{error:#}")); PEERS.len()],
    };
    let phases: Vec<Vec<Vec<&Step>>> = cells.iter().map(|cell| feature.phases(cell)).collect();
    for phase in 0..=feature.acts.len() {
        thread::scope(|scope| {
            let running: Vec<_> = (PEERS.iter().zip(&cells).zip(&phases).zip(&broken))
                .map(|(((peer, cell), phases), broken)| {
                    let runs = broken.is_none() && cell.takes_part();
                    let steps = phases.get(phase).cloned().unwrap_or_default();
                    runs.then(|| {
                        scope.spawn(move || {
                            let scene = Scene { ctx, feature, peer: Some(peer) };
                            if phase == 0 && cell.up {
                                established(&scene)?;
                            }
                            steps.iter().try_for_each(|step| step::perform(&scene, step))
                        })
                    })
                })
                .collect();
            for (thread, broken) in running.into_iter().zip(&mut broken) {
                let result = thread.map_or(Ok(()), |thread| {
                    thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
                });
                if let Err(error) = result {
                    *broken = Some(format!("{error:#}"));
                }
            }
        });
        let scene = Scene { ctx, feature, peer: None };
        let act = feature.acts.get(phase).map_or(&[][..], Vec::as_slice);
        if let Err(error) = act.iter().try_for_each(|step| step::perform(&scene, step)) {
            broken.fill(Some(format!("{error:#}")));
            break;
        }
    }
    if let Err(error) = clean(ctx, feature) {
        broken.fill(Some(format!("{error:#}")));
    }
    (cells.iter().zip(broken))
        .map(|(cell, broken)| match (broken, &cell.lacks) {
            (Some(why), _) => Outcome::Fails(why),
            (None, Some(why)) => Outcome::Lacks(why.clone()),
            (None, None) => Outcome::Works,
        })
        .collect()
}

/// All daemons anew, with what the feature wants of each; whether each peer's is there.
fn prepare(ctx: &Ctx, feature: &Feature) -> Result<Vec<Result<()>>> {
    sart::stop(ctx)?;
    let scene = Scene { ctx, feature, peer: None };
    feature.before.iter().try_for_each(|step| step::perform(&scene, step))?;
    let peers = thread::scope(|scope| {
        let starting: Vec<_> = PEERS
            .iter()
            .map(|peer| {
                scope.spawn(move || {
                    peer.stop(ctx)?;
                    let cell = feature.cell(peer);
                    if !cell.takes_part() {
                        return Ok(());
                    }
                    let scene = Scene { ctx, feature, peer: Some(peer) };
                    cell.before.iter().try_for_each(|step| step::perform(&scene, step))?;
                    peer.configure(ctx, cell)?;
                    peer.start(ctx, false)
                })
            })
            .collect();
        starting
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
            .collect()
    });
    sart::start(ctx, feature)?;
    Ok(peers)
}

/// Takes back what the feature has done to the hosts.
fn clean(ctx: &Ctx, feature: &Feature) -> Result<()> {
    let scene = Scene { ctx, feature, peer: None };
    feature.after.iter().try_for_each(|step| step::perform(&scene, step))?;
    for peer in PEERS {
        let scene = Scene { ctx, feature, peer: Some(peer) };
        let cell = feature.cell(peer);
        cell.after.iter().try_for_each(|step| step::perform(&scene, step))?;
    }
    Ok(())
}

/// sart has each session of this peer, and both families.
fn established(scene: &Scene<'_>) -> Result<()> {
    let Some(peer) = scene.peer else { return Ok(()) };
    wait_for("the session is Established", s(20), || {
        let mut negotiated = Vec::new();
        for entry in sart::entries(scene.feature, peer) {
            let neighbor = sart::neighbor(scene.ctx, &entry)?;
            let state = crate::suite::ctx::text(&neighbor, "/state");
            if state != "Established" {
                bail!("{entry} is {state}: {}", neighbor["last_error"]["message"]);
            }
            for family in crate::suite::ctx::list(&neighbor, "/families") {
                if family["negotiated"] == true {
                    negotiated.push(family["family"].as_str().unwrap_or_default().to_owned());
                }
            }
        }
        negotiated.sort();
        negotiated.dedup();
        if negotiated == feature::families(scene.feature, peer) {
            Ok(())
        } else {
            bail!("it has {negotiated:?}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_case_and_can_be_read() {
        let mut files: Vec<String> = std::fs::read_dir(feature::folder())
            .unwrap()
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.strip_suffix(".yaml").map(str::to_owned)
            })
            .collect();
        let mut names: Vec<&str> = NAMES.to_vec();
        files.sort();
        names.sort();
        assert_eq!(files, names);
        for name in names {
            let feature = Feature::load(name).unwrap();
            for peer in PEERS {
                let cell = feature.cell(peer);
                assert!(cell.takes_part() || cell.steps.is_empty(), "{name}: {}", peer.name);
                peer.files(cell).unwrap_or_else(|error| panic!("{name}: {error:#}"));
                let phases = feature.phases(cell).len();
                assert!(phases <= feature.acts.len() + 1, "{name}: {}: meets too often", peer.name);
            }
        }
    }
}
