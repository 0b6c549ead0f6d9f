//! What is looked up by something else than its name; follows the world change by change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use address_pool::AddressSet;
use cluster_api::world::ObjectKey;
use cluster_api::{
    AddressBlock, AddressClaim, AddressType, BGPAdvertisement, BGPPeer, HolderKind, NodeBGP,
    RouterStatus, SessionState, keys,
};
use inet::{Family, Prefix};
use k8s_openapi::api::core::v1::Service;

use crate::pools::Pools;
use crate::world::{World, label};

/// Derived from a [`World`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) pools: Pools,
    /// Claim objects: name to address and holding Service.
    claims: BTreeMap<ObjectKey, (IpAddr, ObjectKey)>,
    claims_of: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    /// Claimed addresses, those of creations under way among them.
    held: BTreeMap<IpAddr, ObjectKey>,
    intents: BTreeMap<IpAddr, ObjectKey>,
    /// Addresses that Services show in their status, and by whom.
    shown: BTreeMap<IpAddr, BTreeSet<ObjectKey>>,
    shown_by: BTreeMap<ObjectKey, Vec<IpAddr>>,
    /// Books of each CIDR of a service pool: what is held or shown is used.
    books: BTreeMap<Prefix, AddressSet>,
    /// Blocks of pods by their first address; blocks never overlap.
    pod_blocks: BTreeMap<IpAddr, (Prefix, ObjectKey)>,
    pod_block: BTreeMap<ObjectKey, IpAddr>,
    /// Blocks whose creation is under way, by name.
    pub(crate) block_intents: BTreeMap<String, BlockIntent>,
    /// Who announces a prefix.
    announcers: BTreeMap<Prefix, BTreeSet<String>>,
    announced_by: BTreeMap<String, Announced>,
    peers_of: BTreeMap<String, BTreeSet<ObjectKey>>,
    peer_node: BTreeMap<ObjectKey, String>,
    advertisements_of: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    advertisement_service: BTreeMap<ObjectKey, ObjectKey>,
    advertisements_for: BTreeMap<Prefix, BTreeSet<ObjectKey>>,
    advertisement_prefix: BTreeMap<ObjectKey, Prefix>,
}

/// What one node announces, and to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Announced {
    prefixes: BTreeSet<Prefix>,
    sessions: BTreeMap<String, SessionState>,
    /// Prefix, peer and reason.
    exceptions: BTreeSet<(Prefix, String, String)>,
}

impl Announced {
    fn of(router: &RouterStatus) -> Announced {
        let sessions = router.peers.iter().map(|peer| (peer.name.clone(), peer.state));
        let exceptions = router.peers.iter().flat_map(|peer| {
            let each = peer.not_advertised.iter();
            each.map(|e| (e.prefix, peer.name.clone(), e.reason.clone()))
        });
        Announced {
            prefixes: router.announcing.iter().copied().collect(),
            sessions: sessions.collect(),
            exceptions: exceptions.collect(),
        }
    }
}

/// A block whose creation is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockIntent {
    pub(crate) pool: String,
    pub(crate) cidr: Prefix,
    /// UID of the BlockRequest that it is for.
    pub(crate) request: Option<String>,
}

impl Index {
    /// The index of a world.
    pub(crate) fn of(world: &World) -> Index {
        let mut index = Index::default();
        index.set_pools(Pools::of(world));
        for (key, claim) in world.claims.iter() {
            index.claim(key, Some(claim));
        }
        for (key, service) in world.services.iter() {
            index.service(key, Some(service));
        }
        for (key, block) in world.blocks.iter() {
            index.block(key, Some(block));
        }
        for (key, node) in world.node_bgps.iter() {
            index.node_bgp(key, Some(node));
        }
        for (key, peer) in world.peers.iter() {
            index.peer(key, Some(peer));
        }
        for (key, advertisement) in world.advertisements.iter() {
            index.advertisement(key, Some(advertisement));
        }
        index
    }

