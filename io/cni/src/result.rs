use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Error, ErrorCode, Version};

/// The result of ADD (section "ADD Success"), in the newest version's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Added {
    /// The interfaces made; an address names its interface by the place in this list.
    pub interfaces: Vec<Interface>,
    /// The addresses given.
    pub ips: Vec<Ip>,
    /// The routes made in the container.
    pub routes: Vec<Route>,
    /// Name servers for the container.
    pub dns: Dns,
}

/// An interface, on the host or in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address, if it has one.
    pub mac: String,
    /// Its MTU in bytes, if it has one (since 1.1.0).
    pub mtu: Option<u32>,
    /// The namespace's path; empty on the host.
    pub sandbox: String,
}

/// An address in the container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ip {
    /// Address and prefix length.
    pub address: Cidr,
    /// The gateway of its subnet, if it has one.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// The place of its interface in the result's list.
    #[serde(default)]
    pub interface: Option<u32>,
}

/// A route in the container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Route {
    /// Where to.
    pub dst: Cidr,
    /// The gateway; none: that of the address.
    #[serde(default)]
    pub gw: Option<IpAddr>,
}

/// Name servers for the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Addresses in order of preference.
    pub nameservers: Vec<String>,
    /// The local domain, or empty.
    pub domain: String,
    /// Search domains in order.
    pub search: Vec<String>,
    /// Resolver options.
    pub options: Vec<String>,
}

/// An address with a prefix length; host bits are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// The prefix length, at most 32 or 128.
    pub len: u8,
}

/// Not `address/length`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address with a prefix length: {0:?}")]
pub struct CidrError(String);

impl Added {
    /// Reads a result of any version; what this library has no use for is passed over.
    pub fn from_json(value: &Value) -> Result<Added, Error> {
        Added::deserialize(value).map_err(|error| {
            Error::new(ErrorCode::Decoding, format!("prevResult is not understood: {error}"))
        })
    }

    /// The result as the caller's version has it.
    pub fn to_json(&self, version: Version) -> Value {
        let mut result = Map::new();
        result.insert("cniVersion".into(), json!(version.as_str()));
        list(&mut result, "interfaces", self.interfaces.iter().map(|i| i.to_json(version)));
        list(&mut result, "ips", self.ips.iter().map(|ip| ip.to_json(version)));
        list(&mut result, "routes", self.routes.iter().map(Route::to_json));
        result.insert("dns".into(), self.dns.to_json());
        Value::Object(result)
    }
}

impl Interface {
    fn to_json(&self, version: Version) -> Value {
        let mut object = Map::new();
        object.insert("name".into(), json!(self.name));
        text(&mut object, "mac", &self.mac);
        if let (Version::V1_1_0, Some(mtu)) = (version, self.mtu) {
            object.insert("mtu".into(), json!(mtu));
        }
        text(&mut object, "sandbox", &self.sandbox);
        Value::Object(object)
    }
}

impl Ip {
    fn to_json(&self, version: Version) -> Value {
        let mut object = Map::new();
        match version {
            Version::V0_3_1 | Version::V0_4_0 => {
                let family = if self.address.address.is_ipv4() { "4" } else { "6" };
                object.insert("version".into(), json!(family));
            }
            Version::V1_0_0 | Version::V1_1_0 => {}
        }
        object.insert("address".into(), json!(self.address.to_string()));
        if let Some(gateway) = self.gateway {
            object.insert("gateway".into(), json!(gateway));
        }
        if let Some(interface) = self.interface {
            object.insert("interface".into(), json!(interface));
        }
        Value::Object(object)
    }
}

impl Route {
    fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("dst".into(), json!(self.dst.to_string()));
        if let Some(gw) = self.gw {
            object.insert("gw".into(), json!(gw));
        }
        Value::Object(object)
    }
}

impl Dns {
    fn to_json(&self) -> Value {
        let mut object = Map::new();
        list(&mut object, "nameservers", self.nameservers.iter().map(|s| json!(s)));
        text(&mut object, "domain", &self.domain);
        list(&mut object, "search", self.search.iter().map(|s| json!(s)));
        list(&mut object, "options", self.options.iter().map(|s| json!(s)));
        Value::Object(object)
    }
}

fn list(object: &mut Map<String, Value>, key: &str, values: impl Iterator<Item = Value>) {
    let values: Vec<Value> = values.collect();
    if !values.is_empty() {
        object.insert(key.into(), Value::Array(values));
    }
}

fn text(object: &mut Map<String, Value>, key: &str, value: &str) {
    if !value.is_empty() {
        object.insert(key.into(), json!(value));
    }
}

impl From<IpAddr> for Cidr {
    /// The prefix of this one address: /32 or /128.
    fn from(address: IpAddr) -> Cidr {
        Cidr { address, len: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;
    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let refuse = || CidrError(text.to_owned());
        let (address, len) = text.split_once('/').ok_or_else(refuse)?;
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let len = len.parse().map_err(|_| refuse())?;
        if len > Cidr::from(address).len { Err(refuse()) } else { Ok(Cidr { address, len }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Cidr, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
