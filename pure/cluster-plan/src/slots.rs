//! What addresses a Service asks for, and which it gets.

use std::net::IpAddr;

use address_pool::Pool;
use cluster_api::world::ObjectKey;
use cluster_api::{AddressType, Refusal, keys, text};
use inet::Family;
use k8s_openapi::api::core::v1::Service;

use crate::index::{Index, shown_addresses};
use crate::pools::Pools;
use crate::world::annotation;

/// A refusal and its sentence.
pub(crate) type Why = (Refusal, String);

/// One address that a Service asks for.
#[derive(Clone, Debug)]
struct Slot<'a> {
    /// The pool that was named, or the one that is used where none is.
    pool: Option<&'a str>,
    /// The Service named the pool: an address of another does not do.
    named: bool,
    family: Family,
    wanted: Option<IpAddr>,
    /// Where a new address may come from; none: only what is held already stays.
    open: Option<&'a Pool>,
}

/// An address that a Service has or gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) address: IpAddr,
    /// The pool it is newly taken from; none if it is held already.
    pub(crate) new_from: Option<String>,
}

/// What a Service gets, in the order of its families and pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) addresses: Vec<Chosen>,
    pub(crate) refusals: Vec<Why>,
}

/// Chooses a Service's addresses: what it holds stays, wanted ones are taken, else the lowest free.
/// `held` is what it holds: address and pool.
pub(crate) fn choose(
    index: &Index,
    key: &ObjectKey,
    service: &Service,
    held: &[(IpAddr, String)],
) -> Choice {
    let mut choice = Choice::default();
    let slots = slots(&index.pools, service, &mut choice.refusals);
    let mut taken: Vec<Option<Chosen>> = vec![None; slots.len()];
    // Wanted addresses first, so that none is given to another slot.
    for (slot, got) in slots.iter().zip(&mut taken) {
        let Some(wanted) = slot.wanted else { continue };
        if held.iter().any(|(address, _)| *address == wanted) {
            *got = Some(Chosen { address: wanted, new_from: None });
        } else if let Some(other) = other_holder(index, key, &wanted) {
            let message = format!("{wanted} is held by {other}");
            choice.refusals.push((Refusal::AddressTaken, message));
        } else if let Some(pool) = slot.open {
            *got = Some(Chosen { address: wanted, new_from: Some(pool.name().to_owned()) });
        }
    }
    // What the Service shows already is its own, also when no claim says so yet (v0.1), and what
    // it is about to hold.
    let mut own = shown_addresses(service);
    own.extend(index.intents_of(key));
    // Held addresses before new ones: a slot of an exactly named pool first, then any of the family.
    for strict in [true, false] {
        for at in 0..slots.len() {
            let (Some(slot), Some(None)) = (slots.get(at), taken.get(at)) else { continue };
            if slot.wanted.is_some() || (slot.named && !strict) {
                continue;
            }
            let fits = |(address, pool): &&(IpAddr, String)| {
                Family::of(address) == slot.family
                    && (!strict || slot.pool == Some(pool.as_str()) || lies_in(slot, address))
                    && !is_chosen(&taken, address)
            };
            let kept = held.iter().find(fits).map(|(address, _)| *address);
            if let (Some(address), Some(got)) = (kept, taken.get_mut(at)) {
                *got = Some(Chosen { address, new_from: None });
            }
        }
    }
    for at in 0..slots.len() {
        let (Some(slot), Some(None)) = (slots.get(at), taken.get(at)) else { continue };
        let (None, Some(pool)) = (slot.wanted, slot.open) else { continue };
        let free = |address: &IpAddr| {
            !is_chosen(&taken, address) && other_holder(index, key, address).is_none()
        };
        let own = own.iter().copied().find(|address| {
            Family::of(address) == slot.family && pool.contains(address) && free(address)
        });
        let lowest = || index.free(pool.cidrs(), slot.family).find(|address| free(address));
        match own.or_else(lowest) {
            Some(address) => {
                let new_from = Some(pool.name().to_owned());
                if let Some(got) = taken.get_mut(at) {
                    *got = Some(Chosen { address, new_from });
                }
            }
            None => {
                let message =
                    format!("no {} address is free in AddressPool {}", slot.family, pool.name());
                choice.refusals.push((Refusal::PoolExhausted, message));
            }
        }
    }
    choice.addresses = taken.into_iter().flatten().collect();
    choice
}

/// Whether an address lies in a slot's pool, whatever pool it was once taken from.
fn lies_in(slot: &Slot<'_>, address: &IpAddr) -> bool {
    slot.open.is_some_and(|pool| pool.contains(address))
}

fn is_chosen(taken: &[Option<Chosen>], address: &IpAddr) -> bool {
    taken.iter().flatten().any(|chosen| chosen.address == *address)
}

/// What else holds or shows an address: a Service, or a block of pods.
fn other_holder<'a>(index: &'a Index, key: &ObjectKey, address: &IpAddr) -> Option<&'a ObjectKey> {
    let holder = index.holder(address).filter(|holder| *holder != key);
    let shown = || index.shown_by_another(address, key);
    holder.or_else(shown).or_else(|| index.pod_block_of(address))
}

