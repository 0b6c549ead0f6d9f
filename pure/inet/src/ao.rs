use std::fmt;
use std::str::FromStr;

use crate::Secret;

/// A master key of TCP-AO (RFC 5925).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AoKey {
    /// The id (KeyID) in what we send.
    pub send_id: u8,
    /// The id in what the peer sends.
    pub receive_id: u8,
    /// How segments are signed.
    pub algorithm: AoAlgorithm,
    /// The other options of TCP are signed too; both ends must have it so.
    pub include_options: bool,
    /// The key: 1 to 80 octets.
    pub secret: Secret,
}

/// How segments are signed: the algorithms of RFC 5926, and the one that routers have beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AoAlgorithm {
    /// `hmac-sha1-96`, which every implementation has (RFC 5926 §3.2).
    #[default]
    HmacSha1,
    /// `aes-128-cmac-96`.
    AesCmac,
    /// `hmac-sha256`, with a code of 128 bits.
    HmacSha256,
}

/// A text that names no algorithm of TCP-AO.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not hmac-sha1-96, aes-128-cmac-96 or hmac-sha256")]
pub struct AoAlgorithmError(String);

impl AoKey {
    /// Whether two keys have an id in common in one direction: no connection may have both
    /// (RFC 5925 §3.1).
    pub fn collides(&self, other: &AoKey) -> bool {
        self.send_id == other.send_id || self.receive_id == other.receive_id
    }
}

impl AoAlgorithm {
    /// All of them, with their names.
    pub const NAMES: [(AoAlgorithm, &'static str); 3] = [
        (AoAlgorithm::HmacSha1, "hmac-sha1-96"),
        (AoAlgorithm::AesCmac, "aes-128-cmac-96"),
        (AoAlgorithm::HmacSha256, "hmac-sha256"),
    ];
}

impl fmt::Display for AoAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = AoAlgorithm::NAMES.iter().find(|(algorithm, _)| algorithm == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for AoAlgorithm {
    type Err = AoAlgorithmError;

    fn from_str(text: &str) -> Result<AoAlgorithm, AoAlgorithmError> {
        let found = AoAlgorithm::NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(algorithm, _)| *algorithm).ok_or_else(|| AoAlgorithmError(text.to_owned()))
    }
}
