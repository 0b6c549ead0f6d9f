//! One connection: a task that reads, cuts and writes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bgp_packet::{HEADER_LEN, MAX_EXTENDED_LEN, frame_len};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::event::{ConnId, Event, canonical, peer};
use crate::options;
use crate::peers::Auth;
use crate::sockets::{SEND_BUFFER, set_options};

/// How long closing may take: what waits is sent, and the other end's close is waited for.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// How long a connection that cannot have its new key may last: its owner ends the session and has
/// a word to the peer, which goes out with the old key.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What is read at once, at most.
const READ_CHUNK: usize = 64 << 10;

/// Frames of so many bytes are handed over in the buffer that they were read into; fewer are
/// copied, lest most of a buffer waits empty with them.
const HAND_OVER: usize = READ_CHUNK / 2;

/// Messages that are written at once, at most.
const WRITES: usize = 64;

/// The task's end of a connection.
pub(crate) struct Link {
    pub(crate) conn: ConnId,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) waiting: Arc<AtomicUsize>,
    /// All whole frames of a read make one event.
    pub(crate) batched: bool,
}

/// What the owner wants of a connection. The end of the channel means: close.
pub(crate) enum Command {
    Send(Vec<u8>),
    /// An accepted connection is wanted.
    Adopt {
        ttl: u8,
    },
    /// The peer's key has changed. `device` is what the listener is bound to that it came from.
    Rekey {
        device: Option<u32>,
        old: Auth,
        new: Auth,
    },
    /// Far more was given than there was room for.
    Overflow,
}

/// Dials, then runs the connection.
pub(crate) async fn dial(
    mut link: Link,
    events: mpsc::Sender<Event>,
    connect: impl Future<Output = Result<TcpStream, String>>,
) {
    let conn = link.conn;
    let mut rekeys = Vec::new();
    let mut connect = std::pin::pin!(connect);
    let connected = loop {
        tokio::select! {
            connected = &mut connect => break connected,
            // Nothing can be sent before the connection is there; the end is its close.
            command = link.commands.recv() => match command {
                Some(Command::Rekey { device, old, new }) => rekeys.push((device, old, new)),
                Some(Command::Send(_) | Command::Adopt { .. } | Command::Overflow) | None => return,
            },
        }
    };
    let ends = connected.and_then(|stream| {
        for (device, old, new) in &rekeys {
            rekey(&stream, *device, old, new).map_err(|error| error.to_string())?;
        }
        let local = stream.local_addr().map_err(|error| error.to_string())?;
        let remote = stream.peer_addr().map_err(|error| error.to_string())?;
        Ok((stream, canonical(local), canonical(remote)))
    });
    match ends {
        Ok((stream, local, remote)) => {
            if events.send(Event::Connected { conn, local, remote }).await.is_ok() {
                run(link, events, stream, true).await;
            }
        }
        Err(reason) => {
            let _ = events.send(Event::ConnectFailed { conn, reason }).await;
        }
    }
}

/// Tells of a connection that came in, then runs it.
pub(crate) async fn accepted(
    link: Link,
    events: mpsc::Sender<Event>,
    stream: TcpStream,
    remote: SocketAddr,
) {
    let conn = link.conn;
    let Ok(local) = stream.local_addr().map(canonical) else {
        return;
    };
    if events.send(Event::Accepted { conn, local, remote }).await.is_ok() {
        run(link, events, stream, false).await;
    }
}

async fn run(link: Link, events: mpsc::Sender<Event>, stream: TcpStream, adopted: bool) {
    let conn = link.conn;
    let (reader, writer) = stream.into_split();
    let mut connection = Connection {
        link,
        reader,
        writer,
        input: Vec::new(),
        taken: 0,
        output: VecDeque::new(),
        written: 0,
        room_due: adopted,
        deaf: !adopted,
        unkeyed: None,
    };
    match connection.serve(&events).await {
        Ended::ByUs => {
            let _ = tokio::time::timeout(CLOSE_TIME, connection.finish()).await;
        }
        Ended::ByPeer(reason) => {
            let _ = events.send(Event::Closed { conn, reason }).await;
        }
    }
}

