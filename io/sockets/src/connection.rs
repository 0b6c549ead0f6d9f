//! One connection: a task that reads, cuts and writes.

use std::collections::VecDeque;
use std::io;
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

use crate::event::{ConnId, Event, canonical, peer};
use crate::sockets::{SEND_BUFFER, set_options};

/// How long closing may take: what waits is sent, and the other end's close is waited for.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// What is read at once, at most.
const READ_CHUNK: usize = 64 << 10;

/// The task's end of a connection.
pub(crate) struct Link {
    pub(crate) conn: ConnId,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) waiting: Arc<AtomicUsize>,
}

/// What the owner wants of a connection. The end of the channel means: close.
pub(crate) enum Command {
    Send(Vec<u8>),
    /// An accepted connection is wanted.
    Adopt {
        ttl: u8,
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
    let connected = tokio::select! {
        connected = connect => connected,
        // Nothing can be sent before the connection is there, so this is its close.
        _ = link.commands.recv() => return,
    };
    let ends = connected.and_then(|stream| {
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
    /// Messages to be written; of the first, `written` bytes are.
    output: VecDeque<Vec<u8>>,
    written: usize,
    /// The owner has not heard of the present room.
    room_due: bool,
    /// Nothing is read: not adopted yet, or a wrong header came in, after which nothing can be cut.
    deaf: bool,
}

enum Ended {
    ByUs,
    ByPeer(String),
}

impl Connection {
    async fn serve(&mut self, events: &mpsc::Sender<Event>) -> Ended {
        loop {
            let frame = if self.deaf { None } else { self.whole_frame() };
            if frame.is_none() {
                self.input.drain(..self.taken.min(self.input.len()));
                self.taken = 0;
                self.input.reserve(READ_CHUNK);
            }
            let first = self.output.front().map(|bytes| bytes.get(self.written..));
            let writing = first.is_some();
            let first = first.flatten().unwrap_or_default();
            tokio::select! {
                written = self.writer.write(first), if writing => match written {
                    Ok(0) => return Ended::ByPeer(String::new()),
                    Ok(n) => self.wrote(n),
                    Err(error) => return Ended::ByPeer(error.to_string()),
                },
                command = self.link.commands.recv() => match command {
                    Some(Command::Send(bytes)) => self.output.push_back(bytes),
                    Some(Command::Adopt { ttl }) => {
                        if let Err(error) = self.adopt(ttl) {
                            return Ended::ByPeer(error.to_string());
                        }
                    }
                    Some(Command::Overflow) => {
                        return Ended::ByPeer("it does not read what it is sent".to_owned());
                    }
                    None => return Ended::ByUs,
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

    /// Notes that `n` bytes of the first message are written.
    fn wrote(&mut self, n: usize) {
        self.written += n;
        let before = self.link.waiting.fetch_sub(n, Ordering::Relaxed);
        if self.output.front().is_some_and(|first| self.written >= first.len()) {
            self.output.pop_front();
            self.written = 0;
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
        self.deaf = false;
        self.room_due = true;
        Ok(())
    }

    fn room(&mut self) -> Event {
        self.room_due = false;
        Event::Room { conn: self.link.conn }
    }

    /// The first frame of the input, if it is there wholly.
    fn whole_frame(&self) -> Option<Frame> {
        let input = self.input.get(self.taken..).unwrap_or_default();
        match frame_len(input, MAX_EXTENDED_LEN) {
            Ok(Some(len)) if len <= input.len() => Some(Frame::Whole(len)),
            Ok(_) => None,
            Err(_) => Some(Frame::Wrong),
        }
    }

    /// Takes the first frame out of the input.
    fn cut(&mut self, frame: Frame) -> Event {
        let len = match frame {
            Frame::Whole(len) => len,
            Frame::Wrong => {
                self.deaf = true;
                HEADER_LEN
            }
        };
        let rest = self.input.get(self.taken..).unwrap_or_default();
        let bytes = rest.get(..len).unwrap_or(rest).to_vec();
        self.taken += bytes.len();
        Event::Frame { conn: self.link.conn, bytes }
    }

    /// Sends what waits, then waits for the other end: a close with unread bytes would be a reset,
    /// which may overtake the NOTIFICATION.
    async fn finish(&mut self) -> io::Result<()> {
        self.link.commands.close();
        while let Some(command) = self.link.commands.recv().await {
            match command {
                Command::Send(bytes) => self.output.push_back(bytes),
                Command::Adopt { .. } | Command::Overflow => {}
            }
        }
        for message in self.output.drain(..) {
            let rest = message.get(self.written..).unwrap_or_default();
            self.writer.write_all(rest).await?;
            self.written = 0;
        }
        self.writer.shutdown().await?;
        let mut sink = [0; 4096];
        while self.reader.read(&mut sink).await? > 0 {}
        Ok(())
    }
}

enum Frame {
    Whole(usize),
    /// The header's marker or length is wrong.
    Wrong,
}
