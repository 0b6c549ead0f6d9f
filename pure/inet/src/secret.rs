use std::fmt;
use std::sync::Arc;

/// A key of TCP MD5 or TCP-AO: 1 to 80 octets. It is never shown, and its bytes are overwritten
/// when the last copy goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Wiped>);

#[derive(PartialEq, Eq)]
struct Wiped(String);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 1 to 80 octets, not {0}")]
pub struct SecretError(usize);

impl Secret {
    /// The longest key, in octets, that the kernel takes (`TCP_MD5SIG_MAXKEYLEN`,
    /// `TCP_AO_MAXKEYLEN`).
    pub const MAX: usize = 80;

    /// A key of 1 to 80 octets.
    ///
    /// # Errors
    /// With none, or more.
    pub fn new(text: &str) -> Result<Secret, SecretError> {
        match text.len() {
            1..=Secret::MAX => Ok(Secret(Arc::new(Wiped(text.to_owned())))),
            len => Err(SecretError(len)),
        }
    }

    /// The key itself: only for who sets it.
    pub fn reveal(&self) -> &str {
        &self.0.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut std::mem::take(&mut self.0).into_bytes());
    }
}

/// Overwrites bytes that held a key; the compiler must take them as still read.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}
