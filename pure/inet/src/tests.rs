use std::net::IpAddr;

use crate::{AoAlgorithm, Asn, LinkName, Prefix, PrefixError, RouterId, ScopedAddr, Secret};

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

#[test]
fn a_prefix_with_host_bits_is_refused_and_the_meant_one_named() {
    let error = "10.1.0.9/29".parse::<Prefix>().unwrap_err();
    assert_eq!(error, PrefixError::HostBits("10.1.0.9/29".into(), prefix("10.1.0.8/29")));
    assert_eq!(error.to_string(), "10.1.0.9/29 has host bits set (did you mean 10.1.0.8/29?)");
}

#[test]
fn nth_and_offset_are_inverse_and_end_at_the_last_address() {
    for text in ["10.1.0.8/29", "fd00::/120", "0.0.0.0/0", "10.0.0.1/32", "::/0"] {
        let p = prefix(text);
        let last = p.size() - 1;
        // The size of ::/0 saturates one short of 2^128.
        if text != "::/0" {
            assert_eq!(p.nth(last), Some(p.last_address()), "{text}");
            assert_eq!(p.offset_of(&p.last_address()), Some(last), "{text}");
            assert_eq!(p.nth(p.size()), None, "{text}");
        }
        assert_eq!(p.nth(0), Some(p.address()), "{text}");
    }
    assert_eq!(prefix("10.0.0.0/8").offset_of(&"11.0.0.0".parse::<IpAddr>().unwrap()), None);
}

#[test]
fn families_never_mix() {
    assert!(!prefix("0.0.0.0/0").covers(&prefix("::/0")));
    assert!(!prefix("::/0").contains(&"10.0.0.1".parse().unwrap()));
}

#[test]
fn asn_reads_asplain_and_asdot_and_refuses_zero() {
    assert_eq!("1.15".parse::<Asn>().unwrap().get(), 65551);
    assert_eq!("4294967295".parse::<Asn>().unwrap().get(), u32::MAX);
    assert!("0".parse::<Asn>().is_err());
    assert!("4294967296".parse::<Asn>().is_err());
    assert_eq!(Asn::new(70000).unwrap().as_two_octets(), 23456);
}

#[test]
fn router_id_and_link_name_refuse_what_the_wire_or_kernel_would() {
    assert!("0.0.0.0".parse::<RouterId>().is_err());
    assert!("".parse::<LinkName>().is_err());
    assert!("sixteen-letters-".parse::<LinkName>().is_err());
    assert!("a/b".parse::<LinkName>().is_err());
    assert_eq!("fifteen-letters".parse::<LinkName>().unwrap().as_str(), "fifteen-letters");
}

#[test]
fn a_link_local_address_is_told_apart_by_its_link() {
    let same = |text: &str| {
        let address: ScopedAddr = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        address
    };
    for text in ["10.0.0.3", "2001:db8::3", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fe80::1%a%b"]
    {
        same(text);
    }
    let (one, other) = (same("fe80::1%eth0"), same("fe80::1%eth1"));
    assert!(one < other && one.address() == other.address());
    assert!(same("fe80::1").is_ambiguous() && !one.is_ambiguous());
    // A link says nothing more of an address that is one everywhere.
    let global: IpAddr = "10.0.0.3".parse().unwrap();
    assert_eq!(ScopedAddr::new(global, one.link()), same("10.0.0.3"));
    for text in [
        "",
        "%eth0",
        "fe80::1%",
        "fe80::1%a/b",
        "10.0.0.3%eth0",
        "::1%lo",
        "fe80::1%0123456789abcdef",
    ] {
        assert!(text.parse::<ScopedAddr>().is_err(), "{text:?}");
    }
}

#[test]
fn a_key_fits_the_kernel_and_is_never_shown() {
    let key = Secret::new("hush").unwrap();
    assert_eq!((key.reveal(), format!("{key:?}")), ("hush", "Secret(…)".to_owned()));
    assert!(Secret::new(&"x".repeat(Secret::MAX)).is_ok());
    for (text, octets) in [(String::new(), 0), ("x".repeat(81), 81)] {
        let error = Secret::new(&text).unwrap_err().to_string();
        assert_eq!(error, format!("a key has 1 to 80 octets, not {octets}"));
    }
}

#[test]
fn algorithms_of_tcp_ao_have_names() {
    for (algorithm, name) in AoAlgorithm::NAMES {
        assert_eq!((name.parse(), algorithm.to_string()), (Ok(algorithm), name.to_owned()));
    }
    let error = "md5".parse::<AoAlgorithm>().unwrap_err().to_string();
    assert_eq!(error, "\"md5\" is not hmac-sha1-96, aes-128-cmac-96 or hmac-sha256");
}
