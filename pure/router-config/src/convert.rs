//! The document to what the speaker wants.

use std::collections::BTreeSet;
use std::num::NonZeroU8;
use std::time::Duration;

use bgp_packet::{AddPathMode, DEFAULT_LOCAL_PREF, Origin};
use bgp_policy::{Policy, PolicySet, Unresolved};
use bgp_session::{GracefulRestartConfig, LongLivedConfig, PeerConfig};
use bgp_speaker::{
    Aggregation, BfdOptions, Desired, Global, Multipath, Origination, Peer, Redistribution, Rules,
    TcpOptions, Unnumbered as WantedUnnumbered, WithoutPolicy,
};
use inet::{Family, Prefix, Secret};

use crate::ao::AoSecret;
use crate::document::{AttributeSet, DEFAULT_FIB_TABLE, Document, PathGroup};
use crate::parts::{Aggregate, Discard, MultiPath};
use crate::peer::{
    AddPath, AddPathSend, AsnMatch, Bfd, GracefulRestart, MaxPrefixes, MaxPrefixesAction, Neighbor,
    NextHopMode,
};
use crate::problem::{Problem, Reason};

/// How many dynamic neighbors a prefix may have when nothing is said.
const DYNAMIC_LIMIT: u32 = 100;

/// What the program around the speaker can do for a document.
#[derive(Clone, Copy)]
pub struct Host<'h> {
    /// Reads the file of a `password_file` or `key_file`; gives its content, or why not.
    pub read: &'h dyn Fn(&str) -> Result<String, String>,
    /// The keys beside those of BGP that it does something with, as [`Document::host_keys`] names
    /// them. The others are refused.
    pub keys: &'h [&'h str],
}

impl Host<'static> {
    /// A program that does nothing beside BGP, and reads no files.
    pub const NONE: Host<'static> =
        Host { read: &|_| Err("this program reads no files".to_owned()), keys: &[] };
}

impl Document {
    /// What the speaker is to do for this owner. AS number and router id come together or not at
    /// all; `name` is what the document is called in the problem.
    pub fn desired(&self, name: &str) -> Result<Desired, Problem> {
        self.desired_on(name, Host::NONE)
    }

    /// [`Document::desired`] for a program that can do more.
    pub fn desired_on(&self, name: &str, host: Host<'_>) -> Result<Desired, Problem> {
        let missing = |key: &str, other: &str| Problem {
            document: name.to_owned(),
            place: None,
            reason: Reason::Missing,
            message: format!("`{key}` is missing: it comes together with `{other}`"),
        };
        let idle = self.host_keys().into_iter().find(|key| !host.keys.contains(key));
        if let Some(key) = idle {
            return Err(Problem {
                document: name.to_owned(),
                place: None,
                reason: Reason::NotBuiltYet,
                message: format!("not supported yet: {key}"),
            });
        }
        let set = self.policies(name)?;
        let global = match (self.asn, self.router_id) {
            (Some(asn), Some(router_id)) => Some(Global {
                asn,
                router_id,
                cluster_id: self.cluster_id,
                multi_path: self.multipath(),
                transit: self.transit.unwrap_or(true),
                require_policy: self.require_policy.unwrap_or(false),
                default_local_pref: self.default_local_pref.unwrap_or(DEFAULT_LOCAL_PREF),
            }),
            (None, None) => None,
            (None, Some(_)) => return Err(missing("asn", "router_id")),
            (Some(_), None) => return Err(missing("router_id", "asn")),
        };
        let peer = |settings: &Neighbor| settings.peer(&set, name, host, self.require_policy);
        let unnumbered = self.unnumbered.iter().map(|u| {
            let mut peer = peer(&u.settings)?;
            // There may be no IPv4 address on the link.
            peer.session.ipv4_over_ipv6 = u.settings.extended_next_hop.unwrap_or(true);
            peer.tcp.interface = Some(u.interface);
            Ok(WantedUnnumbered { link: u.interface, peer })
        });
        let dynamic = self.dynamic_neighbors.iter().map(|d| {
            Ok(bgp_speaker::DynamicNeighbors {
                prefix: d.prefix,
                limit: d.limit.unwrap_or(DYNAMIC_LIMIT),
                peer: peer(&d.settings)?,
            })
        });
        let redistribute = self.redistribute.iter().map(|r| {
            let policy = one_policy(r.policy.as_deref(), &set);
            Ok(Redistribution {
                source: r.source,
                table: r.table.unwrap_or(DEFAULT_FIB_TABLE),
                policy: policy.map_err(|e| unresolved(name, format!("redistribute: {e}")))?,
            })
        });
        let aggregates = self.aggregates.iter().map(|a| {
            let policy = one_policy(a.policy.as_deref(), &set);
            let policy = policy.map_err(|e| unresolved(name, format!("aggregates: {e}")))?;
            Ok(Aggregation { policy, ..Aggregation::from(a) })
        });
        Ok(Desired {
            global,
            peers: self.neighbors.iter().map(peer).collect::<Result<_, Problem>>()?,
            unnumbered: unnumbered.collect::<Result<_, Problem>>()?,
            dynamic: dynamic.collect::<Result<_, Problem>>()?,
            originate: self.paths.iter().flat_map(PathGroup::originations).collect(),
            redistribute: redistribute.collect::<Result<_, Problem>>()?,
            aggregates: aggregates.collect::<Result<_, Problem>>()?,
        })
    }