    /// Takes over what was decided about the pools; true if it is something else than before.
    pub(crate) fn set_pools(&mut self, pools: Pools) -> bool {
        if self.pools == pools {
            return false;
        }
        self.pools = pools;
        self.books.clear();
        let services = self.pools.iter().filter(|(_, e)| e.kind == AddressType::Service);
        let cidrs: Vec<Prefix> = services
            .filter_map(|(_, entry)| entry.pool.as_ref())
            .flat_map(|pool| pool.cidrs().to_vec())
            .collect();
        for cidr in cidrs {
            let mut book = AddressSet::new(cidr);
            let used = self.held.keys().chain(self.shown.keys());
            for address in used.filter(|address| cidr.contains(address)) {
                // Taken twice (held and shown) is taken.
                let _taken = book.claim(*address);
            }
            self.books.insert(cidr, book);
        }
        true
    }

    /// Follows a claim; the Services that it concerns.
    pub(crate) fn claim(
        &mut self,
        key: &ObjectKey,
        claim: Option<&AddressClaim>,
    ) -> BTreeSet<ObjectKey> {
        let mut touched = BTreeSet::new();
        if let Some((address, holder)) = self.claims.remove(key) {
            self.held.remove(&address);
            if let Some(of) = self.claims_of.get_mut(&holder) {
                of.remove(key);
                if of.is_empty() {
                    self.claims_of.remove(&holder);
                }
            }
            self.settle(address);
            touched.insert(holder);
        }
        if let Some(claim) = claim {
            let address = claim.spec.address;
            let holder = holder(claim);
            self.intents.remove(&address);
            self.claims.insert(key.clone(), (address, holder.clone()));
            self.held.insert(address, holder.clone());
            self.claims_of.entry(holder.clone()).or_default().insert(key.clone());
            self.settle(address);
            touched.insert(holder);
        }
        touched
    }

    /// Counts an address as held while its claim is being created.
    pub(crate) fn intend(&mut self, address: IpAddr, holder: &ObjectKey) {
        self.intents.insert(address, holder.clone());
        self.settle(address);
    }

    /// The addresses whose claims a Service is about to create.
    pub(crate) fn intents_of(&self, service: &ObjectKey) -> Vec<IpAddr> {
        let own = self.intents.iter().filter(|(_, by)| *by == service);
        own.map(|(address, _)| *address).collect()
    }

    /// The creation is over, one way or the other.
    pub(crate) fn intent_over(&mut self, address: IpAddr) {
        self.intents.remove(&address);
        self.settle(address);
    }

    /// Follows a block: an address of a pods' block is no Service's, whatever the pools say now.
    pub(crate) fn block(&mut self, key: &ObjectKey, block: Option<&AddressBlock>) {
        if let Some(first) = self.pod_block.remove(key) {
            self.pod_blocks.remove(&first);
        }
        if let Some(block) = block.filter(|block| block.spec.node_ref.is_some()) {
            let first = block.spec.cidr.address();
            self.pod_block.insert(key.clone(), first);
            self.pod_blocks.insert(first, (block.spec.cidr, key.clone()));
        }
    }

    /// The pods' block that an address lies in.
    pub(crate) fn pod_block_of(&self, address: &IpAddr) -> Option<&ObjectKey> {
        let (_, (cidr, key)) = self.pod_blocks.range(..=*address).next_back()?;
        cidr.contains(address).then_some(key)
    }

    /// Follows a Service: the addresses in its status are not given to others. True if one is
    /// not shown any more.
    pub(crate) fn service(&mut self, key: &ObjectKey, service: Option<&Service>) -> bool {
        let before = self.shown_by.remove(key).unwrap_or_default();
        for address in &before {
            if let Some(by) = self.shown.get_mut(address) {
                by.remove(key);
                if by.is_empty() {
                    self.shown.remove(address);
                }
            }
            self.settle(*address);
        }
        let addresses = service.map(shown_addresses).unwrap_or_default();
        for address in &addresses {
            self.shown.entry(*address).or_default().insert(key.clone());
            self.settle(*address);
        }
        let lost = before.iter().any(|address| !addresses.contains(address));
        if !addresses.is_empty() {
            self.shown_by.insert(key.clone(), addresses);
        }
        lost
    }

