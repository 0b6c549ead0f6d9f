//! Places: stored over a run, changed, emptied, and those that are not there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inet::{LinkName, Timestamp};
use kernel::routes::Owner;
use route_table::RouteTable;
use router_config::{FibOptions, FibPlace};

use super::place::{AGAIN, LOOK, PATIENCE, Place, Placement, Taken, owners_of};

/// A directory that is gone at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("sartd-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(metric: u32) -> FibOptions {
    FibOptions { metric: Some(metric), ..FibOptions::default() }
}

fn open(directory: &Path, table: u32, metric: u32) -> Placement {
    Placement::open(directory, Some((FibPlace::Table(table), options(metric), Some(table))))
}

fn owners(placement: &Placement) -> Vec<(u32, u32)> {
    placement.owners().iter().map(|owner| (owner.table, owner.metric)).collect()
}

fn at(time: Duration) -> Timestamp {
    Timestamp::ZERO + time
}

fn conditions(placement: &Placement) -> Vec<String> {
    let table = RouteTable::new(placement.config(true));
    let list = placement.conditions(&table);
    list.into_iter().map(|(name, words)| format!("{name}: {words}")).collect()
}

#[test]
fn places_outlive_a_run_and_the_first_version_had_one() {
    let directory = Directory::new("places");
    assert_eq!(owners(&open(&directory.0, 100, 7)), [(100, 7), (254, 4271)]);
    let second = open(&directory.0, 100, 8);
    assert_eq!(owners(&second), [(100, 8), (100, 7), (254, 4271)]);
    assert_eq!(owners_of(&directory.0).len(), 3);
    let back = Placement::open(&directory.0, None);
    assert_eq!(owners(&back), [(254, 4271), (100, 7), (100, 8)]);
    let file = directory.0.join("router.fib");
    fs::write(&file, "{").unwrap();
    assert_eq!(owners_of(&directory.0), [Owner::ROUTER]);
    back.forget().unwrap();
    assert!(back.forget().is_ok() && !file.exists());
}

#[tokio::test]
async fn a_place_that_is_being_emptied_is_not_gone_back_to_before_it_is_empty() {
    let directory = Directory::new("emptied");
    let mut placement = open(&directory.0, 254, 4271);
    let (first, second) = (placement.place, Place { table: 100, metric: 4271 });
    let none = FibOptions::default();
    assert_eq!(placement.take(at(LOOK), second, &none), Taken::Otherwise);
    assert!(!placement.look(at(LOOK), true, false), "a moment later");
    assert!(placement.look(at(2 * LOOK), true, false));
    placement.removing = Some(tokio::spawn(std::future::pending()));
    // There and back: the routes would be written into what is emptied.
    for place in [first, Place { table: 100, metric: 9 }] {
        assert_eq!(placement.take(at(2 * LOOK), place, &none), Taken::Later);
        assert_eq!(owners(&placement), [(100, 4271), (254, 4271)]);
    }
    placement.removing.take().unwrap().abort();
    assert!(placement.removed(at(3 * LOOK), Ok(5)));
    assert_eq!(owners(&placement), [(100, 4271)]);
    assert_eq!(placement.take(at(3 * LOOK), first, &none), Taken::Otherwise);
    assert_eq!(owners(&placement), [(254, 4271), (100, 4271)]);
    assert_eq!(placement.take(at(3 * LOOK), first, &none), Taken::AsBefore);
}

#[test]
fn what_the_kernel_refuses_is_waited_for_from_when_the_rest_was_there() {
    let directory = Directory::new("patience");
    let mut placement = open(&directory.0, 100, 7);
    // A restart takes its time: until the peers have spoken nothing is in its place.
    let mut now = Timestamp::ZERO;
    for _ in 0..10 {
        now = now + PATIENCE;
        assert!(!placement.look(now, false, false));
    }
    let placed = now + LOOK;
    assert!(!placement.look(placed, true, true), "it was not even tried twice");
    assert!(!placement.look(placed + PATIENCE / 2, true, true));
    assert!(placement.look(placed + PATIENCE, true, true));
    assert!(placement.wake_at().is_none());

    // Of another change the time begins anew; without a refusal there is nothing to wait for.
    let later = placed + 2 * PATIENCE;
    let taken = placement.take(later, Place { table: 101, metric: 7 }, &options(7));
    assert_eq!(taken, Taken::Otherwise);
    assert!(!placement.look(later + LOOK, true, true));
    assert!(placement.look(later + 2 * LOOK, true, false));
}

