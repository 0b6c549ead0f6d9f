//! Image names: what people tag, and which requests a tagged name answers.

use std::fmt;
use std::str::FromStr;

/// A name somebody gave an image: `test-server`, `coredns:1.15.0`, `ghcr.io/terassyi/sart:0.2.0`.
///
/// It answers every request whose full name *ends* in it, component by component, so a short name
/// serves all registries. Without a tag it answers every tag. See [`Name::rank`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    /// Registry (if given) and path, in order.
    parts: Vec<String>,
    tag: Option<String>,
}

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// Nothing, or nothing between two slashes.
    #[error("image name {0:?} has an empty part")]
    Empty(String),
    /// A letter that no registry accepts.
    #[error("image name {0:?} has the character {1:?}, which no registry accepts there")]
    Character(String, char),
    /// `name@sha256:…` is no name to give.
    #[error("image name {0:?} holds a digest: give a name and a tag")]
    Digest(String),
    /// Longer than registries accept.
    #[error("image name is longer than 255 characters")]
    TooLong,
}

/// How exactly a [`Name`] answers a request: more parts win, then an exact tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    parts: usize,
    tagged: bool,
}

impl Name {
    /// How well this name answers `registry`/`path`:`tag`, or `None` when it does not.
    /// `registry` is absent when the client asked us by our own address.
    pub(crate) fn rank(&self, registry: Option<&str>, path: &str, tag: &str) -> Option<Rank> {
        if self.tag.as_deref().is_some_and(|own| own != tag) {
            return None;
        }
        let asked: Vec<&str> = registry.into_iter().chain(path.split('/')).collect();
        let start = asked.len().checked_sub(self.parts.len())?;
        let same = asked.iter().skip(start).zip(&self.parts).all(|(a, b)| a == b);
        same.then_some(Rank { parts: self.parts.len(), tagged: self.tag.is_some() })
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > 255 {
            return Err(NameError::TooLong);
        }
        if text.contains('@') {
            return Err(NameError::Digest(text.to_owned()));
        }
        let tail = text.rfind('/').map_or(0, |slash| slash + 1);
        let (path, tag) = match text.get(tail..).and_then(|last| last.find(':')) {
            Some(colon) => {
                let (path, tag) = text.split_at(tail + colon);
                (path, Some(tag.trim_start_matches(':').to_owned()))
            }
            None => (text, None),
        };
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        if parts.iter().chain(&tag).any(String::is_empty) {
            return Err(NameError::Empty(text.to_owned()));
        }
        let has_registry = parts.len() > 1 && parts.first().is_some_and(|first| is_registry(first));
        for (i, part) in parts.iter().enumerate() {
            let registry = i == 0 && has_registry;
            let bad = |c: &char| match c {
                'a'..='z' | '0'..='9' | '.' | '-' | '_' => false,
                'A'..='Z' | ':' => !registry,
                _ => true,
            };
            if let Some(c) = part.chars().find(bad) {
                return Err(NameError::Character(text.to_owned(), c));
            }
        }
        let bad = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        if let Some(c) = tag.iter().flat_map(|tag| tag.chars()).find(bad) {
            return Err(NameError::Character(text.to_owned(), c));
        }
        // docker.io/nginx is short for docker.io/library/nginx, and that is what clients ask for.
        if parts.len() == 2 && parts.first().is_some_and(|first| first == "docker.io") {
            parts.insert(1, "library".to_owned());
        }
        Ok(Self { parts, tag })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.join("/"))?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

/// The first part is a registry when it has a dot or a port, or is `localhost`.
fn is_registry(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost"
}
