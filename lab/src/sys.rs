//! The system calls that namespaces need and std does not offer.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

/// Namespaces that a host may have for itself, as `/proc/PID/ns` names them.
pub(crate) const CGROUP: (&str, i32) = ("cgroup", libc::CLONE_NEWCGROUP);
pub(crate) const MOUNT: (&str, i32) = ("mnt", libc::CLONE_NEWNS);
pub(crate) const NET: (&str, i32) = ("net", libc::CLONE_NEWNET);
pub(crate) const UTS: (&str, i32) = ("uts", libc::CLONE_NEWUTS);
pub(crate) const IPC: (&str, i32) = ("ipc", libc::CLONE_NEWIPC);
pub(crate) const PID: (&str, i32) = ("pid", libc::CLONE_NEWPID);

/// The result of a call that gives -1 and errno.
fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn text(path: &str) -> io::Result<CString> {
    CString::new(path).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

pub(crate) fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

pub(crate) fn setns(namespace: BorrowedFd<'_>, kind: i32) -> io::Result<()> {
    // SAFETY: no memory is passed; the descriptor is open while it is borrowed.
    check(unsafe { libc::setns(namespace.as_raw_fd(), kind) }).map(drop)
}

/// `mount(2)`; an empty `source`, `kind` or `data` is passed as NULL.
pub(crate) fn mount(
    source: &str,
    target: &Path,
    kind: &str,
    flags: libc::c_ulong,
    data: &str,
) -> Result<()> {
    let what = || format!("mount {source} on {} ({kind})", target.display());
    let raw = |value: &str| -> io::Result<Option<CString>> {
        if value.is_empty() { Ok(None) } else { text(value).map(Some) }
    };
    let (from, fs, options) = (
        raw(source).with_context(what)?,
        raw(kind).with_context(what)?,
        raw(data).with_context(what)?,
    );
    let to = text(&target.to_string_lossy()).with_context(what)?;
    let pointer = |value: &Option<CString>| value.as_ref().map_or(std::ptr::null(), |v| v.as_ptr());
    // SAFETY: every pointer is NULL or a NUL-terminated string that outlives the call.
    check(unsafe {
        libc::mount(pointer(&from), to.as_ptr(), pointer(&fs), flags, pointer(&options).cast())
    })
    .map(drop)
    .with_context(what)
}

/// Makes the working directory the root; the old root is then seen at `old`, a folder in the new one.
pub(crate) fn pivot(old: &str) -> io::Result<()> {
    let (new, old) = (c".", text(&format!(".{old}"))?);
    // SAFETY: both pointers are NUL-terminated strings that outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_pivot_root, new.as_ptr(), old.as_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    std::env::set_current_dir("/")
}

/// Takes a mount out of the tree, with all below it.
pub(crate) fn detach(path: &str) -> io::Result<()> {
    let path = text(path)?;
    // SAFETY: the pointer is a NUL-terminated string that outlives the call.
    check(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

pub(crate) fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of one live string.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

pub(crate) fn setsid() -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::setsid() }).map(drop)
}

/// Which side of a fork this is.
pub(crate) enum Side {
    Parent { child: i32 },
    Child,
}

/// Forks. The caller must be single-threaded: only the calling thread lives on in the child.
pub(crate) fn fork() -> io::Result<Side> {
    // SAFETY: callers run before any thread is started, so no lock is held across the fork.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Side::Child),
        child => Ok(Side::Parent { child }),
    }
}

/// Sends a signal; a process that is gone already counts as done.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    match check(unsafe { libc::kill(pid, signal) }) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other.map(drop),
    }
}

/// Reaps one child that has ended, if there is one: its pid and wait status.
pub(crate) fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: `status` is valid for the write.
    match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
        pid if pid > 0 => Some((pid, status)),
        _ => None,
    }
}

/// "exited with 1" or "killed by signal 9".
pub(crate) fn describe_status(status: i32) -> String {
    if libc::WIFSIGNALED(status) {
        format!("killed by signal {}", libc::WTERMSIG(status))
    } else {
        format!("exited with {}", libc::WEXITSTATUS(status))
    }
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: an all-zero sigset_t is a valid object to initialise, and the calls write only it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        set
    }
}

/// Blocks signals in this thread and in those that it starts later.
pub(crate) fn block(signals: &[i32]) {
    let set = signal_set(signals);
    // SAFETY: `set` is valid for the read; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
}

/// Lets a command start with no signal blocked: it would inherit what [`block`] blocked, and could
/// not be ended.
pub(crate) fn with_signals(command: &mut Command) -> &mut Command {
    let none = signal_set(&[]);
    let unblock = move || {
        // SAFETY: `none` is valid for the read; the old mask is not asked for.
        check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut()) })
            .map(drop)
    };
    // SAFETY: between fork and exec only `sigprocmask` is called, which is async-signal-safe.
    unsafe { command.pre_exec(unblock) }
}

/// Lets a command be killed when the thread that starts it ends, however that ends.
pub(crate) fn die_with_parent(command: &mut Command) {
    let ask = || {
        // SAFETY: the call passes no memory.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }).map(drop)
    };
    // SAFETY: between fork and exec only `prctl` is called, which is async-signal-safe.
    unsafe { command.pre_exec(ask) };
}

/// Waits for one of the blocked signals.
pub(crate) fn wait_signal(signals: &[i32]) -> i32 {
    let set = signal_set(signals);
    let mut signal = 0;
    // SAFETY: both pointers are valid for the call.
    unsafe { libc::sigwait(&set, &mut signal) };
    signal
}

/// A descriptor that becomes readable when one of the (blocked) signals is pending.
pub(crate) fn signal_fd(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = signal_set(signals);
    // SAFETY: `set` is valid for the read.
    let fd = check(unsafe { libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) })?;
    // SAFETY: the descriptor is new and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits until one of two descriptors is readable, or the limit is over.
pub(crate) fn wait_readable(
    first: BorrowedFd<'_>,
    second: BorrowedFd<'_>,
    limit: Option<Duration>,
) -> (bool, bool) {
    // Rounded up, so that what is waited for is due afterwards; -1 waits for ever.
    let limit = limit.map_or(-1, |limit| {
        i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    });
    let mut list = [first, second].map(|fd| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: the pointer and the length are those of one array.
    unsafe { libc::poll(list.as_mut_ptr(), 2, limit) };
    (list[0].revents != 0, list[1].revents != 0)
}

/// Makes `target` (a standard descriptor) a copy of `source`.
pub(crate) fn redirect(source: BorrowedFd<'_>, target: i32) -> io::Result<()> {
    // SAFETY: no memory is passed; `target` is one of 0, 1, 2, which std never closes.
    check(unsafe { libc::dup2(source.as_raw_fd(), target) }).map(drop)
}

/// Writes a few bytes to a raw descriptor: usable between fork and exec.
pub(crate) fn write_raw(fd: i32, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of one live slice.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    if written < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// True for the root user, whom namespaces need.
pub(crate) fn is_root() -> bool {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
