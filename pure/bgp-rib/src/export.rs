//! What a peer is told of a path, and why it is not.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use bgp_packet::{Attributes, BgpNextHop, FamilyFlags, Options, PeerKind, Role, Segment};
use bgp_policy::{NextHopChange, Own, Policy, RouteFacts, Source, Verdict};
use inet::{Asn, Family, Prefix, ScopedAddr, is_link_local};

use crate::attrs::{AttrSet, Key};
use crate::family::World;
use crate::import::PeerKey;
use crate::peer::{NextHops, PeerId, SessionFacts};
use crate::rib::Settings;
use crate::rules::{AddPathSend, LocalAs, NextHopMode, WithoutPolicy};
use crate::table::Path;

/// Why a prefix is, or is not, announced to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is announced.
    Announced,
    /// It will be: the message waits for room in the connection, or for its turn.
    Pending,
    /// The session is not Established.
    NotEstablished,
    /// The family was not agreed on.
    FamilyNotNegotiated,
    /// We have restarted and wait for the peers' tables (RFC 4724 §4.1).
    SelectionDeferred,
    /// There is no path that can be used.
    NoRoute,
    /// The best path came from this very peer.
    SplitHorizon,
    /// The best path came from another peer of our AS, and neither is our client
    /// (RFC 4271 §9.2.1, RFC 4456 §6).
    InternalToInternal,
    /// Learned routes are not announced here (`transit` is off).
    NoTransit,
    /// The NO_EXPORT community (RFC 1997).
    NoExport,
    /// The NO_ADVERTISE community (RFC 1997).
    NoAdvertise,
    /// The route is meant for groups that the peer is not in.
    NotInGroup,
    /// The NO_PEER community, towards a peer by the roles (RFC 3765, RFC 9234 §2).
    NoPeer,
    /// We have no address of this family towards the peer to say as next hop, or the path's own
    /// cannot be said to it.
    NoNextHop,
    /// The route only goes to customers (RFC 9234 §5).
    OnlyToCustomer,
    /// Kept over a long restart, and the peer does not know such routes (RFC 9494 §4.3).
    LongLivedStale,
    /// An eBGP peer without an export policy (RFC 8212 §2).
    NoExportPolicy,
    /// The export policy rejects it.
    RejectedByPolicy,
    /// An aggregate with `summary_only` stands for it (RFC 4271 §9.2.2.2).
    SuppressedByAggregate,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Reason::Announced => "announced",
            Reason::Pending => "pending",
            Reason::NotEstablished => "not-established",
            Reason::FamilyNotNegotiated => "family-not-negotiated",
            Reason::SelectionDeferred => "selection-deferred",
            Reason::NoRoute => "no-route",
            Reason::SplitHorizon => "split-horizon",
            Reason::InternalToInternal => "internal-to-internal",
            Reason::NoTransit => "no-transit",
            Reason::NoExport => "no-export",
            Reason::NoAdvertise => "no-advertise",
            Reason::NotInGroup => "not-in-group",
            Reason::NoPeer => "no-peer",
            Reason::NoNextHop => "no-next-hop",
            Reason::OnlyToCustomer => "only-to-customer",
            Reason::LongLivedStale => "long-lived-stale",
            Reason::NoExportPolicy => "no-export-policy",
            Reason::RejectedByPolicy => "rejected-by-policy",
            Reason::SuppressedByAggregate => "suppressed-by-aggregate",
        })
    }
}

/// All that decides what a peer is told, but its place and its next hop: peers with equal keys
/// share an update group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupKey {
    family: Family,
    pub(crate) options: Options,
    /// The AS number that the peers know us by, and ours.
    asn: Asn,
    local_as: Option<LocalAs>,
    own: Asn,
    groups: BTreeSet<String>,
    policy: Option<Policy>,
    rejects: bool,
    client: bool,
    next_hop: NextHopMode,
    /// There is an address of ours to be said as next hop.
    has_own: bool,
    overrides: Option<Asn>,
    removes_private: Option<Asn>,
    role: Option<Role>,
    long_lived: bool,
    cluster: u32,
    default_local_pref: u32,
    /// Which paths, with path ids; none: the best, without one.
    pub(crate) paths: Option<AddPathSend>,
    /// Where the policy asks for the peer.
    peer: Option<PeerKey>,
    address: Option<IpAddr>,
}

/// Which next hop is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hop {
    Own,
    Given(BgpNextHop),
}

/// Outcomes of the export policy, by attribute set.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(Vec<Option<Kept>>);

/// The number and birth of a set, where it is from, and the outcome.
type Kept = (u32, u32, Source, Result<(), Reason>);

const VERDICTS: usize = 512;

