//! Where routes are in the kernel: a table by its number, or that of a VRF.

#![allow(clippy::unwrap_used)]

use router_config::{ChannelEnd, Document, FibPlace};

/// The document, which is the same after it was written and read again.
#[track_caller]
fn same_again(text: &str) -> Document {
    let document = Document::parse(text, "r").unwrap();
    let written = document.to_yaml().unwrap();
    assert_eq!(Document::parse(&written, "again").as_ref(), Ok(&document), "{written}");
    document
}

#[track_caller]
fn refused(text: &str, expect: &[&str]) {
    let problems = Document::parse(text, "r").unwrap_err();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, expect);
}

#[test]
fn a_table_is_given_by_its_number_or_by_its_vrf() {
    let blue = same_again("fib: {vrf: blue, metric: 9}");
    assert_eq!(blue.fib_place(), Some(FibPlace::Vrf("blue".parse().unwrap())));
    assert_eq!((blue.fib_table(), blue.fib_options.metric), (None, Some(9)));
    let ten = same_again("fib: {table: 10, metric: 9}");
    assert_eq!(ten.diff(&blue).changes, ["fib.table: 10 → not set", "fib.vrf: not set → blue"]);
    let mut merged = ten.clone();
    merged.merge(blue.clone());
    assert_eq!(merged.fib_place(), blue.fib_place());
    refused(
        "fib: {table: 10, vrf: blue}",
        &["r:1:23: fib: `table` and `vrf` exclude each other: a VRF has its own table (bad-value)"],
    );
    refused(
        "fib: {vrf: a/b}",
        &[
            "r:1:12: vrf: not an interface name (1 to 15 printable ASCII characters, no space, no '/'): \"a/b\" (bad-value)",
        ],
    );
    let channels = same_again(
        "channels: [{name: a, ip_version: ipv4, subscribers: [{protocol: kernel, tables: [8], vrfs: [red]}], publishers: [{protocol: kernel, vrfs: [blue]}, {protocol: bgp}]}]",
    );
    let ends = channels.channels[0].subscribers.iter().chain(&channels.channels[0].publishers);
    let places: Vec<String> =
        ends.flat_map(ChannelEnd::places).map(|place| place.to_string()).collect();
    assert_eq!(places, ["8", "vrf red", "vrf blue"]);
    refused(
        "channels: [{name: a, ip_version: ipv4, subscribers: [{protocol: kernel}, {protocol: kernel, vrfs: []}]}]",
        &[
            "r:1:54: `tables` is missing (missing)",
            "r:1:99: vrfs: at least one is needed (bad-value)",
        ],
    );
}
