//! Labels, annotations, finalizers and other fixed names.

/// Pod, Namespace, Service (annotation): pool names, a comma list: one address of each.
/// AddressBlock (label that sart makes): the pool it was cut from.
pub const ADDRESS_POOL: &str = "sart.terassyi.net/addresspool";

/// Service (annotation): wanted addresses, a comma list.
pub const LOAD_BALANCER_IPS: &str = "sart.terassyi.net/loadBalancerIPs";

/// Node (label): the AS number for ClusterBGP `asnSelector.from: label`.
pub const ASN: &str = "sart.terassyi.net/asn";

/// Node (label): the router id for ClusterBGP `routerIdSelector.from: label`.
pub const ROUTER_ID: &str = "sart.terassyi.net/router-id";

/// Service, AddressPool (annotation): announced only to peers of these groups, a comma list.
pub const PEER_GROUP: &str = "bgppeer.sart.terassyi.net/group";

/// AddressBlock (label that sart makes): the node that holds it.
pub const BLOCK_NODE: &str = "addressblock.sart.terassyi.net/node";

/// BGPPeer (label that sart makes): the node whose router has this peer.
pub const PEER_NODE: &str = "bgppeer.sart.terassyi.net/node";

/// BGPAdvertisement (label that sart makes), EndpointSlice (Kubernetes' own): the Service's name.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// On every object that sart makes: who did. Objects without it are never collected.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY`].
pub const MANAGED_BY_SART: &str = "sart";

/// Kubernetes' finalizer of a Service that a load balancer serves.
pub const SERVICE_FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

/// The `loadBalancerClass` that is ours beside none.
pub const LOAD_BALANCER_CLASS: &str = "sart.terassyi.net/bgp";

/// Finalizers that v0.1 left end so; nothing removes them any more, so the controller does.
pub const OLD_FINALIZER_SUFFIX: &str = ".sart.terassyi.net/finalizer";

/// Where BGPAdvertisements of pod blocks and the Lease live.
pub const SYSTEM_NAMESPACE: &str = "kube-system";

/// The controller's name: field manager, reporter of Events, Lease.
pub const CONTROLLER: &str = "sart-controller";

/// The agent's name: field manager and reporter of Events.
pub const AGENT: &str = "sart-agent";

/// Where a node's router is reached when nothing says otherwise.
pub const DEFAULT_SPEAKER: &str = "127.0.0.1:5000";

/// Up to so many peers are listed one by one in `BGPAdvertisement.status.peers`.
pub const LISTED_PEERS: usize = 256;

/// At most so many prefixes stand in `NodeBGP.status.router.announcing`; `announced` counts all.
pub const LISTED_PREFIXES: usize = 4096;

/// At most so many exceptions stand in one peer's digest.
pub const LISTED_EXCEPTIONS: usize = 256;

/// So many conditions of a BGPPeer or NodeBGP are kept, newest last.
pub const KEPT_CONDITIONS: usize = 10;
