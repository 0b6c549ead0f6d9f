use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{LinkName, is_link_local};

/// An address that names one host: a link-local one with its link (RFC 4007 §11), since the same
/// address may be on each link. Written `10.0.0.3`, `fe80::1%eth0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScopedAddr {
    address: IpAddr,
    link: Option<LinkName>,
}

/// Why a text is no such address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address such as 10.0.0.3, 2001:db8::3 or fe80::3%eth0: {0:?}")]
pub struct ScopedAddrError(String);

impl ScopedAddr {
    /// An address, and the link that counts if it is link-local.
    pub fn new(address: IpAddr, link: Option<LinkName>) -> ScopedAddr {
        ScopedAddr { address, link: link.filter(|_| is_link_local(&address)) }
    }

    /// The address alone.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The link of a link-local address, if it is known; none for others.
    pub fn link(&self) -> Option<LinkName> {
        self.link
    }

    /// Whether the address means something on its link alone.
    pub fn is_link_local(&self) -> bool {
        is_link_local(&self.address)
    }

    /// The link-local address of which the link is not known: it stands for no single host.
    pub fn is_ambiguous(&self) -> bool {
        self.is_link_local() && self.link.is_none()
    }
}

impl From<IpAddr> for ScopedAddr {
    fn from(address: IpAddr) -> ScopedAddr {
        ScopedAddr { address, link: None }
    }
}

impl From<&IpAddr> for ScopedAddr {
    fn from(address: &IpAddr) -> ScopedAddr {
        ScopedAddr::from(*address)
    }
}

impl From<&ScopedAddr> for ScopedAddr {
    fn from(address: &ScopedAddr) -> ScopedAddr {
        *address
    }
}

impl From<Ipv4Addr> for ScopedAddr {
    fn from(address: Ipv4Addr) -> ScopedAddr {
        ScopedAddr::from(IpAddr::V4(address))
    }
}

impl From<Ipv6Addr> for ScopedAddr {
    fn from(address: Ipv6Addr) -> ScopedAddr {
        ScopedAddr::from(IpAddr::V6(address))
    }
}

impl PartialEq<IpAddr> for ScopedAddr {
    fn eq(&self, address: &IpAddr) -> bool {
        self.link.is_none() && self.address == *address
    }
}

impl FromStr for ScopedAddr {
    type Err = ScopedAddrError;
    fn from_str(text: &str) -> Result<ScopedAddr, ScopedAddrError> {
        let wrong = || ScopedAddrError(text.to_owned());
        let (address, link) = match text.split_once('%') {
            None => (text, None),
            Some((address, link)) => (address, Some(link.parse().map_err(|_| wrong())?)),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        if link.is_some() && !is_link_local(&address) {
            return Err(wrong());
        }
        Ok(ScopedAddr { address, link })
    }
}

impl TryFrom<String> for ScopedAddr {
    type Error = ScopedAddrError;
    fn try_from(text: String) -> Result<ScopedAddr, ScopedAddrError> {
        text.parse()
    }
}

impl From<ScopedAddr> for String {
    fn from(address: ScopedAddr) -> String {
        address.to_string()
    }
}

impl fmt::Display for ScopedAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.link {
            None => fmt::Display::fmt(&self.address, f),
            Some(link) => f.pad(&format!("{}%{link}", self.address)),
        }
    }
}

impl fmt::Debug for ScopedAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
