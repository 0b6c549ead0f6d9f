//! TCP-AO (RFC 5925): which keys a peer's connections have, and which changes they live through.

use inet::AoKey;

/// The keys of a peer. The first is what connections begin with, and what the peer is asked to
/// sign with; the others are taken too, so that keys can be changed one end after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpAo {
    /// At least one; no two have the same id in one direction (RFC 5925 §3.1).
    pub keys: Vec<AoKey>,
}

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

#[cfg(test)]
mod tests;
