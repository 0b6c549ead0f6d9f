//! What the fuzzers do with bytes. One function a target, shared by `fuzz/fuzz_targets` and by the
//! test that replays the kept corpora (`tests/replay.rs`).

use cni_wire::{LineError, MAX_LINE, decode_reply, decode_request, encode_reply, encode_request};

/// A target's body: it panics where something is wrong.
pub(crate) type Body = fn(&[u8]);

/// Targets and their bodies; a target's name is that of its folder in `fuzz/corpus`.
pub(crate) const ALL: &[(&str, Body)] = &[("cni_request", request), ("cni_reply", reply)];

/// Any line that a plugin may send.
pub(crate) fn request(data: &[u8]) {
    comes_back(data, decode_request(data), encode_request, decode_request);
}

/// Any line that an agent may answer.
pub(crate) fn reply(data: &[u8]) {
    comes_back(data, decode_reply(data), encode_reply, decode_reply);
}

/// What is accepted is written as one line that says the same; what is refused has a name.
fn comes_back<T: PartialEq + std::fmt::Debug>(
    data: &[u8],
    read: Result<T, LineError>,
    encode: fn(&T) -> Result<Vec<u8>, LineError>,
    decode: fn(&[u8]) -> Result<T, LineError>,
) {
    match read {
        Ok(value) => {
            assert!(data.len() <= MAX_LINE && data.ends_with(b"\n"));
            match encode(&value) {
                Ok(line) => {
                    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
                    assert_eq!(decode(&line).unwrap(), value);
                }
                // Escapes may take more room than what they stand for.
                Err(error) => assert_eq!(error.name(), "line-too-long"),
            }
        }
        Err(error) => {
            assert!(error.name().starts_with("line-"));
            assert!(!error.to_string().is_empty());
        }
    }
}
