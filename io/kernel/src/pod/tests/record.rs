use std::collections::HashSet;

use crate::pod::record::{ALIAS_MAX, hardware_addresses, is_host_name};
use crate::pod::{Record, RecordError, host_name};

fn record(pools: &[&str], container_id: &str, addresses: &[&str]) -> Record {
    Record {
        pools: pools.iter().map(|p| (*p).to_owned()).collect(),
        container_id: container_id.to_owned(),
        ifname: "eth0".to_owned(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
    }
}

#[test]
fn a_record_is_its_alias_and_back() {
    let check = |record: Record, alias: &str| {
        assert_eq!(record.to_alias().unwrap(), alias);
        assert_eq!(Record::from_alias(alias), Some(record));
    };
    check(record(&["default"], "c1", &["10.1.0.0"]), "sart:default:c1:eth0:10.1.0.0");
    check(record(&["a", "b"], "c1", &["10.1.0.0", "fd00::1"]), "sart:a,b:c1:eth0:10.1.0.0,fd00::1");
    check(record(&[], "c1", &["::"]), "sart::c1:eth0:::");
}

#[test]
fn what_is_no_record_is_none() {
    for alias in [
        "",
        "uplink to spine0",
        "sart",
        "sart:p:c1:eth0",
        "sart:p::eth0:10.1.0.0",
        "sart:p:c1::10.1.0.0",
        "sart:p:c1:eth0:10.1.0",
        "sart:p:c1:eth0:10.1.0.0,",
        "tras:p:c1:eth0:10.1.0.0",
    ] {
        assert_eq!(Record::from_alias(alias), None, "{alias}");
    }
}

#[test]
fn long_names_of_pools_are_left_out_and_a_long_container_id_is_refused() {
    let id = "0123456789abcdef".repeat(4);
    let addresses = ["255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
    let long = record(&["p".repeat(253).as_str()], &id, &addresses);
    let alias = long.to_alias().unwrap();
    assert!(alias.len() <= ALIAS_MAX && alias.starts_with("sart::0123"), "{alias}");
    assert_eq!(Record::from_alias(&alias).unwrap(), Record { pools: vec![], ..long });
    // Two pools of ordinary names do fit.
    let usual = record(&["default", "default-v6"], &id, &addresses);
    assert!(usual.to_alias().unwrap().contains("default-v6"));
    let error = record(&[], &"c".repeat(240), &addresses).to_alias().unwrap_err();
    assert_eq!(error.name(), "record-too-long");
    for bad in ["a:b", "a,b", "", "a\nb"] {
        let error = record(&[], bad, &["10.0.0.0"]).to_alias().unwrap_err();
        assert_eq!(error, RecordError::Illegal(bad.to_owned()));
    }
}

#[test]
fn names_and_hardware_addresses_follow_from_the_container_alone() {
    // Pinned: a newer agent must find the links that an older one made.
    assert_eq!(host_name("c1", "eth0").as_str(), PINNED_NAME);
    let mut seen = HashSet::new();
    for n in 0..10_000 {
        let id = format!("container-{n}");
        let name = host_name(&id, "eth0");
        assert!(is_host_name(name.as_str()), "{name}");
        assert!(seen.insert(name.as_str().to_owned()));
        let (host, pod) = hardware_addresses(&id, "eth0");
        assert_ne!(host, pod);
        assert_eq!((host[0] & 3, pod[0] & 3), (2, 2), "locally administered, unicast");
    }
    assert_ne!(host_name("c1", "eth0"), host_name("c1", "eth1"));
    assert_ne!(host_name("c1e", "th0"), host_name("c1", "eth0"));
    for name in ["eth0", "sart", "sart0123456789", "sart0123456789A", "sart0123456789ab"] {
        assert!(!is_host_name(name), "{name}");
    }
}

const PINNED_NAME: &str = "sart851192bd170";
