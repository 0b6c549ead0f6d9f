//! A message for readers who know one form of NLRI in it: with path ids, or without.

use bgp_packet::{Message, Options, PackError, decode, pack_paths, pack_withdrawn_paths};
use inet::Family;

/// The UPDATE as messages of one family each, in the same form, with whether they have path ids
/// (RFC 7911 §3): what a record cannot say of a message in which only one family has them
/// (RFC 8050 §3). `options` are those that the message came with.
///
/// # Errors
/// A part is too long for a message of its own.
pub(super) fn by_family(
    bytes: &[u8],
    options: &Options,
) -> Result<Vec<(bool, Vec<u8>)>, PackError> {
    let Ok(Message::Update(update)) = decode(bytes, options) else { return Ok(Vec::new()) };
    let options = Options {
        add_path_send: options.add_path_receive,
        extended_message: options.extended_message || options.extended_receive,
        ..*options
    };
    let with_ids = |family: Family| options.add_path_send.has(family);
    let mut parts = Vec::new();
    for nlri in &update.withdrawn {
        let packed = pack_withdrawn_paths(nlri.paths(), &options);
        parts.extend(packed.into_iter().map(|part| (with_ids(nlri.family()), part)));
    }
    for reach in &update.reach {
        let (raw, paths) = (&update.attributes.bytes, reach.nlri.paths());
        let packed = pack_paths(raw, &reach.next_hop, paths, &options)?;
        parts.extend(packed.into_iter().map(|part| (with_ids(reach.nlri.family()), part)));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use bgp_packet::{
        AsPath, Attributes, BgpNextHop, FamilyFlags, Message, Options, Origin, PathId, PeerKind,
        Segment, decode, encode_attributes, pack_paths,
    };
    use inet::{Family, Prefix};

    #[test]
    fn a_message_in_which_one_family_has_path_ids_is_two() {
        let mut options = Options::new(PeerKind::External);
        options.add_path_receive = FamilyFlags::from_iter([Family::Ipv4]);
        let six: Prefix = "fd01::/64".parse().unwrap();
        let next_hop = BgpNextHop::from("fd00::1".parse::<IpAddr>().unwrap());
        let as_path = AsPath { segments: vec![Segment::Sequence(vec![65001])] };
        let raw = encode_attributes(&Attributes::new(Origin::Igp, as_path, next_hop), &options);
        let whole = pack_paths(&raw, &next_hop, [(PathId::NONE, six)], &options).unwrap().remove(0);
        // To this, a NEXT_HOP and a path of IPv4 are added.
        let mut attributes = whole[23..].to_vec();
        attributes.extend([0x40, 3, 4, 10, 0, 0, 1]);
        let mut bytes = whole[..21].to_vec();
        bytes.extend((attributes.len() as u16).to_be_bytes());
        bytes.extend(attributes);
        bytes.extend([0, 0, 0, 7, 24, 10, 1, 0]);
        let len = (bytes.len() as u16).to_be_bytes();
        bytes[16..18].copy_from_slice(&len);

        let parts = super::by_family(&bytes, &options).unwrap();
        let mut shown = Vec::new();
        for (add_path, part) in &parts {
            let mut own = options;
            own.add_path_receive =
                if *add_path { FamilyFlags::from_iter(Family::ALL) } else { FamilyFlags::NONE };
            let Ok(Message::Update(update)) = decode(part, &own) else { panic!("{part:?}") };
            assert_eq!((update.reach.len(), update.malformed.len()), (1, 0));
            let paths = update.reach[0].nlri.paths().map(|(id, p)| format!("{} {p}", id.0));
            shown.push((*add_path, paths.collect::<Vec<_>>().join(", ")));
        }
        shown.sort();
        assert_eq!(shown, [(false, "0 fd01::/64".to_owned()), (true, "7 10.1.0.0/24".to_owned())]);
    }
}
