use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// An address family that sart routes, always unicast (RFC 4760: AFI 1 or 2, SAFI 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4 unicast.
    Ipv4,
    /// IPv6 unicast.
    Ipv6,
}

impl Family {
    /// Both families, in the order in which they are offered and shown.
    pub const ALL: [Family; 2] = [Family::Ipv4, Family::Ipv6];

    /// The family of an address.
    pub const fn of(address: &IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// Bits in an address: 32 or 128.
    pub const fn bits(self) -> u8 {
        match self {
            Family::Ipv4 => 32,
            Family::Ipv6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        })
    }
}

impl FromStr for Family {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Family, PrefixError> {
        match text.to_ascii_lowercase().as_str() {
            "ipv4" | "v4" => Ok(Family::Ipv4),
            "ipv6" | "v6" => Ok(Family::Ipv6),
            _ => Err(PrefixError::Family(text.to_owned())),
        }
    }
}

/// An IP prefix without host bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(IpNet);

/// Why a text or value is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not `address/length`.
    #[error("not a prefix (address/length): {0:?}")]
    Syntax(String),
    /// Bits beyond the length are set; the second value is the prefix that was probably meant.
    #[error("{0} has host bits set (did you mean {1}?)")]
    HostBits(String, Prefix),
    /// The length is over 32 or 128.
    #[error("prefix length {0} is over {1}")]
    Length(u8, u8),
    /// Not `ipv4` or `ipv6`.
    #[error("not an address family (ipv4 or ipv6): {0:?}")]
    Family(String),
}

impl Prefix {
    /// Makes a prefix; host bits are refused.
    pub fn new(address: IpAddr, len: u8) -> Result<Prefix, PrefixError> {
        let prefix = Prefix::truncated(address, len)?;
        if prefix.address() != address {
            return Err(PrefixError::HostBits(format!("{address}/{len}"), prefix));
        }
        Ok(prefix)
    }

    /// Makes a prefix from an address in it, clearing the host bits.
    pub fn truncated(address: IpAddr, len: u8) -> Result<Prefix, PrefixError> {
        let bits = Family::of(&address).bits();
        let net = IpNet::new(address, len).map_err(|_| PrefixError::Length(len, bits))?;
        Ok(Prefix(net.trunc()))
    }

    /// The prefix of exactly one address: /32 or /128.
    pub fn host(address: IpAddr) -> Prefix {
        Prefix(IpNet::from(address))
    }

    /// The default route of a family.
    pub fn default_route(family: Family) -> Prefix {
        match family {
            Family::Ipv4 => Prefix(IpNet::V4(Ipv4Net::default())),
            Family::Ipv6 => Prefix(IpNet::V6(Ipv6Net::default())),
        }
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.0.addr()
    }

    /// The length, 0 to 32 or 128.
    // "Empty" has no meaning for a prefix.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u8 {
        self.0.prefix_len()
    }

    /// The family.
    pub fn family(&self) -> Family {
        match self.0 {
            IpNet::V4(_) => Family::Ipv4,
            IpNet::V6(_) => Family::Ipv6,
        }
    }

    /// Whether the address lies in the prefix; false for the other family.
    pub fn contains(&self, address: &IpAddr) -> bool {
        self.0.contains(address)
    }

    /// Whether `other` lies wholly in this prefix (or is it); false for the other family.
    pub fn covers(&self, other: &Prefix) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the two share an address.
    pub fn overlaps(&self, other: &Prefix) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The last address.
    pub fn last_address(&self) -> IpAddr {
        self.0.broadcast()
    }

    /// How many addresses there are; the 2^128 of `::/0` saturates.
    pub fn size(&self) -> u128 {
        let host_bits = u32::from(self.family().bits() - self.len());
        1u128.checked_shl(host_bits).unwrap_or(u128::MAX)
    }

    /// The `n`th address counted from the first, or none past the end.
    pub fn nth(&self, n: u128) -> Option<IpAddr> {
        if n >= self.size() {
            return None;
        }
        match self.address() {
            IpAddr::V4(first) => {
                let n = u32::try_from(n).ok()?;
                u32::from(first).checked_add(n).map(|a| IpAddr::V4(Ipv4Addr::from(a)))
            }
            IpAddr::V6(first) => {
                u128::from(first).checked_add(n).map(|a| IpAddr::V6(Ipv6Addr::from(a)))
            }
        }
    }

    /// How far `address` is from the first address, or none if it lies outside.
    pub fn offset_of(&self, address: &IpAddr) -> Option<u128> {
        if !self.contains(address) {
            return None;
        }
        match (self.address(), address) {
            (IpAddr::V4(first), IpAddr::V4(a)) => {
                Some(u128::from(u32::from(*a) - u32::from(first)))
            }
            (IpAddr::V6(first), IpAddr::V6(a)) => Some(u128::from(*a) - u128::from(first)),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let net: IpNet = text.parse().map_err(|_| PrefixError::Syntax(text.to_owned()))?;
        Prefix::new(net.addr(), net.prefix_len())
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;
    fn try_from(text: String) -> Result<Prefix, PrefixError> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.to_string()
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Prefix {
        Prefix::host(address)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
