//! TCP-AO (RFC 5925): which keys a peer's connections have, and which changes they live through.

use std::fmt;
use std::str::FromStr;

use crate::peer::Secret;

/// The keys of a peer. The first is what connections begin with, and what the peer is asked to
/// sign with; the others are taken too, so that keys can be changed one end after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpAo {
    /// At least one; no two have the same id in one direction (RFC 5925 §3.1).
    pub keys: Vec<AoKey>,
}

/// A master key of TCP-AO.
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

/// What a change of TCP-AO does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AoChange {
    /// It is none.
    Nothing,
    /// The connection lives on: keys are added and taken away under it.
    Live,
    /// The connection must end.
    Reset,
}

impl TcpAo {
    /// What it means that `new` takes the place of `old`. A connection has TCP-AO from its first
    /// segment to its last or not at all (RFC 5925 §7), and a key of it can be taken away only
    /// when there is another that it goes on with.
    pub fn change(old: Option<&TcpAo>, new: Option<&TcpAo>) -> AoChange {
        match (old, new) {
            (None, None) => AoChange::Nothing,
            (Some(old), Some(new)) => ao_change(&old.keys, &new.keys, AoKey::collides),
            (Some(_), None) | (None, Some(_)) => AoChange::Reset,
        }
    }
}

/// The same for lists of keys of any kind; `collides` says whether two have an id in common.
pub fn ao_change<K: PartialEq>(
    old: &[K],
    new: &[K],
    collides: impl Fn(&K, &K) -> bool,
) -> AoChange {
    if old == new {
        return AoChange::Nothing;
    }
    let stays = old.iter().any(|key| new.contains(key));
    let fits = old.iter().all(|was| new.iter().all(|is| !collides(was, is)));
    if stays || fits { AoChange::Live } else { AoChange::Reset }
}

impl AoKey {
    /// Whether two keys have an id in common in one direction: no connection may have both.
    pub fn collides(&self, other: &AoKey) -> bool {
        self.send_id == other.send_id || self.receive_id == other.receive_id
    }
}

impl AoAlgorithm {
    const NAMES: [(AoAlgorithm, &'static str); 3] = [
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

#[cfg(test)]
mod tests;
