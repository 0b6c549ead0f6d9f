use std::fmt;
use std::num::NonZeroU32;

use crate::counters::Discard;

/// The length of a packet without authentication (RFC 5880 §4.1).
pub const LEN: usize = 24;

/// The least length of a packet with authentication.
const LEN_AUTHENTICATED: u8 = 26;

const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// The state of a session (RFC 5880 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Held down by a person.
    AdminDown,
    /// Nothing is heard, or just began.
    Down,
    /// The peer is heard, and says it does not hear us.
    Init,
    /// Both hear each other.
    Up,
}

impl State {
    fn code(self) -> u8 {
        match self {
            State::AdminDown => 0,
            State::Down => 1,
            State::Init => 2,
            State::Up => 3,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::AdminDown => "admin-down",
            State::Down => "down",
            State::Init => "init",
            State::Up => "up",
        })
    }
}

/// Why a session's state has changed (RFC 5880 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Diagnostic {
    /// 0: nothing to say.
    None,
    /// 1: nothing was heard for the detection time.
    DetectionTimeExpired,
    /// 2: echoes did not come back.
    EchoFailed,
    /// 3: the neighbor said it is down.
    NeighborDown,
    /// 4: the forwarding plane was reset.
    ForwardingPlaneReset,
    /// 5: the path is down, by another sign.
    PathDown,
    /// 6: a path that this one leads to is down.
    ConcatenatedPathDown,
    /// 7: held down by a person.
    AdministrativelyDown,
    /// 8: as 6, the other way.
    ReverseConcatenatedPathDown,
    /// 9 to 31: reserved.
    Other(u8),
}

impl Diagnostic {
    /// The number in the packet, 0 to 31.
    pub fn code(self) -> u8 {
        match self {
            Diagnostic::None => 0,
            Diagnostic::DetectionTimeExpired => 1,
            Diagnostic::EchoFailed => 2,
            Diagnostic::NeighborDown => 3,
            Diagnostic::ForwardingPlaneReset => 4,
            Diagnostic::PathDown => 5,
            Diagnostic::ConcatenatedPathDown => 6,
            Diagnostic::AdministrativelyDown => 7,
            Diagnostic::ReverseConcatenatedPathDown => 8,
            Diagnostic::Other(code) => code & 0x1F,
        }
    }

    fn from_code(code: u8) -> Diagnostic {
        match code & 0x1F {
            0 => Diagnostic::None,
            1 => Diagnostic::DetectionTimeExpired,
            2 => Diagnostic::EchoFailed,
            3 => Diagnostic::NeighborDown,
            4 => Diagnostic::ForwardingPlaneReset,
            5 => Diagnostic::PathDown,
            6 => Diagnostic::ConcatenatedPathDown,
            7 => Diagnostic::AdministrativelyDown,
            8 => Diagnostic::ReverseConcatenatedPathDown,
            code => Diagnostic::Other(code),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Diagnostic::None => f.write_str("no diagnostic"),
            Diagnostic::DetectionTimeExpired => f.write_str("detection time expired"),
            Diagnostic::EchoFailed => f.write_str("echo failed"),
            Diagnostic::NeighborDown => f.write_str("neighbor signaled down"),
            Diagnostic::ForwardingPlaneReset => f.write_str("forwarding plane reset"),
            Diagnostic::PathDown => f.write_str("path down"),
            Diagnostic::ConcatenatedPathDown => f.write_str("concatenated path down"),
            Diagnostic::AdministrativelyDown => f.write_str("administratively down"),
            Diagnostic::ReverseConcatenatedPathDown => {
                f.write_str("reverse concatenated path down")
            }
            Diagnostic::Other(code) => write!(f, "diagnostic {code}"),
        }
    }
}

