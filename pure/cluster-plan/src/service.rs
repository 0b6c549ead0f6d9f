//! One Service: its addresses, its status, its advertisements, and giving all that back.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cluster_api::condition::{Fact, SERVICE_ASSIGNED, merged, says};
use cluster_api::world::{Action, Kind, Note, ObjectKey, Target, Write};
use cluster_api::{
    AddressClaim, AddressType, BGPAdvertisement, ClassRule, HolderKind, Protocol, keys, names,
};
use inet::{Family, Prefix};
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::index::{Index, shown_addresses};
use crate::pools::block_name_of;
use crate::slots::{Choice, choose};
use crate::task::Steps;
use crate::world::{Now, Settings, World, annotation};

/// What is to do next for one Service.
pub(crate) fn steps(
    world: &World,
    index: &Index,
    settings: &Settings,
    now: &Now,
    key: &ObjectKey,
) -> Steps {
    let view = View { world, index, key };
    match world.services.get(key) {
        // Its claims are collected as orphans, its advertisements too.
        None => Steps::default(),
        Some(service) if is_ours(settings, service) => view.serve(service, now),
        Some(service) => view.leave(settings, service),
    }
}

/// Whether a Service is ours to give addresses to.
pub(crate) fn is_ours(settings: &Settings, service: &Service) -> bool {
    service.metadata.deletion_timestamp.is_none() && rule(settings).is_ours(service)
}

fn rule(settings: &Settings) -> ClassRule {
    ClassRule { require_class: settings.require_class }
}

struct View<'a> {
    world: &'a World,
    index: &'a Index,
    key: &'a ObjectKey,
}

