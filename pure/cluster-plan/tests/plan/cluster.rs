//! An API server of a few hundred lines, for planners: objects as JSON, versions, UIDs, finalizers,
//! preconditions, and watches that may be late, repeat themselves and list again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cluster_api::world::{Action, Kind, Note, Outcome, Seen, Target, Write};
use cluster_plan::{Change, Now, Output, Planner, Settings, Ticket, World};
use inet::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) const WATCHED: [Kind; 11] = [
    Kind::AddressPool,
    Kind::AddressBlock,
    Kind::BlockRequest,
    Kind::AddressClaim,
    Kind::BGPPeerTemplate,
    Kind::ClusterBGP,
    Kind::NodeBGP,
    Kind::BGPPeer,
    Kind::BGPAdvertisement,
    Kind::Service,
    Kind::Node,
];

#[derive(Clone)]
enum Event {
    Put(Value),
    Gone(Value),
}

/// The API server.
#[derive(Default)]
pub(crate) struct Api {
    pub(crate) objects: BTreeMap<Target, Value>,
    version: u64,
    /// Every event of a kind, in order.
    log: BTreeMap<Kind, Vec<Event>>,
    /// How many objects have been made: their creation times, one second each.
    made: i64,
}

fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut into[key.as_str()], value);
        }
    }
}

impl Api {
    fn happened(&mut self, target: &Target, mut object: Value, gone: bool) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let log = self.log.entry(target.kind).or_default();
        if gone {
            self.objects.remove(target);
            log.push(Event::Gone(object.clone()));
        } else {
            self.objects.insert(target.clone(), object.clone());
            log.push(Event::Put(object.clone()));
        }
        object
    }

    /// Does a write as the API server would.
    pub(crate) fn write(&mut self, write: &Write) -> Outcome {
        let target = &write.target;
        let have = self.objects.get(target).cloned();
        match (&write.action, have) {
            (Action::Create(_), Some(_)) => Outcome::Exists,
            (Action::Create(body), None) => {
                let mut object = body.clone();
                self.made += 1;
                let meta = &mut object["metadata"];
                meta["name"] = json!(target.name);
                if !target.namespace.is_empty() {
                    meta["namespace"] = json!(target.namespace);
                }
                meta["uid"] = json!(format!("uid-{}", self.version + 1));
                meta["creationTimestamp"] = json!(
                    jiff::Timestamp::from_second(1_700_000_000 + self.made).unwrap().to_string()
                );
                object["apiVersion"] = json!(target.kind.api_version());
                object["kind"] = json!(target.kind.name());
                Outcome::Done(Some(self.happened(target, object, false)))
            }
            (Action::Delete { uid: Some(uid), .. }, Some(have))
                if have["metadata"]["uid"] != **uid =>
            {
                Outcome::Conflict
            }
            (Action::Delete { .. }, None) => Outcome::Done(None),
            (Action::Delete { .. }, Some(mut have)) => {
                let held = have["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty());
                if held {
                    if have["metadata"]["deletionTimestamp"].is_null() {
                        have["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                        self.happened(target, have, false);
                    }
                } else {
                    self.happened(target, have, true);
                }
                Outcome::Done(None)
            }
            (_, None) => Outcome::Conflict,
            (
                Action::Apply(body)
                | Action::ApplyStatus(body)
                | Action::Merge(body)
                | Action::MergeStatus(body),
                Some(have),
            ) => {
                let wanted = &body["metadata"]["resourceVersion"];
                if !wanted.is_null() && *wanted != have["metadata"]["resourceVersion"] {
                    return Outcome::Conflict;
                }
                let mut object = have.clone();
                merge(&mut object, body);
                object["metadata"]["resourceVersion"] = have["metadata"]["resourceVersion"].clone();
                if object == have {
                    return Outcome::Done(Some(have));
                }
                let over = !object["metadata"]["deletionTimestamp"].is_null()
                    && object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
                Outcome::Done(Some(self.happened(target, object, over)))
            }
        }
    }

    pub(crate) fn create(&mut self, kind: Kind, namespace: &str, name: &str, body: Value) {
        let target = Target::new(kind, namespace, name);
        let outcome = self.write(&Write { target, action: Action::Create(body) });
        assert!(matches!(outcome, Outcome::Done(_) | Outcome::Exists), "{name}: {outcome:?}");
    }

    pub(crate) fn patch(&mut self, kind: Kind, namespace: &str, name: &str, body: Value) {
        let target = Target::new(kind, namespace, name);
        let _there_or_not = self.write(&Write { target, action: Action::Merge(body) });
    }

    pub(crate) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) {
        let target = Target::new(kind, namespace, name);
        let action = Action::Delete { uid: None, version: None };
        let _there_or_not = self.write(&Write { target, action });
    }

    pub(crate) fn all(&self, kind: Kind) -> Vec<&Value> {
        self.objects.iter().filter(|(target, _)| target.kind == kind).map(|(_, o)| o).collect()
    }

    pub(crate) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&Target::new(kind, namespace, name))
    }

    /// A list of a kind, and how far its log has come.
    fn list(&self, kind: Kind) -> (Change, usize) {
        let objects: Vec<Value> = self.all(kind).into_iter().cloned().collect();
        let version = self.version.to_string();
        (all(kind, objects, version), self.log.get(&kind).map_or(0, Vec::len))
    }

    /// The world as it is.
    pub(crate) fn world(&self) -> World {
        let mut planner = Planner::new(Settings::default());
        for kind in WATCHED {
            planner.handle(&now(0), self.list(kind).0);
        }
        planner.world().clone()
    }
}