/// A control packet (RFC 5880 §4.1); intervals in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender's state has last changed.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// P: an answer with F is wanted.
    pub poll: bool,
    /// F: this is the answer to P.
    pub final_: bool,
    /// C: the sender's BFD does not share its control plane's fate.
    pub control_plane_independent: bool,
    /// A: authentication follows. Never sent from here.
    pub authenticated: bool,
    /// D: the sender wants no periodic packets.
    pub demand: bool,
    /// So many lost packets mean that the sender is down, 1 to 255.
    pub multiplier: u8,
    /// The sender's name of the session.
    pub my_discriminator: NonZeroU32,
    /// The receiver's name of the session; 0 while it is not known.
    pub your_discriminator: u32,
    /// The shortest interval that the sender would like to send at.
    pub desired_min_tx: u32,
    /// The shortest interval that the sender can receive at; 0: nothing periodic.
    pub required_min_rx: u32,
    /// The same for echoes; 0: none.
    pub required_min_echo_rx: u32,
}

/// Reads a packet. Bytes after its length are no part of it.
///
/// # Errors
/// The first rule of RFC 5880 §6.8.6 that it breaks, of those that need no session. An A bit is
/// left to the caller: the rule comes after the ones about sessions.
pub fn decode(bytes: &[u8]) -> Result<Packet, Discard> {
    let [first, second, multiplier, length, ..] = *bytes else {
        return Err(Discard::Short);
    };
    if first >> 5 != VERSION {
        return Err(Discard::Version);
    }
    let authenticated = second & AUTHENTICATION != 0;
    let least = if authenticated { LEN_AUTHENTICATED } else { LEN as u8 };
    if length < least {
        return Err(Discard::Length);
    }
    if usize::from(length) > bytes.len() {
        return Err(Discard::Overlong);
    }
    if multiplier == 0 {
        return Err(Discard::Multiplier);
    }
    if second & MULTIPOINT != 0 {
        return Err(Discard::Multipoint);
    }
    let word = |at: usize| {
        let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
        word.map(|word| u32::from_be_bytes(*word)).ok_or(Discard::Short)
    };
    let my_discriminator = NonZeroU32::new(word(4)?).ok_or(Discard::MyDiscriminator)?;
    let state = match second >> 6 {
        0 => State::AdminDown,
        1 => State::Down,
        2 => State::Init,
        _ => State::Up,
    };
    let your_discriminator = word(8)?;
    if your_discriminator == 0 && matches!(state, State::Init | State::Up) {
        return Err(Discard::YourDiscriminator);
    }
    Ok(Packet {
        diagnostic: Diagnostic::from_code(first),
        state,
        poll: second & POLL != 0,
        final_: second & FINAL != 0,
        control_plane_independent: second & CONTROL_PLANE_INDEPENDENT != 0,
        authenticated,
        demand: second & DEMAND != 0,
        multiplier,
        my_discriminator,
        your_discriminator,
        desired_min_tx: word(12)?,
        required_min_rx: word(16)?,
        required_min_echo_rx: word(20)?,
    })
}

/// Writes a packet, without authentication whatever its A bit says.
pub fn encode(packet: &Packet) -> [u8; LEN] {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let flags = flag(packet.poll, POLL)
        | flag(packet.final_, FINAL)
        | flag(packet.control_plane_independent, CONTROL_PLANE_INDEPENDENT)
        | flag(packet.demand, DEMAND);
    let mut bytes = [0; LEN];
    let head = [
        VERSION << 5 | packet.diagnostic.code(),
        packet.state.code() << 6 | flags,
        packet.multiplier,
        LEN as u8,
    ];
    let words = [
        packet.my_discriminator.get(),
        packet.your_discriminator,
        packet.desired_min_tx,
        packet.required_min_rx,
        packet.required_min_echo_rx,
    ];
    let all = head.into_iter().chain(words.into_iter().flat_map(u32::to_be_bytes));
    for (to, from) in bytes.iter_mut().zip(all) {
        *to = from;
    }
    bytes
}
