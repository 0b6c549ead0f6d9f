//! Links as netlink tells of them, in bytes that another library has made.

use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoBridge, InfoData, InfoKind, InfoVrf, LinkAttribute, LinkFlags, LinkHeader, LinkInfo,
    LinkMessage,
};
use route_table::{KernelEvent, Link, LinkIndex};

use crate::message;
use crate::wire;

fn bytes(index: u32, name: &str, attributes: Vec<LinkAttribute>, gone: bool) -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.header =
        LinkHeader { index, flags: LinkFlags::Up | LinkFlags::Running, ..LinkHeader::default() };
    link.attributes = vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::Mtu(1500)];
    link.attributes.extend(attributes);
    let inner = match gone {
        false => RouteNetlinkMessage::NewLink(link),
        true => RouteNetlinkMessage::DelLink(link),
    };
    let mut message =
        NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(inner));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn events(bytes: &[u8]) -> Vec<KernelEvent> {
    wire::messages(bytes).filter_map(|message| message::event(&message)).collect()
}

fn blue(table: u32) -> Vec<LinkAttribute> {
    let data = InfoData::Vrf(vec![InfoVrf::TableId(table)]);
    vec![LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vrf), LinkInfo::Data(data)])]
}

fn link(index: u32, name: &str, master: Option<u32>, vrf_table: Option<u32>) -> KernelEvent {
    let (index, master) = (LinkIndex(index), master.map(LinkIndex));
    KernelEvent::Link(Link { index, name: name.parse().unwrap(), up: true, master, vrf_table })
}

#[test]
fn vrfs_have_their_table_and_their_parts_a_master() {
    assert_eq!(events(&bytes(9, "blue", blue(100), false)), [link(9, "blue", None, Some(100))]);
    assert_eq!(
        events(&bytes(9, "blue", blue(70_000), false)),
        [link(9, "blue", None, Some(70_000))]
    );
    assert_eq!(events(&bytes(9, "blue", blue(100), true)), [KernelEvent::LinkGone(LinkIndex(9))]);
    let part = bytes(1, "eth1", vec![LinkAttribute::Controller(9)], false);
    assert_eq!(events(&part), [link(1, "eth1", Some(9), None)]);
    // What another kind of link says under the same number is no table.
    let bridge = InfoData::Bridge(vec![InfoBridge::ForwardDelay(100)]);
    let bridge = vec![LinkInfo::Kind(InfoKind::Bridge), LinkInfo::Data(bridge)];
    let bridge = bytes(9, "blue", vec![LinkAttribute::LinkInfo(bridge)], false);
    assert_eq!(events(&bridge), [link(9, "blue", None, None)]);
    let bare = vec![LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vrf)])];
    assert_eq!(events(&bytes(9, "blue", bare, false)), [link(9, "blue", None, None)]);
}

#[test]
fn a_link_that_is_cut_off_anywhere_is_no_vrf_of_another_table() {
    let whole = bytes(9, "blue", blue(100), false);
    let header = 16;
    for len in header..whole.len() {
        let mut cut = whole[..len].to_vec();
        cut[..4].copy_from_slice(&(len as u32).to_ne_bytes());
        for event in events(&cut) {
            let KernelEvent::Link(link) = event else { panic!("{event:?}") };
            assert!(matches!(link.vrf_table, None | Some(100)), "{len}: {link:?}");
        }
    }
}
