//! Where best routes are written, and how: the kernel's table, the metric, next-hop objects.
//!
//! All of it changes live. The routes are written into the new place first; when they are there,
//! those of the places before are removed. The places that may hold routes of ours are kept under the
//! run directory, so that a router that is started with others finds them, and `sartd cleanup` does.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inet::Timestamp;
use kernel::fib::{self, Fib};
use kernel::routes::{OwnRoutes, Owner, RouteError, TABLE_MAIN};
use route_table::{Config, Input, distance};
use router_config::FibOptions;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::router::Router;
use super::{start, store};

/// The file of the places, in the run directory.
const FILE: &str = "router.fib";
/// How soon after a change it is first looked whether the former routes can go, and how often then.
const LOOK: Duration = Duration::from_millis(200);
/// For how long they are kept when the kernel refuses some of the new ones.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause after their removal failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Where our routes are: by these and their protocol they are told from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) table: u32,
    pub(super) metric: u32,
}

/// The distances of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Distances {
    pub(super) ebgp: u8,
    pub(super) ibgp: u8,
    /// Of what is dropped in aggregates.
    pub(super) local: u8,
}

/// The place in force, and what is left in others.
#[derive(Debug)]
pub(super) struct Placement {
    file: PathBuf,
    pub(super) place: Place,
    /// Whether next-hop objects are to be used; none: where the kernel has them.
    objects: Option<bool>,
    pub(super) distances: Distances,
    former: BTreeSet<Place>,
    /// When it is looked next whether what is left can go, and since when it is waited for.
    look_at: Option<(Timestamp, Timestamp)>,
    pub(super) removing: Option<JoinHandle<Result<usize, RouteError>>>,
    /// Why the places cannot be stored, or what is left cannot be removed.
    failure: Option<String>,
}

impl Default for Place {
    fn default() -> Place {
        Place { table: Owner::ROUTER.table, metric: Owner::ROUTER.metric }
    }
}

impl Place {
    /// The place that a document names.
    pub(super) fn of(table: u32, options: &FibOptions) -> Place {
        Place { table, metric: options.metric.unwrap_or(Owner::ROUTER.metric) }
    }

    pub(super) fn owner(self) -> Owner {
        Owner { metric: self.metric, ..Owner::ROUTER.in_table(self.table) }
    }
}

impl Distances {
    fn of(options: &FibOptions) -> Distances {
        Distances {
            ebgp: options.distance.ebgp.unwrap_or(distance::BGP_EXTERNAL),
            ibgp: options.distance.ibgp.unwrap_or(distance::BGP_INTERNAL),
            local: options.distance.local.unwrap_or(distance::LOCAL),
        }
    }
}

impl Placement {
    /// The places of a run directory; the first of them is to be `wanted`.
    pub(super) fn open(directory: &Path, wanted: Option<(u32, FibOptions)>) -> Placement {
        let place = wanted.map(|(table, options)| Place::of(table, &options)).unwrap_or_default();
        let options = wanted.map(|(_, options)| options).unwrap_or_default();
        let mut former = read(directory);
        former.remove(&place);
        let mut placement = Placement {
            file: directory.join(FILE),
            place,
            objects: options.next_hop_objects,
            distances: Distances::of(&options),
            former,
            look_at: Some((Timestamp::ZERO, Timestamp::ZERO)),
            removing: None,
            failure: None,
        };
        placement.save();
        placement
    }

    pub(super) fn owner(&self) -> Owner {
        self.place.owner()
    }

    /// The route table's configuration.
    pub(super) fn config(&self, install: bool) -> Config {
        let config = fib::config(self.owner(), install);
        match self.objects {
            Some(false) => Config { objects: None, ..config },
            Some(true) | None => config,
        }
    }

    pub(super) fn former(&self) -> Input {
        Input::Former(self.former.iter().map(|place| (place.table, place.metric)).collect())
    }

    /// All owners in whose name routes of ours may be in the kernel.
    pub(super) fn owners(&self) -> Vec<Owner> {
        std::iter::once(self.place).chain(self.former.iter().copied()).map(Place::owner).collect()
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.look_at.map(|(at, _)| at)
    }

