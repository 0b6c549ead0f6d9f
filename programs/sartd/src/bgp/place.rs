//! Where best routes are written, and how: the kernel's table, the metric, next-hop objects.
//!
//! All of it changes live. The routes are written into the new place first; when they are there,
//! those of the places before are removed. The places that may hold routes of ours are kept under the
//! run directory, so that a router that is started with others finds them, and `sartd cleanup` does.
//!
//! A VRF is a place of its own while its device is there; it is followed as that comes and goes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inet::{LinkName, Timestamp};
use kernel::fib::{self, Fib};
use kernel::routes::{OwnRoutes, Owner, RouteError, TABLE_MAIN};
use route_table::{Config, Input, RouteTable, distance};
use router_config::{FibOptions, FibPlace};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::router::Router;
use super::{start, store, vrf};

/// The file of the places, in the run directory.
const FILE: &str = "router.fib";
/// How soon after a change it is first looked whether the former routes can go, and how often then.
pub(super) const LOOK: Duration = Duration::from_millis(200);
/// For how long they are kept when the kernel refuses some of the new ones.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// The pause after their removal failed, or after the places could not be stored.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// Where our routes are: by these and their protocol they are told from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    /// 0: the VRF is not there, and so nothing is written.
    pub(super) table: u32,
    pub(super) metric: u32,
}

/// What became of a wish for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All is as it was.
    AsBefore,
    /// Other places are being emptied, perhaps this one too: it is asked for again afterwards.
    Later,
    /// Routes are written otherwise from now on.
    Otherwise,
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
    /// The VRF whose table that is.
    pub(super) vrf: Option<LinkName>,
    /// Whether next-hop objects are to be used; none: where the kernel has them.
    objects: Option<bool>,
    pub(super) distances: Distances,
    pub(super) former: BTreeSet<Place>,
    /// When it is looked next whether what is left can go.
    look_at: Option<Timestamp>,
    /// Since when all is in its place, but for what the kernel refuses.
    placed_since: Option<Timestamp>,
    pub(super) removing: Option<JoinHandle<Result<usize, RouteError>>>,
    /// When the places are stored again, which could not be, and why.
    unsaved: Option<(Timestamp, String)>,
    /// Why what is left cannot be removed.
    left: Option<String>,
}

impl Default for Place {
    fn default() -> Place {
        Place { table: Owner::ROUTER.table, metric: Owner::ROUTER.metric }
    }
}

impl Place {
    /// The place that a document names; `table` is the one that it leads to now, if there is one.
    pub(super) fn of(table: Option<u32>, options: &FibOptions) -> Place {
        let metric = options.metric.unwrap_or(Owner::ROUTER.metric);
        Place { table: table.unwrap_or_default(), metric }
    }

    /// Whether routes can be written there.
    pub(super) fn is_there(self) -> bool {
        self.table != 0
    }

    pub(super) fn owner(self) -> Owner {
        Owner { metric: self.metric, ..Owner::ROUTER.in_table(self.table) }
    }
}

impl Distances {
    pub(super) fn of(options: &FibOptions) -> Distances {
        Distances {
            ebgp: options.distance.ebgp.unwrap_or(distance::BGP_EXTERNAL),
            ibgp: options.distance.ibgp.unwrap_or(distance::BGP_INTERNAL),
            local: options.distance.local.unwrap_or(distance::LOCAL),
        }
    }
}

impl Placement {
    /// The places of a run directory; the first of them is to be the wanted one, with the number of
    /// its table now.
    pub(super) fn open(
        directory: &Path,
        wanted: Option<(FibPlace, FibOptions, Option<u32>)>,
    ) -> Placement {
        let place = wanted.map(|(_, options, table)| Place::of(table, &options));
        let options = wanted.map(|(_, options, _)| options).unwrap_or_default();
        let place = place.unwrap_or_default();
        let mut former = read(directory);
        former.remove(&place);
        let mut placement = Placement {
            file: directory.join(FILE),
            place,
            vrf: options.vrf,
            objects: options.next_hop_objects,
            distances: Distances::of(&options),
            former,
            look_at: Some(Timestamp::ZERO),
            placed_since: None,
            removing: None,
            unsaved: None,
            left: None,
        };
        placement.save(Timestamp::ZERO);
        placement
    }

    /// Takes another place, or other ways to write there.
    pub(super) fn take(&mut self, now: Timestamp, place: Place, options: &FibOptions) -> Taken {
        let wanted = (place, options.vrf, options.next_hop_objects);
        if wanted == (self.place, self.vrf, self.objects) {
            return Taken::AsBefore;
        }
        // What is written into a place that is being emptied would go too.
        if self.removing.is_some() {
            return Taken::Later;
        }
        if place != self.place {
            self.former.extend(Some(self.place).filter(|place| place.is_there()));
            self.former.remove(&place);
        }
        (self.place, self.vrf, self.objects) = wanted;
        (self.look_at, self.placed_since) = (Some(now + LOOK), None);
        self.save(now);
        Taken::Otherwise
    }

    /// Whether what is left in other places can go now. `placed`: all that is wanted was decided,
    /// written and answered; `failing`: the kernel has refused some of it.
    pub(super) fn look(&mut self, now: Timestamp, placed: bool, failing: bool) -> bool {
        if self.look_at.is_none_or(|at| at > now) {
            return false;
        }
        self.look_at = Some(now + LOOK);
        if !placed || self.removing.is_some() {
            return false;
        }
        let since = *self.placed_since.get_or_insert(now);
        if failing && now < since + PATIENCE {
            return false;
        }
        self.look_at = None;
        true
    }

