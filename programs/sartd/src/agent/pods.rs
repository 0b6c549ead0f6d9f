//! Which pools serve a pod: its annotation, its namespace's, or the auto pools.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster_api::keys;
use cluster_api::world::{Mirror, ObjectKey, Seen};
use cluster_io::{Scope, Watches};
use cni_wire::{Pod as PodName, Refusal};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client};
use node_plan::{Choice, choose};
use tokio::sync::watch;

use super::cni::{PodSource, refuse, try_later};
use super::plan::PodWorld;

/// For so long a call waits for the watches to tell of its pod.
const WAIT_FOR_WATCH: Duration = Duration::from_secs(2);

/// The one GET of a pod or namespace that the watch does not tell of takes at most this long.
const GET_TIME: Duration = Duration::from_secs(3);

/// Kubernetes' annotation of a pod that mirrors a static one.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The pods of this node and all namespaces, as their watches tell.
pub(super) struct Pods {
    client: Client,
    world: watch::Receiver<Option<PodWorld>>,
    seen: Mutex<Objects>,
    /// Counts what the watches told, so that a call can wait for more.
    told: watch::Sender<u64>,
}

#[derive(Default)]
struct Objects {
    pods: Mirror<Pod>,
    namespaces: Mirror<Namespace>,
}

enum Told {
    Pods(Box<Seen<Pod>>),
    Namespaces(Box<Seen<Namespace>>),
}

impl PodSource for Pods {
    async fn pools_of(&self, pod: &PodName) -> Result<Vec<Choice>, Refusal> {
        let world = self.world.borrow().clone();
        let world = world.ok_or_else(|| later("the agent has not seen the cluster yet"))?;
        let own = match &pod.annotations {
            Some(annotations) => annotations.get(keys::ADDRESS_POOL).cloned(),
            None => self.of_pod(pod).await?,
        };
        let namespace = match own.as_deref() {
            Some(list) if !cluster_api::text::list(list).is_empty() => None,
            Some(_) | None => self.of_namespace(&pod.namespace).await?,
        };
        choose(own.as_deref(), namespace.as_deref(), &world.pools, &world.families)
            .map_err(|no| refuse(no.name(), no.to_string()))
    }
}

impl Pods {
    pub(super) fn new(client: Client, world: watch::Receiver<Option<PodWorld>>) -> Pods {
        let (told, _) = watch::channel(0);
        Pods { client, world, seen: Mutex::default(), told }
    }

    /// Follows the watches until the agent stops.
    pub(super) async fn follow(&self, node: &str) {
        let (mut watches, mut changes) = Watches::new(256);
        let fields = Some(format!("spec.nodeName={node}"));
        let mine = Scope { fields, ..Scope::default() };
        watches.add(Api::all(self.client.clone()), mine, |seen| Told::Pods(Box::new(seen)));
        watches.add(Api::all(self.client.clone()), Scope::default(), |seen| {
            Told::Namespaces(Box::new(seen))
        });
        while let Some(change) = changes.recv().await {
            match change {
                Told::Pods(seen) => drop(self.objects().pods.see(*seen)),
                Told::Namespaces(seen) => drop(self.objects().namespaces.see(*seen)),
            }
            self.told.send_modify(|count| *count += 1);
        }
    }

    async fn of_pod(&self, pod: &PodName) -> Result<Option<String>, Refusal> {
        let key = ObjectKey::new(&pod.namespace, &pod.name);
        let is_it = |found: &Pod| is_called(found, pod.uid.as_deref());
        let find =
            |o: &Objects| o.pods.get(&key).filter(|p| is_it(p)).map(|p| annotation(&p.metadata));
        if let Some(found) = self.wait_for(find).await {
            return Ok(found);
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        match tokio::time::timeout(GET_TIME, api.get_opt(&pod.name)).await {
            Ok(Ok(Some(found))) if is_it(&found) => Ok(annotation(&found.metadata)),
            Ok(Ok(_)) => Err(later(&format!("no pod {key} with the UID that the runtime names"))),
            Ok(Err(error)) => Err(later(&format!("cannot read pod {key}: {error}"))),
            Err(_) => Err(later(&format!("cannot read pod {key}: no answer"))),
        }
    }

    async fn of_namespace(&self, name: &str) -> Result<Option<String>, Refusal> {
        let find = |o: &Objects| o.namespaces.named(name).map(|n| annotation(&n.metadata));
        if let Some(found) = self.wait_for(find).await {
            return Ok(found);
        }
        let api: Api<Namespace> = Api::all(self.client.clone());
        match tokio::time::timeout(GET_TIME, api.get(name)).await {
            Ok(Ok(found)) => Ok(annotation(&found.metadata)),
            Ok(Err(error)) => Err(later(&format!("cannot read namespace {name}: {error}"))),
            Err(_) => Err(later(&format!("cannot read namespace {name}: no answer"))),
        }
    }

    /// What `find` finds in the watched objects, at once or within [`WAIT_FOR_WATCH`].
    async fn wait_for<T>(&self, find: impl Fn(&Objects) -> Option<T>) -> Option<T> {
        let mut told = self.told.subscribe();
        let search = async {
            loop {
                told.mark_unchanged();
                if let Some(found) = find(&self.objects()) {
                    return Some(found);
                }
                told.changed().await.ok()?;
            }
        };
        tokio::time::timeout(WAIT_FOR_WATCH, search).await.ok().flatten()
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        // A panic in between leaves whole objects behind, at worst old ones.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is the pod with this UID: one made anew under its old name has another, and maybe
/// other annotations. Of a static pod the runtime says the UID that the kubelet gave it; the
/// pod that mirrors it in the API has its own, and the kubelet's in an annotation.
fn is_called(found: &Pod, uid: Option<&str>) -> bool {
    let meta = &found.metadata;
    let mirrored = || meta.annotations.as_ref()?.get(MIRROR).map(String::as_str);
    uid.is_none() || meta.uid.as_deref() == uid || mirrored() == uid
}

fn annotation(meta: &ObjectMeta) -> Option<String> {
    meta.annotations.as_ref()?.get(keys::ADDRESS_POOL).cloned()
}

fn later(why: &str) -> Refusal {
    try_later("api-unavailable", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_pod_is_known_by_the_uid_of_its_mirror() {
        let check = |uid: Option<&str>, expect: bool| {
            let pod: Pod = serde_json::from_value(serde_json::json!({
                "metadata": {"name": "p", "uid": "api", "annotations": {MIRROR: "kubelet"}},
            }))
            .unwrap();
            assert_eq!(is_called(&pod, uid), expect, "{uid:?}");
        };
        check(None, true);
        check(Some("api"), true);
        check(Some("kubelet"), true);
        check(Some("older"), false);
        assert!(!is_called(&Pod::default(), Some("api")));
    }
}
