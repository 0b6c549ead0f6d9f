//! ClusterBGPs and nodes to NodeBGPs and BGPPeers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use cluster_api::condition::{CONFLICT, Fact, READY, merged, says};
use cluster_api::world::{Action, Kind, ObjectKey, Target};
use cluster_api::{
    AsnFrom, BGPPeer, BGPPeerSpec, BGPPeerTemplateSpec, ClusterBGP, ClusterPeer, NodeBGP,
    NodeBGPSpec, NodePeer, Refusal, RouterIdFrom, keys, names,
};
use inet::{Asn, RouterId};
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use crate::index::Index;
use crate::slots::Why;
use crate::task::Steps;
use crate::world::{Now, World, age, label};

type Labels = BTreeMap<String, String>;

/// What the ClusterBGPs make of one node.
#[derive(Clone, Debug, Default)]
struct Decision {
    /// The NodeBGP's spec; none if no ClusterBGP selects the node, or none can tell what it needs.
    spec: Option<NodeBGPSpec>,
    /// The ClusterBGPs that select the node.
    refs: BTreeSet<String>,
    /// What could not be done for which ClusterBGP.
    refusals: Vec<(String, Why)>,
}

/// What is to do next for one node.
pub(crate) fn node_steps(world: &World, index: &Index, name: &str) -> Steps {
    let mut steps = Steps::default();
    let node_bgp = world.node_bgps.named(name);
    let Some(node) = world.nodes.named(name) else {
        // Its leavings are collected after a grace period.
        return steps;
    };
    let decision = decide(world, node);
    for (_, (why, message)) in &decision.refusals {
        steps.refuse(Target::cluster(Kind::Node, name), node.metadata.uid.clone(), *why, message);
    }
    let target = Target::cluster(Kind::NodeBGP, name);
    let peers = match (&decision.spec, node_bgp) {
        (Some(spec), _) => {
            if node_bgp.is_none_or(|have| !is_up_to_date(have, node, spec)) {
                steps.write(target.clone(), node_bgp_write(node_bgp, node, spec));
            }
            if node_bgp.is_none() {
                // A peer's node comes before the peer.
                return steps;
            }
            spec.peers.clone().unwrap_or_default()
        }
        (None, Some(have)) if is_managed(have) => {
            if decision.refs.is_empty() && world.peers_are_certain() {
                steps.delete(Kind::NodeBGP, have);
                Vec::new()
            } else {
                // Selected, but by nobody who can tell its AS number now: it stays as it was.
                return steps;
            }
        }
        // Made by hand: its peers are made all the same.
        (None, Some(have)) => have.spec.peers.clone().unwrap_or_default(),
        (None, None) => Vec::new(),
    };
    if let Some(have) = node_bgp {
        let refs = have.status.as_ref().and_then(|status| status.cluster_bgp_refs.clone());
        if refs.unwrap_or_default().into_iter().collect::<BTreeSet<_>>() != decision.refs {
            let body = json!({ "status": { "clusterBgpRefs": decision.refs } });
            steps.write(target, Action::ApplyStatus(body));
        }
    }
    peer_steps(world, index, name, &peers, &mut steps);
    steps
}

fn is_managed(node: &NodeBGP) -> bool {
    label(&node.metadata, keys::MANAGED_BY) == Some(keys::MANAGED_BY_SART)
}

/// Made by sart from a ClusterBGP or a NodeBGP, not by hand.
pub(crate) fn is_made(peer: &BGPPeer) -> bool {
    peer.spec.cluster_bgp_ref.is_some()
        || label(&peer.metadata, keys::MANAGED_BY) == Some(keys::MANAGED_BY_SART)
}

fn node_labels(node: &Node) -> Labels {
    node.metadata.labels.clone().unwrap_or_default()
}

fn wanted_labels(node: &Node) -> Labels {
    let mut labels = node_labels(node);
    labels.insert(keys::MANAGED_BY.to_owned(), keys::MANAGED_BY_SART.to_owned());
    labels
}

fn is_up_to_date(have: &NodeBGP, node: &Node, spec: &NodeBGPSpec) -> bool {
    have.spec == *spec && have.metadata.labels.clone().unwrap_or_default() == wanted_labels(node)
}

