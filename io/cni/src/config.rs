use serde_json::{Map, Value};

use crate::{Added, Error, ErrorCode, Version};

/// The network configuration that comes on standard input.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The version that the caller speaks, and the result will have.
    pub version: Version,
    /// The network's name.
    pub name: String,
    /// The whole configuration, for the plugin's own keys.
    pub raw: Map<String, Value>,
}

impl Config {
    /// Decodes and validates (section "Network configuration format").
    pub fn parse(stdin: &[u8]) -> Result<Config, Error> {
        let raw = parse_object(stdin)?;
        let version = version_of(&raw)?;
        let name = match raw.get("name") {
            Some(Value::String(name)) if is_name(name) => name.clone(),
            Some(Value::String(name)) => {
                return Err(invalid(format!(
                    "the network's name {name:?} must be letters, digits, '_', '.' and '-', and \
                     start with a letter or digit"
                )));
            }
            Some(_) => return Err(invalid("the network's name is no string")),
            None => return Err(invalid("the configuration has no name")),
        };
        Ok(Config { version, name, raw })
    }

    /// What the runtime passes for a capability (`runtimeConfig`), e.g. `portMappings`.
    pub fn capability(&self, name: &str) -> Option<&Value> {
        self.raw.get("runtimeConfig")?.get(name)
    }

    /// The result of the plugin before this one, or on CHECK and DEL of the ADD; none if absent.
    pub fn previous(&self) -> Result<Option<Added>, Error> {
        match self.raw.get("prevResult") {
            None | Some(Value::Null) => Ok(None),
            Some(value) => Added::from_json(value).map(Some),
        }
    }
}

/// The version that a configuration asks for; an absent one means 0.1.0, which is not spoken.
pub(crate) fn version_of(raw: &Map<String, Value>) -> Result<Version, Error> {
    let text = match raw.get("cniVersion") {
        Some(Value::String(text)) => text.as_str(),
        Some(_) => return Err(Error::new(ErrorCode::Decoding, "cniVersion is no string")),
        None => "0.1.0",
    };
    Version::from_text(text).ok_or_else(|| {
        let known = Version::ALL.map(Version::as_str).join(", ");
        Error::new(ErrorCode::IncompatibleVersion, format!("CNI version {text:?} is not supported"))
            .with_details(format!("supported: {known}"))
    })
}

pub(crate) fn parse_object(stdin: &[u8]) -> Result<Map<String, Value>, Error> {
    let value: Value = serde_json::from_slice(stdin).map_err(|error| {
        Error::new(ErrorCode::Decoding, format!("the network configuration is no JSON: {error}"))
    })?;
    match value {
        Value::Object(raw) => Ok(raw),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Error::new(ErrorCode::Decoding, "the network configuration is no JSON object"))
        }
    }
}

/// A network's name or a container's id: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
pub(crate) fn is_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) && text.bytes().all(legal)
}

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidConfig, message)
}
