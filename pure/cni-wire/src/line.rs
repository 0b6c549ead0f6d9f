use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Done, MAX_LINE, Refusal, Reply, Request, VERSION};

/// Why bytes are no request or reply.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Over [`MAX_LINE`] bytes.
    #[error("the line is {0} bytes long, {MAX_LINE} are allowed")]
    TooLong(usize),
    /// Nothing, or no newline at the end: the other side went away in the middle.
    #[error("the line has no end")]
    Unfinished,
    /// Bytes after the newline.
    #[error("there is something behind the line's end")]
    Trailing,
    /// Not JSON, or not of this form.
    #[error("the line is not understood")]
    Json(#[from] serde_json::Error),
    /// The other side speaks another version.
    #[error("the line has version {theirs}, version {VERSION} is understood")]
    Version {
        /// What the line says.
        theirs: u64,
    },
    /// A reply is either `ok` or `error`.
    #[error("the reply is neither ok nor error, or both")]
    Ambiguous,
}

impl LineError {
    /// The refusal's name as people see it.
    pub const fn name(&self) -> &'static str {
        match self {
            LineError::TooLong(_) => "line-too-long",
            LineError::Unfinished => "line-unfinished",
            LineError::Trailing => "line-trailing",
            LineError::Json(_) => "line-syntax",
            LineError::Version { .. } => "line-version",
            LineError::Ambiguous => "line-ambiguous",
        }
    }
}

/// The request as a line, newline included.
pub fn encode_request(request: &Request) -> Result<Vec<u8>, LineError> {
    encode(&RequestLine { version: VERSION, request })
}

/// Reads a request; the line must end with its newline.
pub fn decode_request(line: &[u8]) -> Result<Request, LineError> {
    let line: RequestLine<Request> = decode(line)?;
    Ok(line.request)
}

/// The reply as a line, newline included.
pub fn encode_reply(reply: &Reply) -> Result<Vec<u8>, LineError> {
    let (ok, error) = match reply {
        Reply::Ok(done) => (Some(done), None),
        Reply::Error(refusal) => (None, Some(refusal)),
    };
    encode(&ReplyLine { version: VERSION, ok, error })
}

/// Reads a reply; the line must end with its newline.
pub fn decode_reply(line: &[u8]) -> Result<Reply, LineError> {
    let line: ReplyLine<Done, Refusal> = decode(line)?;
    match (line.ok, line.error) {
        (Some(done), None) => Ok(Reply::Ok(done)),
        (None, Some(refusal)) => Ok(Reply::Error(refusal)),
        (Some(_), Some(_)) | (None, None) => Err(LineError::Ambiguous),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestLine<R> {
    version: u32,
    request: R,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyLine<D, E> {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<D>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<E>,
}

fn encode<T: Serialize>(line: &T) -> Result<Vec<u8>, LineError> {
    // JSON text never holds a raw newline, so the newline ends the line.
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    if bytes.len() > MAX_LINE { Err(LineError::TooLong(bytes.len())) } else { Ok(bytes) }
}

fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, LineError> {
    if line.len() > MAX_LINE {
        return Err(LineError::TooLong(line.len()));
    }
    let end = line.iter().position(|b| *b == b'\n').ok_or(LineError::Unfinished)?;
    let (json, rest) = line.split_at(end);
    if rest != b"\n" {
        return Err(LineError::Trailing);
    }
    let value: Value = serde_json::from_slice(json)?;
    // The version is looked at first: another version may have other fields.
    match value.get("version").and_then(Value::as_u64) {
        Some(theirs) if theirs != u64::from(VERSION) => Err(LineError::Version { theirs }),
        Some(_) | None => Ok(serde_json::from_value(value)?),
    }
}
