//! The installed definitions are the types', and every field says what it is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use serde_json::Value;

#[test]
fn the_files_in_deploy_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    for definition in cluster_api::definitions() {
        let name = definition.metadata.name.clone().unwrap();
        let file = folder.join(format!("{name}.yaml"));
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        let value = serde_json::to_value(&definition).unwrap();
        assert!(
            written == serde_saphyr::to_string(&value).unwrap(),
            "{name}: run `cargo run -p cluster-api --example crds`"
        );
        let list = std::fs::read_to_string(folder.join("kustomization.yaml")).unwrap();
        assert!(list.contains(&format!("- {name}.yaml\n")), "{name}: not in kustomization.yaml");
    }
}

#[test]
fn every_field_has_a_description() {
    let mut bare = Vec::new();
    for definition in cluster_api::definitions() {
        let name = definition.spec.names.kind.clone();
        let schema = definition.spec.versions[0].schema.clone().unwrap().open_api_v3_schema;
        walk(&name, &serde_json::to_value(schema).unwrap(), &mut bare);
    }
    assert!(bare.is_empty(), "without a description: {bare:?}");
}

fn walk(path: &str, schema: &Value, bare: &mut Vec<String>) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        if property["description"].as_str().is_none_or(str::is_empty) {
            bare.push(path.clone());
        }
        walk(&path, property, bare);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], bare);
    }
}

#[test]
fn columns_are_the_ones_users_know() {
    let columns = |kind: &str| {
        let definition =
            cluster_api::definitions().into_iter().find(|d| d.spec.names.kind == kind).unwrap();
        let columns = definition.spec.versions[0].additional_printer_columns.clone().unwrap();
        let shown = columns.iter().filter(|c| c.priority.is_none_or(|p| p == 0));
        shown.map(|c| c.name.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(columns("AddressPool"), "CIDR TYPE BLOCKSIZE AUTO AGE");
    assert_eq!(columns("AddressBlock"), "CIDR TYPE POOLREF NODEREF AGE");
    assert_eq!(columns("BlockRequest"), "POOL NODE AGE");
    assert_eq!(columns("AddressClaim"), "ADDRESS HOLDER POOL AGE");
    assert_eq!(columns("BGPPeerTemplate"), "AGE");
    assert_eq!(columns("ClusterBGP"), "AGE");
    assert_eq!(columns("NodeBGP"), "ASN ROUTERID BACKOFF STATUS AGE");
    assert_eq!(columns("BGPPeer"), "ASN ADDRESS NODEBGP CLUSTERBGP BACKOFF STATUS AGE");
    assert_eq!(columns("BGPAdvertisement"), "CIDR TYPE PROTOCOL AGE");
}