impl GroupKey {
    pub(crate) fn new(
        family: Family,
        address: ScopedAddr,
        facts: &SessionFacts,
        settings: &Settings,
    ) -> GroupKey {
        let rules = &facts.rules;
        let external = facts.options.kind == PeerKind::External;
        let asks = rules.export.as_ref().is_some_and(|policy| policy.needs().peer);
        let says_peer = rules.export.as_ref().is_some_and(says_peer);
        let add_path = facts.options.add_path_send.has(family);
        // What else the session carries changes nothing in what this family's messages say.
        let add_path_send =
            if add_path { FamilyFlags::NONE.with(family) } else { FamilyFlags::NONE };
        let options = Options {
            ipv4: true,
            ipv6: true,
            add_path_send,
            add_path_receive: FamilyFlags::NONE,
            extended_receive: false,
            ..facts.options
        };
        let fits = |address: IpAddr| fits(family, &options, &address);
        GroupKey {
            family,
            options,
            asn: rules.local_as.map_or(settings.asn, |local| local.asn),
            local_as: rules.local_as.filter(|_| external),
            own: settings.asn,
            groups: facts.groups.clone(),
            policy: rules.export.clone(),
            rejects: external
                && rules.export.is_none()
                && rules.without_policy == WithoutPolicy::Reject,
            client: rules.reflector_client && !external,
            next_hop: rules.next_hop,
            has_own: facts.next_hops.of(family).is_some_and(fits),
            overrides: Some(facts.asn).filter(|_| rules.as_override && external),
            removes_private: Some(facts.asn).filter(|_| rules.remove_private_as && external),
            role: rules.role.filter(|_| external),
            long_lived: facts.long_lived.has(family),
            cluster: settings.cluster(),
            default_local_pref: settings.default_local_pref,
            paths: if add_path { Some(rules.add_path_send) } else { None },
            peer: if asks { Some(PeerKey::new(address, facts)) } else { None },
            address: Some(address.address()).filter(|_| says_peer),
        }
    }

    pub(crate) fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// Whether peers of the group may be told of a path, apart from the one it came from.
    pub(crate) fn permits(
        &self,
        world: &World,
        path: &Path,
        prefix: &Prefix,
        verdicts: Option<&mut Verdicts>,
    ) -> Result<(), Reason> {
        if world.aggregates.suppress(prefix) {
            return Err(Reason::SuppressedByAggregate);
        }
        let set = path.post.set().and_then(|id| Some((id, world.attrs.get(id)?)));
        let Some((id, set)) = set else { return Err(Reason::NoRoute) };
        self.allows(world, path, set)?;
        let Some(policy) = &self.policy else {
            return self.hop(path, set, None).map(|_| ());
        };
        let needs = policy.needs();
        let source = source(world, path, set);
        let Some(verdicts) = verdicts.filter(|_| !needs.prefix && !needs.learned_from) else {
            return self.evaluate(world, policy, path, set, prefix).map(|_| ());
        };
        if verdicts.0.is_empty() {
            verdicts.0.resize(VERDICTS, None);
        }
        let at = id.0 as usize % VERDICTS;
        if let Some((of, birth, from, verdict)) = &verdicts.0[at]
            && (*of, *birth, *from) == (id.0, set.birth, source)
        {
            return *verdict;
        }
        let verdict = self.evaluate(world, policy, path, set, prefix).map(|_| ());
        verdicts.0[at] = Some((id.0, set.birth, source, verdict));
        verdict
    }

    /// The rules that need no look into the set.
    fn allows(&self, world: &World, path: &Path, set: &AttrSet) -> Result<(), Reason> {
        if self.rejects {
            return Err(Reason::NoExportPolicy);
        }
        if let (Some(Role::Customer | Role::Peer | Role::RouteServerClient), true) =
            (self.role, set.facts.only_to_customer())
        {
            // RFC 9234 §5: not to providers, peers and route servers.
            return Err(Reason::OnlyToCustomer);
        }
        if path.peer == PeerId::LOCAL {
            // The well-known communities bind those who receive them (RFC 1997); ours go out
            // with the route.
            let key = set.key();
            let mut groups = key.iter().flat_map(|key| key.group_names()).peekable();
            let meant = groups.peek().is_none()
                || groups.any(|name| self.groups.iter().any(|group| group.as_bytes() == name));
            return if meant { Ok(()) } else { Err(Reason::NotInGroup) };
        }
        let peer = world.peers.get(usize::from(path.peer.0));
        let (from, client) =
            peer.map_or((PeerKind::External, false), |peer| (peer.kind, peer.client));
        let reflects = self.client || client;
        match self.options.kind {
            _ if !world.settings.transit => Err(Reason::NoTransit),
            _ if set.facts.no_advertise() => Err(Reason::NoAdvertise),
            _ if set.facts.long_lived_stale() && !self.long_lived => Err(Reason::LongLivedStale),
            PeerKind::External if set.facts.no_export() => Err(Reason::NoExport),
            PeerKind::External if self.role == Some(Role::Peer) && set.facts.no_peer() => {
                Err(Reason::NoPeer)
            }
            PeerKind::Internal if from == PeerKind::Internal && !reflects => {
                Err(Reason::InternalToInternal)
            }
            PeerKind::External | PeerKind::Internal => Ok(()),
        }
    }

