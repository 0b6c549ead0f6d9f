use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a network interface: 1 to 15 bytes, as the kernel takes them (IFNAMSIZ 16 with NUL).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkName {
    bytes: [u8; 15],
    len: u8,
}

/// Why a text is no interface name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an interface name (1 to 15 printable ASCII characters, no space, no '/'): {0:?}")]
pub struct LinkNameError(String);

impl LinkName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl FromStr for LinkName {
    type Err = LinkNameError;
    fn from_str(text: &str) -> Result<LinkName, LinkNameError> {
        let legal = |b: u8| b.is_ascii_graphic() && b != b'/' && b != b':';
        let ok = (1..=15).contains(&text.len()) && text.bytes().all(legal);
        if !ok || text == "." || text == ".." {
            return Err(LinkNameError(text.to_owned()));
        }
        let mut bytes = [0; 15];
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Ok(LinkName { bytes, len: text.len() as u8 })
    }
}

impl TryFrom<String> for LinkName {
    type Error = LinkNameError;
    fn try_from(text: String) -> Result<LinkName, LinkNameError> {
        text.parse()
    }
}

impl From<LinkName> for String {
    fn from(name: LinkName) -> String {
        name.as_str().to_owned()
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