impl View<'_> {
    /// The claims that name this Service: its own, and those of an older one of the same name.
    fn claims(&self, service: &Service) -> (Vec<&AddressClaim>, Vec<&AddressClaim>) {
        let uid = service.metadata.uid.as_deref().unwrap_or_default();
        let keys = self.index.claims_of(self.key);
        let claims = keys.iter().filter_map(|key| self.world.claims.get(key));
        claims.partition(|claim| claim.spec.holder_uid == uid)
    }

    fn serve(&self, service: &Service, now: &Now) -> Steps {
        let mut steps = Steps::default();
        if !has_finalizer(service) {
            // Without any pool for Services (mode cni) they are somebody else's.
            let named = annotation(&service.metadata, keys::ADDRESS_POOL).is_some();
            if !named && !self.index.pools.iter().any(|(_, e)| e.kind == AddressType::Service) {
                steps.waiting = true;
                return steps;
            }
            steps.write(self.target(), finalizer(service, true));
            return steps;
        }
        let (own, stale) = self.claims(service);
        for claim in stale {
            steps.writes.push(release(claim));
        }
        let held: Vec<(IpAddr, String)> =
            own.iter().map(|claim| (claim.spec.address, claim.spec.pool.clone())).collect();
        let choice = choose(self.index, self.key, service, &held);
        self.tell(service, &choice, &mut steps);
        let uid = service.metadata.uid.clone().unwrap_or_default();
        for chosen in &choice.addresses {
            if let Some(pool) = &chosen.new_from {
                steps.writes.extend(self.claim(chosen.address, pool, &uid));
            }
        }
        let usable: Vec<IpAddr> = choice
            .addresses
            .iter()
            .filter(|chosen| chosen.new_from.is_none())
            .map(|chosen| chosen.address)
            .collect();
        // Nothing is given up before all that is asked for instead is there.
        let complete = usable.len() == choice.addresses.len() && choice.refusals.is_empty();
        let kept = own
            .iter()
            .map(|claim| claim.spec.address)
            .filter(|address| !complete && !usable.contains(address));
        let shown: Vec<IpAddr> = usable.iter().copied().chain(kept).collect();
        if !steps.writes.is_empty() && !complete && shown.is_empty() {
            // The first address is on its way; the status waits for it.
            return steps;
        }
        let fact = fact(&choice, complete);
        if let Some(body) = status(service, &shown, &fact, now) {
            let new = shown.iter().filter(|address| !shown_addresses(service).contains(address));
            for address in new {
                steps.notes.push(self.note(
                    service,
                    false,
                    "address-assigned",
                    &address.to_string(),
                ));
            }
            steps.write(self.target(), Action::MergeStatus(body));
        }
        if !steps.writes.is_empty() {
            return steps;
        }
        self.advertise(&shown, &mut steps);
        if steps.writes.is_empty() && complete {
            let surplus = own.iter().filter(|claim| !shown.contains(&claim.spec.address));
            steps.writes.extend(surplus.map(|claim| release(claim)));
        }
        steps
    }

    /// The Service is deleted, or not ours (any more): what it had is given back, in the order in
    /// which nobody else can be hurt.
    fn leave(&self, settings: &Settings, service: &Service) -> Steps {
        let mut steps = Steps::default();
        let (own, stale) = self.claims(service);
        for claim in &stale {
            steps.writes.push(release(claim));
        }
        let ours: BTreeSet<IpAddr> = own.iter().map(|claim| claim.spec.address).collect();
        let left: Vec<IpAddr> = shown_addresses(service)
            .into_iter()
            .filter(|address| !ours.contains(address))
            .collect();
        let deleting = service.metadata.deletion_timestamp.is_some();
        if !deleting && left.len() != shown_addresses(service).len() {
            let body = json!({
                "metadata": { "resourceVersion": service.metadata.resource_version },
                "status": { "loadBalancer": { "ingress": ingress(&left) } },
            });
            steps.write(self.target(), Action::MergeStatus(body));
            return steps;
        }
        self.advertise(&[], &mut steps);
        if !steps.writes.is_empty() {
            return steps;
        }
        steps.writes.extend(own.iter().map(|claim| release(claim)));
        if !steps.writes.is_empty() {
            return steps;
        }
        // Another class's finalizer is not ours to take away.
        if has_finalizer(service) && rule(settings).has_our_class(service) {
            steps.write(self.target(), finalizer(service, false));
        }
        steps
    }

    /// One advertisement for each address, and no others.
    fn advertise(&self, addresses: &[IpAddr], steps: &mut Steps) {
        let mut wanted = BTreeSet::new();
        for address in addresses {
            let name = self.advertisement_name(*address);
            let key = ObjectKey::new(&self.key.namespace, &name);
            if self.world.advertisements.get(&key).is_none() {
                let body = json!({
                    "metadata": { "labels": {
                        keys::SERVICE_NAME: self.key.name,
                        keys::MANAGED_BY: keys::MANAGED_BY_SART,
                    } },
                    "spec": {
                        "cidr": Prefix::host(*address).to_string(),
                        "type": AddressType::Service,
                        "protocol": Protocol::from(Family::of(address)),
                    },
                });
                let target = Target::new(Kind::BGPAdvertisement, &self.key.namespace, &name);
                steps.write(target, Action::Create(body));
            }
            wanted.insert(key);
        }
        for key in self.index.advertisements_of(self.key) {
            if !wanted.contains(&key)
                && let Some(object) = self.world.advertisements.get(&key)
            {
                steps.delete(Kind::BGPAdvertisement, object);
            }
        }
    }

    fn advertisement_name(&self, address: IpAddr) -> String {
        let name = names::advertisement(&self.key.name, address);
        let prefix = Prefix::host(address);
        let is_ours = |name: &str| {
            let key = ObjectKey::new(&self.key.namespace, name);
            self.world.advertisements.get(&key).map(|object: &BGPAdvertisement| {
                object.spec.kind == AddressType::Service && object.spec.cidr == prefix
            })
        };
        let hashed = || names::hashed(&[&self.key.name, &names::address(address)]);
        match is_ours(&name) {
            Some(true) => name,
            Some(false) => hashed(),
            None if is_ours(&hashed()) == Some(true) => hashed(),
            None => name,
        }
    }

    /// The creation of an AddressClaim.
    fn claim(&self, address: IpAddr, pool: &str, uid: &str) -> Option<Write> {
        let entry = self.index.pools.get(pool)?;
        let block = block_name_of(self.world, entry.pool.as_ref()?, &address)?;
        let body = json!({
            "metadata": { "labels": {
                keys::ADDRESS_POOL: names::label(pool),
                keys::MANAGED_BY: keys::MANAGED_BY_SART,
            } },
            "spec": {
                "address": address.to_string(),
                "holderKind": HolderKind::Service,
                "holder": self.key.to_string(),
                "holderUid": uid,
                "pool": pool,
                "block": block,
            },
        });
        let target = Target::cluster(Kind::AddressClaim, &names::claim(address));
        Some(Write { target, action: Action::Create(body) })
    }

    fn tell(&self, service: &Service, choice: &Choice, steps: &mut Steps) {
        steps.waiting = !choice.refusals.is_empty();
        for (why, message) in &choice.refusals {
            steps.notes.push(self.note(service, true, why.name(), message));
        }
    }

    fn note(&self, service: &Service, warning: bool, reason: &str, message: &str) -> Note {
        Note {
            about: self.target(),
            uid: service.metadata.uid.clone(),
            warning,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    fn target(&self) -> Target {
        Target::new(Kind::Service, &self.key.namespace, &self.key.name)
    }
}

fn release(claim: &AddressClaim) -> Write {
    let name = claim.metadata.name.clone().unwrap_or_default();
    let uid = claim.metadata.uid.clone();
    let target = Target::cluster(Kind::AddressClaim, &name);
    Write { target, action: Action::Delete { uid, version: None } }
}

fn has_finalizer(service: &Service) -> bool {
    let finalizers = service.metadata.finalizers.as_ref();
    finalizers.is_some_and(|list| list.iter().any(|entry| entry == keys::SERVICE_FINALIZER))
}

/// A patch that adds or takes away our finalizer, if nobody else changed the Service meanwhile.
fn finalizer(service: &Service, wanted: bool) -> Action {
    let mut list = service.metadata.finalizers.clone().unwrap_or_default();
    list.retain(|entry| entry != keys::SERVICE_FINALIZER);
    if wanted {
        list.push(keys::SERVICE_FINALIZER.to_owned());
    }
    Action::Merge(json!({ "metadata": {
        "resourceVersion": service.metadata.resource_version,
        "finalizers": list,
    } }))
}

/// What the Service's condition says.
fn fact(choice: &Choice, complete: bool) -> Fact {
    match choice.refusals.first() {
        Some((why, message)) => Fact::refused(SERVICE_ASSIGNED, *why, message),
        None if complete => Fact::holds(SERVICE_ASSIGNED, "Assigned", "has all its addresses"),
        None => Fact {
            kind: SERVICE_ASSIGNED,
            holds: false,
            reason: "Assigning".to_owned(),
            message: "addresses are being assigned".to_owned(),
        },
    }
}

fn ingress(addresses: &[IpAddr]) -> Value {
    let entry = |address: &IpAddr| json!({ "ip": address.to_string(), "ipMode": "VIP" });
    addresses.iter().map(entry).collect()
}

/// The status to write, or none if the Service's says the same.
fn status(service: &Service, shown: &[IpAddr], fact: &Fact, now: &Now) -> Option<Value> {
    let status = service.status.clone().unwrap_or_default();
    let entries = status.load_balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
    let same = entries.len() == shown.len()
        && entries.iter().zip(shown).all(|(entry, address)| {
            entry.ip.as_deref().and_then(|ip| ip.parse().ok()) == Some(*address)
                && entry.ip_mode.as_deref() == Some("VIP")
        });
    let conditions = status.conditions.unwrap_or_default();
    let facts = std::slice::from_ref(fact);
    if same && says(&conditions, facts) {
        return None;
    }
    let conditions = merged(&conditions, facts, service.metadata.generation, &now.wall);
    Some(json!({
        "metadata": { "resourceVersion": service.metadata.resource_version },
        "status": { "loadBalancer": { "ingress": ingress(shown) }, "conditions": conditions },
    }))
}
