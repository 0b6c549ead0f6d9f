//! What v0.1 leaves behind: finalizers that nothing removes any more, and webhooks that nobody
//! answers any more. Either would block a cluster.

use std::collections::BTreeSet;

use cluster_api::keys;
use cluster_api::world::{Action, Kind, ObjectKey, Target, Write};
use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde_json::json;

use crate::task::Steps;
use crate::world::World;

/// The write that takes v0.1's finalizers from an object; none if it has none.
pub fn without_finalizers(kind: Kind, meta: &ObjectMeta) -> Option<Write> {
    let have = meta.finalizers.as_ref()?;
    let kept: Vec<&String> =
        have.iter().filter(|entry| !entry.ends_with(keys::OLD_FINALIZER_SUFFIX)).collect();
    if kept.len() == have.len() {
        return None;
    }
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let target = Target::new(kind, namespace, meta.name.as_deref()?);
    let body = json!({ "metadata": {
        "resourceVersion": meta.resource_version,
        "finalizers": kept,
    } });
    Some(Write { target, action: Action::Merge(body) })
}

/// The deletion of a webhook configuration if it is v0.1's: all its webhooks call a Service of sart.
pub fn webhooks<'a>(
    kind: Kind,
    meta: &ObjectMeta,
    webhooks: impl Iterator<Item = &'a WebhookClientConfig>,
) -> Option<Write> {
    let name = meta.name.as_deref()?;
    let ours = |config: &WebhookClientConfig| {
        let service = config.service.as_ref();
        service.is_some_and(|s| s.namespace == keys::SYSTEM_NAMESPACE && s.name.starts_with("sart"))
    };
    let mut any = false;
    let all = webhooks.inspect(|_| any = true).all(ours);
    let action = Action::Delete { uid: meta.uid.clone(), version: None };
    (all && any && name.starts_with("sart"))
        .then(|| Write { target: Target::cluster(kind, name), action })
}

/// What is to do for one object.
pub(crate) fn steps(world: &World, target: &Target) -> Steps {
    let mut steps = Steps::default();
    steps.writes.extend(meta(world, target).and_then(|m| without_finalizers(target.kind, m)));
    steps
}

/// Every object that has an old finalizer.
pub(crate) fn all(world: &World) -> BTreeSet<Target> {
    fn of<'a, K: Resource + 'a>(
        kind: Kind,
        objects: impl Iterator<Item = (&'a ObjectKey, &'a K)>,
    ) -> Vec<Target> {
        objects
            .filter(|(_, object)| without_finalizers(kind, object.meta()).is_some())
            .map(|(key, _)| Target::new(kind, &key.namespace, &key.name))
            .collect()
    }
    let kinds = [
        of(Kind::AddressPool, world.pools.iter()),
        of(Kind::AddressBlock, world.blocks.iter()),
        of(Kind::BlockRequest, world.requests.iter()),
        of(Kind::BGPPeerTemplate, world.templates.iter()),
        of(Kind::ClusterBGP, world.clusters.iter()),
        of(Kind::NodeBGP, world.node_bgps.iter()),
        of(Kind::BGPPeer, world.peers.iter()),
        of(Kind::BGPAdvertisement, world.advertisements.iter()),
        of(Kind::Service, world.services.iter()),
        of(Kind::Node, world.nodes.iter()),
    ];
    kinds.into_iter().flatten().collect()
}

/// Whether an object has an old finalizer.
pub(crate) fn has(world: &World, target: &Target) -> bool {
    meta(world, target).is_some_and(|meta| without_finalizers(target.kind, meta).is_some())
}

fn meta<'a>(world: &'a World, target: &Target) -> Option<&'a ObjectMeta> {
    let key = ObjectKey::new(&target.namespace, &target.name);
    match target.kind {
        Kind::AddressPool => world.pools.get(&key).map(|o| &o.metadata),
        Kind::AddressBlock => world.blocks.get(&key).map(|o| &o.metadata),
        Kind::BlockRequest => world.requests.get(&key).map(|o| &o.metadata),
        Kind::BGPPeerTemplate => world.templates.get(&key).map(|o| &o.metadata),
        Kind::ClusterBGP => world.clusters.get(&key).map(|o| &o.metadata),
        Kind::NodeBGP => world.node_bgps.get(&key).map(|o| &o.metadata),
        Kind::BGPPeer => world.peers.get(&key).map(|o| &o.metadata),
        Kind::BGPAdvertisement => world.advertisements.get(&key).map(|o| &o.metadata),
        Kind::Service => world.services.get(&key).map(|o| &o.metadata),
        Kind::Node => world.nodes.get(&key).map(|o| &o.metadata),
        Kind::AddressClaim
        | Kind::EndpointSlice
        | Kind::ValidatingWebhookConfiguration
        | Kind::MutatingWebhookConfiguration => None,
    }
}