struct Connection {
    link: Link,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    /// Bytes read that are no whole frame yet, or whose frame was not handed over yet.
    input: Vec<u8>,
    /// So many bytes of it were handed over already.
    taken: usize,
    /// Messages to be written, none empty; of the first, `written` bytes are.
    output: VecDeque<Vec<u8>>,
    written: usize,
    /// The owner has not heard of the present room.
    room_due: bool,
    /// Nothing is read: not adopted yet, or a wrong header came in, after which nothing can be cut.
    deaf: bool,
    /// It cannot go on with the key that its peer has now: until when it has time to be closed,
    /// and why.
    unkeyed: Option<(Instant, String)>,
}

enum Ended {
    ByUs,
    ByPeer(String),
}

impl Connection {
    async fn serve(&mut self, events: &mpsc::Sender<Event>) -> Ended {
        loop {
            let frame = if self.deaf { None } else { self.whole_frames() };
            if frame.is_none() {
                self.input.drain(..self.taken.min(self.input.len()));
                self.taken = 0;
                self.input.reserve(READ_CHUNK);
            }
            let mut slices = [IoSlice::new(&[]); WRITES];
            let waiting = fill(&mut slices, &self.output, self.written);
            tokio::select! {
                written = self.writer.write_vectored(waiting), if !waiting.is_empty() => {
                    match written {
                        Ok(0) => return Ended::ByPeer(String::new()),
                        Ok(n) => self.wrote(n),
                        Err(error) => return Ended::ByPeer(error.to_string()),
                    }
                },
                command = self.link.commands.recv() => {
                    let mut next = command;
                    loop {
                        let Some(command) = next else { return Ended::ByUs };
                        if let Err(ended) = self.command(command) {
                            return ended;
                        }
                        next = match self.link.commands.try_recv() {
                            Ok(command) => Some(command),
                            Err(mpsc::error::TryRecvError::Empty) => break,
                            Err(mpsc::error::TryRecvError::Disconnected) => None,
                        };
                    }
                },
                reason = expired(self.unkeyed.as_ref()), if self.unkeyed.is_some() => {
                    return Ended::ByPeer(reason);
                },
                permit = events.reserve(), if frame.is_some() || self.room_due => {
                    let Ok(permit) = permit else { return Ended::ByUs };
                    match frame {
                        Some(len) => permit.send(self.cut(len)),
                        None => permit.send(self.room()),
                    }
                },
                read = self.reader.read_buf(&mut self.input), if frame.is_none() && !self.deaf => {
                    match read {
                        Ok(0) => return Ended::ByPeer(String::new()),
                        Ok(_) => {}
                        Err(error) => return Ended::ByPeer(error.to_string()),
                    }
                },
            }
        }
    }

    fn command(&mut self, command: Command) -> Result<(), Ended> {
        let done = match command {
            Command::Send(bytes) => {
                // Nothing of it would ever be written.
                if !bytes.is_empty() {
                    self.output.push_back(bytes);
                }
                Ok(())
            }
            Command::Adopt { ttl } => self.adopt(ttl),
            Command::Rekey { device, old, new } => {
                if let Err(error) = rekey(self.reader.as_ref(), device, &old, &new) {
                    self.deaf = true;
                    self.unkeyed = Some((Instant::now() + LAST_WORD, error.to_string()));
                }
                Ok(())
            }
            Command::Overflow => Err(io::Error::other("it does not read what it is sent")),
        };
        done.map_err(|error| Ended::ByPeer(error.to_string()))
    }

