//! What is counted.

pub(crate) mod codec;
pub(crate) mod policy;
pub(crate) mod tables;

use std::net::{IpAddr, Ipv4Addr};

use bgp_packet::{AsPath, Attributes, BgpNextHop, Origin, Segment};
use inet::{Asn, Prefix};

/// What is counted, with all that it needs. Gungraun's functions give it back, so that its end is
/// not counted.
pub(crate) type Work = Box<dyn FnMut()>;

/// One number of the table.
pub(crate) struct Case {
    /// Gungraun's name of it.
    pub(crate) id: &'static str,
    /// The page's.
    pub(crate) name: &'static str,
    /// How many of the things it is about one run does.
    pub(crate) of: u64,
    pub(crate) prepare: fn() -> Work,
}

impl Case {
    const fn new(id: &'static str, name: &'static str, of: u64, prepare: fn() -> Work) -> Case {
        Case { id, name, of, prepare }
    }
}

pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [codec::CASES, tables::CASES, policy::CASES].into_iter().flatten()
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
