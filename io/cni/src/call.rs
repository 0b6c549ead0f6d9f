use std::path::PathBuf;

use serde_json::Value;

use crate::config::{invalid, is_name};
use crate::{Added, Config, Error, ErrorCode, Version};

/// What the runtime asks (section "CNI operations"). VERSION never reaches a plugin: the library
/// answers it.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Attach the container to the network.
    Add {
        /// What is attached.
        attachment: Attachment,
        /// The container's namespace.
        netns: PathBuf,
    },
    /// Detach it; success also when nothing is left.
    Del {
        /// What is detached.
        attachment: Attachment,
        /// The container's namespace, unless it is gone.
        netns: Option<PathBuf>,
    },
    /// Fail unless it is still attached as it was.
    Check {
        /// What is looked at.
        attachment: Attachment,
        /// The container's namespace.
        netns: PathBuf,
        /// What ADD returned.
        previous: Added,
    },
    /// Remove what belongs to no valid attachment of this network.
    Gc {
        /// The network.
        config: Config,
        /// What is still in use.
        valid: Vec<ValidAttachment>,
    },
    /// Fail unless ADD can be served.
    Status {
        /// The network.
        config: Config,
    },
}

/// A container's attachment to a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    /// The container's id.
    pub container_id: String,
    /// The interface's name in the container.
    pub ifname: String,
    /// `CNI_ARGS`, in order.
    pub args: Vec<(String, String)>,
    /// The network.
    pub config: Config,
}

impl Attachment {
    /// The value of a key in `CNI_ARGS`, if it is there and not empty.
    pub fn arg(&self, key: &str) -> Option<&str> {
        let found = self.args.iter().find(|(k, _)| k == key)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }
}

/// One entry of GC's `cni.dev/valid-attachments`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValidAttachment {
    /// The container's id.
    pub container_id: String,
    /// The interface's name in the container.
    pub ifname: String,
}

impl Call {
    /// Reads a call other than VERSION out of the environment and standard input.
    pub(crate) fn parse(
        command: &str,
        env: &dyn Fn(&str) -> Option<String>,
        config: Config,
    ) -> Result<Call, Error> {
        match command {
            "ADD" => {
                let netns = required_netns(env)?;
                Ok(Call::Add { attachment: attachment(env, config)?, netns })
            }
            "DEL" => {
                let netns = env("CNI_NETNS").filter(|path| !path.is_empty()).map(PathBuf::from);
                Ok(Call::Del { attachment: attachment(env, config)?, netns })
            }
            "CHECK" => {
                since(Version::V0_4_0, command, &config)?;
                let netns = required_netns(env)?;
                let Some(previous) = config.previous()? else {
                    return Err(invalid("CHECK needs prevResult"));
                };
                Ok(Call::Check { attachment: attachment(env, config)?, netns, previous })
            }
            "GC" => {
                since(Version::V1_1_0, command, &config)?;
                let valid = valid_attachments(&config)?;
                Ok(Call::Gc { config, valid })
            }
            "STATUS" => {
                since(Version::V1_1_0, command, &config)?;
                Ok(Call::Status { config })
            }
            other => Err(environment(format!(
                "CNI_COMMAND {other:?} is none of ADD, DEL, CHECK, GC, STATUS and VERSION"
            ))),
        }
    }
}

fn attachment(env: &dyn Fn(&str) -> Option<String>, config: Config) -> Result<Attachment, Error> {
    let container_id = required(env, "CNI_CONTAINERID")?;
    if !is_name(&container_id) {
        return Err(environment(format!(
            "CNI_CONTAINERID {container_id:?} must be letters, digits, '_', '.' and '-', and start \
             with a letter or digit"
        )));
    }
    let ifname = required(env, "CNI_IFNAME")?;
    if !is_ifname(&ifname) {
        return Err(environment(format!(
            "CNI_IFNAME {ifname:?} must have 1 to 15 bytes, no space, no '/' and no ':'"
        )));
    }
    let args = parse_args(&env("CNI_ARGS").unwrap_or_default())?;
    Ok(Attachment { container_id, ifname, args, config })
}

/// Section "Parameters": alphanumeric pairs joined by `=`, separated by `;`.
fn parse_args(text: &str) -> Result<Vec<(String, String)>, Error> {
    let pairs = text.split(';').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            Some(_) | None => Err(environment(format!("CNI_ARGS: {pair:?} is not KEY=VALUE"))),
        })
        .collect()
}

/// What the kernel takes as a name (`dev_valid_name`).
fn is_ifname(name: &str) -> bool {
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && c != '/' && c != ':';
    (1..=15).contains(&name.len()) && name != "." && name != ".." && name.chars().all(legal)
}

fn valid_attachments(config: &Config) -> Result<Vec<ValidAttachment>, Error> {
    let key = "cni.dev/valid-attachments";
    let list = match config.raw.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(invalid(format!("{key} is no list"))),
    };
    list.iter()
        .map(|entry| {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
            match (text("containerID"), text("ifname")) {
                (Some(container_id), Some(ifname)) => Ok(ValidAttachment { container_id, ifname }),
                (None, _) | (_, None) => {
                    Err(invalid(format!("{key}: an entry needs containerID and ifname")))
                }
            }
        })
        .collect()
}

fn since(version: Version, command: &str, config: &Config) -> Result<(), Error> {
    if config.version >= version {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::IncompatibleVersion,
        format!("{command} exists since CNI {version}, the configuration has {}", config.version),
    ))
}

fn required_netns(env: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, Error> {
    required(env, "CNI_NETNS").map(PathBuf::from)
}

fn required(env: &dyn Fn(&str) -> Option<String>, name: &str) -> Result<String, Error> {
    env(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| environment(format!("{name} is missing")))
}

fn environment(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidEnvironment, message)
}
