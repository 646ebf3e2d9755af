//! Files that several fpaste may use at once.
//!
//! Invariant: nobody waits for a lock without a limit. Must never follow a symbolic link to a file of ours.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

/// How long a lock is waited for. Whoever has it writes a few kilobytes.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried.
const TICK: Duration = Duration::from_millis(5);

/// Locks a file or a folder until it is closed.
///
/// # Errors
/// When somebody else holds it all the time, or the file system has no locks.
pub fn lock(file: &File) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(TICK),
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("another program has it locked")),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}
