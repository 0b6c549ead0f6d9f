use super::*;

fn added() -> Added {
    let interface = |name: &str, sandbox: &str| Interface {
        name: name.into(),
        mac: "0a:00:00:00:00:01".into(),
        mtu: Some(1500),
        sandbox: sandbox.into(),
    };
    let ip = |address: &str, gateway: &str| Ip {
        address: address.parse().unwrap(),
        gateway: Some(gateway.parse().unwrap()),
        interface: Some(1),
    };
    Added {
        interfaces: vec![interface("host0", ""), interface("eth0", "/run/netns/x")],
        ips: vec![ip("10.1.0.0/32", "169.254.1.1"), ip("fd00::1/128", "fe80::1")],
        routes: vec![Route { dst: "0.0.0.0/0".parse().unwrap(), gw: None }],
        dns: Dns::default(),
    }
}

/// What a runtime of each version reads, byte for byte (but for white space).
#[test]
fn each_version_gets_its_own_form() {
    let check = |version: &str, expect: &str| {
        let (stdout, success) =
            call(&env("ADD"), &config(version, json!({})), |_| Ok(Answer::Added(added())));
        assert!(success);
        assert_eq!(stdout.unwrap(), serde_json::from_str::<Value>(expect).unwrap(), "{version}");
    };
    let old = |version: &str| {
        format!(
            r#"{{"cniVersion": "{version}",
            "interfaces": [{{"name": "host0", "mac": "0a:00:00:00:00:01"}},
                           {{"name": "eth0", "mac": "0a:00:00:00:00:01", "sandbox": "/run/netns/x"}}],
            "ips": [{{"version": "4", "address": "10.1.0.0/32", "gateway": "169.254.1.1", "interface": 1}},
                    {{"version": "6", "address": "fd00::1/128", "gateway": "fe80::1", "interface": 1}}],
            "routes": [{{"dst": "0.0.0.0/0"}}], "dns": {{}}}}"#
        )
    };
    check("0.3.1", &old("0.3.1"));
    check("0.4.0", &old("0.4.0"));
    check(
        "1.0.0",
        r#"{"cniVersion": "1.0.0",
            "interfaces": [{"name": "host0", "mac": "0a:00:00:00:00:01"},
                           {"name": "eth0", "mac": "0a:00:00:00:00:01", "sandbox": "/run/netns/x"}],
            "ips": [{"address": "10.1.0.0/32", "gateway": "169.254.1.1", "interface": 1},
                    {"address": "fd00::1/128", "gateway": "fe80::1", "interface": 1}],
            "routes": [{"dst": "0.0.0.0/0"}], "dns": {}}"#,
    );
    check(
        "1.1.0",
        r#"{"cniVersion": "1.1.0",
            "interfaces": [{"name": "host0", "mac": "0a:00:00:00:00:01", "mtu": 1500},
                           {"name": "eth0", "mac": "0a:00:00:00:00:01", "mtu": 1500, "sandbox": "/run/netns/x"}],
            "ips": [{"address": "10.1.0.0/32", "gateway": "169.254.1.1", "interface": 1},
                    {"address": "fd00::1/128", "gateway": "fe80::1", "interface": 1}],
            "routes": [{"dst": "0.0.0.0/0"}], "dns": {}}"#,
    );
}

#[test]
fn a_result_is_read_back_from_every_version() {
    for version in Version::ALL {
        let mut expect = added();
        if version < Version::V1_1_0 {
            expect.interfaces.iter_mut().for_each(|i| i.mtu = None);
        }
        assert_eq!(Added::from_json(&added().to_json(version)), Ok(expect), "{version}");
    }
}

#[test]
fn name_servers_are_kept() {
    let dns =
        json!({"nameservers": ["10.0.0.1"], "domain": "d", "search": ["s"], "options": ["o"]});
    let read = Added::from_json(&json!({"dns": dns, "unknown": 1})).unwrap();
    assert_eq!(read.to_json(Version::V1_0_0)["dns"], dns);
}

#[test]
fn a_prefix_length_over_the_family_is_refused() {
    for text in ["10.0.0.1", "10.0.0.1/33", "fd00::1/129", "x/8", "10.0.0.1/-1", "10.0.0.1/"] {
        assert!(text.parse::<Cidr>().is_err(), "{text}");
    }
}