/// The families that a Service asks for, the first one first.
fn families(service: &Service) -> Vec<Family> {
    let spec = service.spec.as_ref();
    let named = spec.and_then(|spec| spec.ip_families.as_ref()).into_iter().flatten();
    let families: Vec<Family> = named.filter_map(|family| family.parse().ok()).collect();
    if families.is_empty() { vec![Family::Ipv4] } else { families }
}

/// The slots of a Service; what cannot be is refused.
fn slots<'a>(pools: &'a Pools, service: &'a Service, refusals: &mut Vec<Why>) -> Vec<Slot<'a>> {
    let families = families(service);
    let named =
        annotation(&service.metadata, keys::ADDRESS_POOL).map(text::list).unwrap_or_default();
    let mut slots = if named.is_empty() {
        auto_slots(pools, service, &families, refusals)
    } else {
        named_slots(pools, &named, &families, refusals)
    };
    let Some(wanted) = annotation(&service.metadata, keys::LOAD_BALANCER_IPS) else { return slots };
    let wanted = match text::addresses(wanted) {
        Ok(wanted) => wanted,
        Err(entry) => {
            refusals.push((Refusal::InvalidAddress, format!("{entry:?} is no address")));
            // Who asks for certain addresses does not want just any.
            slots.iter_mut().for_each(|slot| slot.open = None);
            return slots;
        }
    };
    let mut mismatch = false;
    for address in wanted {
        let family = Family::of(&address);
        if !families.contains(&family) {
            let message = format!("{address} is {family}, which the Service does not ask for");
            refusals.push((Refusal::FamilyMismatch, message));
            mismatch = true;
            continue;
        }
        let in_pool = |slot: &Slot<'_>| {
            let entry = slot.pool.and_then(|name| pools.get(name));
            entry.and_then(|entry| entry.pool.as_ref()).is_some_and(|pool| pool.contains(&address))
        };
        let fits = |slot: &&mut Slot<'_>| slot.family == family && in_pool(slot);
        let Some(first) = slots.iter_mut().find(fits) else {
            let message = format!("{address} lies in none of the pools of this Service");
            refusals.push((Refusal::AddressOutsidePool, message));
            let of_family = slots.iter_mut().filter(|s| s.family == family && s.wanted.is_none());
            of_family.for_each(|slot| slot.open = None);
            continue;
        };
        if first.wanted.is_none() {
            first.wanted = Some(address);
        } else {
            let more = Slot { wanted: Some(address), ..first.clone() };
            slots.push(more);
        }
    }
    if mismatch {
        slots.iter_mut().filter(|s| s.wanted.is_none()).for_each(|slot| slot.open = None);
    }
    slots
}

/// One slot for each family, from the pools that are used where none is named.
fn auto_slots<'a>(
    pools: &'a Pools,
    service: &Service,
    families: &[Family],
    refusals: &mut Vec<Why>,
) -> Vec<Slot<'a>> {
    let policy = service.spec.as_ref().and_then(|spec| spec.ip_family_policy.as_deref());
    let mut slots = Vec::new();
    for (place, family) in families.iter().enumerate() {
        let pool = pools.auto(AddressType::Service, *family);
        let open = pool.and_then(|name| pools.usable(name, AddressType::Service).ok());
        if open.is_none() && (place == 0 || policy != Some("PreferDualStack")) {
            let message = format!("no AddressPool of type service is autoAssign for {family}");
            refusals.push((Refusal::NoAutoPool, message));
        }
        let pool = pool.map(String::as_str);
        slots.push(Slot { pool, named: false, family: *family, wanted: None, open });
    }
    slots
}

/// One slot for each named pool (and each family of it that the Service asks for).
fn named_slots<'a>(
    pools: &'a Pools,
    named: &[String],
    families: &[Family],
    refusals: &mut Vec<Why>,
) -> Vec<Slot<'a>> {
    let mut slots = Vec::new();
    for name in named {
        // The pools' own copy of the name, where there is one, lives as long as the slot.
        let own = pools.iter().map(|(own, _)| own.as_str()).find(|own| own == name);
        match pools.usable(name, AddressType::Service) {
            Ok(pool) => {
                let had = slots.len();
                slots.extend(families.iter().filter(|family| pool.has_family(**family)).map(
                    |family| Slot {
                        pool: own,
                        named: true,
                        family: *family,
                        wanted: None,
                        open: Some(pool),
                    },
                ));
                if slots.len() == had {
                    let message =
                        format!("AddressPool {name} has no family that the Service asks for");
                    refusals.push((Refusal::FamilyMismatch, message));
                }
            }
            Err(why) => {
                refusals.push(why);
                slots.extend(families.iter().map(|family| Slot {
                    pool: own,
                    named: true,
                    family: *family,
                    wanted: None,
                    open: None,
                }));
            }
        }
    }
    slots
}
