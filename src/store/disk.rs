//! How much room the disk has.
//!
//! Invariant: pastes stop while there is still room to delete some: SQLite writes to its log before it frees anything.
#![expect(unsafe_code, reason = "statvfs, which std does not offer; the block says why it is sound")]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Free bytes kept for deletes, burns and the checkpoint of the log.
const RESERVE_BYTES: u64 = 16 << 20;

/// Whether the disk of a folder takes another paste: its bytes go into the log first and then into the database.
pub(super) fn has_room(folder: &Path, paste_bytes: u64) -> io::Result<bool> {
    Ok(free_bytes(folder)? >= paste_bytes.saturating_mul(2).saturating_add(RESERVE_BYTES))
}

/// Bytes an unprivileged process may still write.
#[allow(clippy::unnecessary_cast, reason = "the fields have other widths on 32-bit systems")]
fn free_bytes(folder: &Path) -> io::Result<u64> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let mut status = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path is a C string and the struct is large enough; it is read only after the call has filled it.
    let status = unsafe {
        if libc::statvfs(path.as_ptr(), status.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        status.assume_init()
    };
    Ok((status.f_bavail as u64).saturating_mul(status.f_frsize as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_disk_takes_everything() {
        assert!(has_room(&std::env::temp_dir(), 1).unwrap());
        assert!(!has_room(&std::env::temp_dir(), u64::MAX).unwrap());
        assert!(has_room(Path::new("/nonexistent"), 1).is_err());
    }
}