    /// The document's policies, ready to be given to peers; `name` as for [`Document::desired`].
    pub fn policies(&self, name: &str) -> Result<PolicySet, Problem> {
        PolicySet::new(&self.definitions).map_err(|problems| {
            let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
            unresolved(name, words.join("; "))
        })
    }

    /// The keys of this document that are for the program around the speaker.
    pub fn host_keys(&self) -> Vec<&'static str> {
        let keys = [
            ("fib.vrf", self.fib_options.vrf.is_some()),
            ("fib.metric", self.fib_options.metric.is_some()),
            ("fib.next_hop_objects", self.fib_options.next_hop_objects.is_some()),
            ("fib.distance", self.fib_options.distance.of_learned()),
            ("fib.distance.local", self.fib_options.distance.local.is_some()),
            ("endpoint", self.endpoint.is_some()),
            ("channels", !self.channels.is_empty()),
            ("bmp", !self.bmp.is_empty()),
            ("mrt", self.mrt.is_some()),
        ];
        keys.into_iter().filter(|(_, set)| *set).map(|(key, _)| key).collect()
    }

    fn multipath(&self) -> Multipath {
        let all = Multipath::ALL;
        match (self.multi_path, self.multi_path_rules) {
            (_, Some(MultiPath { ebgp, ibgp, relax_as_path, link_bandwidth })) => Multipath {
                ebgp: ebgp.unwrap_or(all.ebgp),
                ibgp: ibgp.unwrap_or(all.ibgp),
                relax_as_path: relax_as_path.unwrap_or(all.relax_as_path),
                link_bandwidth: link_bandwidth.unwrap_or(all.link_bandwidth),
            },
            (Some(true), None) => all,
            (Some(false) | None, None) => Multipath::NONE,
        }
    }
}

impl Neighbor {
    /// The peer's import policies as one; none when it names none.
    pub fn import_policy(&self, set: &PolicySet, name: &str) -> Result<Option<Policy>, Problem> {
        chain(&self.import, set).map_err(|words| unresolved(name, format!("import: {words}")))
    }

    /// The peer's export policies as one; none when it names none.
    pub fn export_policy(&self, set: &PolicySet, name: &str) -> Result<Option<Policy>, Problem> {
        chain(&self.export, set).map_err(|words| unresolved(name, format!("export: {words}")))
    }

    /// All that the speaker is to know of this peer.
    fn peer(
        &self,
        set: &PolicySet,
        name: &str,
        host: Host<'_>,
        require_policy: Option<bool>,
    ) -> Result<Peer, Problem> {
        Ok(Peer {
            session: self.config(),
            rules: Rules {
                import: self.import_policy(set, name)?,
                export: self.export_policy(set, name)?,
                without_policy: match require_policy {
                    Some(true) => WithoutPolicy::Reject,
                    Some(false) | None => WithoutPolicy::Accept,
                },
                reflector_client: self.route_reflector_client.unwrap_or(false),
                next_hop: match self.next_hop {
                    Some(NextHopMode::Auto) | None => bgp_speaker::NextHopMode::Auto,
                    Some(NextHopMode::Own) => bgp_speaker::NextHopMode::Own,
                    Some(NextHopMode::Unchanged) => bgp_speaker::NextHopMode::Unchanged,
                },
                allow_own_as: self.allow_own_as.unwrap_or(0),
                accept_as_sets: self.accept_as_sets.unwrap_or(false),
                as_override: self.as_override.unwrap_or(false),
                remove_private_as: self.remove_private_as.unwrap_or(false),
                add_path_send: self
                    .add_path
                    .and_then(|a| a.send)
                    .unwrap_or(AddPathSend::Best)
                    .into(),
                ..Rules::default()
            },
            tcp: TcpOptions {
                password: self.key(name, host)?,
                ao: self.ao(name, host)?,
                ttl_security: self.ttl_security,
                interface: self.interface,
            },
            bfd: self.bfd.filter(|bfd| bfd.enabled.unwrap_or(true)).map(BfdOptions::from),
            max_prefixes: self.max_prefixes.iter().map(|(f, m)| (*f, (*m).into())).collect(),
        })
    }

