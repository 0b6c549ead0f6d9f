use std::fmt;

/// The longest key that the kernel takes (`TCP_MD5SIG_MAXKEYLEN`, `TCP_AO_MAXKEYLEN`).
const MAX: usize = 80;

/// A key of TCP MD5 or TCP-AO. It is never shown, and its bytes are overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a TCP key has 1 to 80 bytes, not {0}")]
pub struct SecretError(usize);

impl Secret {
    /// A key of 1 to 80 bytes.
    ///
    /// # Errors
    /// With none, or more.
    pub fn new(bytes: &[u8]) -> Result<Secret, SecretError> {
        if bytes.is_empty() || bytes.len() > MAX {
            return Err(SecretError(bytes.len()));
        }
        Ok(Secret(bytes.into()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites bytes; the compiler must take them as still read.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}
