//! The protocol numbers by which sart's routes are known in the kernel's tables (`rtm_protocol`).

/// Routes of the router: `ip route` shows `proto bgp`. FRR's bgpd writes with it too, so ours are
/// known by their metric as well ([`crate::routes::Owner::ROUTER`]).
pub const BGP: u8 = 186;

/// Routes of the agent: a pod's addresses, a block's `unreachable`. Nobody else uses it.
pub const AGENT: u8 = 83;

/// Routes of `sartd fib`, which writes for other programs. Nobody else uses it.
pub const FIB: u8 = 84;