fn read<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn seen<K: DeserializeOwned>(event: Event) -> Seen<K> {
    match event {
        Event::Put(object) => Seen::Put(read(object)),
        Event::Gone(object) => Seen::Gone(read(object)),
    }
}

fn listed<K: DeserializeOwned>(objects: Vec<Value>, version: String) -> Seen<K> {
    Seen::All { objects: objects.into_iter().map(read).collect(), bad: Vec::new(), version }
}

macro_rules! by_kind {
    ($kind:expr, $make:ident ( $($argument:expr),* )) => {
        match $kind {
            Kind::AddressPool => Change::Pool($make($($argument),*)),
            Kind::AddressBlock => Change::Block($make($($argument),*)),
            Kind::BlockRequest => Change::Request($make($($argument),*)),
            Kind::AddressClaim => Change::Claim($make($($argument),*)),
            Kind::BGPPeerTemplate => Change::Template($make($($argument),*)),
            Kind::ClusterBGP => Change::Cluster($make($($argument),*)),
            Kind::NodeBGP => Change::NodeBgp($make($($argument),*)),
            Kind::BGPPeer => Change::Peer($make($($argument),*)),
            Kind::BGPAdvertisement => Change::Advertisement($make($($argument),*)),
            Kind::Service => Change::Service($make($($argument),*)),
            Kind::Node => Change::Node($make($($argument),*)),
            _ => panic!("not watched"),
        }
    };
}

fn all(kind: Kind, objects: Vec<Value>, version: String) -> Change {
    by_kind!(kind, listed(objects, version))
}

fn one(kind: Kind, event: Event) -> Change {
    by_kind!(kind, seen(event))
}

pub(crate) fn now(milliseconds: u64) -> Now {
    let wall = jiff::Timestamp::from_millisecond(1_800_000_000_000 + milliseconds as i64).unwrap();
    Now { at: Timestamp::from_elapsed(Duration::from_millis(milliseconds)), wall: Time(wall) }
}

/// One controller: its planner, its watches' places, its writes under way.
pub(crate) struct Controller {
    pub(crate) planner: Planner,
    places: BTreeMap<Kind, usize>,
    pub(crate) under_way: VecDeque<(Ticket, Write)>,
    pub(crate) notes: Vec<Note>,
}

impl Controller {
    pub(crate) fn new(settings: Settings) -> Controller {
        Controller {
            planner: Planner::new(settings),
            places: BTreeMap::new(),
            under_way: VecDeque::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn lead(&mut self, at: u64, leading: bool) {
        self.planner.handle(&now(at), Change::Leading(leading));
    }

    /// Lets a watch list (again).
    pub(crate) fn list(&mut self, api: &Api, at: u64, kind: Kind) {
        let (change, place) = api.list(kind);
        self.places.insert(kind, place);
        self.planner.handle(&now(at), change);
    }

    /// Lets a watch tell its next event, if there is one.
    pub(crate) fn watch(&mut self, api: &Api, at: u64, kind: Kind) -> bool {
        let Some(place) = self.places.get_mut(&kind) else {
            self.list(api, at, kind);
            return true;
        };
        let Some(event) = api.log.get(&kind).and_then(|log| log.get(*place)) else { return false };
        *place += 1;
        self.planner.handle(&now(at), one(kind, event.clone()));
        true
    }

    /// Lets a watch tell its last event once more.
    pub(crate) fn repeat(&mut self, api: &Api, at: u64, kind: Kind) {
        if let Some(place) = self.places.get_mut(&kind) {
            *place = place.saturating_sub(1);
            self.watch(api, at, kind);
        }
    }

    /// Takes what the planner wants now.
    pub(crate) fn poll(&mut self, at: u64) {
        let mut polls = 0;
        while let Some(output) = self.planner.poll(&now(at)) {
            polls += 1;
            assert!(polls < 10_000, "never stops: {output:?}");
            match output {
                Output::Write(ticket, write) => self.under_way.push_back((ticket, write)),
                Output::Note(note) => self.notes.push(note),
            }
        }
    }

    /// Ends the write at a place of the queue.
    pub(crate) fn end(&mut self, at: u64, place: usize, end: impl FnOnce(&Write) -> Outcome) {
        if let Some((ticket, write)) = self.under_way.remove(place) {
            let outcome = end(&write);
            self.planner.handle(&now(at), Change::Wrote(ticket, outcome));
        }
    }

    /// Lets everything happen that can, for so many milliseconds.
    pub(crate) fn settle(&mut self, api: &mut Api, from: u64, milliseconds: u64) -> u64 {
        let mut at = from;
        let until = from + milliseconds;
        loop {
            loop {
                let mut moved = false;
                for kind in WATCHED {
                    while self.watch(api, at, kind) {
                        moved = true;
                    }
                }
                self.poll(at);
                while !self.under_way.is_empty() {
                    moved = true;
                    self.end(at, 0, |write| api.write(write));
                }
                if !moved {
                    break;
                }
            }
            match self.planner.wake_at() {
                Some(wake) if (wake.elapsed().as_millis() as u64) <= until => {
                    at = (wake.elapsed().as_millis() as u64).max(at);
                }
                _ => return until,
            }
        }
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.iter().map(|n| format!("{} {}: {}", n.about.name, n.reason, n.message)).collect()
    }
}
