use std::num::NonZeroU8;

use bgp_packet::Role;
use bgp_policy::Policy;
use inet::Asn;

/// What holds for the routes of one peer, in and out. A change is taken over without a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Policy for what the peer sends; none: everything as `without_policy` says.
    pub import: Option<Policy>,
    /// Policy for what the peer is told; none: everything as `without_policy` says.
    pub export: Option<Policy>,
    /// What becomes of an eBGP peer's routes in a direction that has no policy (RFC 8212).
    pub without_policy: WithoutPolicy,
    /// The peer is our client as a route reflector (RFC 4456 §4). Of iBGP peers only.
    pub reflector_client: bool,
    /// What the peer is told as next hop.
    pub next_hop: NextHopMode,
    /// How often our AS number may stand in the AS_PATH of a path from the peer; 0: a loop.
    pub allow_own_as: u8,
    /// Paths with an AS_SET are taken; else they count as withdrawn (RFC 9774).
    pub accept_as_sets: bool,
    /// Towards the peer its own AS number is replaced by ours in the AS_PATH. eBGP only.
    pub as_override: bool,
    /// Towards the peer private AS numbers (RFC 6996) are taken out of the AS_PATH. eBGP only.
    pub remove_private_as: bool,
    /// The AS number that the peer knows us by, where it is not the speaker's (RFC 7705 §3).
    pub local_as: Option<LocalAs>,
    /// Our role towards the peer (RFC 9234 §3). Of eBGP peers only.
    pub role: Option<Role>,
    /// Which paths the peer is told where path ids were agreed on (RFC 7911).
    pub add_path_send: AddPathSend,
}

/// Another AS number towards one peer (RFC 7705 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAs {
    /// That number.
    pub asn: Asn,
    /// It is put before the AS_PATH of what the peer sends.
    pub prepend: bool,
    /// The peer sees it alone; else behind it the speaker's own number.
    pub replace: bool,
}

/// What becomes of an eBGP peer's routes in a direction without a policy (RFC 8212 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WithoutPolicy {
    /// All are taken or told.
    #[default]
    Accept,
    /// None is.
    Reject,
}

/// What a peer is told as next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHopMode {
    /// Our address towards other ASes and of our own routes; inside the AS the one that came
    /// with the path (RFC 4271 §5.1.3).
    #[default]
    Auto,
    /// Our address, of reflected paths too (`next_hop_self`).
    Own,
    /// The one that came with the path; our address of our own routes.
    Unchanged,
}

/// Which paths to a prefix a peer is told where path ids were agreed on (RFC 7911). At most
/// [`crate::MAX_PATHS`] of a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddPathSend {
    /// The best one.
    #[default]
    Best,
    /// All that can be used.
    All,
    /// The best ones, so many.
    BestN(NonZeroU8),
}

/// How many equally good paths are used at once, each at most [`crate::MAX_PATHS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multipath {
    /// Of eBGP paths; 0 and 1 mean one.
    pub ebgp: u8,
    /// Of iBGP paths; 0 and 1 mean one.
    pub ibgp: u8,
    /// AS paths need only be equally long; else they must be equal.
    pub relax_as_path: bool,
    /// Paths are weighted by their link bandwidth, where all of them have one.
    pub link_bandwidth: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            import: None,
            export: None,
            without_policy: WithoutPolicy::Accept,
            reflector_client: false,
            next_hop: NextHopMode::Auto,
            allow_own_as: 0,
            accept_as_sets: false,
            as_override: false,
            remove_private_as: false,
            local_as: None,
            role: None,
            add_path_send: AddPathSend::Best,
        }
    }
}

impl Multipath {
    /// One path only.
    pub const NONE: Multipath =
        Multipath { ebgp: 1, ibgp: 1, relax_as_path: false, link_bandwidth: false };
    /// As many as there are, of equally long AS paths.
    pub const ALL: Multipath =
        Multipath { ebgp: 64, ibgp: 64, relax_as_path: true, link_bandwidth: false };
}

impl From<bool> for Multipath {
    fn from(on: bool) -> Multipath {
        if on { Multipath::ALL } else { Multipath::NONE }
    }
}
