//! A cluster for scenarios.

use cluster_api::world::Kind;
use cluster_plan::Settings;
use serde_json::{Value, json};

use crate::cluster::{Api, Controller};

/// A cluster with one controller that leads; time goes on as it is used.
pub(crate) struct Bed {
    pub(crate) api: Api,
    pub(crate) controller: Controller,
    pub(crate) at: u64,
}

impl Bed {
    pub(crate) fn new() -> Bed {
        Bed::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Bed {
        let mut bed = Bed { api: Api::default(), controller: Controller::new(settings), at: 0 };
        bed.controller.lead(0, true);
        bed
    }

    pub(crate) fn pool(
        &mut self,
        name: &str,
        cidr: &str,
        kind: &str,
        size: Option<u8>,
        auto: bool,
    ) {
        let mut spec =
            json!({ "cidr": cidr, "type": kind, "allocType": "bit", "autoAssign": auto });
        if let Some(size) = size {
            spec["blockSize"] = json!(size);
        }
        self.api.create(Kind::AddressPool, "", name, json!({ "spec": spec }));
    }

    /// The test bed's pools for Services.
    pub(crate) fn pools(&mut self) {
        self.pool("auto", "10.0.1.0/24", "service", None, true);
        self.pool("other", "10.0.100.0/24", "service", None, false);
        self.pool("auto6", "fd00:100::/112", "service", None, true);
    }

    pub(crate) fn service(&mut self, name: &str, annotations: Value, spec: Value) {
        let mut whole = json!({ "type": "LoadBalancer", "ipFamilies": ["IPv4"] });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let body = json!({ "metadata": { "annotations": annotations }, "spec": whole });
        self.api.create(Kind::Service, "default", name, body);
    }

    pub(crate) fn node(&mut self, name: &str, asn: &str, last: u8) {
        let mut labels = json!({ "bgp": "a" });
        if !asn.is_empty() {
            labels["sart.terassyi.net/asn"] = json!(asn);
        }
        let addresses = json!([{ "type": "InternalIP", "address": format!("172.18.0.{last}") }]);
        let body =
            json!({ "metadata": { "labels": labels }, "status": { "addresses": addresses } });
        self.api.create(Kind::Node, "", name, body);
    }

    pub(crate) fn request(&mut self, name: &str, pool: &str, node: &str) {
        let body = json!({ "spec": { "pool": pool, "node": node } });
        self.api.create(Kind::BlockRequest, "", name, body);
    }

    pub(crate) fn settle(&mut self) -> &mut Bed {
        self.at = self.controller.settle(&mut self.api, self.at, 3_000);
        self
    }

    /// The addresses that a Service shows.
    pub(crate) fn shown(&self, name: &str) -> String {
        let service = self.api.get(Kind::Service, "default", name).unwrap();
        let ingress = service["status"]["loadBalancer"]["ingress"].as_array().cloned();
        let ips = ingress.unwrap_or_default();
        let ips: Vec<String> = ips
            .iter()
            .map(|entry| {
                assert_eq!(entry["ipMode"], "VIP");
                entry["ip"].as_str().unwrap().to_owned()
            })
            .collect();
        ips.join(",")
    }

    pub(crate) fn names(&self, kind: Kind) -> String {
        let names = self.api.all(kind).into_iter();
        let names: Vec<&str> = names.map(|o| o["metadata"]["name"].as_str().unwrap()).collect();
        names.join(" ")
    }

    /// Whether something was told of an object for this reason.
    pub(crate) fn told(&self, name: &str, reason: &str) -> bool {
        let start = format!("{name} {reason}: ");
        self.controller.notes().iter().any(|note| note.starts_with(&start))
    }

    pub(crate) fn condition(&self, kind: Kind, namespace: &str, name: &str, of: &str) -> String {
        let object = self.api.get(kind, namespace, name).unwrap();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|c| c["type"] == of);
        found.map_or(String::new(), |c| {
            format!("{} {}", c["status"].as_str().unwrap(), c["reason"].as_str().unwrap())
        })
    }
}
