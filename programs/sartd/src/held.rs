//! A locked file: held by a daemon for as long as it runs, so that others see it.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Takes the lock of a file, which is made if it is not there; none: another process has it.
pub(crate) fn hold(file: &Path) -> io::Result<Option<File>> {
    let mut options = File::options();
    let lock = options.create(true).truncate(false).write(true).mode(0o600).open(file)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
