//! Next-hop objects as rtnetlink writes them (`ip nexthop`).

use std::net::IpAddr;

use inet::Family;
use route_table::{KernelObject, LinkIndex, ObjectAction, ObjectChange, ObjectContent, ObjectId};

use crate::message::{self, F_CREATE, F_EXCL, F_REPLACE, F_REQUEST, SCOPE_UNIVERSE};
use crate::routes::Owner;
use crate::wire::{self, Writer};

pub(crate) const NEW: u16 = 104;
pub(crate) const DELETE: u16 = 105;
pub(crate) const GET: u16 = 106;

const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_GROUP_TYPE: u16 = 3;
const NHA_BLACKHOLE: u16 = 4;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const NHA_FDB: u16 = 11;

/// `NEXTHOP_GRP_TYPE_MPATH`: a flow is hashed to one of the members.
const HASHED: u16 = 0;

/// Bytes of `struct nexthop_grp`: id, weight minus one, three more.
const MEMBER: usize = 8;

/// Reads an object.
pub(crate) fn object(bytes: &[u8]) -> Option<KernelObject> {
    // Family, scope, protocol, a reserved byte, flags.
    let protocol = wire::read_u8(bytes, 2)?;
    let (mut id, mut link, mut gateway, mut group, mut other) = (None, None, None, None, false);
    for (kind, value) in wire::attributes(bytes.get(8..)?) {
        match kind {
            NHA_ID => id = wire::read_u32(value, 0).map(ObjectId),
            NHA_OIF => link = wire::read_u32(value, 0).map(LinkIndex),
            NHA_GATEWAY => gateway = wire::read_address(value),
            NHA_GROUP => group = Some(members(value)),
            NHA_GROUP_TYPE => other |= wire::read_u16(value, 0) != Some(HASHED),
            NHA_BLACKHOLE | NHA_FDB => other = true,
            _ => {}
        }
    }
    let content = match (other, group, gateway, link) {
        (false, Some(members), _, _) => ObjectContent::Group(members),
        (false, None, Some(gateway), Some(link)) => ObjectContent::Leg { gateway, link },
        (true, ..) | (false, None, ..) => ObjectContent::Other,
    };
    Some(KernelObject { id: id?, protocol, content })
}

fn members(bytes: &[u8]) -> Vec<(ObjectId, u16)> {
    let member = |bytes: &[u8]| {
        let weight = u16::from(wire::read_u8(bytes, 4)?) + 1;
        Some((ObjectId(wire::read_u32(bytes, 0)?), weight))
    };
    let mut members: Vec<(ObjectId, u16)> = bytes.chunks_exact(MEMBER).filter_map(member).collect();
    members.sort_unstable();
    members
}

/// Writes one change as a message. The reply comes only on failure, unless F_ACK is added.
pub(crate) fn write_change(out: &mut Writer, sequence: u32, owner: &Owner, change: &ObjectChange) {
    let (flags, content) = match &change.action {
        ObjectAction::Create(content) => (F_CREATE | F_EXCL, content),
        ObjectAction::Replace(content) => (F_CREATE | F_REPLACE, content),
        ObjectAction::Delete => {
            out.begin(DELETE, F_REQUEST, sequence);
            out.put(&[0; 8]);
            out.attribute_u32(NHA_ID, change.id.0);
            return out.end();
        }
    };
    out.begin(NEW, F_REQUEST | flags, sequence);
    let (family, flags) = match content {
        ObjectContent::Leg { gateway, .. } => {
            let family = message::family_number(Family::of(gateway));
            (family, u32::from(message::gateway_flags(gateway)))
        }
        ObjectContent::Group(_) | ObjectContent::Other => (0, 0),
    };
    out.put(&[family, SCOPE_UNIVERSE, owner.protocol, 0]);
    out.put(&flags.to_ne_bytes());
    out.attribute_u32(NHA_ID, change.id.0);
    match content {
        ObjectContent::Leg { gateway, link } => {
            out.attribute_u32(NHA_OIF, link.0);
            match gateway {
                IpAddr::V4(a) => out.attribute(NHA_GATEWAY, &a.octets()),
                IpAddr::V6(a) => out.attribute(NHA_GATEWAY, &a.octets()),
            }
        }
        ObjectContent::Group(members) => out.nested(NHA_GROUP, |out| {
            for (id, weight) in members {
                out.put(&id.0.to_ne_bytes());
                out.put(&[weight.clamp(&1, &256).wrapping_sub(1) as u8, 0, 0, 0]);
            }
        }),
        // Never asked for; the kernel says what it thinks of it.
        ObjectContent::Other => {}
    }
    out.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let owner = Owner { table: 254, protocol: 186, metric: 1 };
        let leg = |gateway: &str| ObjectContent::Leg {
            gateway: gateway.parse().unwrap(),
            link: LinkIndex(7),
        };
        let group = ObjectContent::Group(vec![(ObjectId(3), 1), (ObjectId(9), 256)]);
        for content in [leg("192.0.2.1"), leg("fe80::1"), group] {
            let mut out = Writer::default();
            let action = ObjectAction::Replace(content.clone());
            let change = ObjectChange { id: ObjectId(5), action };
            write_change(&mut out, 1, &owner, &change);
            let read: Vec<_> = wire::messages(out.bytes()).collect();
            assert_eq!((read.len(), read[0].kind), (1, NEW));
            let expect = KernelObject { id: ObjectId(5), protocol: 186, content };
            assert_eq!(object(read[0].payload), Some(expect));
            for cut in 0..read[0].payload.len() {
                let _ = object(&read[0].payload[..cut]);
            }
        }
    }
}
