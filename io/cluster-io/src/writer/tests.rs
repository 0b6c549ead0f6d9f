use kube::core::Status;

use super::*;

fn check(code: u16, reason: &str, action: Action, expect: Outcome) {
    let status = Status::failure("message", reason).with_code(code);
    assert_eq!(classify(&action, &kube::Error::Api(Box::new(status))), expect, "{code} {reason}");
}

#[test]
fn an_error_says_what_to_do() {
    let delete = || Action::Delete { uid: None, version: None };
    let create = || Action::Create(json!({}));
    let apply = || Action::Apply(json!({}));
    check(404, "NotFound", delete(), Outcome::Done(None));
    check(409, "Conflict", delete(), Outcome::Conflict);
    check(409, "AlreadyExists", create(), Outcome::Exists);
    check(404, "NotFound", apply(), Outcome::Conflict);
    check(409, "Conflict", apply(), Outcome::Conflict);
    check(422, "Invalid", create(), Outcome::Refused("message".into()));
    check(403, "Forbidden", create(), Outcome::Refused("message".into()));
    check(429, "TooManyRequests", apply(), Outcome::Later("message".into()));
    check(500, "InternalError", apply(), Outcome::Later("message".into()));
    check(503, "ServiceUnavailable", delete(), Outcome::Later("message".into()));
}

#[test]
fn a_body_gets_its_kind_and_name() {
    let target = Target::new(Kind::BGPAdvertisement, "default", "web-10.0.1.0");
    let body = named(&target, &json!({ "metadata": { "labels": { "a": "b" } } }));
    assert_eq!(
        body,
        json!({
            "apiVersion": "sart.terassyi.net/v1alpha2", "kind": "BGPAdvertisement",
            "metadata": { "name": "web-10.0.1.0", "namespace": "default", "labels": { "a": "b" } },
        })
    );
    let target = Target::cluster(Kind::Node, "n");
    assert_eq!(named(&target, &json!({}))["apiVersion"], "v1");
}

#[test]
fn every_kind_has_its_place() {
    let place = |kind| {
        let resource = resource(kind);
        format!("{}/{}", resource.api_version, resource.plural)
    };
    assert_eq!(place(Kind::NodeBGP), "sart.terassyi.net/v1alpha2/nodebgps");
    assert_eq!(place(Kind::Service), "v1/services");
    assert_eq!(place(Kind::EndpointSlice), "discovery.k8s.io/v1/endpointslices");
}