    /// What was left in other places is gone, or not.
    pub(super) fn removed(&mut self, now: Timestamp, result: Result<usize, String>) -> bool {
        match result {
            Ok(removed) => {
                if removed > 0 {
                    tracing::info!(removed, "routes of ours in other places are taken away");
                }
                self.former.clear();
                self.left = None;
                self.save(now);
                true
            }
            Err(error) => {
                let words = format!("routes in another place are not removed: {error}");
                tracing::warn!(words, "tried again");
                self.left = Some(words);
                self.look_at = Some(now + AGAIN);
                false
            }
        }
    }

    pub(super) fn owner(&self) -> Owner {
        self.place.owner()
    }

    /// The route table's configuration.
    pub(super) fn config(&self, install: bool) -> Config {
        let config = match self.vrf {
            Some(vrf) => fib::vrf_config(vrf, self.owner(), install),
            None => fib::config(self.owner(), install),
        };
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
        self.all().map(Place::owner).collect()
    }

    fn all(&self) -> impl Iterator<Item = Place> {
        let here = Some(self.place).filter(|place| place.is_there());
        here.into_iter().chain(self.former.iter().copied())
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let save_at = self.unsaved.as_ref().map(|(at, _)| *at);
        self.look_at.into_iter().chain(save_at).min()
    }

    /// Nothing of ours is in the kernel any more.
    pub(super) fn forget(&self) -> io::Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Stores the places again, if they could not be. Gives whether it was tried.
    pub(super) fn save_again(&mut self, now: Timestamp) -> bool {
        let due = self.unsaved.as_ref().is_some_and(|(at, _)| *at <= now);
        if due {
            self.save(now);
        }
        due
    }

    fn save(&mut self, now: Timestamp) {
        let all: Vec<Place> = self.all().collect();
        let temporary = self.file.with_extension("fib.new");
        let saved = serde_json::to_vec(&all)
            .map_err(io::Error::from)
            .and_then(|bytes| store::write_whole(&self.file, &temporary, 0o644, &bytes));
        let was_saved = self.unsaved.is_none();
        self.unsaved = saved.err().map(|error| {
            let words = format!("{FILE} is not written: {error}");
            if was_saved {
                tracing::warn!(words, "tried again");
            }
            (now + AGAIN, words)
        });
    }

    /// What a person should know.
    pub(super) fn conditions(&self, table: &RouteTable) -> Vec<(&'static str, String)> {
        let mut list = Vec::new();
        let unsaved = self.unsaved.as_ref().map(|(_, words)| words);
        for failure in unsaved.into_iter().chain(&self.left) {
            list.push(("FibPlaceFailed", failure.clone()));
        }
        if let (Some(vrf), false, true) = (self.vrf, self.place.is_there(), table.config().install)
        {
            let what = vrf::no_vrf(table, vrf);
            let message = format!("{what}: until there is, no route is written and nobody heard");
            list.push(("VrfMissing", message));
        }
        if self.objects == Some(true) && self.place.is_there() && !table.uses_objects() {
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
        let mut anew = false;
        if let Some((wanted, options)) = self.parts.owners.fib() {
            let table = match wanted {
                FibPlace::Table(table) => Some(table),
                FibPlace::Vrf(name) => self.parts.table.vrf(&name).map(|(_, table)| table),
            };
            let place = Place::of(table, &options);
            let placement = &mut self.parts.placement;
            let distances = Distances::of(&options);
            if std::mem::replace(&mut placement.distances, distances) != distances {
                self.parts.speaker.tell_best_again();
            }
            let old = placement.place;
            match placement.take(now, place, &options) {
                Taken::AsBefore | Taken::Later => {}
                Taken::Otherwise => {
                    if place != old {
                        let (table, metric) = (place.table, place.metric);
                        let vrf = options.vrf.map(tracing::field::display);
                        tracing::info!(table, metric, vrf, "routes are written elsewhere");
                    }
                    anew = self.configure(now);
                }
            }
        }
        let mut tables = self.parts.owners.redistributed_tables();
        tables.extend([self.parts.placement.place.table, TABLE_MAIN]);
        if anew || tables != self.parts.tables {
            self.parts.tables = tables;
            self.reopen(now);
        }
    }

    /// Whether all of the kernel's is to be read anew, which is for the caller to begin.
    fn configure(&mut self, now: Timestamp) -> bool {
        let placement = &self.parts.placement;
        let (former, config) = (placement.former(), placement.config(false));
        self.table_input(now, former);
        // Nothing is written otherwise than before: what is under way goes on, and what waits is
        // not answered, for nothing is read anew.
        if self.parts.table.is_configured(&config) {
            return false;
        }
        self.table_input(now, Input::Configure(config));
        // These were for the old place. The kernel is read anew, so that nothing is concluded.
        for write in std::mem::take(&mut self.changes) {
            self.table_input(now, write.done(Ok(())));
        }
        true
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
    pub(super) fn look_at_places(&mut self, now: Timestamp) {
        if self.parts.placement.save_again(now) {
            self.parts.publisher.changed();
        }
        let (placed, failing) = (self.is_placed(), self.parts.table.failing() > 0);
        if !self.parts.placement.look(now, placed, failing) {
            return;
        }
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

    /// What was left in other places is gone; none: nobody knows.
    pub(super) fn removed(&mut self, result: Option<Result<usize, RouteError>>) {
        let now = self.parts.clock.now();
        let result = match result {
            Some(result) => result.map_err(|error| error.to_string()),
            None => Err("it was broken off".to_owned()),
        };
        if self.parts.placement.removed(now, result) {
            let former = self.parts.placement.former();
            self.table_input(now, former);
            self.table_input(now, Input::Sweep);
        }
        // Another place may be wanted by now.
        self.place_fib(now);
        self.listen();
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
    if !uses && place.is_there() {
        OwnRoutes::open(place.owner(), &[])?.remove_objects().await?;
    }
    Ok(removed)
}
