//! Keys of TCP: from what is wanted to what the sockets set.

use bgp_speaker::{Desired, TcpAo, TcpOptions, Who};
use node_api::v1;
use sockets::{AoProbe, Auth};

use super::edges;

/// How a peer's segments are signed; else why its keys are none.
pub(super) fn auth(tcp: &TcpOptions) -> Result<Auth, String> {
    match (&tcp.password, &tcp.ao) {
        (None, None) => Ok(Auth::None),
        (Some(key), None) => Ok(Auth::Md5(key.clone())),
        (None, Some(ao)) => Ok(Auth::Ao(ao.keys.clone())),
        (Some(_), Some(_)) => Err("`tcp_ao` goes not together with `password`".to_owned()),
    }
}

/// The peers of a document that can have no session, since this kernel does not sign as it is
/// wanted; in words.
pub(super) fn without_kernel(desired: &Desired) -> Vec<String> {
    let peers = desired.peers.iter().map(|peer| (Who::Address(peer.key()), &peer.tcp));
    let links = desired.unnumbered.iter().map(|on| (Who::On(on.link), &on.peer.tcp));
    let ranges = desired.dynamic.iter().map(|range| (Who::Within(range.prefix), &range.peer.tcp));
    let mut kernel = AoProbe::default();
    let refused = peers.chain(links).chain(ranges).filter_map(|(who, tcp)| {
        let Ok(Auth::Ao(keys)) = auth(tcp) else { return None };
        let ipv4 = match who {
            Who::Address(address) => address.address().is_ipv4(),
            Who::Within(prefix) => prefix.address().is_ipv4(),
            Who::On(_) => false,
        };
        let reason = kernel.refusal(ipv4, &keys)?;
        Some(format!("{}: {reason}: no session without (KeyNotInForce)", edges::words(&who)))
    });
    refused.collect()
}

/// How segments are signed, as the API says it.
pub(super) fn authentication(tcp: &TcpOptions) -> &'static str {
    match (&tcp.ao, &tcp.password) {
        (Some(_), _) => "tcp-ao",
        (None, Some(_)) => "md5",
        (None, None) => "",
    }
}

/// The keys of TCP-AO, without what they are.
pub(super) fn shown(ao: Option<&TcpAo>) -> Vec<v1::TcpAoKey> {
    let keys = ao.into_iter().flat_map(|ao| &ao.keys);
    let shown = keys.map(|key| v1::TcpAoKey {
        send_id: key.send_id.into(),
        recv_id: key.receive_id.into(),
        algorithm: key.algorithm.to_string(),
        include_options: key.include_options,
    });
    shown.collect()
}
