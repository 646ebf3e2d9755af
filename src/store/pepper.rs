//! The pepper file: read, or created at the first start.
//!
//! Invariant: a new pepper is on disk before anything is sealed with it, and no file is ever replaced. Must never
//! guess: a file that is not 64 hex digits is refused.

use super::StoreError;
use super::sealing::Pepper;
use crate::crypto;
use crate::operator_log;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// The maximum size of a pepper file: its digits and some white space.
const MAX_FILE_BYTES: u64 = 256;

/// Reads the pepper; `None` if there is no such file.
///
/// # Errors
/// A message for the operator.
pub(super) fn read(path: &Path) -> Result<Option<Pepper>, StoreError> {
    let refuse = |what: String| StoreError::Failed(format!("pepper {}: {what}", path.display()));
    // Do not wait for a writer if it is a pipe.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(format!("cannot read it: {error}; fix its owner and mode"))),
    };
    let mode = file.metadata().map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o004 != 0 {
        operator_log::message(&format!(
            "pepper {}: readable by every user of this machine; chmod 600 it",
            path.display()
        ));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(|error| refuse(format!("cannot read it: {error}")))?;
    let bytes = crypto::unhex(text.trim()).map(Zeroizing::new);
    let key = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
    let key = key.ok_or_else(|| {
        refuse(
            "expected 64 hex digits; restore the file of this database, or remove it if there is no database yet"
                .into(),
        )
    })?;
    Ok(Some(Pepper::new(Zeroizing::new(key))))
}

/// Reads the pepper, or creates it if there is none.
///
/// # Errors
/// A message for the operator.
pub(super) fn read_or_make(path: &Path) -> Result<Pepper, StoreError> {
    if let Some(pepper) = read(path)? {
        return Ok(pepper);
    }
    let made = make(path).map_err(|error| {
        StoreError::Failed(format!(
            "pepper {}: cannot create it: {error}; set FLASKPASTE_PEPPER_FILE to a path in a writable folder",
            path.display()
        ))
    });
    let is_new = made?;
    // Another process may have been first: its file wins.
    let mut pepper =
        read(path)?.ok_or_else(|| StoreError::Failed(format!("pepper {}: the file has vanished", path.display())))?;
    pepper.is_new = is_new;
    Ok(pepper)
}

/// Creates the file atomically: it gets its name only when its digits are on disk. False if another process was first.
fn make(path: &Path) -> io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = folder.join(format!(".pepper-{}", crypto::hex(&crypto::random::<8>()?)));
    let made = write(&draft, &Pepper::random()?).and_then(|()| match std::fs::hard_link(&draft, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    });
    let _ = std::fs::remove_file(&draft);
    File::open(folder)?.sync_all()?;
    made
}

fn write(draft: &Path, pepper: &Pepper) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    writeln!(file, "{}", *pepper.hex())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("flaskpaste-pepper-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn it_is_created_once_and_only_its_user_can_read_it() {
        let folder = folder("made");
        let path = folder.join("pepper");
        assert!(read(&path).unwrap().is_none());
        let threads: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn({
                    let path = path.clone();
                    move || read_or_make(&path).unwrap().own_mark()
                })
            })
            .collect();
        let marks: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(marks.iter().all(|mark| *mark == marks[0]), "all got the same one");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no draft is left");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn malformed_files_are_refused_and_left_alone() {
        let folder = folder("refused");
        let path = folder.join("pepper");
        for text in ["", "0123", &"0".repeat(63), &"g".repeat(64), &"0".repeat(65), &format!("{} x", "0".repeat(64))] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert!(read_or_make(&path).is_err(), "{text:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::write(&path, "0A".repeat(32) + "\r\n").unwrap();
        assert!(read_or_make(&path).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
