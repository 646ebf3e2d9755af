//! Free disk space.
//!
//! Invariant: pastes are refused while there is still room for deletes: SQLite writes to its WAL before it frees space.
#![expect(unsafe_code, reason = "statvfs, which std lacks; the block states why it is sound")]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The minimum free space, for deletes, burns and WAL checkpoints.
pub(super) const LEAST_RESERVE_BYTES: u64 = 16 << 20;
/// The maximum free space left to the rest of the machine.
const MOST_RESERVE_BYTES: u64 = 1 << 30;

/// The space of a file system.
struct Space {
    total_bytes: u64,
    /// Bytes available to an unprivileged process.
    free_bytes: u64,
}

/// Whether the disk of a folder has room for a paste in addition to `arriving_bytes` of concurrent uploads.
pub(super) fn has_room(folder: &Path, paste_bytes: u64, arriving_bytes: u64) -> io::Result<bool> {
    let space = space(folder)?;
    Ok(space.free_bytes >= needed_bytes(paste_bytes, space.total_bytes).saturating_add(arriving_bytes))
}

/// Bytes always kept free on the disk of a folder.
pub(super) fn reserve_bytes(folder: &Path) -> io::Result<u64> {
    space(folder).map(|space| needed_bytes(0, space.total_bytes))
}

/// Free bytes on the disk of a folder.
pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    space(folder).map(|space| space.free_bytes)
}

/// Bytes that must be free for a paste, which is written to the WAL first and then to the database.
fn needed_bytes(paste_bytes: u64, total_bytes: u64) -> u64 {
    let for_database = paste_bytes.saturating_mul(2).saturating_add(LEAST_RESERVE_BYTES);
    for_database.max(MOST_RESERVE_BYTES.min(total_bytes / 10))
}

#[allow(clippy::unnecessary_cast, reason = "the fields have different widths on 32-bit systems")]
fn space(folder: &Path) -> io::Result<Space> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let mut status = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path is a C string and the struct is large enough; it is read only after the call filled it.
    let status = unsafe {
        if libc::statvfs(path.as_ptr(), status.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        status.assume_init()
    };
    let bytes = |blocks: u64| blocks.saturating_mul(status.f_frsize as u64);
    Ok(Space { total_bytes: bytes(status.f_blocks as u64), free_bytes: bytes(status.f_bavail as u64) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_follows_the_paste_and_the_disk() {
        const MIB: u64 = 1 << 20;
        assert_eq!(needed_bytes(0, 48 * MIB), 16 * MIB);
        assert_eq!(needed_bytes(10 * MIB, 48 * MIB), 36 * MIB);
        assert_eq!(needed_bytes(10 * MIB, 1000 * MIB), 100 * MIB);
        assert_eq!(needed_bytes(50 * MIB, 1000 * MIB), 116 * MIB);
        assert_eq!(needed_bytes(50 * MIB, 1_000_000 * MIB), 1024 * MIB);
        assert_eq!(needed_bytes(u64::MAX, 1), u64::MAX);
    }

    #[test]
    fn no_disk_is_filled_completely() {
        assert!(free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert!(!has_room(&std::env::temp_dir(), u64::MAX, 0).unwrap());
        assert!(has_room(Path::new("/nonexistent"), 1, 0).is_err());
    }
}
