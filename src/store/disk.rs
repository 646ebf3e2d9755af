//! How much room the disk has.
//!
//! Invariant: pastes stop while there is still room to delete some: SQLite writes to its WAL before it frees anything.
#![expect(unsafe_code, reason = "statvfs, which std does not offer; the block says why it is sound")]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Free bytes kept for deletes, burns and the checkpoint of the WAL, on a disk however small.
pub(super) const LEAST_RESERVE_BYTES: u64 = 16 << 20;
/// Free bytes that a flood of pastes leaves to the rest of the machine, on a disk however large.
const MOST_RESERVE_BYTES: u64 = 1 << 30;

/// What a file system has.
struct Space {
    total_bytes: u64,
    /// What an unprivileged process may still write.
    free_bytes: u64,
}

/// Whether the disk of a folder takes another paste, beside others of so many bytes that are arriving.
pub(super) fn has_room(folder: &Path, paste_bytes: u64, arriving_bytes: u64) -> io::Result<bool> {
    let space = space(folder)?;
    Ok(space.free_bytes >= needed_bytes(paste_bytes, space.total_bytes).saturating_add(arriving_bytes))
}

/// Bytes that are kept free on the disk of a folder whatever comes.
pub(super) fn reserve_bytes(folder: &Path) -> io::Result<u64> {
    space(folder).map(|space| needed_bytes(0, space.total_bytes))
}

/// Bytes that may still be written to the disk of a folder.
pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    space(folder).map(|space| space.free_bytes)
}

/// Bytes that have to be free for a paste: it goes into the WAL first and then into the database.
fn needed_bytes(paste_bytes: u64, total_bytes: u64) -> u64 {
    let for_database = paste_bytes.saturating_mul(2).saturating_add(LEAST_RESERVE_BYTES);
    for_database.max(MOST_RESERVE_BYTES.min(total_bytes / 10))
}

#[allow(clippy::unnecessary_cast, reason = "the fields have other widths on 32-bit systems")]
fn space(folder: &Path) -> io::Result<Space> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let mut status = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path is a C string and the struct is large enough; it is read only after the call has filled it.
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
    fn no_disk_takes_everything() {
        assert!(free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert!(!has_room(&std::env::temp_dir(), u64::MAX, 0).unwrap());
        assert!(has_room(Path::new("/nonexistent"), 1, 0).is_err());
    }
}
