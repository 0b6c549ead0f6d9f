//! The agent's line to its node's router: hands over the wanted document, hears what is.
//!
//! ```text
//!   wanted (watch) ──▶ apply ──▶ router          one task: connect, apply, follow, again
//!   facts  (mpsc)  ◀── neighbors, advertised ──┘
//! ```

use std::time::Duration;

use cluster_api::{NotAdvertised, PeerDigest, SessionState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff;
use node_api::{CallError, RouterClient, v1};
use node_plan::{PeerFact, RouterFact};
use router_config::Document;
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

/// The agent's name among the router's owners.
pub(super) const OWNER: &str = "agent";

/// First and longest pause before the router is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What the task keeps of the router between two tries.
struct Line {
    client: RouterClient,
    wanted: watch::Receiver<Option<Document>>,
    facts: mpsc::Sender<RouterFact>,
    fact: RouterFact,
    /// Grows with each document; the router keeps an owner's latest.
    generation: u64,
}

/// Why following the router ended.
enum Ended {
    /// The agent stops.
    Stopping,
    /// The router went away or misbehaves.
    Lost(CallError),
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Ended {
        Ended::Lost(error)
    }
}

/// Keeps the router at the wanted document until the agent stops. `None` is wanted until every
/// watch has listed: until then the router keeps what it has.
pub(super) async fn follow(
    client: RouterClient,
    wanted: watch::Receiver<Option<Document>>,
    facts: mpsc::Sender<RouterFact>,
) {
    let fact = RouterFact::default();
    // A restarted agent must not fall behind its predecessor's generation.
    let generation = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(1);
    let mut line = Line { client, wanted, facts, fact, generation };
    let mut pause = RETRY.0;
    loop {
        match line.serve().await {
            Ended::Stopping => return,
            Ended::Lost(error) => {
                if line.fact.reachable {
                    warn!(%error, "lost the router");
                    pause = RETRY.0;
                } else {
                    debug!(%error, "the router is not there yet");
                }
                line.fact.failures = line.fact.failures.saturating_add(1);
                line.fact.reachable = false;
                if line.tell().await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    }
}

impl Line {
    /// One connection's life: apply what is wanted now, then follow both sides.
    async fn serve(&mut self) -> Ended {
        match self.connected().await {
            Ok(()) => Ended::Stopping,
            Err(ended) => ended,
        }
    }

    async fn connected(&mut self) -> Result<(), Ended> {
        let mut neighbors = self.client.watch_neighbors().await?;
        let mut advertised = self.client.watch_advertised().await?;
        info!(endpoint = %self.client.endpoint(), "connected to the router");
        self.fact.reachable = true;
        self.apply().await?;
        let mut sent = v1::AdvertisedList::default();
        let mut peers = v1::NeighborList::default();
        loop {
            tokio::select! {
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.apply().await?,
                    Err(_) => return Ok(()),
                },
                list = neighbors.message() => peers = self.next(list)?,
                list = advertised.message() => sent = self.next(list)?,
            }
            self.fact.peers = peers.neighbors.iter().filter_map(|n| peer(n, &sent)).collect();
            self.tell().await?;
        }
    }

    /// The next item of a stream; its end means that the router goes.
    fn next<T>(&self, item: Result<Option<T>, tonic::Status>) -> Result<T, Ended> {
        let lost = |why: String| CallError::Unreachable(self.client.endpoint().clone(), why);
        match item {
            Ok(Some(item)) => Ok(item),
            Ok(None) => Err(Ended::Lost(lost("it closed the stream".to_owned()))),
            Err(status) => Err(Ended::Lost(lost(status.message().to_owned()))),
        }
    }

    async fn apply(&mut self) -> Result<(), Ended> {
        let Some(document) = self.wanted.borrow_and_update().clone() else { return Ok(()) };
        let text = match document.to_yaml() {
            Ok(text) => text,
            Err(error) => {
                self.fact.applied = Some(Err(error.to_string()));
                return self.tell().await;
            }
        };
        self.generation += 1;
        self.fact.applied =
            Some(match self.client.apply(OWNER, self.generation, &text, false).await {
                Ok(reply) if reply.accepted => {
                    debug!(changes = ?reply.changes, "the router took the document");
                    for reset in &reply.resets {
                        info!(neighbor = reset.neighbor, reason = reset.reason, "session is reset");
                    }
                    for conflict in &reply.conflicts {
                        warn!(conflict, "another owner of the router wants otherwise");
                    }
                    Ok(())
                }
                Ok(reply) => {
                    let problems: Vec<&str> =
                        reply.problems.iter().map(|p| p.message.as_str()).collect();
                    let sentence = problems.join("; ");
                    warn!(problems = sentence, "the router refused the document");
                    Err(sentence)
                }
                Err(CallError::Refused(sentence) | CallError::NotAllowed(sentence)) => {
                    warn!(problems = sentence, "the router refused the document");
                    Err(sentence)
                }
                Err(error) => return Err(Ended::Lost(error)),
            });
        self.tell().await
    }

    async fn tell(&self) -> Result<(), Ended> {
        self.facts.send(self.fact.clone()).await.map_err(|_| Ended::Stopping)
    }
}

fn peer(neighbor: &v1::Neighbor, sent: &v1::AdvertisedList) -> Option<PeerFact> {
    let address = neighbor.address.parse().ok()?;
    let to_peer = sent.neighbors.iter().find(|a| a.neighbor == neighbor.address);
    let prefixes = to_peer.map(|a| a.prefixes.as_slice()).unwrap_or_default();
    let withheld = prefixes.iter().filter(|p| !p.sent).filter_map(|p| {
        Some(NotAdvertised { prefix: p.prefix.parse().ok()?, reason: p.reason.clone() })
    });
    let count = |of: fn(&v1::FamilyStatus) -> u64| {
        u32::try_from(neighbor.families.iter().map(of).sum::<u64>()).unwrap_or(u32::MAX)
    };
    let seconds = i64::try_from(neighbor.since).unwrap_or_default();
    let error = neighbor.last_error.as_ref().map(|e| e.message.clone());
    let digest = PeerDigest {
        name: String::new(),
        state: state(neighbor.state()),
        since: jiff::Timestamp::from_second(seconds).ok().filter(|_| seconds > 0).map(Time),
        last_error: error.filter(|e| !e.is_empty()),
        backoff: Some(u32::try_from(neighbor.flaps).unwrap_or(u32::MAX)),
        received: Some(count(|f| f.accepted)),
        sent: Some(count(|f| f.advertised)),
        not_advertised: withheld.collect(),
    };
    Some(PeerFact { address, digest })
}

fn state(state: v1::SessionState) -> SessionState {
    match state {
        v1::SessionState::Unknown => SessionState::Unknown,
        v1::SessionState::Idle => SessionState::Idle,
        v1::SessionState::Connect => SessionState::Connect,
        v1::SessionState::Active => SessionState::Active,
        v1::SessionState::OpenSent => SessionState::OpenSent,
        v1::SessionState::OpenConfirm => SessionState::OpenConfirm,
        v1::SessionState::Established => SessionState::Established,
    }
}
