//! Unix sockets between a plugin and a daemon: connects that can't hang, and a file descriptor (the
//! container's namespace) beside the first byte.

use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// Connects. A daemon that accepts nothing makes a plain connect wait for ever once its backlog is
/// full; this one gives up after `patience` with [`io::ErrorKind::WouldBlock`].
pub fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A Unix connect waits at most the send time-out (unix(7)).
    socket.set_write_timeout(Some(patience.max(Duration::from_millis(1))))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

/// Writes all bytes, the descriptor beside the first of them.
pub fn send(stream: &UnixStream, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let sent = match fd {
        None => 0,
        Some(fd) => send_first(stream, bytes, fd)?,
    };
    let mut stream = stream;
    stream.write_all(bytes.get(sent..).unwrap_or_default())
}

/// Room for one descriptor's control message, aligned as the kernel's headers want it.
#[repr(C, align(8))]
struct Control([u8; CONTROL_LEN]);

const FD_LEN: u32 = mem::size_of::<libc::c_int>() as u32;
// SAFETY: CMSG_SPACE only computes with its argument.
const CONTROL_LEN: usize = unsafe { libc::CMSG_SPACE(FD_LEN) } as usize;

fn send_first(stream: &UnixStream, bytes: &[u8], fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(bytes)];
    let mut control = Control([0; CONTROL_LEN]);
    // SAFETY: `msghdr` is plain data, all zeros is its empty value. The pointers put into it live
    // until sendmsg returns. `control` is aligned and has room for exactly one descriptor, so
    // CMSG_FIRSTHDR points into it and CMSG_DATA has FD_LEN bytes behind it.
    let sent = unsafe {
        let mut message: libc::msghdr = mem::zeroed();
        // IoSlice is ABI compatible with iovec.
        message.msg_iov = slices.as_mut_ptr().cast();
        message.msg_iovlen = slices.len() as _;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_LEN as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(FD_LEN) as _;
        ptr::write_unaligned(libc::CMSG_DATA(header).cast(), fd.as_raw_fd());
        libc::sendmsg(stream.as_raw_fd(), &message, libc::MSG_NOSIGNAL)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Reads once into `buffer`: how many bytes came (0 at the end), and a descriptor if one came with
/// them. Only the first of several is kept.
///
/// On a socket that doesn't block this may fail with [`io::ErrorKind::WouldBlock`].
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut slices = [IoSliceMut::new(buffer)];
    let mut control = Control([0; CONTROL_LEN]);
    // SAFETY: as in `send_first`: plain data, and pointers that live until recvmsg returns with
    // the lengths of what they point to. A control message of type SCM_RIGHTS holds as many
    // descriptors as its length says, all inside `control`; each is new in this process,
    // close-on-exec, and owned by nobody else, so each gets its owner here.
    unsafe {
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = slices.as_mut_ptr().cast();
        message.msg_iovlen = slices.len() as _;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_LEN as _;
        let got = libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC);
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        let mut first = None;
        let header = libc::CMSG_FIRSTHDR(&message);
        if !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_RIGHTS
        {
            // Padding leaves room for more than one: the others are closed by being dropped.
            let bytes = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            let data: *const libc::c_int = libc::CMSG_DATA(header).cast();
            for n in 0..bytes / FD_LEN as usize {
                let fd = OwnedFd::from_raw_fd(ptr::read_unaligned(data.add(n)));
                first.get_or_insert(fd);
            }
        }
        Ok((got, first))
    }
}