/// The write that makes a NodeBGP equal to its node; labels that the node lost go too.
fn node_bgp_write(have: Option<&NodeBGP>, node: &Node, spec: &NodeBGPSpec) -> Action {
    let wanted = wanted_labels(node);
    let Some(have) = have else {
        return Action::Create(json!({ "metadata": { "labels": wanted }, "spec": spec }));
    };
    let had = have.metadata.labels.clone().unwrap_or_default();
    let mut labels: BTreeMap<&String, Value> = had.keys().map(|key| (key, Value::Null)).collect();
    labels.extend(wanted.iter().map(|(key, value)| (key, json!(value))));
    // A merge patch keeps what the new spec leaves out: it is removed by name.
    let mut body = json!({ "metadata": { "labels": labels }, "spec": spec });
    if spec.peers.is_none() {
        body["spec"]["peers"] = Value::Null;
    }
    for key in ["timeout", "multipath"] {
        if body["spec"]["speaker"].get(key).is_none() {
            body["spec"]["speaker"][key] = Value::Null;
        }
    }
    Action::Merge(body)
}

/// Decides what a node's router is. The oldest ClusterBGP that can tell decides.
fn decide(world: &World, node: &Node) -> Decision {
    let mut decision = Decision::default();
    let labels = node_labels(node);
    let name = node.metadata.name.clone().unwrap_or_default();
    let mut by_age: Vec<&ClusterBGP> = world
        .clusters
        .values()
        .filter(|cluster| selects(cluster.spec.node_selector.as_ref(), &labels))
        .filter(|cluster| cluster.metadata.deletion_timestamp.is_none())
        .collect();
    by_age.sort_by_cached_key(|cluster| age(&cluster.metadata));
    let mut older = String::new();
    for cluster in &by_age {
        let own = cluster.metadata.name.clone().unwrap_or_default();
        decision.refs.insert(own.clone());
        let who =
            asn(cluster, &name, &labels).and_then(|a| Ok((a, router_id(cluster, &name, node)?)));
        let (asn, router_id) = match who {
            Ok(who) => who,
            Err(why) => {
                decision.refusals.push((own, why));
                continue;
            }
        };
        let speaker = cluster.spec.speaker.clone();
        match &decision.spec {
            None => {
                decision.spec = Some(NodeBGPSpec { asn, router_id, speaker, peers: None });
                older = own;
            }
            Some(spec)
                if spec.asn == asn && spec.router_id == router_id && spec.speaker == speaker => {}
            Some(spec) => {
                let message = format!(
                    "node {name}: AS {} and router id {} of the older ClusterBGP {older} hold, \
                     not AS {asn} and {router_id}",
                    spec.asn, spec.router_id
                );
                decision.refusals.push((own, (Refusal::Conflict, message)));
            }
        }
    }
    let Some(spec) = &mut decision.spec else { return decision };
    let mut peers: Vec<NodePeer> = Vec::new();
    for cluster in by_age {
        let own = cluster.metadata.name.clone().unwrap_or_default();
        for peer in cluster.spec.peers.iter().flatten() {
            if !selects(peer.node_bgp_selector.as_ref(), &labels) {
                continue;
            }
            match node_peer(world, &name, &own, spec, peer) {
                Ok(peer) if peers.iter().any(|other| other.name == peer.name) => {}
                Ok(peer) => peers.push(peer),
                Err(why) => decision.refusals.push((own.clone(), why)),
            }
        }
    }
    spec.peers = (!peers.is_empty()).then_some(peers);
    decision
}

