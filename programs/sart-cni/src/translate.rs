//! CNI's words to the agent's, and back.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use cni::{Added, Attachment, Cidr, Error, ErrorCode, Interface, Ip, Route};
use cni_wire::{Allocate, Done, Link, Pod, Refusal, Request, Wire};
use serde_json::Value;

/// containerd's capability with the pod's annotations.
const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";
/// Only annotations of this domain are the agent's business.
const DOMAIN: &str = "sart.terassyi.net/";

pub(crate) fn add(attachment: &Attachment, netns: &Path) -> Result<Request, Error> {
    if attachment.config.previous()?.is_some() {
        let message = "not-first: sart-cni must be the first plugin of its network";
        return Err(Error::new(ErrorCode::InvalidConfig, message));
    }
    let arg = |key: &str| {
        attachment.arg(key).map(str::to_owned).ok_or_else(|| {
            let message = format!("pod-unknown: CNI_ARGS has no {key}");
            Error::new(ErrorCode::InvalidEnvironment, message)
        })
    };
    let pod = Pod {
        namespace: arg("K8S_POD_NAMESPACE")?,
        name: arg("K8S_POD_NAME")?,
        uid: attachment.arg("K8S_POD_UID").map(str::to_owned),
        annotations: annotations(attachment)?,
    };
    let wire = Wire { netns: netns.display().to_string(), mtu: mtu(attachment)? };
    Ok(Request::Add { attachment: key(attachment), allocate: Allocate { pod }, wire: Some(wire) })
}

pub(crate) fn del(attachment: &Attachment) -> Request {
    Request::Del { attachment: key(attachment) }
}

/// The result may be that of a whole chain: only addresses of our interface are looked at.
pub(crate) fn check(attachment: &Attachment, previous: &Added) -> Request {
    let ours = |ip: &&Ip| match ip.interface {
        None => true,
        Some(at) => usize::try_from(at)
            .ok()
            .and_then(|at| previous.interfaces.get(at))
            .is_some_and(|i| i.name == attachment.ifname && !i.sandbox.is_empty()),
    };
    let addresses = previous.ips.iter().filter(ours).map(|ip| ip.address.address).collect();
    Request::Check { attachment: key(attachment), addresses }
}

/// The result of ADD: the two ends of the link, the addresses of the second, the default routes.
pub(crate) fn added(done: Done, netns: &Path) -> Result<Added, Error> {
    let (Some(allocated), Some(wired)) = (done.allocated, done.wired) else {
        let message = "reply-incomplete: the agent's reply lacks addresses or links";
        return Err(Error::new(ErrorCode::Other(100), message));
    };
    let interface = |link: Link, sandbox: String| Interface {
        name: link.name,
        mac: link.mac,
        mtu: Some(link.mtu),
        sandbox,
    };
    let gateway =
        |address: &IpAddr| wired.gateways.iter().find(|g| g.is_ipv4() == address.is_ipv4());
    let ips = allocated.addresses.iter().map(|a| Ip {
        address: Cidr::from(a.address),
        gateway: gateway(&a.address).copied(),
        interface: Some(1),
    });
    let routes = wired.gateways.iter().map(|gw| Route { dst: default_route(gw), gw: Some(*gw) });
    Ok(Added {
        ips: ips.collect(),
        routes: routes.collect(),
        interfaces: vec![
            interface(wired.host, String::new()),
            interface(wired.pod, netns.display().to_string()),
        ],
        dns: cni::Dns::default(),
    })
}

pub(crate) fn refusal(refusal: Refusal) -> Error {
    Error {
        code: ErrorCode::from(refusal.code),
        message: format!("{}: {}", refusal.reason, refusal.message),
        details: refusal.details,
    }
}

fn key(attachment: &Attachment) -> cni_wire::Attachment {
    cni_wire::Attachment {
        network: attachment.config.name.clone(),
        container_id: attachment.container_id.clone(),
        ifname: attachment.ifname.clone(),
    }
}

fn annotations(attachment: &Attachment) -> Result<Option<BTreeMap<String, String>>, Error> {
    let invalid = |message: String| Error::new(ErrorCode::InvalidConfig, message);
    let all = match attachment.config.capability(ANNOTATIONS) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(all)) => all,
        Some(_) => return Err(invalid(format!("{ANNOTATIONS} is no map"))),
    };
    let ours = all.iter().filter(|(key, _)| key.contains(DOMAIN));
    let texts = ours.map(|(key, value)| match value {
        Value::String(text) => Ok((key.clone(), text.clone())),
        _ => Err(invalid(format!("{ANNOTATIONS}: {key} is no text"))),
    });
    texts.collect::<Result<_, _>>().map(Some)
}

/// An MTU below 1280 would switch IPv6 off (RFC 8200 §5).
fn mtu(attachment: &Attachment) -> Result<Option<u32>, Error> {
    match attachment.config.raw.get("mtu") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().and_then(|mtu| u32::try_from(mtu).ok()) {
            Some(0) => Ok(None),
            Some(mtu @ 1280..=65535) => Ok(Some(mtu)),
            Some(_) | None => {
                let message = format!("mtu {value} is not between 1280 and 65535");
                Err(Error::new(ErrorCode::InvalidConfig, message))
            }
        },
    }
}

fn default_route(gateway: &IpAddr) -> Cidr {
    let address = match gateway {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Cidr { address, len: 0 }
}
