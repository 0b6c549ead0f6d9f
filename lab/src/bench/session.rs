//! One BGP session of the load generator: it dials, speaks and listens, all in one thread.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

use super::feed;
use super::model::Held;
use super::wire;

/// The hold time that we offer unless told otherwise, in seconds.
const HOLD_TIME: u16 = 90;
const BUFFER: usize = 512 * 1024;

/// A session and what it has to say and has heard.
pub(super) struct Session {
    socket: TcpStream,
    number: usize,
    input: Vec<u8>,
    filled: usize,
    output: Arc<Vec<u8>>,
    /// What is said as soon as the session is Established.
    first: Option<Arc<Vec<u8>>>,
    sent: usize,
    /// Keepalives go out as often as this: a third of the hold time.
    keepalive_every: Duration,
    keepalive_due: Instant,
    /// When its last message came.
    pub(super) heard: Instant,
    /// When the other side's KEEPALIVE came: the session is Established.
    pub(super) established: Option<Instant>,
    /// What it holds; `None` when nobody looks.
    pub(super) held: Option<Held>,
}

impl Session {
    /// Dials the router as the peer with this number until it answers with an OPEN.
    pub(super) fn dial(number: usize, deadline: Instant) -> Result<Session> {
        Session::dial_holding(number, HOLD_TIME, deadline)
    }

    /// The same with another hold time than usual, in seconds.
    pub(super) fn dial_holding(number: usize, hold: u16, deadline: Instant) -> Result<Session> {
        loop {
            match attempt(number, hold) {
                Ok(socket) => return Session::start(socket, number, hold),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("the daemon takes no session");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn start(socket: TcpStream, number: usize, hold: u16) -> Result<Session> {
        socket.set_nonblocking(true)?;
        let keepalive_every = Duration::from_secs(u64::from(hold)) / 3;
        let now = Instant::now();
        let keepalive = Arc::new(wire::keepalive());
        Ok(Session {
            socket,
            number,
            input: vec![0; BUFFER],
            filled: 0,
            output: keepalive,
            first: None,
            sent: 0,
            keepalive_every,
            keepalive_due: now + keepalive_every,
            heard: now,
            established: None,
            held: None,
        })
    }

    /// Two sessions that talk to each other over TCP without a router between.
    pub(super) fn pair(at: Ipv4Addr) -> Result<(Session, Session)> {
        let listener = TcpListener::bind((at, 0)).context("listen for ourselves")?;
        let sender = TcpStream::connect(listener.local_addr()?)?;
        let (receiver, _) = listener.accept()?;
        Ok((Session::start(sender, 0, HOLD_TIME)?, Session::start(receiver, 1, HOLD_TIME)?))
    }

    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// True while there is something to send that may be sent now.
    pub(super) fn wants_to_write(&self) -> bool {
        self.sent < self.output.len()
    }

    /// Gives it something to say after what it says now.
    pub(super) fn say(&mut self, bytes: Arc<Vec<u8>>) {
        if !self.wants_to_write() {
            self.output = bytes;
            self.sent = 0;
            return;
        }
        if let Some(own) = Arc::get_mut(&mut self.output) {
            // What is sent goes in large pieces: a router that is slow for a while is no reason to
            // move all that waits for it again and again.
            if self.sent > own.len() / 2 {
                own.drain(..self.sent);
                self.sent = 0;
            }
            own.extend_from_slice(&bytes);
            return;
        }
        let mut all = self.output[self.sent..].to_vec();
        all.extend_from_slice(&bytes);
        self.output = Arc::new(all);
        self.sent = 0;
    }

    /// Gives it something to say at the moment when the session is Established.
    pub(super) fn say_first(&mut self, bytes: Arc<Vec<u8>>) {
        self.first = Some(bytes);
    }

    /// Sends what fits.
    pub(super) fn write(&mut self) -> Result<()> {
        let end = self.output.len().min(self.sent + BUFFER);
        match self.socket.write(&self.output[self.sent..end]) {
            Ok(count) => self.sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                return Err(error).with_context(|| format!("write to peer {}", self.number));
            }
        }
        if !self.wants_to_write() && Instant::now() >= self.keepalive_due {
            self.keep_alive();
        }
        Ok(())
    }

    /// Says that we are there, when it is time. A stream that is under way says so itself.
    pub(super) fn keep_alive(&mut self) {
        let now = Instant::now();
        if now >= self.keepalive_due && !self.wants_to_write() {
            self.keepalive_due = now + self.keepalive_every;
            self.say(Arc::new(wire::keepalive()));
        }
    }

    /// Reads once and takes in the messages that are whole.
    ///
    /// # Errors
    /// When the daemon ends the session or sends what is malformed.
    pub(super) fn read(&mut self) -> Result<()> {
        let count = match self.socket.read(&mut self.input[self.filled..]) {
            Ok(0) => bail!("the daemon closed the session of peer {}", self.number),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("read from peer {}", self.number));
            }
        };
        self.filled += count;
        let mut at = 0;
        let mut heard = false;
        while let Some((kind, body, size)) = wire::frame(&self.input[at..self.filled])? {
            match kind {
                wire::UPDATE => {
                    if let Some(held) = &mut self.held {
                        held.update(body)?;
                    }
                }
                wire::KEEPALIVE => {
                    heard = true;
                }
                wire::NOTIFICATION => {
                    bail!("the daemon sent peer {} NOTIFICATION {body:?}", self.number)
                }
                _ => {}
            }
            at += size;
        }
        if at > 0 {
            self.heard = Instant::now();
        }
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
        if heard {
            self.established.get_or_insert_with(Instant::now);
            if let Some(first) = self.first.take() {
                self.say(first);
            }
        }
        Ok(())
    }

    /// True when nobody looks, or all is as wanted.
    pub(super) fn complete(&self) -> bool {
        self.held.as_ref().is_none_or(Held::complete)
    }
}

/// One connection with both OPENs exchanged; our KEEPALIVE is still to be sent.
fn attempt(number: usize, hold: u16) -> Result<TcpStream> {
    let address = |raw: u32, port| SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from(raw), port));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&address(feed::address(number), 0).into())?;
    socket.connect_timeout(&address(feed::ROUTER, 179).into(), Duration::from_secs(2))?;
    socket.set_tcp_nodelay(true)?;
    let mut socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(Duration::from_secs(3)))?;
    let id = Ipv4Addr::from(feed::address(number));
    socket.write_all(&wire::open(feed::asn(number), hold, id))?;
    let mut header = [0; 19];
    socket.read_exact(&mut header)?;
    let size = usize::from(u16::from_be_bytes([header[16], header[17]])).saturating_sub(19);
    let mut body = vec![0; size];
    socket.read_exact(&mut body)?;
    if header[18] != wire::OPEN {
        bail!("the daemon answered with message type {} {body:?}", header[18]);
    }
    Ok(socket)
}