/// Whether labels fit a selector; one that is left out fits all.
fn selects(selector: Option<&Labels>, labels: &Labels) -> bool {
    selector.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

fn asn(cluster: &ClusterBGP, node: &str, labels: &Labels) -> Result<Asn, Why> {
    let missing = |message: String| (Refusal::MissingAsn, message);
    match cluster.spec.asn_selector.from {
        AsnFrom::Asn => {
            let none = || missing("asnSelector.from is asn, but there is no asn".to_owned());
            cluster.spec.asn_selector.asn.ok_or_else(none)
        }
        AsnFrom::Label => {
            let none = || missing(format!("node {node} has no label {}", keys::ASN));
            let text = labels.get(keys::ASN).ok_or_else(none)?;
            text.parse()
                .map_err(|error| missing(format!("node {node}, label {}: {error}", keys::ASN)))
        }
    }
}

fn router_id(cluster: &ClusterBGP, name: &str, node: &Node) -> Result<RouterId, Why> {
    let missing = |message: String| (Refusal::MissingRouterId, message);
    match cluster.spec.router_id_selector.from {
        RouterIdFrom::RouterId => {
            let none =
                || missing("routerIdSelector.from is routerId, but there is none".to_owned());
            cluster.spec.router_id_selector.router_id.ok_or_else(none)
        }
        RouterIdFrom::Label => {
            let labels = node.metadata.labels.as_ref();
            let none = || missing(format!("node {name} has no label {}", keys::ROUTER_ID));
            let text = labels.and_then(|labels| labels.get(keys::ROUTER_ID)).ok_or_else(none)?;
            let wrong = |error| missing(format!("node {name}, label {}: {error}", keys::ROUTER_ID));
            text.parse().map_err(wrong)
        }
        RouterIdFrom::InternalAddress => {
            let addresses = node.status.as_ref().and_then(|status| status.addresses.as_ref());
            let internal = addresses.into_iter().flatten().filter(|a| a.type_ == "InternalIP");
            let mut v4 = internal.filter_map(|a| a.address.parse::<Ipv4Addr>().ok());
            let none = || missing(format!("node {name} has no IPv4 InternalIP"));
            RouterId::new(v4.next().ok_or_else(none)?).map_err(|error| missing(error.to_string()))
        }
    }
}

/// One peer of a node, from a ClusterBGP's entry and its template.
fn node_peer(
    world: &World,
    node: &str,
    cluster: &str,
    spec: &NodeBGPSpec,
    peer: &ClusterPeer,
) -> Result<NodePeer, Why> {
    let own = peer.peer_config.clone().unwrap_or_default();
    let template = peer.peer_template_ref.as_deref();
    let config = match template {
        None => own,
        Some(name) => {
            let unknown =
                || (Refusal::UnknownTemplate, format!("there is no BGPPeerTemplate {name}"));
            own.over(&world.templates.named(name).ok_or_else(unknown)?.spec)
        }
    };
    let incomplete = |what: &str| {
        let of = template.map_or("a peer without template".to_owned(), |t| format!("template {t}"));
        (Refusal::IncompletePeer, format!("{of}: {what} is missing"))
    };
    let asn = config.asn.ok_or_else(|| incomplete("asn"))?;
    let addr = config.addr.ok_or_else(|| incomplete("addr"))?;
    let plain = names::peer(template, node, asn.get(), addr);
    let asn_text = asn.get().to_string();
    let addr_text = names::address(addr);
    let parts: Vec<&str> = template.into_iter().chain([node, &asn_text, &addr_text]).collect();
    let is_ours = |name: &str| {
        let have = world.peers.named(name);
        have.map(|p| is_made(p) && p.spec.node_bgp_ref == node && p.spec.addr == addr)
    };
    let name = match is_ours(&plain) {
        Some(true) => plain,
        Some(false) => names::hashed(&parts),
        None if is_ours(&names::hashed(&parts)) == Some(true) => names::hashed(&parts),
        None => plain,
    };
    Ok(NodePeer { name, spec: peer_spec(config, asn, addr, node, cluster, spec) })
}

fn peer_spec(
    config: BGPPeerTemplateSpec,
    asn: Asn,
    addr: std::net::IpAddr,
    node: &str,
    cluster: &str,
    spec: &NodeBGPSpec,
) -> BGPPeerSpec {
    BGPPeerSpec {
        asn,
        addr,
        hold_time: config.hold_time,
        keepalive_time: config.keepalive_time,
        capabilities: config.capabilities,
        node_bgp_ref: node.to_owned(),
        cluster_bgp_ref: Some(cluster.to_owned()),
        speaker: spec.speaker.clone(),
        groups: config.groups,
        families: config.families,
        graceful_restart: config.graceful_restart,
        connect_retry_time: config.connect_retry_time,
        local_address: config.local_address,
        ebgp_multihop: config.ebgp_multihop,
        ttl_security: config.ttl_security,
        password_secret_ref: config.password_secret_ref,
        interface: config.interface,
        bfd: config.bfd,
    }
}

/// The BGPPeers of a node are those that its NodeBGP lists, and those made by hand.
fn peer_steps(world: &World, index: &Index, node: &str, wanted: &[NodePeer], steps: &mut Steps) {
    for peer in wanted {
        let target = Target::cluster(Kind::BGPPeer, &peer.name);
        let labels = json!({
            keys::PEER_NODE: names::label(node),
            keys::MANAGED_BY: keys::MANAGED_BY_SART,
        });
        let body = json!({ "metadata": { "labels": labels }, "spec": peer.spec });
        match world.peers.named(&peer.name) {
            None => steps.write(target, Action::Create(body)),
            Some(have) if have.spec == peer.spec => {}
            // What the template no longer says must go: a merge keeps it, an apply does only for
            // what it has set itself. The object stays, so that its session does.
            Some(have) if is_made(have) => {
                steps.write(target, Action::Merge(replacing(&have.spec, &peer.spec, body)));
            }
            Some(_) => {}
        }
    }
    if !world.peers_are_certain() {
        return;
    }
    let names: BTreeSet<&str> = wanted.iter().map(|peer| peer.name.as_str()).collect();
    for key in index.peers_of(node) {
        let Some(have) = world.peers.get(key) else { continue };
        if is_made(have) && !names.contains(key.name.as_str()) {
            steps.delete(Kind::BGPPeer, have);
        }
    }
}

/// The merge patch that makes one spec the other.
fn replacing(have: &BGPPeerSpec, want: &BGPPeerSpec, mut body: Value) -> Value {
    let (have, want) = (json!(have), json!(want));
    let fields = have.as_object().into_iter().flatten().map(|(key, _)| key);
    for gone in fields.filter(|key| want.get(key.as_str()).is_none()) {
        body["spec"][gone.as_str()] = Value::Null;
    }
    for (outer, inner) in
        [("speaker", "timeout"), ("speaker", "multipath"), ("gracefulRestart", "restartTime")]
    {
        let both = have[outer].get(inner).is_some() && want.get(outer).is_some();
        if both && want[outer].get(inner).is_none() {
            body["spec"][outer][inner] = Value::Null;
        }
    }
    body
}

/// The status of every ClusterBGP.
pub(crate) fn cluster_steps(world: &World, now: &Now) -> Steps {
    let mut steps = Steps::default();
    let mut refusals: BTreeMap<String, BTreeSet<Why>> = BTreeMap::new();
    let mut selected: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for (key, node) in world.nodes.iter() {
        let decision = decide(world, node);
        let stands = decision.spec.is_some() && world.node_bgps.named(&key.name).is_some();
        for cluster in &decision.refs {
            let (desired, nodes) = selected.entry(cluster.clone()).or_default();
            desired.insert(key.name.clone());
            if stands {
                nodes.insert(key.name.clone());
            }
        }
        for (cluster, why) in decision.refusals {
            refusals.entry(cluster).or_default().insert(why);
        }
    }
    for (key, cluster) in world.clusters.iter() {
        let (desired, nodes) = selected.remove(&key.name).unwrap_or_default();
        let mut why = refusals.remove(&key.name).unwrap_or_default();
        let path = &cluster.spec.speaker.path;
        if !cluster.spec.speaker.is_local() {
            let message = format!("speaker.path {path:?} is neither a loopback address nor unix:");
            why.insert((Refusal::SpeakerNotLocal, message));
        }
        cluster_status(key, cluster, (desired, nodes), &why, now, &mut steps);
    }
    steps
}

fn cluster_status(
    key: &ObjectKey,
    cluster: &ClusterBGP,
    (desired, nodes): (BTreeSet<String>, BTreeSet<String>),
    refusals: &BTreeSet<Why>,
    now: &Now,
    steps: &mut Steps,
) {
    let target = Target::cluster(Kind::ClusterBGP, &key.name);
    for (why, message) in refusals {
        steps.refuse(target.clone(), cluster.metadata.uid.clone(), *why, message);
    }
    let status = cluster.status.clone().unwrap_or_default();
    let mut facts = Vec::new();
    let (conflicts, others): (Vec<&Why>, Vec<&Why>) =
        refusals.iter().partition(|(why, _)| *why == Refusal::Conflict);
    facts.push(match others.first() {
        None => Fact::holds(
            READY,
            "Accepted",
            "every node that is selected has its router's configuration",
        ),
        Some((why, _)) => Fact::refused(READY, *why, sentence(&others)),
    });
    if let Some((why, _)) = conflicts.first() {
        let message = format!("{why}: {}", sentence(&conflicts));
        facts.push(Fact { kind: CONFLICT, holds: true, reason: why.reason(), message });
    } else if status.conditions.iter().any(|condition| condition.type_ == CONFLICT) {
        let message = "no older ClusterBGP disagrees".to_owned();
        facts.push(Fact { kind: CONFLICT, holds: false, reason: "None".to_owned(), message });
    }
    let same = |have: &Option<Vec<String>>, want: &BTreeSet<String>| {
        have.as_ref().is_some_and(|have| have.iter().eq(want))
    };
    if same(&status.desired_nodes, &desired)
        && same(&status.nodes, &nodes)
        && says(&status.conditions, &facts)
    {
        return;
    }
    let conditions = merged(&status.conditions, &facts, cluster.metadata.generation, &now.wall);
    let body = json!({ "status": {
        "desiredNodes": desired, "nodes": nodes, "conditions": conditions,
    } });
    steps.write(target, Action::MergeStatus(body));
}

/// The first few of several sentences.
fn sentence(all: &[&Why]) -> String {
    let shown: Vec<&str> = all.iter().take(3).map(|(_, message)| message.as_str()).collect();
    let text = shown.join("; ");
    match all.len().saturating_sub(shown.len()) {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}
