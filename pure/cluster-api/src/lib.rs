//! The custom resources, labels, annotations and validation rules of a cluster (types only).
//!
//! Group `sart.terassyi.net`, version `v1alpha2`. What one object alone can get wrong is refused by
//! the CEL rules in `rules`; what needs the world is decided by the planners and named by
//! [`Refusal`].

#![forbid(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "KubeSchema copies each struct, with its `pub`, into a function to read its schema"
)]
#![allow(clippy::duplicated_attributes, reason = "columns of one kind share a type")]

mod advertisement;
mod bgp;
mod class;
pub mod condition;
pub mod keys;
pub mod names;
mod peer;
mod pool;
mod refusal;
mod rules;
pub mod text;
pub mod world;

pub use advertisement::{
    Advertised, AdvertisementCounts, AdvertisementException, BGPAdvertisement,
    BGPAdvertisementSpec, BGPAdvertisementStatus,
};
pub use bgp::{
    AsnFrom, AsnSelector, ClusterBGP, ClusterBGPSpec, ClusterBGPStatus, ClusterPeer, NodeBGP,
    NodeBGPCondition, NodeBGPReason, NodeBGPSpec, NodeBGPState, NodeBGPStatus, NodePeer,
    NotAdvertised, PeerDigest, RouterIdFrom, RouterIdSelector, RouterStatus, Speaker, Withheld,
};
pub use class::ClassRule;
pub use peer::{
    BGPPeer, BGPPeerCondition, BGPPeerSpec, BGPPeerStatus, BGPPeerTemplate, BGPPeerTemplateSpec,
    GracefulRestart, NotBuilt, Protocol, SecretRef, Session, SessionState,
};
pub use pool::{
    AddressBlock, AddressBlockSpec, AddressBlockStatus, AddressClaim, AddressClaimSpec,
    AddressPool, AddressPoolSpec, AddressPoolStatus, AddressType, AllocType, BlockRequest,
    BlockRequestSpec, BlockRequestStatus, HolderKind, PerFamily,
};
pub use refusal::Refusal;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

/// The API group of every kind here.
pub const GROUP: &str = "sart.terassyi.net";

/// The version of every kind here.
pub const VERSION: &str = "v1alpha2";

/// The definitions of all kinds, as they are installed.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let all = [
        AddressBlock::crd(),
        AddressClaim::crd(),
        AddressPool::crd(),
        BGPAdvertisement::crd(),
        BGPPeer::crd(),
        BGPPeerTemplate::crd(),
        BlockRequest::crd(),
        ClusterBGP::crd(),
        NodeBGP::crd(),
    ];
    all.into_iter().map(without_rust_formats).collect()
}

/// Drops `format: uint8` and its like: the API server knows only signed ones and warns.
fn without_rust_formats(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            drop_formats(schema);
        }
    }
    definition
}

fn drop_formats(schema: &mut JSONSchemaProps) {
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
        // A number without sign has a least value, which the format said.
        schema.minimum.get_or_insert(0.0);
    }
    for property in schema.properties.iter_mut().flat_map(|all| all.values_mut()) {
        drop_formats(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        drop_formats(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        drop_formats(values);
    }
}
