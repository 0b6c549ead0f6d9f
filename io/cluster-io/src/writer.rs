use std::sync::Arc;
use std::time::Duration;

use cluster_api::world::{Action, Kind, Outcome, Target, Write};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// A write that takes longer failed (though the API server may have done it: writes are such that
/// doing them twice does no harm).
const WRITE_TIME: Duration = Duration::from_secs(10);

/// Does a planner's writes. Cheap to clone; clones share the bound on writes under way.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    manager: String,
    room: Arc<Semaphore>,
}

impl Writer {
    /// A writer under this field manager, with at most so many writes under way.
    pub fn new(client: Client, manager: &str, under_way: usize) -> Writer {
        let room = Arc::new(Semaphore::new(under_way.max(1)));
        Writer { client, manager: manager.to_owned(), room }
    }

    /// Does one write, waiting for room first.
    pub async fn write(&self, write: &Write) -> Outcome {
        let Ok(_room) = self.room.acquire().await else {
            return Outcome::Later("the writer is closed".to_owned());
        };
        match tokio::time::timeout(WRITE_TIME, self.send(write)).await {
            Ok(Ok(object)) => Outcome::Done(object),
            Ok(Err(error)) => classify(&write.action, &error),
            Err(_) => Outcome::Later(format!("no answer within {} s", WRITE_TIME.as_secs())),
        }
    }

    async fn send(&self, write: &Write) -> Result<Option<Value>, kube::Error> {
        let target = &write.target;
        let api = self.api(target);
        let post =
            PostParams { field_manager: Some(self.manager.clone()), ..PostParams::default() };
        let apply = PatchParams::apply(&self.manager).force();
        let merge =
            PatchParams { field_manager: Some(self.manager.clone()), ..PatchParams::default() };
        let object = match &write.action {
            Action::Create(body) => {
                let body: DynamicObject =
                    serde_json::from_value(named(target, body)).map_err(kube::Error::SerdeError)?;
                api.create(&post, &body).await?
            }
            Action::Apply(body) => {
                api.patch(&target.name, &apply, &Patch::Apply(named(target, body))).await?
            }
            Action::ApplyStatus(body) => {
                api.patch_status(&target.name, &apply, &Patch::Apply(named(target, body))).await?
            }
            Action::Merge(body) => api.patch(&target.name, &merge, &Patch::Merge(body)).await?,
            Action::MergeStatus(body) => {
                api.patch_status(&target.name, &merge, &Patch::Merge(body)).await?
            }
            Action::Delete { uid, version } => {
                let conditions =
                    Preconditions { uid: uid.clone(), resource_version: version.clone() };
                let params = DeleteParams::background().preconditions(conditions);
                api.delete(&target.name, &params).await?;
                return Ok(None);
            }
        };
        let mut object = object;
        object.metadata.managed_fields = None;
        serde_json::to_value(&object).map(Some).map_err(kube::Error::SerdeError)
    }

    fn api(&self, target: &Target) -> Api<DynamicObject> {
        let resource = resource(target.kind);
        match target.namespace.as_str() {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }
}

fn resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk(kind.group(), kind.version(), kind.name());
    ApiResource::from_gvk_with_plural(&gvk, &kind.plural())
}

/// The body with the target's kind and name in it.
fn named(target: &Target, body: &Value) -> Value {
    let mut body = body.clone();
    body["apiVersion"] = json!(target.kind.api_version());
    body["kind"] = json!(target.kind.name());
    body["metadata"]["name"] = json!(target.name);
    if !target.namespace.is_empty() {
        body["metadata"]["namespace"] = json!(target.namespace);
    }
    body
}

/// What an error means for who wanted the write.
fn classify(action: &Action, error: &kube::Error) -> Outcome {
    let kube::Error::Api(status) = error else {
        return Outcome::Later(describe(error));
    };
    match (status.code, action) {
        (404, Action::Delete { .. }) => Outcome::Done(None),
        (409, Action::Create(_)) if status.reason == "AlreadyExists" => Outcome::Exists,
        (404 | 409, _) => Outcome::Conflict,
        // 403 also comes while RBAC or a namespace's end is under way; asked again, but slowly.
        (400 | 403 | 405 | 413 | 422, _) => Outcome::Refused(status.message.clone()),
        (_, _) => Outcome::Later(status.message.clone()),
    }
}

/// An error with its causes on one line.
fn describe(error: &kube::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
