//! Messages as a capture file: each alone in a TCP segment of a connection of its own, so that no
//! fault of one reaches the next.

/// The longest packet that a capture may hold.
const SNAP: u32 = 65_535;
/// IP without a link layer before it.
const LINKTYPE_RAW: u32 = 101;
const BGP: u16 = 179;

/// The capture's bytes: frame `n`, counted from 1, holds message `n - 1`.
pub(super) fn file(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(0xa1b2_c3d4_u32.to_le_bytes());
    out.extend([2, 0, 4, 0]);
    out.extend([0; 8]);
    out.extend(SNAP.to_le_bytes());
    out.extend(LINKTYPE_RAW.to_le_bytes());
    for (number, message) in messages.iter().enumerate() {
        let packet = packet(number as u32, message);
        for word in [number as u32, 0, packet.len() as u32, packet.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(packet);
    }
    out
}

/// IPv4 and TCP without checksums, which nobody looks at, around a message.
fn packet(number: u32, message: &[u8]) -> Vec<u8> {
    let mut out = vec![0x45, 0];
    out.extend((40 + message.len() as u16).to_be_bytes());
    out.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    // Another host for each: an address has room for more connections than a port.
    out.extend((0x0a00_0000 + number).to_be_bytes());
    out.extend([192, 168, 0, 1]);
    out.extend(40_000_u16.to_be_bytes());
    out.extend(BGP.to_be_bytes());
    out.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend(message);
    out
}
