use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use cluster_api::BlockRequest;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// An API server that answers one request after the other: what the query must contain, and the
/// answer. Behind the last one it never answers.
fn server(script: Vec<(&'static str, String)>) -> Client {
    let script = Arc::new(Mutex::new(VecDeque::from(script)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let next = script.lock().unwrap().pop_front();
        async move {
            let Some((query, answer)) = next else {
                std::future::pending::<()>().await;
                unreachable!("pending never ends");
            };
            let asked = request.uri().query().unwrap_or_default().to_owned();
            assert!(asked.contains(query), "asked for {asked:?}, not {query:?}");
            let status = if answer.starts_with("500") { 500 } else { 200 };
            let body = Body::from(answer.into_bytes());
            Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
        }
    });
    Client::new(service, "default")
}

fn object(name: &str, version: u32, spec: Value) -> Value {
    json!({
        "apiVersion": "sart.terassyi.net/v1alpha2", "kind": "BlockRequest",
        "metadata": { "name": name, "resourceVersion": version.to_string() }, "spec": spec,
    })
}

fn good(name: &str, version: u32) -> Value {
    object(name, version, json!({ "pool": "p", "node": "n" }))
}

fn list(version: &str, more: &str, items: &[Value]) -> String {
    json!({
        "apiVersion": "sart.terassyi.net/v1alpha2", "kind": "BlockRequestList",
        "metadata": { "resourceVersion": version, "continue": more }, "items": items,
    })
    .to_string()
}

fn events(events: &[(&str, Value)]) -> String {
    let line =
        |(kind, object): &(&str, Value)| json!({ "type": kind, "object": object }).to_string();
    events.iter().map(|event| line(event) + "\n").collect()
}

fn gone() -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired",
        "message": "too old", "code": 410 })
}

fn bookmark(version: &str) -> Value {
    json!({ "apiVersion": "sart.terassyi.net/v1alpha2", "kind": "BlockRequest",
        "metadata": { "resourceVersion": version } })
}

/// What was seen, as a line.
fn line(seen: Seen<BlockRequest>) -> String {
    let name = |object: &BlockRequest| object.metadata.name.clone().unwrap();
    match seen {
        Seen::All { objects, bad, version } => {
            let names: Vec<String> = objects.iter().map(name).collect();
            let bad: Vec<String> = bad.iter().map(|(key, _)| key.to_string()).collect();
            format!("all {} bad {} at {version}", names.join(","), bad.join(","))
        }
        Seen::Put(object) => format!("put {}", name(&object)),
        Seen::Gone(object) => format!("gone {}", name(&object)),
        Seen::Bad(key, _) => format!("bad {key}"),
    }
}

/// Runs a script; what was seen until the watch has nothing more to tell.
async fn check(script: Vec<(&'static str, String)>, expect: &[&str]) {
    let (mut watches, mut seen) = Watches::new(1);
    watches.add::<BlockRequest>(Api::all(server(script)), Scope::default(), line);
    for line in expect {
        let next = tokio::time::timeout(Duration::from_secs(10), seen.recv()).await;
        assert_eq!(next.ok().flatten().as_deref(), Some(*line));
    }
    assert!(seen.try_recv().is_err(), "more was seen");
}

#[tokio::test(start_paused = true)]
async fn it_lists_in_pages_and_follows_over_ends_and_bad_objects() {
    let bad = |version| object("bad", version, json!({ "pool": 7 }));
    check(
        vec![
            ("limit=500", list("10", "more", &[good("a", 1)])),
            ("continue=more", list("10", "", &[good("b", 2), bad(5)])),
            ("resourceVersion=10", events(&[("ADDED", good("c", 11)), ("MODIFIED", bad(12))])),
            ("resourceVersion=12", events(&[("BOOKMARK", bookmark("20"))])),
            ("resourceVersion=20", events(&[("DELETED", good("c", 21))])),
            ("resourceVersion=21", "500".to_owned()),
            ("resourceVersion=21", events(&[("ADDED", good("d", 22))])),
        ],
        &["all a,b bad bad at 10", "put c", "bad bad", "gone c", "put d"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_place_is_listed_again_and_a_failed_list_tried_again() {
    check(
        vec![
            ("limit=500", "500".to_owned()),
            ("limit=500", list("10", "", &[good("a", 1)])),
            ("resourceVersion=10", events(&[("ERROR", gone())])),
            ("limit=500", list("30", "", &[good("b", 29)])),
            ("resourceVersion=30", events(&[("ADDED", good("c", 31))])),
        ],
        &["all a bad  at 10", "all b bad  at 30", "put c"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_is_not_begun_again_at_once() {
    let start = tokio::time::Instant::now();
    let mut script = vec![("limit=500", list("10", "", &[]))];
    script.extend((0..4).map(|_| ("resourceVersion=10", String::new())));
    script.push(("resourceVersion=10", events(&[("ADDED", good("c", 11))])));
    check(script, &["all  bad  at 10", "put c"]).await;
    // 0.2, 0.4, 0.8 and 1.6 s.
    assert_eq!(start.elapsed().as_secs(), 3);
}
