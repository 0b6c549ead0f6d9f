//! ^C while a lab is up or on its way: it is taken down before this program ends.

use std::process::exit;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use anyhow::{Result, bail};

use crate::sys;
use crate::world::Lab;

const SIGNALS: [i32; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// The labs that this process has started and not ended.
static OURS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// True from the signal on: no host is started any more.
static STOPPING: RwLock<bool> = RwLock::new(false);

fn ours() -> MutexGuard<'static, Vec<String>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a signal takes our labs down. Call it before other threads are started.
pub(crate) fn watch() {
    sys::block(&SIGNALS);
    std::thread::spawn(|| {
        let signal = sys::wait_signal(&SIGNALS);
        // Waits for hosts that are just being started; no other is after them.
        *STOPPING.write().unwrap_or_else(PoisonError::into_inner) = true;
        let names = std::mem::take(&mut *ours());
        for name in names {
            eprintln!("\ntaking lab {name} down");
            if let Err(error) = Lab::down(&name) {
                eprintln!("error: {error:#}; try: cargo lab down --lab {name}");
            }
        }
        exit(128 + signal)
    });
}

/// Remembers that a lab is this process's to take down.
pub(crate) fn own(name: &str) {
    ours().push(name.to_owned());
}

/// A lab is down, or shall outlive this process.
pub(crate) fn disown(name: &str) {
    ours().retain(|own| own != name);
}

/// Held while a host is started.
///
/// # Errors
/// After the signal.
pub(crate) fn starting() -> Result<RwLockReadGuard<'static, bool>> {
    let guard = STOPPING.read().unwrap_or_else(PoisonError::into_inner);
    if *guard {
        bail!("interrupted");
    }
    Ok(guard)
}
