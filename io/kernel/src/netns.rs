//! Network namespaces, entered by file descriptor.
//!
//! A namespace belongs to a thread. Threads of a runtime are shared, so none of them ever enters
//! one: [`within`] takes a thread of its own that ends with the work. A netlink socket stays in the
//! namespace that it was opened in.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::thread;

/// The calling thread's own network namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// Runs `work` in a namespace, on a thread of its own, and waits for it.
///
/// `/proc/sys/net` is that of the namespace as well; files otherwise are the caller's.
pub fn within<T: Send>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    on_own_thread(move || {
        // SAFETY: setns reads its arguments only; it changes this thread, which is ours alone.
        match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
            0 => Ok(work()),
            _ => Err(io::Error::last_os_error()),
        }
    })
}

/// Makes a new network namespace; it lives as long as the descriptor, or what is in it.
pub fn create() -> io::Result<OwnedFd> {
    on_own_thread(|| {
        // SAFETY: unshare takes flags only; it changes this thread, which is ours alone.
        match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
            0 => own(),
            _ => Err(io::Error::last_os_error()),
        }
    })
}

/// The calling thread's network namespace.
pub fn own() -> io::Result<OwnedFd> {
    File::open(OWN).map(OwnedFd::from)
}

/// Whether the descriptor is a network namespace at all.
pub fn is_network_namespace(fd: BorrowedFd<'_>) -> bool {
    /// `_IO(0xb7, 3)`, linux/nsfs.h.
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: this ioctl takes no argument; on other files it fails.
    unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) == libc::CLONE_NEWNET }
}

/// Whether two descriptors are the same namespace.
pub fn same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> io::Result<bool> {
    let id = |fd: BorrowedFd<'_>| -> io::Result<(u64, u64)> {
        let metadata = File::from(fd.try_clone_to_owned()?).metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    };
    Ok(id(one)? == id(other)?)
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the work in the namespace failed")))
    })
}
