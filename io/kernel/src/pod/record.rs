use std::net::IpAddr;

use inet::LinkName;

/// Who has which addresses: the alias of the link on the node.
///
/// `sart:<pools>:<container>:<interface>:<addresses>`, the lists joined by commas. None of the first
/// three can hold a colon; the addresses come last because IPv6 has them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The pools that the addresses are from, in the addresses' order; left out if they don't fit.
    pub pools: Vec<String>,
    /// The runtime's id of the container.
    pub container_id: String,
    /// The interface's name in the pod.
    pub ifname: String,
    /// The pod's addresses.
    pub addresses: Vec<IpAddr>,
}

/// A link on the node that is ours by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostLink {
    /// A pod's, whole.
    Recorded {
        /// Its name.
        name: LinkName,
        /// Whose.
        record: Record,
    },
    /// Without a record: making it was interrupted.
    HalfMade {
        /// Its name.
        name: LinkName,
    },
}

/// Why something can't be a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Over the kernel's limit even without the pools' names.
    #[error(
        "the container's id and its addresses need {0} bytes, a link's alias has room for {ALIAS_MAX}"
    )]
    TooLong(usize),
    /// A part holds one of the separators, or is empty.
    #[error("{0:?} can't stand in a link's alias")]
    Illegal(String),
}

impl RecordError {
    /// The refusal's name as people see it.
    pub const fn name(&self) -> &'static str {
        match self {
            RecordError::TooLong(_) => "record-too-long",
            RecordError::Illegal(_) => "record-illegal",
        }
    }
}

/// IFALIASZ without the NUL at its end.
pub(super) const ALIAS_MAX: usize = 255;

const PREFIX: &str = "sart";

impl Record {
    /// The record as an alias of at most 255 bytes.
    pub fn to_alias(&self) -> Result<String, RecordError> {
        let illegal = |text: &&str| {
            text.is_empty() || text.contains([':', ',']) || text.contains(|c: char| c.is_control())
        };
        let parts = [self.container_id.as_str(), self.ifname.as_str()];
        let mut texts = self.pools.iter().map(String::as_str).chain(parts);
        if let Some(text) = texts.find(illegal) {
            return Err(RecordError::Illegal(text.to_owned()));
        }
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let rest = format!("{}:{}:{}", self.container_id, self.ifname, addresses.join(","));
        let alias = format!("{PREFIX}:{}:{rest}", self.pools.join(","));
        if alias.len() <= ALIAS_MAX {
            return Ok(alias);
        }
        let alias = format!("{PREFIX}::{rest}");
        if alias.len() <= ALIAS_MAX { Ok(alias) } else { Err(RecordError::TooLong(alias.len())) }
    }

    /// Reads an alias; none if it is not one of ours, or cut off.
    pub fn from_alias(alias: &str) -> Option<Record> {
        let mut parts = alias.splitn(5, ':');
        let mut next = || parts.next();
        let (prefix, pools, container_id, ifname) = (next()?, next()?, next()?, next()?);
        let addresses = next()?;
        if prefix != PREFIX || container_id.is_empty() || ifname.is_empty() {
            return None;
        }
        let list = |text: &str| match text {
            "" => Vec::new(),
            text => text.split(',').map(str::to_owned).collect::<Vec<_>>(),
        };
        let addresses = list(addresses).iter().map(|a| a.parse().ok()).collect::<Option<_>>()?;
        Some(Record {
            pools: list(pools),
            container_id: container_id.to_owned(),
            ifname: ifname.to_owned(),
            addresses,
        })
    }

    /// Whether the record is of this interface of this container.
    pub fn is_of(&self, container_id: &str, ifname: &str) -> bool {
        self.container_id == container_id && self.ifname == ifname
    }
}

/// The name of the node's end: `sart` and 11 hex digits, always the same for one interface of one
/// container, so that DEL finds it without any books.
pub fn host_name(container_id: &str, ifname: &str) -> LinkName {
    let name = format!("{PREFIX}{:011x}", hash(&[container_id, ifname]) >> 20);
    // Fifteen letters and digits are always a name.
    name.parse().unwrap_or_else(|_| unreachable!("{name}"))
}

/// Whether a link is ours by its name.
pub(super) fn is_host_name(name: &str) -> bool {
    name.len() == 15
        && name
            .strip_prefix(PREFIX)
            .is_some_and(|hex| hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// The hardware addresses of the two ends, the node's first: locally administered, unicast.
pub(super) fn hardware_addresses(container_id: &str, ifname: &str) -> ([u8; 6], [u8; 6]) {
    let address = |end: &str| {
        let [_, _, _, b, c, d, e, f] = hash(&[end, container_id, ifname]).to_be_bytes();
        [0x0a, b, c, d, e, f]
    };
    (address("node"), address("pod"))
}

/// FNV-1a over the parts, then mixed so that every bit counts in every other. Container ids are the
/// runtime's, not a stranger's, so the hash needs no key; a collision is refused, never shared.
fn hash(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
