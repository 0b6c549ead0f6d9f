use std::time::Duration;

use inet::Family;

use crate::bmp::{Down, EncodeError, Peer, Statistic, Termination, Up, View};
use crate::wire::WallTime;

/// A session of the router, or a Loc-RIB, numbered by the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u32);

/// Which tables of each peer are told. A Loc-RIB is told by being a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Views {
    /// Adj-RIB-In before policy.
    pub in_pre_policy: bool,
    /// Adj-RIB-In after policy.
    pub in_post_policy: bool,
    /// Adj-RIB-Out before policy.
    pub out_pre_policy: bool,
    /// Adj-RIB-Out after policy.
    pub out_post_policy: bool,
}

impl Views {
    /// Whether this view is told of a peer.
    pub fn has(self, view: View) -> bool {
        match view {
            View::Loc => true,
            View::InPrePolicy => self.in_pre_policy,
            View::InPostPolicy => self.in_post_policy,
            View::OutPrePolicy => self.out_pre_policy,
            View::OutPostPolicy => self.out_post_policy,
        }
    }
}

/// What a station is and how it is treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StationConfig {
    /// Its name in the configuration, for messages to people.
    pub name: String,
    /// What the router is called (sysName).
    pub sys_name: String,
    /// What the router is (sysDescr).
    pub sys_descr: String,
    /// Further texts of the first message.
    pub information: Vec<String>,
    /// Which tables are told.
    pub views: Views,
    /// The most bytes that wait for the collector, at least 1 MiB. Above it, the connection is ended.
    pub max_queued: usize,
    /// Bytes below which more of a table is asked for, and the size of one such part; from 4 KiB to
    /// a quarter of `max_queued`.
    pub dump_chunk: usize,
    /// How long the collector may take nothing while something waits for it.
    pub stall_time: Duration,
    /// How often statistics are told; none: never.
    pub statistics_interval: Option<Duration>,
    /// The first wait after a failure; it doubles each time.
    pub retry_first: Duration,
    /// The longest wait.
    pub retry_most: Duration,
    /// Spreads the waits of several routers.
    pub seed: u64,
}

impl StationConfig {
    /// A station with the usual values: 16 MiB, parts of 256 KiB, 60 s, waits of 30 to 720 s, and
    /// Adj-RIB-In before policy.
    pub fn new(name: &str) -> StationConfig {
        StationConfig {
            name: name.to_owned(),
            sys_name: String::new(),
            sys_descr: String::new(),
            information: Vec::new(),
            views: Views { in_pre_policy: true, ..Views::default() },
            max_queued: 16 << 20,
            dump_chunk: 256 << 10,
            stall_time: Duration::from_secs(60),
            statistics_interval: None,
            retry_first: Duration::from_secs(30),
            retry_most: Duration::from_secs(720),
            seed: 0,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The connection stands.
    Connected {
        /// Free bytes of the send buffer.
        room: usize,
    },
    /// It could not be made; why, in words.
    ConnectFailed(String),
    /// It was closed by the collector, or broke; why, in words.
    Closed(String),
    /// How many bytes the send buffer takes now; replaces what was told before.
    Room(usize),
    /// A session is up, or a Loc-RIB is there. To be told also while no station is connected.
    PeerUp {
        /// Its number.
        key: PeerKey,
        /// Who it is.
        peer: Peer,
        /// Since when.
        at: WallTime,
        /// How it came up.
        up: Up,
        /// The families in use.
        families: Vec<Family>,
    },
    /// A session is down.
    PeerDown {
        /// Its number.
        key: PeerKey,
        /// Since when.
        at: WallTime,
        /// Why.
        down: Down,
    },
    /// Routes came or went.
    Update {
        /// Whose.
        key: PeerKey,
        /// In which table.
        view: View,
        /// When.
        at: WallTime,
        /// AS paths have two octets a number.
        two_octet_as: bool,
        /// One whole UPDATE.
        update: Vec<u8>,
    },
    /// All of a table may be something else, without an [`Input::Update`] for each change: it is
    /// told once more, withdrawals of what is no longer in it included.
    Again {
        /// Whose.
        key: PeerKey,
        /// Which.
        view: View,
    },
    /// The answer to [`Output::Dump`].
    Dumped(TablePart),
    /// Part of the answer to [`Output::AskStatistics`]: one peer.
    Statistics {
        /// Whose.
        key: PeerKey,
        /// When.
        at: WallTime,
        /// What was counted.
        statistics: Vec<Statistic>,
    },
    /// This station is not wanted any more; nothing comes after it.
    Shutdown(Termination),
}

/// A place in a table, in the owner's numbers; 0 is the table's begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub u64);

/// Part of a table, as it is at the moment of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePart {
    /// The question's number.
    pub ticket: u64,
    /// Whose table.
    pub key: PeerKey,
    /// Which.
    pub view: View,
    /// Of which family.
    pub family: Family,
    /// When.
    pub at: WallTime,
    /// AS paths have two octets a number.
    pub two_octet_as: bool,
    /// Whole UPDATEs.
    pub updates: Vec<Vec<u8>>,
    /// Where to go on; none at the table's end. The end's own message is written here.
    pub next: Option<Cursor>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect, and answer with `Connected` or `ConnectFailed`.
    Connect,
    /// Send these bytes; they fit into the room that was told.
    Send(Vec<u8>),
    /// End the connection, or stop making it; what was given to send is flushed first.
    Close,
    /// Answer with a [`TablePart`] of about `budget` bytes, from the table as it is then.
    Dump {
        /// The question's number.
        ticket: u64,
        /// Whose table.
        key: PeerKey,
        /// Which.
        view: View,
        /// Of which family.
        family: Family,
        /// From where.
        from: Cursor,
        /// The collector knows of an earlier form of the table: what is not in it must be
        /// withdrawn.
        again: bool,
        /// Bytes; more than one UPDATE above it is not well behaved.
        budget: usize,
    },
    /// Tell `Statistics` of each peer.
    AskStatistics,
    /// A change that a person should see.
    Happened(Happened),
}

/// What a person should see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The station is connected.
    Connected,
    /// It no longer is, or could not be.
    Lost(Lost),
    /// Something was not told, because its bytes are no message.
    Refused(EncodeError),
    /// It is not wanted any more.
    Stopped,
}

/// How a station stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is dialled again later.
    Waiting,
    /// It is dialled.
    Connecting,
    /// Connected, and the tables as they were are still being told.
    Dumping,
    /// Connected, and it is told of changes only.
    Live,
    /// It is not wanted any more.
    Stopped,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It could not be made.
    #[error("connect-failed: {0}")]
    ConnectFailed(String),
    /// The collector or the network ended it.
    #[error("closed: {0}")]
    Closed(String),
    /// Updates came faster than the collector took them.
    #[error("too-slow: more waits for the station than its buffer holds")]
    TooSlow,
    /// The collector took nothing for too long.
    #[error("stalled: the station takes nothing")]
    Stalled,
}

/// A session as it came up.
#[derive(Debug)]
pub(super) struct PeerUp {
    pub(super) peer: Peer,
    pub(super) at: WallTime,
    pub(super) up: Up,
    pub(super) families: Vec<Family>,
}