    /// The key of TCP MD5, from the document or from its file.
    fn key(&self, name: &str, host: Host<'_>) -> Result<Option<Secret>, Problem> {
        if let Some(password) = &self.password {
            return Ok(Some(password.clone()));
        }
        let Some(file) = &self.password_file else { return Ok(None) };
        let bad = |message| unresolved(name, format!("password_file: {message}"));
        key_of_file(file, host).map(Some).map_err(bad)
    }

    /// The keys of TCP-AO, from the document or from their files.
    fn ao(&self, name: &str, host: Host<'_>) -> Result<Option<bgp_speaker::TcpAo>, Problem> {
        let Some(ao) = &self.tcp_ao else { return Ok(None) };
        let keys = ao.keys.iter().map(|key| {
            let secret = match &key.key {
                AoSecret::Key(secret) => secret.clone(),
                AoSecret::File(file) => key_of_file(file, host)
                    .map_err(|message| unresolved(name, format!("tcp_ao: key_file: {message}")))?,
            };
            Ok(inet::AoKey {
                send_id: key.send_id,
                receive_id: key.recv_id,
                algorithm: key.algorithm.unwrap_or_default(),
                include_options: ao.includes_options(),
                secret,
            })
        });
        Ok(Some(bgp_speaker::TcpAo { keys: keys.collect::<Result<_, Problem>>()? }))
    }

    /// The speaker's configuration of this peer's session, defaults filled in.
    pub fn config(&self) -> PeerConfig {
        let mut config = PeerConfig::new(self.address, self.asn);
        config.name.clone_from(&self.name);
        config.asn_match = match &self.asn_match {
            AsnMatch::Exactly => bgp_session::AsnMatch::Exactly,
            AsnMatch::External => bgp_session::AsnMatch::External,
            AsnMatch::Internal => bgp_session::AsnMatch::Internal,
            AsnMatch::Ranges(ranges) => bgp_session::AsnMatch::Ranges(ranges.clone()),
        };
        config.local_as = self.local_as.map(|local| bgp_session::LocalAs {
            asn: local.asn,
            prepend: local.prepend.unwrap_or(true),
            replace: local.replace.unwrap_or(false),
        });
        config.router_id = self.router_id;
        config.port = self.port.unwrap_or(config.port);
        config.passive = self.passive.unwrap_or(config.passive);
        config.shutdown.clone_from(&self.shutdown);
        config.local_address = self.local_address;
        config.ebgp_multihop = self.ebgp_multihop;
        config.hold_time = self.hold_time.unwrap_or(config.hold_time);
        config.keepalive_time = self.keepalive_time;
        config.send_hold_time = self.send_hold_time;
        config.connect_retry_time = self.connect_retry_time.unwrap_or(config.connect_retry_time);
        if let Some(families) = &self.families {
            config.families.clone_from(families);
        }
        if let Some(GracefulRestart { enabled, restart_time }) = self.graceful_restart {
            let default = GracefulRestartConfig::default();
            config.graceful_restart = GracefulRestartConfig {
                enabled: enabled.unwrap_or(default.enabled),
                restart_time: restart_time.unwrap_or(default.restart_time),
            };
        }
        let stale_time = self.long_lived_graceful_restart.map(|long_lived| long_lived.stale_time);
        config.long_lived = stale_time.map(|stale_time| LongLivedConfig { stale_time });
        config.extended_messages = self.extended_messages.unwrap_or(config.extended_messages);
        config.ipv4_over_ipv6 = self.extended_next_hop.unwrap_or(config.ipv4_over_ipv6);
        if let Some(mode) = self.add_path.and_then(AddPath::mode) {
            let families: Vec<Family> = config.families.iter().copied().collect();
            config.add_path = families.into_iter().map(|family| (family, mode)).collect();
        }
        config.role = self.role;
        config.role_strict = self.role_strict.unwrap_or(false);
        config.groups.clone_from(&self.groups);
        config
    }
}

impl AddPath {
    fn mode(self) -> Option<AddPathMode> {
        match (self.send, self.receive.unwrap_or(false)) {
            (Some(_), true) => Some(AddPathMode::Both),
            (Some(_), false) => Some(AddPathMode::Send),
            (None, true) => Some(AddPathMode::Receive),
            (None, false) => None,
        }
    }
}

