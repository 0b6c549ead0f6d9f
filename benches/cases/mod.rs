//! What is counted.

mod codec;
mod policy;
mod tables;

use std::net::{IpAddr, Ipv4Addr};

use bgp_packet::{AsPath, Attributes, BgpNextHop, Origin, Segment};
use inet::{Asn, Prefix};

/// What is counted, with all that it needs.
pub(crate) type Work = Box<dyn FnMut()>;

/// One number of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many of the things it is about one run does.
    pub(crate) of: u64,
    pub(crate) prepare: fn() -> Work,
}

/// Name, count and preparation of a [`Case`].
type Row = (&'static str, u64, fn() -> Work);

pub(crate) fn all() -> Vec<Case> {
    let rows = [codec::CASES, tables::CASES, policy::CASES].into_iter().flatten();
    rows.map(|&(name, of, prepare)| Case { name, of, prepare }).collect()
}

fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0A01_0000 + number).into()
}

/// The nth /24 from 20.0.0.0 on.
fn prefix(number: u32) -> Prefix {
    Prefix::new(Ipv4Addr::from(0x1400_0000 + (number << 8)).into(), 24).unwrap()
}

/// A set as the Internet has them: a path of five, three communities.
fn attributes(sender: u32, set: u32) -> Attributes {
    let path = vec![65000 + sender, 3356, 174, 1000 + set, 64512 + set % 100];
    let path = AsPath { segments: vec![Segment::Sequence(path)] };
    Attributes {
        med: Some(10),
        communities: vec![65001 << 16 | 1, 65001 << 16 | set, 3356 << 16 | 100],
        ..Attributes::new(Origin::Igp, path, BgpNextHop::from(address(sender)))
    }
}
