//! TCP-AO of a peer (RFC 5925) as the document has it.

use bgp_speaker::AoChange;
use inet::{AoAlgorithm, Secret};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

/// The keys of a peer, and what they sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TcpAo {
    /// At least one; connections begin with the first, and the peer is asked to sign with it.
    pub keys: Vec<AoKey>,
    /// The other options of TCP are signed, too; true when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_options: Option<bool>,
}

/// A key of TCP-AO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AoKey {
    /// The id in what we send. Both directions' ids are one key where they are the same.
    pub send_id: u8,
    /// The id in what the peer sends.
    pub recv_id: u8,
    /// How segments are signed; `hmac-sha1-96` when left out.
    pub algorithm: Option<AoAlgorithm>,
    /// The key itself, or where it is.
    pub key: AoSecret,
}

/// A key, or where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AoSecret {
    /// The document has it.
    Key(Secret),
    /// This file has it; the program reads it.
    File(String),
}

/// A key with what was left out: its ids, and all the rest.
type InForce<'k> = ((u8, u8), (AoAlgorithm, bool, &'k AoSecret));

impl TcpAo {
    /// What a change does with the session, as far as it is seen here: a key in a file is taken
    /// to be the same as long as the file is.
    pub(crate) fn change(old: Option<&TcpAo>, new: Option<&TcpAo>) -> AoChange {
        match (old, new) {
            (None, None) => AoChange::Nothing,
            (Some(_), None) | (None, Some(_)) => AoChange::Reset,
            (Some(old), Some(new)) => {
                let collides =
                    |(was, _): &InForce<'_>, (is, _): &InForce<'_>| was.0 == is.0 || was.1 == is.1;
                bgp_speaker::ao_change(&old.in_force(), &new.in_force(), collides)
            }
        }
    }

    /// Whether the other options of TCP are signed.
    pub(crate) fn includes_options(&self) -> bool {
        self.include_options.unwrap_or(true)
    }

    fn in_force(&self) -> Vec<InForce<'_>> {
        let options = self.includes_options();
        let keys = self.keys.iter().map(|key| {
            let rest = (key.algorithm.unwrap_or_default(), options, &key.key);
            ((key.send_id, key.recv_id), rest)
        });
        keys.collect()
    }
}

impl Serialize for AoKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let AoKey { send_id, recv_id, algorithm, key } = self;
        let mut to = s.serialize_map(None)?;
        if send_id == recv_id {
            to.serialize_entry("id", send_id)?;
        } else {
            to.serialize_entry("send_id", send_id)?;
            to.serialize_entry("recv_id", recv_id)?;
        }
        if let Some(algorithm) = algorithm {
            to.serialize_entry("algorithm", &algorithm.to_string())?;
        }
        match key {
            AoSecret::Key(secret) => to.serialize_entry("key", secret.reveal())?,
            AoSecret::File(path) => to.serialize_entry("key_file", path)?,
        }
        to.end()
    }
}
