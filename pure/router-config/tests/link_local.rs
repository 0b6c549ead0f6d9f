//! Peers whose addresses are good on their links only.

#![allow(clippy::unwrap_used)]

use router_config::Document;

#[test]
fn link_local_peers_are_told_apart_by_their_link() {
    let on = |links: &[&str]| {
        let one = |link| format!("- {{address: 'fe80::1', interface: {link}, asn: 65001}}\n");
        "neighbors:\n".to_owned() + &links.iter().map(one).collect::<String>()
    };
    let accepted = |text: String| Document::parse(&text, "test").unwrap();
    let mut document = accepted(on(&["eth0", "eth1"]));
    let twice = Document::parse(&on(&["eth0", "eth1", "eth0"]), "test").unwrap_err();
    assert_eq!(twice[0].message, "neighbor fe80::1%eth0 is there twice, first on line 2");
    let diff = document.diff(&accepted(on(&["eth1", "eth2"])));
    let resets: Vec<_> = diff.resets.iter().map(|(peer, _)| peer.to_string()).collect();
    assert_eq!(resets, ["fe80::1%eth0"]);
    document.merge(accepted(on(&["eth1", "eth2"])));
    assert_eq!(document.neighbors.len(), 3);

    // The address alone means one where there is one.
    assert!(!document.remove_neighbor(&"fe80::1".parse().unwrap()));
    for link in ["eth0", "eth2"] {
        assert!(document.remove_neighbor(&format!("fe80::1%{link}").parse().unwrap()));
    }
    assert!(!document.remove_neighbor(&"fe80::2".parse().unwrap()));
    assert!(document.remove_neighbor(&"fe80::1".parse().unwrap()));
    assert!(document.neighbors.is_empty());
}