#[test]
fn places_that_cannot_be_stored_are_stored_later() {
    let directory = Directory::new("unsaved");
    let run = directory.0.join("run");
    let mut placement = open(&run, 100, 7);
    let failed = conditions(&placement);
    assert!(failed[0].starts_with("FibPlaceFailed: router.fib is not written: "), "{failed:?}");
    assert!(placement.wake_at().is_some_and(|at| at <= Timestamp::ZERO + AGAIN));
    placement.save_again(at(AGAIN));
    assert_eq!(conditions(&placement), failed, "the directory is still not there");
    fs::create_dir(&run).unwrap();
    placement.save_again(at(AGAIN + AGAIN / 2));
    assert_eq!(conditions(&placement), failed, "it is not tried all the time");
    placement.save_again(at(2 * AGAIN));
    assert_eq!(conditions(&placement), [""; 0]);
    assert_eq!(owners_of(&run).len(), 2);

    // What cannot be removed is another trouble: storing the places does not hide it.
    assert!(!placement.removed(at(2 * AGAIN), Err("no".to_owned())));
    let left = "FibPlaceFailed: routes in another place are not removed: no";
    assert_eq!(conditions(&placement), [left]);
    placement.take(at(3 * AGAIN), Place { table: 101, metric: 7 }, &options(7));
    assert_eq!(conditions(&placement), [left]);
    assert!(placement.removed(at(4 * AGAIN), Ok(1)));
    assert_eq!(conditions(&placement), [""; 0]);
}

#[test]
fn a_vrf_is_a_place_while_it_is_there() {
    let directory = Directory::new("vrf");
    let name: LinkName = "blue".parse().unwrap();
    let options = FibOptions { vrf: Some(name), next_hop_objects: Some(true), ..options(7) };
    let wanted = Some((FibPlace::Vrf(name), options, None));
    let mut placement = Placement::open(&directory.0, wanted);
    assert_eq!(owners(&placement), [(254, 4271)], "no table 0 is stored, or looked into");
    let missing =
        "VrfMissing: there is no VRF blue: until there is, no route is written and nobody heard";
    assert_eq!(conditions(&placement), [missing]);
    let config = placement.config(true);
    assert_eq!((config.table, config.vrf, config.objects), (0, Some(name), None));

    let there = Place { table: 10, metric: 7 };
    assert_eq!(placement.take(at(LOOK), there, &options), Taken::Otherwise);
    assert_eq!(owners(&placement), [(10, 7), (254, 4271)]);
    let config = placement.config(true);
    assert_eq!((config.lookup.as_slice(), config.objects.is_some()), (&[10][..], true));
    assert!(!conditions(&placement).iter().any(|condition| condition.contains("Vrf")));

    // Made anew with another table: what is left in the first is removed.
    let other = Place { table: 11, metric: 7 };
    assert_eq!(placement.take(at(LOOK), other, &options), Taken::Otherwise);
    assert_eq!(owners(&placement), [(11, 7), (10, 7), (254, 4271)]);
    assert_eq!(placement.take(at(LOOK), Place::of(None, &options), &options), Taken::Otherwise);
    assert_eq!(owners(&placement), [(10, 7), (11, 7), (254, 4271)]);
    assert_eq!(conditions(&placement), [missing]);
    assert_eq!(owners(&Placement::open(&directory.0, wanted)).len(), 3);
    // By its number it is the same table, but the next hops are others.
    let plain = FibOptions { vrf: None, ..options };
    assert_eq!(placement.take(at(LOOK), there, &options), Taken::Otherwise);
    assert_eq!(placement.take(at(LOOK), there, &plain), Taken::Otherwise);
    assert_eq!(placement.config(true).lookup, [10, 254]);
}
