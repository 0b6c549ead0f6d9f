//! What is known, for people: the status of peers, advertisements and pools.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cluster_api::condition::{Fact, READY, merged, says};
use cluster_api::world::{Action, Kind, ObjectKey, Target};
use cluster_api::{
    AddressPoolStatus, AddressType, Advertised, AdvertisementCounts, AdvertisementException,
    BGPAdvertisementStatus, BGPPeer, BGPPeerCondition, BGPPeerStatus, PeerDigest, PerFamily,
    Refusal, Session, SessionState, keys,
};
use inet::Family;
use serde_json::{Map, Value, json};

use crate::bgp::is_made;
use crate::index::Index;
use crate::pools::{AUTO_ASSIGN, Entry};
use crate::task::Steps;
use crate::world::{Now, World, age};

/// The condition of a pool that says whether anything is left in it.
const HAS_ROOM: &str = "HasRoom";

/// The status of one node's BGPPeers, from what its agent reports.
pub(crate) fn peers(world: &World, index: &Index, node: &str) -> Steps {
    let mut steps = Steps::default();
    let node_bgp = world.node_bgps.named(node);
    let router = node_bgp.and_then(|node| node.status.as_ref()?.router.as_ref());
    let digests: BTreeMap<&str, &PeerDigest> = router
        .into_iter()
        .flat_map(|router| router.peers.iter())
        .map(|digest| (digest.name.as_str(), digest))
        .collect();
    let mut by_age: Vec<(&ObjectKey, &BGPPeer)> =
        index.peers_of(node).filter_map(|key| Some((key, world.peers.get(key)?))).collect();
    by_age.sort_by_cached_key(|(_, peer)| age(&peer.metadata));
    let mut seen: BTreeMap<IpAddr, &str> = BTreeMap::new();
    for (key, peer) in by_age {
        let target = Target::cluster(Kind::BGPPeer, &key.name);
        let uid = peer.metadata.uid.clone();
        let older = seen.get(&peer.spec.addr).copied();
        seen.entry(peer.spec.addr).or_insert(&key.name);
        // One that we made comes just after its NodeBGP and goes just after it: no news to anybody.
        let (session, reason) = if node_bgp.is_none() && !is_made(peer) {
            let message = format!("there is no NodeBGP {node}");
            steps.refuse(target.clone(), uid, Refusal::UnknownNode, &message);
            (Session::default(), format!("{}: {message}", Refusal::UnknownNode))
        } else if let Some(older) = older {
            let message = format!("BGPPeer {older} is older and has {} too", peer.spec.addr);
            steps.refuse(target.clone(), uid, Refusal::DuplicatePeer, &message);
            let session = Session { state: SessionState::Idle, ..Session::default() };
            (session, format!("{}: {message}", Refusal::DuplicatePeer))
        } else {
            reported(digests.get(key.name.as_str()).copied())
        };
        let backoff = digests.get(key.name.as_str()).and_then(|digest| digest.backoff);
        let before = peer.status.clone().unwrap_or_default();
        let after = peer_status(&before, session, reason, backoff);
        if peer.status.as_ref() != Some(&after) {
            steps.write(target, Action::MergeStatus(json!({ "status": whole(&before, &after) })));
        }
    }
    steps
}

/// The session as a node's agent reports it, and why it is not established.
fn reported(digest: Option<&PeerDigest>) -> (Session, String) {
    let Some(digest) = digest else { return (Session::default(), String::new()) };
    let session = Session {
        state: digest.state,
        since: digest.since.clone(),
        last_error: digest.last_error.clone(),
        received: digest.received,
        sent: digest.sent,
    };
    let reason = match digest.state {
        SessionState::Established | SessionState::Unknown => String::new(),
        SessionState::Idle
        | SessionState::Connect
        | SessionState::Active
        | SessionState::OpenSent
        | SessionState::OpenConfirm => digest.last_error.clone().unwrap_or_default(),
    };
    (session, reason)
}

