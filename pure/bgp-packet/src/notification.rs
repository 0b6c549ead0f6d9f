/// A NOTIFICATION (RFC 4271 §4.5): why a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Error code, 1 to 7.
    pub code: u8,
    /// Error subcode; 0 is unspecific.
    pub subcode: u8,
    /// Data; for Cease 2 and 4 a shutdown communication (RFC 9003).
    pub data: Vec<u8>,
}