    /// Nothing of ours is in the kernel any more.
    pub(super) fn forget(&self) -> io::Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn save(&mut self) {
        let all: Vec<Place> = std::iter::once(self.place).chain(self.former.clone()).collect();
        let temporary = self.file.with_extension("fib.new");
        let saved = serde_json::to_vec(&all)
            .map_err(io::Error::from)
            .and_then(|bytes| store::write_whole(&self.file, &temporary, 0o644, &bytes));
        self.failure = saved.err().map(|error| format!("{} is not written: {error}", FILE));
    }

    /// What a person should know.
    pub(super) fn conditions(&self, uses_objects: bool) -> Vec<(&'static str, String)> {
        let mut list = Vec::new();
        if let Some(failure) = &self.failure {
            list.push(("FibPlaceFailed", failure.clone()));
        }
        if self.objects == Some(true) && !uses_objects {
            let why = match self.owner().object_ids() {
                None => "tables from 4096 on have no numbers for them",
                Some(_) => "this kernel has none",
            };
            let message = format!("fib.next_hop_objects is on, but {why}: routes do without");
            list.push(("NextHopObjectsMissing", message));
        }
        list
    }
}

/// The places where a router with this run directory may have left routes.
pub(crate) fn owners_of(directory: &Path) -> Vec<Owner> {
    read(directory).into_iter().map(Place::owner).collect()
}

/// Without a readable file, the one place that there was before there were others.
fn read(directory: &Path) -> BTreeSet<Place> {
    let read = fs::read(directory.join(FILE)).map_err(|error| (error.kind(), error.to_string()));
    let parsed = read.and_then(|bytes| {
        let parsed: Result<Vec<Place>, _> = serde_json::from_slice(&bytes);
        parsed.map_err(|error| (io::ErrorKind::InvalidData, error.to_string()))
    });
    match parsed {
        Ok(places) => places.into_iter().collect(),
        Err((io::ErrorKind::NotFound, _)) => BTreeSet::from([Place::default()]),
        Err((_, error)) => {
            tracing::warn!(error, "where routes of ours may be left cannot be read");
            BTreeSet::from([Place::default()])
        }
    }
}

impl Router {
    /// Routes go where the owners want them, and all is read that is announced from.
    pub(super) fn place_fib(&mut self, now: Timestamp) {
        let wanted = self.parts.owners.fib();
        let placement = &mut self.parts.placement;
        if let Some((table, options)) = wanted {
            let (place, distances) = (Place::of(table, &options), Distances::of(&options));
            if std::mem::replace(&mut placement.distances, distances) != distances {
                self.parts.speaker.tell_best_again();
            }
            let objects = std::mem::replace(&mut placement.objects, options.next_hop_objects);
            if place != placement.place || objects != options.next_hop_objects {
                if place != placement.place {
                    tracing::info!(table, metric = place.metric, "routes are written elsewhere");
                    placement.former.insert(placement.place);
                    placement.former.remove(&place);
                    placement.place = place;
                }
                placement.save();
                self.configure(now);
            }
        }
        let mut tables = self.parts.owners.redistributed_tables();
        tables.extend([self.parts.placement.place.table, TABLE_MAIN]);
        if tables != self.parts.tables {
            self.parts.tables = tables;
            self.reopen(now);
        }
    }

    fn configure(&mut self, now: Timestamp) {
        let placement = &mut self.parts.placement;
        placement.look_at = Some((now + LOOK, now));
        let inputs = [placement.former(), Input::Configure(placement.config(false))];
        for input in inputs {
            self.table_input(now, input);
        }
        // These were for the old place. The kernel is read anew, so that nothing is concluded.
        for write in std::mem::take(&mut self.changes) {
            self.table_input(now, write.done(Ok(())));
        }
        self.parts.tables.insert(self.parts.placement.place.table);
        self.reopen(now);
    }