fn peer_status(
    before: &BGPPeerStatus,
    session: Session,
    reason: String,
    backoff: Option<u32>,
) -> BGPPeerStatus {
    let mut conditions = before.conditions.clone().unwrap_or_default();
    let now = BGPPeerCondition { status: session.state, reason };
    if conditions.last() != Some(&now) {
        conditions.push(now);
    }
    let surplus = conditions.len().saturating_sub(keys::KEPT_CONDITIONS);
    conditions.drain(..surplus);
    BGPPeerStatus {
        backoff: backoff.unwrap_or(before.backoff),
        conditions: Some(conditions),
        session: Some(session),
    }
}

/// The merge patch that makes one value another: what the new one leaves out is null.
fn whole<T: serde::Serialize>(before: &T, after: &T) -> Value {
    fn merge(before: &Value, after: Value) -> Value {
        match (before, after) {
            (Value::Object(before), Value::Object(mut after)) => {
                let mut patch = Map::new();
                for (key, old) in before {
                    let new = after.remove(key).unwrap_or(Value::Null);
                    patch.insert(key.clone(), merge(old, new));
                }
                patch.extend(after);
                Value::Object(patch)
            }
            (_, after) => after,
        }
    }
    merge(&json!(before), json!(after))
}

/// The status of one advertisement: what the nodes that announce its prefix say of their peers.
pub(crate) fn advertisement(world: &World, index: &Index, key: &ObjectKey) -> Steps {
    let mut steps = Steps::default();
    let Some(object) = world.advertisements.get(key) else { return steps };
    let prefix = object.spec.cidr;
    let mut peers: BTreeMap<String, Advertised> = BTreeMap::new();
    let mut counts = AdvertisementCounts::default();
    let mut exceptions = Vec::new();
    let routers = index
        .announcers(&prefix)
        .filter_map(|node| world.node_bgps.named(node)?.status.as_ref()?.router.as_ref());
    for digest in routers.flat_map(|router| &router.peers) {
        let exception = digest.not_advertised.iter().find(|exception| exception.prefix == prefix);
        let reason = match (digest.state, exception) {
            (SessionState::Established, None) => {
                counts.advertised += 1;
                peers.insert(digest.name.clone(), Advertised::Advertised);
                continue;
            }
            (SessionState::Established, Some(exception)) => exception.reason.clone(),
            (state, _) => format!("{state:?}"),
        };
        counts.not_advertised += 1;
        peers.insert(digest.name.clone(), Advertised::NotAdvertised);
        exceptions.push(AdvertisementException { peer: digest.name.clone(), reason });
    }
    if peers.len() > keys::LISTED_PEERS {
        peers.retain(|_, state| *state != Advertised::Advertised);
        peers = peers.into_iter().take(keys::LISTED_PEERS).collect();
    }
    exceptions.truncate(keys::LISTED_PEERS);
    let after = BGPAdvertisementStatus { peers: Some(peers), counts: Some(counts), exceptions };
    let before = object.status.clone().unwrap_or_default();
    if before != after {
        let target = Target::new(Kind::BGPAdvertisement, &key.namespace, &key.name);
        steps.write(target, Action::MergeStatus(json!({ "status": whole(&before, &after) })));
    }
    steps
}