    /// Puts the books right about one address.
    fn settle(&mut self, address: IpAddr) {
        let used = self.held.contains_key(&address)
            || self.intents.contains_key(&address)
            || self.shown.contains_key(&address);
        // Pools are few; an address lies in one CIDR, or two where pools overlap.
        for book in self.books.values_mut().filter(|book| book.contains(&address)) {
            if used {
                let _taken = book.claim(address);
            } else {
                book.release(&address);
            }
        }
    }

    /// The claims that Services of this name hold.
    pub(crate) fn claims_of(&self, service: &ObjectKey) -> Vec<ObjectKey> {
        self.claims_of.get(service).into_iter().flatten().cloned().collect()
    }

    /// Who holds an address, or is about to.
    pub(crate) fn holder(&self, address: &IpAddr) -> Option<&ObjectKey> {
        self.held.get(address).or_else(|| self.intents.get(address))
    }

    /// A Service that shows an address and is not this one.
    pub(crate) fn shown_by_another(
        &self,
        address: &IpAddr,
        than: &ObjectKey,
    ) -> Option<&ObjectKey> {
        self.shown.get(address)?.iter().find(|by| *by != than)
    }

    /// The free addresses of a family in a pool's CIDRs, lowest first, made one by one.
    pub(crate) fn free<'a>(
        &'a self,
        cidrs: &'a [Prefix],
        family: Family,
    ) -> impl Iterator<Item = IpAddr> + 'a {
        let of_family = cidrs.iter().filter(move |cidr| cidr.family() == family);
        of_family.filter_map(|cidr| self.books.get(cidr)).flat_map(AddressSet::free_addresses)
    }

    /// The lowest held address of a prefix that is not below `from`.
    pub(crate) fn next_held(&self, prefix: &Prefix, from: IpAddr) -> Option<IpAddr> {
        self.held.range(from..=prefix.last_address()).next().map(|(address, _)| *address)
    }

    /// How many addresses are held in a prefix.
    pub(crate) fn held_in(&self, prefix: &Prefix) -> u64 {
        let range = prefix.address()..=prefix.last_address();
        self.held.range(range).count() as u64
    }

    /// Follows a NodeBGP; the prefixes whose announcement is another now.
    pub(crate) fn node_bgp(&mut self, key: &ObjectKey, node: Option<&NodeBGP>) -> BTreeSet<Prefix> {
        let router = node.and_then(|node| node.status.as_ref()?.router.as_ref());
        let before = self.announced_by.remove(&key.name).unwrap_or_default();
        let after = router.map(Announced::of).unwrap_or_default();
        let mut touched: BTreeSet<Prefix> =
            before.prefixes.symmetric_difference(&after.prefixes).copied().collect();
        if before.sessions == after.sessions {
            let exceptions = before.exceptions.symmetric_difference(&after.exceptions);
            touched.extend(exceptions.map(|(prefix, _, _)| *prefix));
        } else {
            touched.extend(before.prefixes.union(&after.prefixes).copied());
        }
        for prefix in before.prefixes.difference(&after.prefixes) {
            if let Some(by) = self.announcers.get_mut(prefix) {
                by.remove(&key.name);
                if by.is_empty() {
                    self.announcers.remove(prefix);
                }
            }
        }
        for prefix in after.prefixes.difference(&before.prefixes) {
            self.announcers.entry(*prefix).or_default().insert(key.name.clone());
        }
        if after != Announced::default() {
            self.announced_by.insert(key.name.clone(), after);
        }
        touched
    }

    /// The nodes that announce a prefix.
    pub(crate) fn announcers(&self, prefix: &Prefix) -> impl Iterator<Item = &String> {
        self.announcers.get(prefix).into_iter().flatten()
    }

    /// Follows a BGPPeer; the nodes that it concerns.
    pub(crate) fn peer(&mut self, key: &ObjectKey, peer: Option<&BGPPeer>) -> BTreeSet<String> {
        let mut touched = BTreeSet::new();
        if let Some(node) = self.peer_node.remove(key) {
            if let Some(of) = self.peers_of.get_mut(&node) {
                of.remove(key);
                if of.is_empty() {
                    self.peers_of.remove(&node);
                }
            }
            touched.insert(node);
        }
        if let Some(peer) = peer {
            let node = peer.spec.node_bgp_ref.clone();
            self.peers_of.entry(node.clone()).or_default().insert(key.clone());
            self.peer_node.insert(key.clone(), node.clone());
            touched.insert(node);
        }
        touched
    }

    /// The BGPPeers of a node.
    pub(crate) fn peers_of(&self, node: &str) -> impl Iterator<Item = &ObjectKey> {
        self.peers_of.get(node).into_iter().flatten()
    }

    /// Follows a BGPAdvertisement; the Service that it was made for.
    pub(crate) fn advertisement(
        &mut self,
        key: &ObjectKey,
        advertisement: Option<&BGPAdvertisement>,
    ) -> Option<ObjectKey> {
        if let Some(prefix) = self.advertisement_prefix.remove(key)
            && let Some(of) = self.advertisements_for.get_mut(&prefix)
        {
            of.remove(key);
            if of.is_empty() {
                self.advertisements_for.remove(&prefix);
            }
        }
        let before = self.advertisement_service.remove(key);
        if let Some(of) = before.as_ref().and_then(|b| self.advertisements_of.get_mut(b)) {
            of.remove(key);
        }
        let Some(advertisement) = advertisement else { return before };
        self.advertisement_prefix.insert(key.clone(), advertisement.spec.cidr);
        self.advertisements_for.entry(advertisement.spec.cidr).or_default().insert(key.clone());
        let service = label(&advertisement.metadata, keys::SERVICE_NAME);
        let service = service.map(|name| ObjectKey::new(&key.namespace, name));
        let Some(service) = service else { return before };
        self.advertisement_service.insert(key.clone(), service.clone());
        self.advertisements_of.entry(service.clone()).or_default().insert(key.clone());
        Some(service)
    }

    /// The advertisements made for a Service.
    pub(crate) fn advertisements_of(&self, service: &ObjectKey) -> Vec<ObjectKey> {
        self.advertisements_of.get(service).into_iter().flatten().cloned().collect()
    }

    /// The advertisements of a prefix.
    pub(crate) fn advertisements_for(&self, prefix: &Prefix) -> impl Iterator<Item = &ObjectKey> {
        self.advertisements_for.get(prefix).into_iter().flatten()
    }

    /// Whether an advertisement was made for a Service.
    pub(crate) fn is_of_service(&self, advertisement: &ObjectKey) -> bool {
        self.advertisement_service.contains_key(advertisement)
    }
}

/// The Service that a claim names. A pod's holder never meets a Service's: kinds stand before it.
fn holder(claim: &AddressClaim) -> ObjectKey {
    let (namespace, name) = claim.spec.holder.split_once('/').unwrap_or(("", &claim.spec.holder));
    match claim.spec.holder_kind {
        HolderKind::Service => ObjectKey::new(namespace, name),
        HolderKind::Pod => ObjectKey::new(&format!("pod/{namespace}"), name),
    }
}

/// The addresses in a Service's status.
pub(crate) fn shown_addresses(service: &Service) -> Vec<IpAddr> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref());
    let texts = ingress.into_iter().flatten().filter_map(|entry| entry.ip.as_deref());
    texts.filter_map(|text| text.parse().ok()).collect()
}
