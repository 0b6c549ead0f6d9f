use serde_json::Value;

/// A kind of object that sart writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// sart's AddressPool.
    AddressPool,
    /// sart's AddressBlock.
    AddressBlock,
    /// sart's BlockRequest.
    BlockRequest,
    /// sart's AddressClaim.
    AddressClaim,
    /// sart's BGPPeerTemplate.
    BGPPeerTemplate,
    /// sart's ClusterBGP.
    ClusterBGP,
    /// sart's NodeBGP.
    NodeBGP,
    /// sart's BGPPeer.
    BGPPeer,
    /// sart's BGPAdvertisement.
    BGPAdvertisement,
    /// Kubernetes' Service.
    Service,
    /// Kubernetes' Node.
    Node,
    /// Kubernetes' EndpointSlice.
    EndpointSlice,
    /// Kubernetes' ValidatingWebhookConfiguration.
    ValidatingWebhookConfiguration,
    /// Kubernetes' MutatingWebhookConfiguration.
    MutatingWebhookConfiguration,
}

impl Kind {
    /// The API group; empty for the core group.
    pub const fn group(self) -> &'static str {
        match self {
            Kind::AddressPool
            | Kind::AddressBlock
            | Kind::BlockRequest
            | Kind::AddressClaim
            | Kind::BGPPeerTemplate
            | Kind::ClusterBGP
            | Kind::NodeBGP
            | Kind::BGPPeer
            | Kind::BGPAdvertisement => crate::GROUP,
            Kind::Service | Kind::Node => "",
            Kind::EndpointSlice => "discovery.k8s.io",
            Kind::ValidatingWebhookConfiguration | Kind::MutatingWebhookConfiguration => {
                "admissionregistration.k8s.io"
            }
        }
    }

    /// The version in its group.
    pub const fn version(self) -> &'static str {
        match self {
            Kind::AddressPool
            | Kind::AddressBlock
            | Kind::BlockRequest
            | Kind::AddressClaim
            | Kind::BGPPeerTemplate
            | Kind::ClusterBGP
            | Kind::NodeBGP
            | Kind::BGPPeer
            | Kind::BGPAdvertisement => crate::VERSION,
            Kind::Service
            | Kind::Node
            | Kind::EndpointSlice
            | Kind::ValidatingWebhookConfiguration
            | Kind::MutatingWebhookConfiguration => "v1",
        }
    }

    /// The kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::AddressPool => "AddressPool",
            Kind::AddressBlock => "AddressBlock",
            Kind::BlockRequest => "BlockRequest",
            Kind::AddressClaim => "AddressClaim",
            Kind::BGPPeerTemplate => "BGPPeerTemplate",
            Kind::ClusterBGP => "ClusterBGP",
            Kind::NodeBGP => "NodeBGP",
            Kind::BGPPeer => "BGPPeer",
            Kind::BGPAdvertisement => "BGPAdvertisement",
            Kind::Service => "Service",
            Kind::Node => "Node",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::ValidatingWebhookConfiguration => "ValidatingWebhookConfiguration",
            Kind::MutatingWebhookConfiguration => "MutatingWebhookConfiguration",
        }
    }

    /// The name in URLs: lower-case, plural.
    pub fn plural(self) -> String {
        self.name().to_ascii_lowercase() + "s"
    }

    /// `group/version`, or `v1` for the core group.
    pub fn api_version(self) -> String {
        match self.group() {
            "" => self.version().to_owned(),
            group => format!("{group}/{}", self.version()),
        }
    }
}

/// The object that a write is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Target {
    /// A cluster-scoped object.
    pub fn cluster(kind: Kind, name: &str) -> Target {
        Target::new(kind, "", name)
    }

    /// An object in a namespace.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Target {
        Target { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// What is done to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Made; fails if it exists. The whole object.
    Create(Value),
    /// Server-side apply, forced: these fields are ours. The fields, without kind and name.
    Apply(Value),
    /// Server-side apply of the status. `{"status": …}`.
    ApplyStatus(Value),
    /// JSON merge patch; a `metadata.resourceVersion` in it is a condition.
    Merge(Value),
    /// JSON merge patch of the status.
    MergeStatus(Value),
    /// Deleted, if it still is the object with this UID and version (where given).
    Delete {
        /// The object's UID.
        uid: Option<String>,
        /// The object's resourceVersion.
        version: Option<String>,
    },
}

/// One request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The object.
    pub target: Target,
    /// What is done to it.
    pub action: Action,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Done, or already so. The object as it is now; none after a deletion.
    Done(Option<Value>),
    /// `Create`: an object of this name exists.
    Exists,
    /// The object is not there, or is another than the write was meant for: see what the watch says.
    Conflict,
    /// The API server says no, and will say so again: validation, permission.
    Refused(String),
    /// Not now: time-out, no connection, too many requests, a server's error.
    Later(String),
}

/// Something that a person must know about an object: becomes an Event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The object.
    pub about: Target,
    /// Its UID, where known.
    pub uid: Option<String>,
    /// Whether it is a warning; a plain fact otherwise.
    pub warning: bool,
    /// One word, for instance `pool-exhausted`.
    pub reason: String,
    /// A sentence.
    pub message: String,
}
