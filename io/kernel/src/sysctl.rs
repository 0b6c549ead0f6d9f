//! Kernel settings under `/proc/sys`.
//!
//! Those under `net/` are of the network namespace of the calling thread.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Why a setting could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// Not a path below `/proc/sys`.
    #[error("not the name of a kernel setting: {0:?}")]
    Name(String),
    /// Reading failed.
    #[error("cannot read the kernel setting {name}")]
    Read {
        /// The setting.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot set the kernel setting {name} to {value}")]
    Write {
        /// The setting.
        name: String,
        /// What it should be.
        value: String,
        /// Why.
        source: io::Error,
    },
}

/// Reads a setting by its path, for instance `net/ipv4/conf/eth0/forwarding`; without the line end.
pub fn read(name: &str) -> Result<String, SysctlError> {
    read_below(Path::new("/proc/sys"), name)
}

/// Sets a setting unless it is so already; tells whether it was written. A read-only `/proc/sys`
/// thus does no harm where all is right.
pub fn write(name: &str, value: &str) -> Result<bool, SysctlError> {
    write_below(Path::new("/proc/sys"), name, value)
}

fn read_below(root: &Path, name: &str) -> Result<String, SysctlError> {
    let path = path_below(root, name)?;
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|source| SysctlError::Read { name: name.to_owned(), source })?;
    Ok(text.trim_end().to_owned())
}

fn write_below(root: &Path, name: &str, value: &str) -> Result<bool, SysctlError> {
    if read_below(root, name).is_ok_and(|now| now == value) {
        return Ok(false);
    }
    let path = path_below(root, name)?;
    std::fs::write(path, value).map_err(|source| {
        let (name, value) = (name.to_owned(), value.to_owned());
        SysctlError::Write { name, value, source }
    })?;
    Ok(true)
}

fn path_below(root: &Path, name: &str) -> Result<PathBuf, SysctlError> {
    let below = Path::new(name);
    let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    match plain && !name.is_empty() {
        true => Ok(root.join(below)),
        false => Err(SysctlError::Name(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_root() {
        for name in ["", "/etc/passwd", "net/../../etc/passwd", "./net"] {
            let error = path_below(Path::new("/proc/sys"), name).unwrap_err();
            assert!(matches!(error, SysctlError::Name(_)), "{name}");
        }
    }

    #[test]
    fn what_is_right_is_not_written() {
        let now = read("net/ipv4/ip_forward").unwrap();
        assert!(!write("net/ipv4/ip_forward", &now).unwrap());
        assert!(matches!(read("net/no/such"), Err(SysctlError::Read { .. })));
    }
}
