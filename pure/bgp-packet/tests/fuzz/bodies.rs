//! What the fuzzers do with bytes. One function a target, shared by `fuzz/fuzz_targets` and by the
//! test that replays the kept corpora (`tests/replay.rs`).
//!
//! Where a target reads a message, the first byte of the input chooses what was agreed on.

use bgp_packet::*;
use inet::{Asn, Prefix};

/// A target's body: it panics where something is wrong.
pub(crate) type Body = fn(&[u8]);

/// Targets and their bodies; a target's name is that of its folder in `fuzz/corpus`.
pub(crate) const ALL: &[(&str, Body)] = &[
    ("packet_frame", frame),
    ("packet_open", open),
    ("packet_update", update),
    ("packet_attributes", attributes),
    ("packet_notification", notification),
    ("packet_refresh", refresh),
];

/// Options out of one byte; [`choice`] is the other way.
pub(crate) fn options(choice: u8) -> Options {
    let bit = |n: u8| choice & (1 << n) != 0;
    let add_path = FamilyFlags { ipv4: bit(3), ipv6: bit(4) };
    Options {
        four_octet_as: !bit(1),
        extended_message: bit(2),
        add_path_receive: add_path,
        add_path_send: add_path,
        ipv4_over_ipv6: bit(5),
        ipv4: !bit(6),
        ipv6: !bit(7),
        ..Options::new(if bit(0) { PeerKind::Internal } else { PeerKind::External })
    }
}

/// The byte that [`options`] makes these out of.
pub(crate) fn choice(options: &Options) -> u8 {
    let bits = [
        options.kind == PeerKind::Internal,
        !options.four_octet_as,
        options.extended_message,
        options.add_path_receive.ipv4,
        options.add_path_receive.ipv6,
        options.ipv4_over_ipv6,
        !options.ipv4,
        !options.ipv6,
    ];
    bits.iter().enumerate().map(|(n, &bit)| u8::from(bit) << n).sum()
}

/// A message with this body; none when it is too long to be one.
pub(crate) fn message(kind: u8, body: &[u8]) -> Option<Vec<u8>> {
    let len = u16::try_from(HEADER_LEN + body.len()).ok()?;
    let mut bytes = vec![0xFF; 16];
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(body);
    Some(bytes)
}

/// Any frame of any type.
pub(crate) fn frame(data: &[u8]) {
    let Some((first, frame)) = data.split_first() else { return };
    let options = options(*first);
    if let Ok(Some(len)) = frame_len(frame, options.max_receive_len()) {
        assert!((HEADER_LEN..=options.max_receive_len()).contains(&len));
    }
    match decode(frame, &options) {
        Ok(Message::Open(open)) => open_comes_back(&open),
        Ok(Message::Update(update)) => update_comes_back(&update, &options),
        Ok(Message::Notification(notification)) => notification_comes_back(&notification),
        Ok(Message::RouteRefresh { family, kind }) => {
            let bytes = encode_route_refresh(family, kind);
            assert_eq!(decode(&bytes, &options), Ok(Message::RouteRefresh { family, kind }));
        }
        Ok(Message::Keepalive) => assert_eq!(frame, KEEPALIVE),
        Ok(Message::Ignored) => {}
        Err(notification) => refusal(&notification),
    }
}

/// The body of an OPEN.
pub(crate) fn open(data: &[u8]) {
    let Some(bytes) = message(1, data) else { return };
    match decode(&bytes, &options(0)) {
        Ok(Message::Open(open)) => open_comes_back(&open),
        Ok(other) => panic!("not an OPEN: {other:?}"),
        Err(notification) => refusal(&notification),
    }
}

/// Options and the body of an UPDATE.
pub(crate) fn update(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let Some(bytes) = message(2, body) else { return };
    let options = options(*first);
    match decode(&bytes, &options) {
        Ok(Message::Update(update)) => update_comes_back(&update, &options),
        Ok(other) => panic!("not an UPDATE: {other:?}"),
        Err(notification) => refusal(&notification),
    }
}

/// Options and a list of attributes.
pub(crate) fn attributes(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let options = options(*first);
    let raw = RawAttributes { bytes: bytes.into() };
    let next_hop = BgpNextHop::from(std::net::IpAddr::from([10, 0, 0, 1]));
    if let Some(set) = accepted(&raw, &options, next_hop) {
        let bytes = encode_attributes(&set, &options).into();
        let again = accepted(&RawAttributes { bytes }, &options, next_hop);
        assert_eq!(again, Some(passed_on(set)));
    }
}

/// The body of a NOTIFICATION.
pub(crate) fn notification(data: &[u8]) {
    let Some(bytes) = message(3, data) else { return };
    match decode(&bytes, &options(0b100)) {
        Ok(Message::Notification(notification)) => notification_comes_back(&notification),
        Ok(other) => panic!("not a NOTIFICATION: {other:?}"),
        Err(notification) => refusal(&notification),
    }
}

/// The body of a ROUTE-REFRESH.
pub(crate) fn refresh(data: &[u8]) {
    let Some(bytes) = message(5, data) else { return };
    frame(&[&[0], &bytes[..]].concat());
}

/// What we say of a bad message can itself be sent and read.
fn refusal(notification: &Notification) {
    assert!((1..=8).contains(&notification.code), "{notification:?}");
    notification_comes_back(notification);
}

fn notification_comes_back(notification: &Notification) {
    let bytes = notification.encode();
    assert!(bytes.len() <= MAX_LEN);
    let Ok(Message::Notification(again)) = decode(&bytes, &options(0)) else {
        panic!("not read back: {notification:?}");
    };
    assert_eq!((again.code, again.subcode), (notification.code, notification.subcode));
    assert!(notification.data.starts_with(&again.data));
    let shown = notification.to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert!(notification.inner().is_none() || notification.is_hard_reset());
    let _ = (notification.communication(), notification.prefix_limit());
}