    /// Which next hop peers are told, with what the policy says of it.
    fn hop(
        &self,
        path: &Path,
        set: &AttrSet,
        change: Option<(NextHopChange, BgpNextHop)>,
    ) -> Result<Hop, Reason> {
        let local = path.peer == PeerId::LOCAL;
        let given = || set.next_hop().ok_or(Reason::NoRoute);
        let hop = match (change, self.next_hop) {
            (Some((NextHopChange::Own, _)), _) => Hop::Own,
            (Some((NextHopChange::Unchanged, _)), _) if local => Hop::Own,
            (Some((NextHopChange::Unchanged, _)), _) => Hop::Given(given()?),
            (Some((NextHopChange::Address(_) | NextHopChange::Peer, hop)), _) => Hop::Given(hop),
            _ if local => Hop::Own,
            (None, NextHopMode::Own) => Hop::Own,
            (None, NextHopMode::Unchanged) => Hop::Given(given()?),
            (None, NextHopMode::Auto) => match self.options.kind {
                PeerKind::External => Hop::Own,
                PeerKind::Internal => Hop::Given(given()?),
            },
        };
        match hop {
            Hop::Given(given) if !is_link_local(&given.address) => {
                let fits = fits(self.family, &self.options, &given.address);
                if fits { Ok(hop) } else { Err(Reason::NoNextHop) }
            }
            // An address of one link means nothing on another.
            Hop::Given(_) | Hop::Own if self.has_own => Ok(Hop::Own),
            Hop::Given(_) | Hop::Own => Err(Reason::NoNextHop),
        }
    }

    /// The set as the policy leaves it, before what holds for every peer of the kind.
    fn evaluate(
        &self,
        world: &World,
        policy: &Policy,
        path: &Path,
        set: &AttrSet,
        prefix: &Prefix,
    ) -> Result<(Attributes, Hop), Reason> {
        let mut attributes = set.attributes().ok_or(Reason::NoRoute)?;
        let outcome =
            self.with_facts(world, path, set, prefix, |facts| policy.evaluate(facts, &attributes));
        match outcome.verdict {
            Verdict::Reject => return Err(Reason::RejectedByPolicy),
            Verdict::Accept => {}
        }
        self.before_policy(&mut attributes, path);
        let own = Own {
            default_local_pref: self.default_local_pref,
            peer: self.address.map(BgpNextHop::from),
            ..Own::new(self.asn)
        };
        let mut weight = set.facts.weight;
        outcome.changes.apply(&mut attributes, &mut weight, &own);
        let change = outcome.changes.next_hop().map(|change| (change, attributes.next_hop));
        let hop = self.hop(path, set, change)?;
        Ok((attributes, hop))
    }