    /// Notes that `n` bytes of what waits are written.
    fn wrote(&mut self, n: usize) {
        self.written += n;
        let before = self.link.waiting.fetch_sub(n, Ordering::Relaxed);
        while let Some(first) = self.output.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.output.pop_front();
        }
        // Told when the buffer falls below a half, and when it is empty: not for each write.
        let after = before.saturating_sub(n);
        let half = SEND_BUFFER / 2;
        self.room_due |= after == 0 || (before > half && after <= half);
    }

    fn adopt(&mut self, ttl: u8) -> io::Result<()> {
        let stream: &TcpStream = self.reader.as_ref();
        let remote = stream.peer_addr()?;
        set_options(SockRef::from(stream), peer(remote), ttl)?;
        self.deaf = self.unkeyed.is_some();
        self.room_due = true;
        Ok(())
    }

    fn room(&mut self) -> Event {
        self.room_due = false;
        Event::Room { conn: self.link.conn }
    }

    /// The first frame of the input, or all, that are there wholly.
    fn whole_frames(&self) -> Option<Frame> {
        let input = self.input.get(self.taken..).unwrap_or_default();
        let mut whole = 0;
        loop {
            let rest = input.get(whole..).unwrap_or_default();
            match frame_len(rest, MAX_EXTENDED_LEN) {
                Ok(Some(len)) if len <= rest.len() => whole += len,
                Err(_) if whole == 0 => return Some(Frame::Wrong),
                Ok(_) | Err(_) => break,
            }
            if !self.link.batched {
                break;
            }
        }
        if whole > 0 { Some(Frame::Whole(whole)) } else { None }
    }

    /// Takes frames out of the input.
    fn cut(&mut self, frame: Frame) -> Event {
        let conn = self.link.conn;
        let len = match frame {
            Frame::Whole(len) if self.taken == 0 && len >= HAND_OVER => {
                let rest = self.input.split_off(len.min(self.input.len()));
                return Event::Frame { conn, bytes: std::mem::replace(&mut self.input, rest) };
            }
            Frame::Whole(len) => len,
            Frame::Wrong => {
                self.deaf = true;
                HEADER_LEN
            }
        };
        let rest = self.input.get(self.taken..).unwrap_or_default();
        let bytes = rest.get(..len).unwrap_or(rest).to_vec();
        self.taken += bytes.len();
        Event::Frame { conn, bytes }
    }

    /// Sends what waits, then waits for the other end: a close with unread bytes would be a reset,
    /// which may overtake the NOTIFICATION.
    async fn finish(&mut self) -> io::Result<()> {
        self.link.commands.close();
        while let Some(command) = self.link.commands.recv().await {
            match command {
                Command::Send(bytes) => self.output.push_back(bytes),
                Command::Adopt { .. } | Command::Rekey { .. } | Command::Overflow => {}
            }
        }
        for message in self.output.drain(..) {
            let rest = message.get(self.written..).unwrap_or_default();
            self.writer.write_all(rest).await?;
            self.written = 0;
        }
        self.writer.shutdown().await?;
        // Not on the stack: that would be a part of every connection's task.
        loop {
            self.input.clear();
            self.input.reserve(4096);
            if self.reader.read_buf(&mut self.input).await? == 0 {
                return Ok(());
            }
        }
    }
}

/// Waits until a connection must end; gives why.
async fn expired(unkeyed: Option<&(Instant, String)>) -> String {
    let Some((until, reason)) = unkeyed else { return std::future::pending().await };
    tokio::time::sleep_until(*until).await;
    reason.clone()
}

/// Changes the key of a connection that lives: it goes on if the peer changes its own in time.
fn rekey(stream: &TcpStream, device: Option<u32>, old: &Auth, new: &Auth) -> io::Result<()> {
    options::rekey(stream, peer(stream.peer_addr()?), device, old, new)
}

/// What waits, as far as it is written at once. Of the first message, `written` bytes are.
fn fill<'s, 'o>(
    slices: &'s mut [IoSlice<'o>],
    output: &'o VecDeque<Vec<u8>>,
    written: usize,
) -> &'s [IoSlice<'o>] {
    let (mut n, mut skip) = (0, written);
    for (slice, message) in slices.iter_mut().zip(output) {
        *slice = IoSlice::new(message.get(skip..).unwrap_or_default());
        (n, skip) = (n + 1, 0);
    }
    slices.get(..n).unwrap_or_default()
}

enum Frame {
    /// So many bytes: one frame or several.
    Whole(usize),
    /// The header's marker or length is wrong.
    Wrong,
}
