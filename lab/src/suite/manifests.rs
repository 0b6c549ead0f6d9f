//! Objects that the cases and the demo apply.

use serde_json::{Value, json};

/// The pools and peers of the test bed, as users of v0.1 write them.
pub(crate) const TEST_BED: &str = concat!(
    include_str!("../../../deploy/samples/pools.yaml"),
    "---\n",
    include_str!("../../../deploy/samples/bgp.yaml"),
);

/// The annotation that chooses a pool.
pub(crate) const POOL: &str = "sart.terassyi.net/addresspool";
/// The annotation that wants certain addresses.
pub(crate) const ADDRESSES: &str = "sart.terassyi.net/loadBalancerIPs";
/// The image of every pod here.
pub(crate) const IMAGE: &str = "ghcr.io/terassyi/test-server:latest";

/// Several objects as one manifest.
pub(crate) fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A map of annotations or labels.
pub(crate) fn map(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

pub(crate) fn namespace(name: &str, annotations: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "annotations": map(annotations)},
    })
}

/// One container that is ready while `/tmp/down` is not there.
fn containers() -> Value {
    json!([{
        "name": "server",
        "image": IMAGE,
        "ports": [{"containerPort": 80}],
        "readinessProbe": {
            "exec": {"command": ["/bin/sh", "-c", "! test -e /tmp/down"]},
            "periodSeconds": 1, "failureThreshold": 1,
        },
    }])
}

/// A pod on a node, labelled `app: NAME`.
pub(crate) fn pod(namespace: &str, name: &str, node: &str, annotations: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": namespace,
            "labels": {"app": name}, "annotations": map(annotations),
        },
        "spec": {
            "nodeName": node, "terminationGracePeriodSeconds": 1, "containers": containers(),
            "tolerations": [{"operator": "Exists"}],
        },
    })
}

/// A Deployment labelled `app: NAME`, its pods spread over the nodes.
pub(crate) fn deployment(namespace: &str, name: &str, replicas: usize) -> Value {
    workload("Deployment", namespace, name, json!({"replicas": replicas}))
}

/// One pod on each node, labelled `app: NAME`.
pub(crate) fn daemon_set(namespace: &str, name: &str) -> Value {
    workload("DaemonSet", namespace, name, json!({}))
}

fn workload(kind: &str, namespace: &str, name: &str, mut spec: Value) -> Value {
    let labels = json!({"app": name});
    spec["selector"] = json!({"matchLabels": labels});
    spec["template"] = json!({
        "metadata": {"labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": containers(),
            "tolerations": [{"operator": "Exists"}],
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": labels},
            }],
        },
    });
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// A Service of type LoadBalancer for the pods `app: APP`; `more` is merged into its spec.
pub(crate) fn service(
    namespace: &str,
    name: &str,
    app: &str,
    annotations: &[(&str, &str)],
    more: Value,
) -> Value {
    let mut spec = json!({
        "type": "LoadBalancer",
        "selector": {"app": app},
        "ports": [{"name": "http", "port": 80, "targetPort": 80}],
    });
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "annotations": map(annotations)},
        "spec": spec,
    })
}

/// An AddressPool.
pub(crate) fn pool(name: &str, kind: &str, cidr: &str, block: Option<u8>, auto: bool) -> Value {
    let mut spec = json!({"cidr": cidr, "type": kind, "allocType": "bit", "autoAssign": auto});
    if let Some(block) = block {
        spec["blockSize"] = block.into();
    }
    sart("AddressPool", name, spec)
}

/// A cluster-scoped object of ours.
pub(crate) fn sart(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "sart.terassyi.net/v1alpha2", "kind": kind,
        "metadata": {"name": name}, "spec": spec,
    })
}