    /// What a policy is asked about a path.
    pub(crate) fn with_facts<T>(
        &self,
        world: &World,
        path: &Path,
        set: &AttrSet,
        prefix: &Prefix,
        ask: impl FnOnce(&RouteFacts<'_>) -> T,
    ) -> T {
        let from = world.peers.get(usize::from(path.peer.0));
        ask(&RouteFacts {
            prefix: *prefix,
            source: source(world, path, set),
            peer: self.peer.as_ref().map(PeerKey::facts),
            learned_from: from.and_then(|peer| peer.key.as_ref()).map(PeerKey::facts),
            own_asn: self.asn,
            default_local_pref: self.default_local_pref,
            weight: set.facts.weight,
        })
    }

    /// A path as peers of the group get it, with the next hop that one of them is told.
    pub(crate) fn outgoing(
        &self,
        world: &World,
        path: &Path,
        prefix: &Prefix,
        next_hops: &NextHops,
    ) -> Result<Attributes, Reason> {
        let set = path.post.set().and_then(|id| world.attrs.get(id)).ok_or(Reason::NoRoute)?;
        let (mut out, hop) = match &self.policy {
            Some(policy) => self.evaluate(world, policy, path, set, prefix)?,
            None => {
                let mut attributes = set.attributes().ok_or(Reason::NoRoute)?;
                self.before_policy(&mut attributes, path);
                (attributes, self.hop(path, set, None)?)
            }
        };
        out.next_hop = match hop {
            Hop::Given(given) => BgpNextHop { address: given.address, link_local: None },
            Hop::Own => {
                let address = next_hops.of(self.family).ok_or(Reason::NoNextHop)?;
                let link_local = next_hops.link_local.filter(|_| address.is_ipv6());
                BgpNextHop { address, link_local }
            }
        };
        self.after_policy(world, &mut out, path);
        Ok(out)
    }

    /// What the AS path loses, and what another AS is not told of.
    fn before_policy(&self, out: &mut Attributes, path: &Path) {
        if self.options.kind == PeerKind::Internal {
            return;
        }
        if let Some(peer) = self.removes_private {
            for segment in &mut out.as_path.segments {
                let (Segment::Sequence(numbers) | Segment::Set(numbers)) = segment;
                numbers.retain(|number| !is_private(*number) || *number == peer.get());
            }
            out.as_path.segments.retain(|segment| !segment.numbers().is_empty());
        }
        if let Some(peer) = self.overrides {
            for segment in &mut out.as_path.segments {
                let (Segment::Sequence(numbers) | Segment::Set(numbers)) = segment;
                for number in numbers.iter_mut().filter(|number| **number == peer.get()) {
                    *number = self.asn.get();
                }
            }
        }
        // RFC 4360 §6: non-transitive ones stay inside the AS. What the policy adds is meant for the
        // peer: a link bandwidth may be told to the neighboring AS by who knows the link.
        out.extended_communities.retain(|c| c[0] & 0x40 == 0);
        // RFC 4271 §5.1.4: a MED learned from one AS is not told to another.
        if path.peer != PeerId::LOCAL {
            out.med = None;
        }
    }

    /// What holds for every peer of the kind, whatever the policy.
    fn after_policy(&self, world: &World, out: &mut Attributes, path: &Path) {
        match self.options.kind {
            PeerKind::External => {
                // RFC 7705 §3.2: the number that the peer knows goes first.
                if self.local_as.is_some_and(|local| !local.replace) {
                    out.as_path.prepend(self.own, 1);
                }
                out.as_path.prepend(self.asn, 1);
                out.local_pref = None;
                out.originator_id = None;
                out.cluster_list.clear();
                match self.role {
                    // RFC 9234 §5: to customers, peers and clients of the route server.
                    Some(Role::Provider | Role::Peer | Role::RouteServer) => {
                        out.only_to_customer.get_or_insert(self.asn);
                    }
                    Some(Role::Customer | Role::RouteServerClient) | None => {}
                }
            }
            PeerKind::Internal => {
                // RFC 4271 §5.1.5: always there inside an AS.
                out.local_pref = Some(out.local_pref.unwrap_or(self.default_local_pref));
                let from = world.peers.get(usize::from(path.peer.0));
                if let Some(from) = from.filter(|from| from.kind == PeerKind::Internal)
                    && path.peer != PeerId::LOCAL
                {
                    // RFC 4456 §8.
                    out.originator_id.get_or_insert(Ipv4Addr::from(from.router_id));
                    out.cluster_list.insert(0, Ipv4Addr::from(self.cluster));
                }
            }
        }
        for unknown in &mut out.unknown {
            // RFC 4271 §5: passed on with the Partial bit.
            unknown.flags |= 0x20;
        }
    }

    /// Whether two paths with the same set are told alike, whatever their prefix and peer.
    pub(crate) fn is_uniform(&self) -> bool {
        let asks = |policy: &Policy| {
            let needs = policy.needs();
            needs.prefix || needs.learned_from || needs.source
        };
        !self.policy.as_ref().is_some_and(asks)
    }
}

/// Where a path is from, for policies and people.
pub(crate) fn source(world: &World, path: &Path, set: &AttrSet) -> Source {
    match set.key().as_ref().and_then(Key::source) {
        Some(source) => source,
        None => {
            let peer = world.peers.get(usize::from(path.peer.0));
            match peer.map_or(PeerKind::External, |peer| peer.kind) {
                PeerKind::External => Source::Ebgp,
                PeerKind::Internal => Source::Ibgp,
            }
        }
    }
}

/// Whether a policy may make the peer's address the next hop.
fn says_peer(policy: &Policy) -> bool {
    policy.definitions().any(|(_, definition)| {
        definition.statements.iter().any(|s| s.set.next_hop == Some(NextHopChange::Peer))
    })
}

/// Whether an address can stand as next hop of a family's routes (RFC 8950 §4).
fn fits(family: Family, options: &Options, address: &IpAddr) -> bool {
    match (family, address) {
        (Family::Ipv4, IpAddr::V4(_)) | (Family::Ipv6, IpAddr::V6(_)) => true,
        (Family::Ipv4, IpAddr::V6(_)) => options.ipv4_over_ipv6,
        (Family::Ipv6, IpAddr::V4(_)) => false,
    }
}

/// RFC 6996 §5.
fn is_private(asn: u32) -> bool {
    matches!(asn, 64512..=65534 | 4_200_000_000..=4_294_967_294)
}
