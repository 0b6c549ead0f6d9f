//! Well-known communities (RFC 1997, 3765, 7999, 8326, 9494), and extended ones with a meaning.

/// GRACEFUL_SHUTDOWN (RFC 8326).
pub const GRACEFUL_SHUTDOWN: u32 = 0xFFFF_0000;
/// LLGR_STALE: kept over a long restart, least preferred (RFC 9494 §4.2).
pub const LLGR_STALE: u32 = 0xFFFF_0006;
/// NO_LLGR: not to be kept over a long restart (RFC 9494 §4.2).
pub const NO_LLGR: u32 = 0xFFFF_0007;
/// BLACKHOLE (RFC 7999).
pub const BLACKHOLE: u32 = 0xFFFF_029A;
/// NO_EXPORT (RFC 1997).
pub const NO_EXPORT: u32 = 0xFFFF_FF01;
/// NO_ADVERTISE (RFC 1997).
pub const NO_ADVERTISE: u32 = 0xFFFF_FF02;
/// NO_EXPORT_SUBCONFED (RFC 1997).
pub const NO_EXPORT_SUBCONFED: u32 = 0xFFFF_FF03;
/// NOPEER (RFC 3765).
pub const NO_PEER: u32 = 0xFFFF_FF04;

/// The bandwidth that extended communities tell, in bytes a second (RFC 10005): 0 or more, and
/// finite. Of several the lowest; a negative one, an infinite one or no number tells nothing.
pub fn link_bandwidth(extended: &[[u8; 8]]) -> Option<f32> {
    extended.iter().filter_map(bandwidth_of).reduce(f32::min)
}

/// A link bandwidth as an extended community; `asn` is cut to AS_TRANS by the caller where it
/// does not fit two octets.
pub fn encode_link_bandwidth(asn: u16, bytes_per_second: f32, transitive: bool) -> [u8; 8] {
    let [a, b] = asn.to_be_bytes();
    let [w, x, y, z] = bytes_per_second.to_be_bytes();
    [if transitive { 0x00 } else { 0x40 }, 0x04, a, b, w, x, y, z]
}

/// Types 0x00 (transitive) and 0x40 (non-transitive), subtype 0x04.
fn bandwidth_of(community: &[u8; 8]) -> Option<f32> {
    match *community {
        [0x00 | 0x40, 0x04, _, _, a, b, c, d] => {
            let value = f32::from_be_bytes([a, b, c, d]);
            (value.is_finite() && value >= 0.0).then_some(value)
        }
        _ => None,
    }
}