/// The status of one pool, and of the blocks of a service pool.
pub(crate) fn pool(world: &World, index: &Index, now: &Now, name: &str) -> Steps {
    let mut steps = Steps::default();
    let (Some(object), Some(entry)) = (world.pools.named(name), index.pools.get(name)) else {
        return steps;
    };
    let blocks: Vec<_> =
        world.blocks.iter().filter(|(_, block)| block.spec.pool_ref == name).collect();
    let (mut sizes, mut used) = (PerFamily::default(), PerFamily::default());
    for family in Family::ALL {
        let Some(pool) = entry.pool.as_ref().filter(|pool| pool.has_family(family)) else {
            continue;
        };
        sizes.add(family, pool.size(family));
        let count = match entry.kind {
            AddressType::Service => {
                let cidrs = pool.cidrs().iter().filter(|cidr| cidr.family() == family);
                cidrs.map(|cidr| u128::from(index.held_in(cidr))).sum()
            }
            AddressType::Pod | AddressType::Network => {
                let of_family = blocks.iter().filter(|(_, b)| b.spec.cidr.family() == family);
                let reported = of_family.filter_map(|(_, b)| b.status.as_ref()?.used);
                reported.map(|used| u128::try_from(used).unwrap_or(0)).sum()
            }
        };
        used.add(family, count);
    }
    let mut free = PerFamily::default();
    for family in Family::ALL {
        if let (Some(size), Some(used)) = (sizes.get(family), used.get(family)) {
            free.add(family, u128::try_from(size.saturating_sub(used)).unwrap_or(0));
        }
    }
    let max_blocks = entry.pool.as_ref().map_or(0, |pool| pool.block_count());
    let max_blocks = i64::try_from(max_blocks).unwrap_or(i64::MAX);
    let cut = i64::try_from(blocks.len()).unwrap_or(i64::MAX);
    let before = object.status.clone().unwrap_or_default();
    let facts = facts(entry, &before, &free, cut, max_blocks);
    let numbers = AddressPoolStatus {
        sizes: Some(sizes),
        used: Some(used),
        free: Some(free),
        blocks: Some(cut),
        max_blocks: Some(max_blocks),
        conditions: before.conditions.clone(),
    };
    if before != numbers || !says(&before.conditions, &facts) {
        let conditions = merged(&before.conditions, &facts, object.metadata.generation, &now.wall);
        let after = AddressPoolStatus { conditions, ..numbers };
        let target = Target::cluster(Kind::AddressPool, name);
        steps.write(target, Action::MergeStatus(json!({ "status": whole(&before, &after) })));
    }
    if entry.kind == AddressType::Service {
        for (key, block) in blocks {
            let used = i64::try_from(index.held_in(&block.spec.cidr)).unwrap_or(i64::MAX);
            // The index is written first (see `blocks`).
            if block.status.as_ref().is_some_and(|status| status.used != Some(used)) {
                let target = Target::cluster(Kind::AddressBlock, &key.name);
                steps.write(target, Action::MergeStatus(json!({ "status": { "used": used } })));
            }
        }
    }
    steps
}

fn facts(
    entry: &Entry,
    before: &AddressPoolStatus,
    free: &PerFamily,
    cut: i64,
    max_blocks: i64,
) -> Vec<Fact> {
    let mut facts = entry.facts();
    let said = |kind: &str| before.conditions.iter().any(|condition| condition.type_ == kind);
    if !entry.auto && said(AUTO_ASSIGN) {
        facts.push(Fact {
            kind: AUTO_ASSIGN,
            holds: false,
            reason: "NotAsked".to_owned(),
            message: "used only where it is named".to_owned(),
        });
    }
    if entry.refused.is_some() {
        debug_assert!(facts.iter().any(|fact| fact.kind == READY && !fact.holds));
        return facts;
    }
    let full: BTreeSet<&str> = match entry.kind {
        AddressType::Service => {
            let full = Family::ALL.into_iter().filter(|family| free.get(*family) == Some(0));
            full.map(|family| if family == Family::Ipv4 { "ipv4" } else { "ipv6" }).collect()
        }
        AddressType::Pod | AddressType::Network if cut >= max_blocks => BTreeSet::from(["blocks"]),
        AddressType::Pod | AddressType::Network => BTreeSet::new(),
    };
    facts.push(if full.is_empty() {
        Fact::holds(HAS_ROOM, "HasRoom", "something is left")
    } else {
        let what: Vec<&str> = full.into_iter().collect();
        Fact::refused(
            HAS_ROOM,
            Refusal::PoolExhausted,
            format!("nothing is left: {}", what.join(", ")),
        )
    });
    facts
}
