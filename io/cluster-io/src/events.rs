use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster_api::world::{Kind, Note, Target};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff;
use kube::api::PostParams;
use kube::{Api, Client};
use tracing::{debug, info, warn};

/// The same Event is not written again within this time.
const AGAIN_AFTER: Duration = Duration::from_secs(300);
/// So many different Events are remembered.
const REMEMBERED: usize = 4096;
/// So many Events may be written at once, and then one each [`REFILL`].
const BURST: u32 = 50;
const REFILL: Duration = Duration::from_millis(200);
const WRITE_TIME: Duration = Duration::from_secs(5);

/// Writes Events: each once per five minutes (its count says how often), at a bounded rate.
/// An Event that cannot be written is dropped: it is a help for people, nothing depends on it.
pub struct Recorder {
    client: Client,
    component: String,
    host: String,
    state: Mutex<State>,
}

struct State {
    tokens: u32,
    refilled: Instant,
    known: BTreeMap<Note, Known>,
}

#[derive(Clone)]
struct Known {
    last: Instant,
    /// Name of the Event object, and how often it was told.
    name: String,
    count: i32,
}

enum Admitted {
    /// Told not long ago.
    Known,
    /// Too much is told at the moment.
    Full,
    /// To be written now.
    New(Known),
}

impl Recorder {
    /// A recorder that reports as `component` from `host` (a node's or pod's name).
    pub fn new(client: Client, component: &str, host: &str) -> Recorder {
        let state = State { tokens: BURST, refilled: Instant::now(), known: BTreeMap::new() };
        Recorder {
            client,
            component: component.to_owned(),
            host: host.to_owned(),
            state: Mutex::new(state),
        }
    }

    /// Tells of a note, unless it was told just now. Where too much is told, a warning waits for
    /// its turn and a plain fact is dropped.
    pub async fn tell(&self, note: &Note) {
        let known = loop {
            match self.admit(note) {
                Admitted::Known => return,
                Admitted::Full if note.warning => tokio::time::sleep(REFILL).await,
                Admitted::Full => return,
                Admitted::New(known) => break known,
            }
        };
        let (kind, name) = (note.about.kind.name(), &note.about.name);
        if note.warning {
            warn!(kind, name, reason = note.reason, "{}", note.message);
        } else {
            info!(kind, name, reason = note.reason, "{}", note.message);
        }
        let outcome = tokio::time::timeout(WRITE_TIME, self.write(note, &known)).await;
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "event not written"),
            Err(_) => debug!("event not written in time"),
        }
    }

    fn admit(&self, note: &Note) -> Admitted {
        // A panic while it was held cannot have left the books worse than incomplete.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.admit(note, Instant::now())
    }

    async fn write(&self, note: &Note, known: &Known) -> Result<(), kube::Error> {
        // Events about cluster-scoped objects live where kubectl looks for them.
        let namespace = match note.about.namespace.as_str() {
            "" => "default",
            namespace => namespace,
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let now = Time(jiff::Timestamp::now());
        let event = self.event(note, known, namespace, now);
        api.create(&PostParams::default(), &event).await.map(drop)
    }

    fn event(&self, note: &Note, known: &Known, namespace: &str, now: Time) -> Event {
        Event {
            metadata: ObjectMeta {
                name: Some(known.name.clone()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: about(&note.about, note.uid.as_deref()),
            type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(note.reason.clone()),
            // The API server takes at most 1024 bytes.
            message: Some(note.message.chars().take(900).collect()),
            count: Some(known.count),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            source: Some(EventSource {
                component: Some(self.component.clone()),
                host: Some(self.host.clone()),
            }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.host.clone()),
            ..Event::default()
        }
    }
}

fn about(target: &Target, uid: Option<&str>) -> ObjectReference {
    let Target { kind, namespace, name } = target;
    // Events about a Node carry its name as UID: so kubectl and the kubelet do.
    let uid = match kind {
        Kind::Node => Some(name.clone()),
        _ => uid.map(str::to_owned),
    };
    ObjectReference {
        api_version: Some(kind.api_version()),
        kind: Some(kind.name().to_owned()),
        name: Some(name.clone()),
        namespace: Some(namespace.clone()).filter(|namespace| !namespace.is_empty()),
        uid,
        ..ObjectReference::default()
    }
}

impl State {
    /// The Event to write for a note, if one shall be written now.
    fn admit(&mut self, note: &Note, now: Instant) -> Admitted {
        let before = self.known.get(note).cloned();
        if before.as_ref().is_some_and(|known| now.duration_since(known.last) < AGAIN_AFTER) {
            return Admitted::Known;
        }
        let refill = now.duration_since(self.refilled).as_millis() / REFILL.as_millis();
        let refill = u32::try_from(refill).unwrap_or(BURST).min(BURST);
        if refill > 0 {
            self.tokens = (self.tokens + refill).min(BURST);
            self.refilled = now;
        }
        // The last tokens are for warnings.
        let least = if note.warning { 1 } else { BURST / 2 };
        if self.tokens < least {
            return Admitted::Full;
        }
        self.tokens -= 1;
        if self.known.len() >= REMEMBERED {
            self.known.retain(|_, known| now.duration_since(known.last) < AGAIN_AFTER);
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let count = match before {
            // Written anew rather than patched: one right less.
            Some(known) => known.count.saturating_add(1),
            None => 1,
        };
        let known = Known { last: now, name: event_name(&note.about.name), count };
        self.known.insert(note.clone(), known.clone());
        Admitted::New(known)
    }
}

/// A name that no other Event has: the object's and the time.
fn event_name(object: &str) -> String {
    let now = jiff::Timestamp::now().as_nanosecond();
    let head: String = object.chars().take(200).collect();
    format!("{}.{now:x}", head.trim_end_matches(['.', '-']))
}

#[cfg(test)]
mod tests;
