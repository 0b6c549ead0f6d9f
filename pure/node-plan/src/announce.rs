//! Which Service addresses a node announces, from the Service and its EndpointSlices.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cluster_api::world::ObjectKey;
use cluster_api::{ClassRule, keys, text};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// What the planner keeps of a Service: no more than announcing needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// The addresses in `status.loadBalancer.ingress`.
    pub addresses: BTreeSet<IpAddr>,
    /// `externalTrafficPolicy: Local`.
    pub local: bool,
    /// Groups of peers the Service is announced to; all when empty.
    pub groups: BTreeSet<String>,
}

impl ServiceView {
    /// Reads a Service; none when it is not sart's or is being deleted.
    pub fn of(service: &Service, rule: ClassRule) -> Option<ServiceView> {
        if !rule.is_ours(service) || service.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let ingress = service.status.as_ref()?.load_balancer.as_ref()?.ingress.iter().flatten();
        let addresses = ingress.filter_map(|i| i.ip.as_deref()?.parse().ok()).collect();
        let policy = service.spec.as_ref()?.external_traffic_policy.as_deref();
        let annotations = service.metadata.annotations.as_ref();
        let groups = annotations.and_then(|a| a.get(keys::PEER_GROUP));
        let groups = groups.map(|g| text::list(g)).unwrap_or_default();
        Some(ServiceView {
            addresses,
            local: policy == Some("Local"),
            groups: groups.into_iter().collect(),
        })
    }
}

/// The endpoints of one EndpointSlice, counted by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceView {
    /// The Service (same namespace) that the slice belongs to.
    pub service: Option<ObjectKey>,
    /// Nodes with a ready endpoint.
    pub ready: BTreeSet<String>,
    /// Nodes with an endpoint that still serves while it terminates.
    pub serving: BTreeSet<String>,
}

impl SliceView {
    /// Reads an EndpointSlice. Conditions that are absent mean ready, serving and not terminating
    /// (Kubernetes API, `EndpointConditions`).
    pub fn of(slice: &EndpointSlice) -> SliceView {
        let labels = slice.metadata.labels.as_ref();
        let service = labels.and_then(|l| l.get(keys::SERVICE_NAME));
        let namespace = slice.metadata.namespace.clone().unwrap_or_default();
        let mut view = SliceView {
            service: service.map(|name| ObjectKey { namespace, name: name.clone() }),
            ..SliceView::default()
        };
        for endpoint in &slice.endpoints {
            let Some(node) = endpoint.node_name.clone() else {
                continue;
            };
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            let ready = conditions.ready.unwrap_or(true);
            if ready {
                view.ready.insert(node);
            } else if conditions.serving.unwrap_or(ready) {
                view.serving.insert(node);
            }
        }
        view
    }
}

/// Whether a node announces a Service, or the name of the reason why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The node announces the Service's addresses.
    Announce,
    /// `externalTrafficPolicy: Local` and no endpoint here can take a connection.
    NoLocalEndpoints,
}

/// Decides for one node and Service.
///
/// With `Cluster` every node announces. With `Local` the nodes with a ready endpoint do; only when
/// no node of the cluster has one, those with an endpoint that serves while it terminates do, as
/// kube-proxy falls back to these (KEP-1669). A node whose last endpoint terminates is thereby
/// left by routers while kube-proxy still serves what is under way.
pub fn decide<'a>(
    node: &str,
    service: &ServiceView,
    slices: impl Iterator<Item = &'a SliceView> + Clone,
) -> Verdict {
    let ready_anywhere = slices.clone().any(|s| !s.ready.is_empty());
    let here = |nodes: &BTreeSet<String>| nodes.contains(node);
    let can_take = match (service.local, ready_anywhere) {
        (false, _) => true,
        (true, true) => slices.clone().any(|s| here(&s.ready)),
        (true, false) => slices.clone().any(|s| here(&s.serving)),
    };
    if can_take { Verdict::Announce } else { Verdict::NoLocalEndpoints }
}

/// Slices by the Service they belong to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slices {
    by_slice: BTreeMap<ObjectKey, SliceView>,
    by_service: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
}

impl Slices {
    pub(crate) fn set(&mut self, slice: ObjectKey, view: Option<SliceView>) {
        let old = match view {
            Some(view) => {
                if let Some(service) = &view.service {
                    let of_service = self.by_service.entry(service.clone()).or_default();
                    of_service.insert(slice.clone());
                }
                let service = view.service.clone();
                let old = self.by_slice.insert(slice.clone(), view);
                old.filter(|old| old.service != service)
            }
            None => self.by_slice.remove(&slice),
        };
        if let Some(service) = old.and_then(|old| old.service)
            && let Some(of_service) = self.by_service.get_mut(&service)
        {
            of_service.remove(&slice);
            if of_service.is_empty() {
                self.by_service.remove(&service);
            }
        }
    }

    pub(crate) fn of(&self, service: &ObjectKey) -> impl Iterator<Item = &SliceView> + Clone {
        self.by_service.get(service).into_iter().flatten().filter_map(|k| self.by_slice.get(k))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.by_slice.keys()
    }
}
