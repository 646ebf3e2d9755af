//! The client's own files, which several fpaste may use at once.
//!
//! Invariant: what is opened is a regular file of this user, and nobody waits for a lock without a limit. Must never
//! follow a symbolic link to a file of ours: root would change what somebody else names.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a lock is waited for. Whoever has it writes a few kilobytes.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried.
const TICK: Duration = Duration::from_millis(5);

/// Opens a file of ours; a new one is for its owner alone.
///
/// # Errors
/// The system's, and when it is a symbolic link, a pipe, or somebody else's.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // A pipe would be waited for.
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other(format!("{} is a symbolic link", path.display())),
        _ => error,
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!("{} is not a regular file of this user", path.display())));
    }
    Ok(file)
}

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
