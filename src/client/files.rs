//! The client's own files, which several processes may use at once.
//!
//! Invariant: only regular files of this user are opened, and waiting for a lock has a limit. Must never follow a
//! symbolic link: as root, that would let another user choose the file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait for a lock. Its holder writes a few kilobytes.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between attempts.
const TICK: Duration = Duration::from_millis(5);

/// Opens a file; a new one gets mode 0600.
///
/// # Errors
/// The system's, and when it is a symbolic link, not a regular file, or another user's.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Opening a pipe would block.
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other(format!("{} is a symbolic link", path.display())),
        _ => error,
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!("{} is not a regular file owned by this user", path.display())));
    }
    Ok(file)
}

/// Locks a file or a folder until it is closed.
///
/// # Errors
/// When another process keeps holding it, or the file system has no locks.
pub fn lock(file: &File) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(TICK),
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("it is locked by another program")),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}
