use std::fmt;

use serde_json::{Value, json};

use crate::Version;

/// The number of an error, as the specification's section "Error" has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 1: the configuration's version is not spoken.
    IncompatibleVersion,
    /// 2: a field of the configuration is not supported; the message names it.
    UnsupportedField,
    /// 3: the container is unknown or gone; the runtime need not clean up.
    UnknownContainer,
    /// 4: an environment variable is missing or wrong; the message names it.
    InvalidEnvironment,
    /// 5: reading or writing failed.
    Io,
    /// 6: the configuration can't be decoded.
    Decoding,
    /// 7: the configuration is decoded and wrong.
    InvalidConfig,
    /// 11: not now; the runtime should try again later.
    TryAgainLater,
    /// 50: STATUS: ADD can't be served.
    NotAvailable,
    /// 51: STATUS: ADD can't be served, and running containers have limited connectivity.
    LimitedConnectivity,
    /// 100 and up: the plugin's own; also what a newer specification may reserve.
    Other(u32),
}

impl ErrorCode {
    /// The number.
    pub const fn get(self) -> u32 {
        match self {
            ErrorCode::IncompatibleVersion => 1,
            ErrorCode::UnsupportedField => 2,
            ErrorCode::UnknownContainer => 3,
            ErrorCode::InvalidEnvironment => 4,
            ErrorCode::Io => 5,
            ErrorCode::Decoding => 6,
            ErrorCode::InvalidConfig => 7,
            ErrorCode::TryAgainLater => 11,
            ErrorCode::NotAvailable => 50,
            ErrorCode::LimitedConnectivity => 51,
            ErrorCode::Other(code) => code,
        }
    }
}

impl From<u32> for ErrorCode {
    fn from(code: u32) -> ErrorCode {
        match code {
            1 => ErrorCode::IncompatibleVersion,
            2 => ErrorCode::UnsupportedField,
            3 => ErrorCode::UnknownContainer,
            4 => ErrorCode::InvalidEnvironment,
            5 => ErrorCode::Io,
            6 => ErrorCode::Decoding,
            7 => ErrorCode::InvalidConfig,
            11 => ErrorCode::TryAgainLater,
            50 => ErrorCode::NotAvailable,
            51 => ErrorCode::LimitedConnectivity,
            code => ErrorCode::Other(code),
        }
    }
}

/// Why a call fails, as the runtime is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The number.
    pub code: ErrorCode,
    /// One sentence.
    pub message: String,
    /// More, seldom needed.
    pub details: Option<String>,
}

impl Error {
    /// An error with a sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), details: None }
    }

    /// The same error with more to read.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Error {
        self.details = Some(details.into());
        self
    }

    /// The JSON object that the runtime reads.
    pub fn to_json(&self, version: Version) -> Value {
        let mut object = json!({
            "cniVersion": version.as_str(),
            "code": self.code.get(),
            "msg": self.message,
        });
        if let (Some(details), Some(fields)) = (&self.details, object.as_object_mut()) {
            fields.insert("details".into(), json!(details));
        }
        object
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (CNI error {})", self.message, self.code.get())
    }
}

impl std::error::Error for Error {}