fn open_comes_back(open: &Open) {
    let bytes = open.encode();
    assert!(bytes.len() <= MAX_LEN);
    let Ok(Message::Open(again)) = decode(&bytes, &options(0)) else {
        panic!("not read back: {open:?}");
    };
    assert_eq!((again.hold_time, again.router_id), (open.hold_time, open.router_id));
    // What goes beyond a message is left out at the end; what is there is the same.
    let whole = again.capabilities.len() == open.capabilities.len();
    assert!(whole || bytes.len() > 3000, "{open:?}");
    if whole {
        assert_eq!(again.capabilities, open.capabilities);
    }
    let _ = (open.families(), open.role(), open.long_lived(), open.extended_next_hop());
    let _ = inet::Family::ALL.map(|family| open.add_path(family));
}

fn update_comes_back(update: &Update<'_>, options: &Options) {
    let all = update.withdrawn.iter().chain(update.reach.iter().map(|reach| &reach.nlri));
    for nlri in all {
        assert!(!nlri.is_empty() && nlri.paths().next().is_some());
        assert!(nlri.iter().all(|prefix| prefix.family() == nlri.family()));
        assert!(options.carries(nlri.family()));
        let ids = options.add_path_receive.has(nlri.family());
        assert!(ids || nlri.paths().all(|(id, _)| id == PathId::NONE));
    }
    if update.end_of_rib.is_some() {
        assert!(update.withdrawn.is_empty() && update.reach.is_empty());
    }
    withdrawals_come_back(update, options);
    for reach in &update.reach {
        let Some(set) = accepted(&update.attributes, options, reach.next_hop) else { continue };
        let encoded = encode_attributes(&set, options);
        let paths: Vec<_> = reach.nlri.paths().collect();
        let set = passed_on(set);
        // A set may have grown beyond a message: AS4_PATH, or lengths of two octets.
        let Ok(messages) = pack_paths(&encoded, &reach.next_hop, paths.clone(), options) else {
            assert!(encoded.len() > MAX_LEN - 100, "does not fit: {set:?}");
            continue;
        };
        let mut back = Vec::new();
        for message in &messages {
            let Ok(Message::Update(again)) = decode(message, options) else {
                panic!("not read back: {set:?}");
            };
            let [one] = again.reach.as_slice() else { panic!("not one reach: {again:?}") };
            assert!(again.withdrawn.is_empty() && again.malformed.is_empty());
            assert_eq!(one.next_hop, reach.next_hop);
            assert_eq!(accepted(&again.attributes, options, one.next_hop).as_ref(), Some(&set));
            back.extend(one.nlri.paths());
        }
        assert_eq!(back, paths);
    }
}

fn withdrawals_come_back(update: &Update<'_>, options: &Options) {
    let mut paths: Vec<(PathId, Prefix)> = update.withdrawn.iter().flat_map(Nlri::paths).collect();
    let mut back = Vec::new();
    for message in pack_withdrawn_paths(paths.clone(), options) {
        let Ok(Message::Update(again)) = decode(&message, options) else {
            panic!("not read back: {update:?}");
        };
        assert!(again.reach.is_empty() && again.malformed.is_empty());
        back.extend(again.withdrawn.iter().flat_map(Nlri::paths));
    }
    // IPv4 comes first; each family keeps its order.
    paths.sort_by_key(|(_, prefix)| prefix.family());
    assert_eq!(back, paths);
}

/// The set, if it is usable; the view of it says the same.
fn accepted(
    raw: &RawAttributes<'_>,
    options: &Options,
    next_hop: BgpNextHop,
) -> Option<Attributes> {
    let set = match (raw.decode(options, next_hop), raw.view(options, next_hop)) {
        (Verdict::Accept(set, discarded), Verdict::Accept(view, same)) => {
            assert_eq!(discarded, same);
            let (path, seen) = (&set.as_path, view.as_path);
            assert_eq!(
                (path.hops(), path.first(), path.origin()),
                (seen.hops(), seen.first(), seen.origin(),)
            );
            let numbers = |segments: &[Segment]| -> Vec<u32> {
                segments.iter().flat_map(Segment::numbers).copied().collect()
            };
            let all = numbers(&path.segments);
            assert!(seen.segments().flat_map(|segment| segment.numbers()).eq(all.iter().copied()));
            assert!(all.iter().flat_map(|&n| Asn::new(n)).all(|asn| seen.contains(asn)));
            assert!(view.communities.iter().eq(set.communities.iter().copied()));
            assert_eq!(view.communities.len(), set.communities.len());
            assert_eq!(view.cluster_list.len(), set.cluster_list.len());
            assert!(view.unknown().eq(set.unknown.iter().cloned()));
            set
        }
        (Verdict::TreatAsWithdraw(why), Verdict::TreatAsWithdraw(same)) => {
            assert!(!why.is_empty());
            assert_eq!(why, same);
            return None;
        }
        (Verdict::Reset(why), Verdict::Reset(same)) => {
            assert_eq!(why, same);
            refusal(&why);
            return None;
        }
        (one, other) => panic!("two verdicts: {one:?} and {other:?}"),
    };
    Some(set)
}

/// A set as it is after it was written: unknown attributes are partial and in order.
fn passed_on(mut set: Attributes) -> Attributes {
    for unknown in &mut set.unknown {
        unknown.flags |= 0x20;
    }
    set.unknown.sort_by_key(|unknown| unknown.code);
    set
}