    /// Opens both ways to the kernel anew; all is then read again.
    pub(super) fn reopen(&mut self, now: Timestamp) {
        match start::open(self.parts.placement.owner(), &self.parts.tables) {
            Ok(Fib { routes, events }) => {
                self.parts.routes = routes;
                self.reopened = Some(events);
                (self.kernel_lost, self.reopen_at) = (None, None);
            }
            Err(error) => {
                tracing::error!(%error, "the kernel does not take another way to it");
                self.kernel_lost = Some(error.to_string());
                self.reopen_at = Some(now + Duration::from_secs(1));
            }
        }
    }

    /// Looks whether what is left in other places can go: when all is in the new one.
    pub(super) fn look_at_former(&mut self, now: Timestamp) {
        let Some((_, since)) = self.parts.placement.look_at.filter(|(at, _)| *at <= now) else {
            return;
        };
        let failing = self.parts.table.failing() > 0 && now < since + PATIENCE;
        if !self.is_placed() || failing || self.parts.placement.removing.is_some() {
            self.parts.placement.look_at = Some((now + LOOK, since));
            return;
        }
        self.parts.placement.look_at = None;
        let placement = &self.parts.placement;
        let (place, uses) = (placement.place, self.parts.table.uses_objects());
        let former: Vec<Place> = placement.former.iter().copied().collect();
        self.parts.placement.removing = Some(tokio::spawn(remove(former, place, uses)));
    }

    /// Whether all that is wanted was decided, written and answered.
    fn is_placed(&self) -> bool {
        let idle = self.changes.is_empty() && self.writing.is_none() && !self.has_more();
        let open = self.kernel_lost.is_none() && self.reopened.is_none();
        self.is_swept() && idle && open && self.parts.table.is_synced()
    }

    /// What was left in other places is gone.
    pub(super) fn removed(&mut self, result: Result<usize, RouteError>) {
        let now = self.parts.clock.now();
        let placement = &mut self.parts.placement;
        match result {
            // The place has changed meanwhile.
            Ok(_) if placement.look_at.is_some() => {}
            Ok(removed) => {
                if removed > 0 {
                    tracing::info!(removed, "routes of ours in other places are taken away");
                }
                placement.former.clear();
                placement.save();
                let former = placement.former();
                self.table_input(now, former);
                self.table_input(now, Input::Sweep);
            }
            Err(error) => {
                let words = format!("routes in another place are not removed: {error}");
                tracing::warn!(words, "tried again");
                placement.failure = Some(words);
                placement.look_at = Some((now + AGAIN, now));
            }
        }
        self.parts.publisher.changed();
    }
}

/// Removes our routes in these places, and the next-hop objects that nothing of ours can name.
async fn remove(former: Vec<Place>, place: Place, uses: bool) -> Result<usize, RouteError> {
    let mut removed = 0;
    for left in former {
        let routes = OwnRoutes::open(left.owner(), &[])?;
        removed += routes.remove_routes().await?;
        if left.table != place.table {
            routes.remove_objects().await?;
        }
    }
    if !uses {
        OwnRoutes::open(place.owner(), &[])?.remove_objects().await?;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_outlive_a_run_and_the_first_version_had_one() {
        let directory = std::env::temp_dir().join(format!("sartd-place-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let options = |metric| FibOptions { metric: Some(metric), ..FibOptions::default() };
        let first = Placement::open(&directory, Some((100, options(7))));
        let owners = |placement: &Placement| -> Vec<(u32, u32)> {
            placement.owners().iter().map(|owner| (owner.table, owner.metric)).collect()
        };
        assert_eq!(owners(&first), [(100, 7), (254, 4271)]);
        let second = Placement::open(&directory, Some((100, options(8))));
        assert_eq!(owners(&second), [(100, 8), (100, 7), (254, 4271)]);
        assert_eq!(owners_of(&directory).len(), 3);
        let back = Placement::open(&directory, None);
        assert_eq!(owners(&back), [(254, 4271), (100, 7), (100, 8)]);
        fs::write(directory.join(FILE), "{").unwrap();
        assert_eq!(owners_of(&directory), [Owner::ROUTER]);
        back.forget().unwrap();
        assert!(back.forget().is_ok() && !directory.join(FILE).exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}