impl From<AddPathSend> for bgp_speaker::AddPathSend {
    fn from(send: AddPathSend) -> bgp_speaker::AddPathSend {
        match send {
            AddPathSend::Best => bgp_speaker::AddPathSend::Best,
            AddPathSend::BestN(count) => NonZeroU8::new(count)
                .map_or(bgp_speaker::AddPathSend::Best, bgp_speaker::AddPathSend::BestN),
            AddPathSend::All => bgp_speaker::AddPathSend::All,
        }
    }
}

impl From<MaxPrefixes> for bgp_speaker::MaxPrefixes {
    fn from(max: MaxPrefixes) -> bgp_speaker::MaxPrefixes {
        bgp_speaker::MaxPrefixes {
            limit: max.limit,
            warn_at: max.warn_at.unwrap_or(80),
            action: match max.action {
                Some(MaxPrefixesAction::Warn) => bgp_speaker::MaxPrefixesAction::Warn,
                Some(MaxPrefixesAction::Restart) | None => {
                    let after = max.restart_after.unwrap_or(60);
                    bgp_speaker::MaxPrefixesAction::Restart { after }
                }
                Some(MaxPrefixesAction::Shut) => bgp_speaker::MaxPrefixesAction::Shut,
            },
        }
    }
}

impl From<Bfd> for BfdOptions {
    fn from(bfd: Bfd) -> BfdOptions {
        let default = bfd::Config::default();
        let time = |millis: Option<u32>, default| {
            millis.map_or(default, |millis| Duration::from_millis(millis.into()))
        };
        BfdOptions {
            config: bfd::Config {
                desired_min_tx: time(bfd.transmit, default.desired_min_tx),
                required_min_rx: time(bfd.receive, default.required_min_rx),
                multiplier: bfd.multiplier.unwrap_or(default.multiplier),
                passive: bfd.passive.unwrap_or(default.passive),
                ..default
            },
            hop: bfd.multihop.map(|multihop| match multihop {
                true => bfd::Hop::Multi,
                false => bfd::Hop::Single,
            }),
        }
    }
}

impl PathGroup {
    fn originations(&self) -> impl Iterator<Item = Origination> + '_ {
        let (attributes, groups) = (&self.attributes, &self.groups);
        self.prefixes.iter().map(|prefix| origination(*prefix, attributes, groups))
    }
}

fn origination(
    prefix: Prefix,
    attributes: &AttributeSet,
    groups: &BTreeSet<String>,
) -> Origination {
    Origination {
        prefix,
        origin: attributes.origin.unwrap_or(Origin::Igp),
        local_pref: attributes.local_pref,
        med: attributes.med,
        communities: attributes.communities.clone(),
        large_communities: attributes.large_communities.clone(),
        groups: groups.clone(),
    }
}

impl From<&Aggregate> for Aggregation {
    fn from(aggregate: &Aggregate) -> Aggregation {
        let Aggregate { prefix, summary_only, discard, attributes, policy: _, groups } = aggregate;
        Aggregation {
            route: origination(*prefix, attributes, groups),
            summary_only: summary_only.unwrap_or(false),
            discard: match discard {
                Some(Discard::Blackhole) | None => Some(bgp_speaker::Discard::Blackhole),
                Some(Discard::Unreachable) => Some(bgp_speaker::Discard::Unreachable),
                Some(Discard::None) => None,
            },
            policy: None,
        }
    }
}

fn one_policy(name: Option<&str>, set: &PolicySet) -> Result<Option<Policy>, Unresolved> {
    name.map(|name| set.chain([name])).transpose()
}

/// The key in a file; else why there is none, without what is in it.
fn key_of_file(file: &str, host: Host<'_>) -> Result<Secret, String> {
    let content = (host.read)(file).map_err(|why| format!("{file:?}: {why}"))?;
    // An editor leaves a line end behind.
    let secret = Secret::new(content.trim_end_matches(['\r', '\n']));
    secret.map_err(|_| format!("{file:?} has not 1 to {} octets", Secret::MAX))
}

/// Several policies as one; none of none.
fn chain(names: &[String], set: &PolicySet) -> Result<Option<Policy>, Unresolved> {
    if names.is_empty() {
        return Ok(None);
    }
    set.chain(names.iter().map(String::as_str)).map(Some)
}

/// A name that stands for nothing: only possible in a document that was built or laid together.
fn unresolved(name: &str, message: String) -> Problem {
    Problem { document: name.to_owned(), place: None, reason: Reason::BadValue, message }
}
