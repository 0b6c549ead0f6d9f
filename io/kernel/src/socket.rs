//! A netlink socket that speaks with the kernel alone.

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use route_table::KernelObject;
use socket2::{SockFilter, SockRef};

use crate::message;
use crate::nexthop;
use crate::wire::{self, Message, Writer};

/// More than the largest datagram that the kernel makes of a dump (32 KiB).
const BUFFER: usize = 128 * 1024;
/// How often a dump is begun anew because the tables changed under it.
const DUMP_TRIES: u32 = 8;
/// A dump's last message.
pub(crate) const DONE: u16 = 3;
/// An error, or with number 0 an acknowledgement.
pub(crate) const ERROR: u16 = 2;
const F_DUMP_INTERRUPTED: u16 = 0x10;

/// A socket and the buffer it reads into.
#[derive(Debug)]
pub(crate) struct Netlink {
    pub(crate) socket: Socket,
    buffer: Vec<u8>,
    pub(crate) port: u32,
}

impl Netlink {
    /// Opens a socket in this thread's network namespace. Connected to the kernel, it takes nothing
    /// from other processes.
    pub(crate) fn open() -> io::Result<Netlink> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        // An error repeats only the header of what it refuses.
        socket.set_cap_ack(true)?;
        Ok(Netlink { socket, buffer: vec![0; BUFFER], port })
    }

    /// Makes room for bursts; the kernel gives as much as its own limit allows.
    pub(crate) fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        SockRef::from(&self.socket).set_recv_buffer_size(bytes)
    }

    /// Leaves out news of what the given socket did, before they take room in this one's buffer.
    pub(crate) fn ignore_port(&self, port: u32) -> io::Result<()> {
        // The filter loads in network order what the header holds in the machine's.
        let port = u32::from_be_bytes(port.to_ne_bytes());
        const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        SockRef::from(&self.socket).attach_filter(&[
            SockFilter::new(LOAD_WORD, 0, 0, 12),
            SockFilter::new(JUMP_IF_EQUAL, 0, 1, port),
            SockFilter::new(RETURN, 0, 0, 0),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
        ])
    }

    /// Reads one datagram and gives its messages; `Ok(false)` when there is none.
    pub(crate) fn receive(
        &mut self,
        flags: i32,
        mut each: impl FnMut(Message<'_>),
    ) -> io::Result<bool> {
        let mut room = self.buffer.as_mut_slice();
        let len = match self.socket.recv(&mut room, flags) {
            Ok(len) => len,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(e) => return Err(e),
        };
        wire::messages(self.buffer.get(..len).unwrap_or_default()).for_each(&mut each);
        Ok(true)
    }

    /// Sends one datagram.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send(bytes, 0).map(drop)
    }

    /// Asks for all objects of a kind and blocks until they are read. A table that is not there is
    /// an empty one.
    pub(crate) fn dump<T>(
        &mut self,
        kind: u16,
        family: u8,
        table: u32,
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let mut request = Writer::default();
        message::write_dump(&mut request, kind, family, table);
        let mut tries = 0;
        loop {
            tries += 1;
            let (objects, interrupted) = self.dump_once(request.bytes(), &read)?;
            // Too many changes to ever get a clean one: the monitor's news will mend it.
            if !interrupted || tries == DUMP_TRIES {
                return Ok(objects);
            }
        }
    }

    /// All next-hop objects; none when this kernel knows no such thing.
    pub(crate) fn objects(&mut self) -> io::Result<Option<Vec<KernelObject>>> {
        let read = |message: &Message<'_>| match message.kind {
            nexthop::NEW => nexthop::object(message.payload),
            _ => None,
        };
        match self.dump(nexthop::GET, 0, 0, read) {
            Ok(objects) => Ok(Some(objects)),
            Err(error) => match error.raw_os_error() {
                Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS) => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn dump_once<T>(
        &mut self,
        request: &[u8],
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> io::Result<(Vec<T>, bool)> {
        let mut objects = Vec::new();
        let (mut interrupted, mut end) = (false, None);
        self.send(request)?;
        while end.is_none() {
            self.receive(0, |message| {
                interrupted |= message.flags & F_DUMP_INTERRUPTED != 0;
                match message.kind {
                    DONE | ERROR => end = Some(error_number(&message)),
                    _ => objects.extend(read(&message)),
                }
            })?;
        }
        match end {
            Some(0) | None => Ok((objects, interrupted)),
            Some(libc::ENOENT) => Ok((Vec::new(), false)),
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// The error number of an error, acknowledgement or end of dump; 0 is success.
pub(crate) fn error_number(message: &Message<'_>) -> i32 {
    wire::read_u32(message.payload, 0).map_or(0, |code| (code as i32).saturating_neg())
}
