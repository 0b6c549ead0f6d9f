use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An autonomous system number, four octets (RFC 6793). Zero is reserved (RFC 7607) and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Asn(u32);

/// Why a number or text is no AS number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsnError {
    /// AS 0 is reserved (RFC 7607).
    #[error("AS number 0 is reserved")]
    Zero,
    /// Not a decimal number below 2^32, nor `high.low`.
    #[error("not an AS number: {0:?}")]
    Syntax(String),
}

impl Asn {
    /// AS_TRANS, the two-octet stand-in for a four-octet number (RFC 6793 §9).
    pub const TRANS: Asn = Asn(23456);

    /// Makes an AS number; 0 is refused.
    pub const fn new(value: u32) -> Result<Asn, AsnError> {
        match value {
            0 => Err(AsnError::Zero),
            value => Ok(Asn(value)),
        }
    }

    /// The number itself, 1 to 4294967295.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number as it stands in a two-octet field: itself, or AS_TRANS.
    pub const fn as_two_octets(self) -> u16 {
        if self.0 <= u16::MAX as u32 { self.0 as u16 } else { Asn::TRANS.0 as u16 }
    }
}

impl TryFrom<u32> for Asn {
    type Error = AsnError;
    fn try_from(value: u32) -> Result<Asn, AsnError> {
        Asn::new(value)
    }
}

impl From<Asn> for u32 {
    fn from(asn: Asn) -> u32 {
        asn.0
    }
}

impl FromStr for Asn {
    type Err = AsnError;
    /// Reads asplain (`65551`) and asdot (`1.15`), RFC 5396.
    fn from_str(text: &str) -> Result<Asn, AsnError> {
        let syntax = || AsnError::Syntax(text.to_owned());
        let value = match text.split_once('.') {
            None => text.parse().map_err(|_| syntax())?,
            Some((high, low)) => {
                let high: u16 = high.parse().map_err(|_| syntax())?;
                let low: u16 = low.parse().map_err(|_| syntax())?;
                u32::from(high) << 16 | u32::from(low)
            }
        };
        Asn::new(value)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BGP Identifier: four octets, not zero (RFC 6286), written like an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Ipv4Addr", into = "Ipv4Addr")]
pub struct RouterId(Ipv4Addr);

/// Why a value is no BGP Identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouterIdError {
    /// Zero is not a valid BGP Identifier (RFC 6286 §2.1).
    #[error("router id 0.0.0.0 is not valid")]
    Zero,
    /// Not four octets in dotted form.
    #[error("not a router id: {0:?}")]
    Syntax(String),
}

impl RouterId {
    /// Makes a BGP Identifier; `0.0.0.0` is refused.
    pub fn new(value: Ipv4Addr) -> Result<RouterId, RouterIdError> {
        if value.is_unspecified() { Err(RouterIdError::Zero) } else { Ok(RouterId(value)) }
    }

    /// The identifier as the unsigned number that ties are broken by (RFC 4271 §9.1.2.2 f).
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }
}

impl TryFrom<Ipv4Addr> for RouterId {
    type Error = RouterIdError;
    fn try_from(value: Ipv4Addr) -> Result<RouterId, RouterIdError> {
        RouterId::new(value)
    }
}

impl From<RouterId> for Ipv4Addr {
    fn from(id: RouterId) -> Ipv4Addr {
        id.0
    }
}

impl FromStr for RouterId {
    type Err = RouterIdError;
    fn from_str(text: &str) -> Result<RouterId, RouterIdError> {
        let value: Ipv4Addr = text.parse().map_err(|_| RouterIdError::Syntax(text.to_owned()))?;
        RouterId::new(value)
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
