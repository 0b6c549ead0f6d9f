//! What is written is read back; what is damaged never panics.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod generate;

use std::net::Ipv4Addr;

use bgp_packet::*;
use generate::{as_received, asn, attributes, capability, damage, options, routes};
use inet::RouterId;
use proptest::collection::vec;
use proptest::prelude::*;

/// Looks at everything that a frame leads to.
fn read_all(frame: &[u8], options: &Options) {
    if let Ok(Some(len)) = frame_len(frame, options.max_len()) {
        assert!((19..=options.max_len()).contains(&len));
    }
    match decode(frame, options) {
        Ok(Message::Update(update)) => {
            for nlri in update.withdrawn.iter().chain(update.reach.iter().map(|r| &r.nlri)) {
                assert!(nlri.iter().all(|p| p.family() == nlri.family()));
                assert!(!nlri.is_empty() && nlri.iter().next().is_some());
            }
            for reach in &update.reach {
                let _ = update.attributes.decode(options, reach.next_hop);
            }
        }
        Ok(Message::Notification(n)) => drop((n.to_string(), n.communication())),
        Ok(_) => {}
        Err(n) => assert!(n.encode().len() <= MAX_LEN),
    }
}

proptest! {
    #[test]
    fn an_open_comes_back(
        asn in asn(),
        hold_time in prop_oneof![Just(0u16), 3..=u16::MAX],
        id in 1..=u32::MAX,
        mut capabilities in vec(capability(), 0..12),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in 0..30usize,
        honest in any::<bool>(),
    ) {
        capabilities.push(Capability::FourOctetAs(asn));
        let router_id = RouterId::new(Ipv4Addr::from(id)).unwrap();
        let open = Open { asn, hold_time, router_id, capabilities };
        let options = Options::new(PeerKind::External);
        let mut frame = open.encode();
        prop_assert_eq!(decode(&frame, &options), Ok(Message::Open(open)));
        damage(&mut frame, &changes, cut, honest);
        read_all(&frame, &options);
    }

    #[test]
    fn routes_come_back(
        (options, next_hop, paths) in routes(1200),
        attributes in attributes(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in 0..30usize,
        honest in any::<bool>(),
    ) {
        let encoded = encode_attributes(&attributes, &options);
        let expected = as_received(attributes, next_hop, &options);
        let mut messages = pack_paths(&encoded, &next_hop, paths.clone(), &options).unwrap();
        let mut back = Vec::new();
        for message in &messages {
            prop_assert!(message.len() <= options.max_len());
            let Ok(Message::Update(update)) = decode(message, &options) else {
                return Err(TestCaseError::fail("no UPDATE"));
            };
            prop_assert!(update.withdrawn.is_empty() && update.malformed.is_empty());
            prop_assert_eq!(update.reach.len(), 1);
            prop_assert_eq!(update.reach[0].next_hop, next_hop);
            back.extend(update.reach[0].nlri.paths());
            let verdict = update.attributes.decode(&options, next_hop);
            prop_assert_eq!(verdict, Verdict::Accept(expected.clone(), vec![]));
        }
        // Only the last message may be less than full.
        let family = paths[0].1.family();
        let id = if options.add_path_send.has(family) { 4 } else { 0 };
        let longest = id + 1 + usize::from(family.bits() / 8);
        let full = messages.split_last().map_or(&[][..], |(_, full)| full);
        prop_assert!(full.iter().all(|m| m.len() + longest > options.max_len()));
        prop_assert_eq!(back, paths);
        damage(&mut messages[0], &changes, cut, honest);
        read_all(&messages[0], &options);
    }

    #[test]
    fn withdrawals_come_back((options, _, paths) in routes(1200)) {
        let mut back = Vec::new();
        for message in pack_withdrawn_paths(paths.clone(), &options) {
            prop_assert!(message.len() <= options.max_len());
            let Ok(Message::Update(update)) = decode(&message, &options) else {
                return Err(TestCaseError::fail("no UPDATE"));
            };
            prop_assert!(update.reach.is_empty() && update.malformed.is_empty());
            back.extend(update.withdrawn.iter().flat_map(Nlri::paths));
        }
        prop_assert_eq!(back, paths);
    }

    /// What is withdrawn comes first, whatever is announced is announced by one piece, with all
    /// that the whole says of it.
    #[test]
    fn a_long_update_is_the_same_in_pieces(
        (options, next_hop, paths) in routes(400),
        attributes in attributes(),
        gone in 0..200usize,
        most in 1..150usize,
    ) {
        let options = Options { extended_message: true, ..options };
        let encoded = encode_attributes(&attributes, &options);
        let announced = pack_paths(&encoded, &next_hop, paths.clone(), &options).unwrap();
        let withdrawn = pack_withdrawn_paths(paths.iter().take(gone).copied(), &options);
        for message in announced.iter().chain(&withdrawn) {
            let Ok(Message::Update(mut whole)) = decode(message, &options) else {
                return Err(TestCaseError::fail("no UPDATE"));
            };
            // As RFC 7606 would have it: some are withdrawn in the message that announces others.
            let other = announced.first().map(|message| decode(message, &options));
            if let Some(Ok(Message::Update(other))) = other {
                whole.withdrawn.extend(other.reach.into_iter().map(|reach| reach.nlri));
            }
            whole.malformed.push(Malformation { code: 1, reason: "wrong" });
            let mut rest = UpdateRest::new(&whole);
            let (mut gone, mut new, mut malformed) = (Vec::new(), Vec::new(), Vec::new());
            while let Some(piece) = rest.take(most) {
                let nlri = piece.withdrawn.iter().chain(piece.reach.iter().map(|r| &r.nlri));
                prop_assert!((1..=most).contains(&nlri.map(|n| n.iter().count()).sum::<usize>()));
                prop_assert!(piece.withdrawn.is_empty() || new.is_empty());
                gone.extend(piece.withdrawn.iter().flat_map(Nlri::paths));
                for reach in &piece.reach {
                    new.extend(reach.nlri.paths().map(|path| (path, reach.next_hop)));
                }
                prop_assert_eq!(&piece.attributes, &whole.attributes);
                malformed.extend(piece.malformed);
            }
            prop_assert!(rest.is_empty());
            let reach = whole.reach.iter();
            let announced = reach.flat_map(|r| r.nlri.paths().map(|path| (path, r.next_hop)));
            prop_assert_eq!(gone, whole.withdrawn.iter().flat_map(Nlri::paths).collect::<Vec<_>>());
            prop_assert_eq!(new, announced.collect::<Vec<_>>());
            prop_assert_eq!(malformed, whole.malformed);
        }
    }

    #[test]
    fn any_bytes_are_survived(
        kind in 0..7u8,
        body in vec(any::<u8>(), 0..200),
        options in options(),
    ) {
        let mut frame = vec![0xFF; 16];
        frame.extend_from_slice(&(body.len() as u16 + 19).to_be_bytes());
        frame.push(kind);
        frame.extend_from_slice(&body);
        read_all(&frame, &options);
        read_all(&body, &options);
    }

    #[test]
    fn any_attributes_are_survived(
        list in vec((any::<u8>(), 0..40u8, vec(any::<u8>(), 0..20), -1..2i8), 0..8),
        options in options(),
    ) {
        let mut bytes = Vec::new();
        for (flags, code, value, lie) in list {
            bytes.extend_from_slice(&[flags & !0x10, code]);
            bytes.push((value.len() as u8).wrapping_add_signed(lie));
            bytes.extend_from_slice(&value);
        }
        let mut body = vec![0, 0];
        body.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        body.extend_from_slice(&bytes);
        body.extend_from_slice(&[8, 10]);
        let mut frame = vec![0xFF; 16];
        frame.extend_from_slice(&(body.len() as u16 + 19).to_be_bytes());
        frame.push(2);
        frame.extend_from_slice(&body);
        read_all(&frame, &options);
    }
}
