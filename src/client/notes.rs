//! Small private state files, one item each, in a folder that only this user can write.
//!
//! Invariant: a file has mode 0600 and is used only if no other user could have put it there. Must never be looked for
//! elsewhere: files in the current folder may have come from someone's paste.

use super::config::create_private_folder;
use super::{Session, files};
use crate::paste::Id;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The size limit of a file.
pub const MAX_BYTES: u64 = 4096;
/// The most characters of an ID in a file name: messages hide longer ones as possible keys.
const MAX_ID_CHARS: usize = 24;
/// Mode bits of any access by other users.
const OTHERS_ANYTHING: u32 = 0o077;
/// Mode bits of write access by other users.
const OTHERS_WRITE: u32 = 0o022;

/// The file name for a paste, or its prefix if there are several.
pub fn file_name(prefix: &str, id: &Id) -> String {
    format!("{prefix}{}", id.as_str().chars().take(MAX_ID_CHARS).collect::<String>())
}

/// A folder for these files.
pub struct Folder {
    path: PathBuf,
    /// Whether its parent is shared with other users, so that the checks are stricter.
    is_among_others: bool,
}

impl Folder {
    /// The state folder; `None` without a home folder.
    pub fn state(session: &Session<'_>) -> Option<Self> {
        session.folders.state.clone().map(|path| Self { path, is_among_others: false })
    }

    /// The fallback if the state folder cannot be used.
    pub fn rescue() -> Self {
        let name = format!("fpaste-{}", rustix::process::geteuid().as_raw());
        Self { path: std::env::temp_dir().join(name), is_among_others: true }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates it if it is missing.
    ///
    /// # Errors
    /// When it cannot be created, or other users have access.
    pub fn prepare(&self) -> io::Result<&Path> {
        create_private_folder(&self.path)?;
        self.check()?;
        Ok(&self.path)
    }

    /// Every file in it with this prefix; none if other users have access.
    pub fn notes(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = self.check().and_then(|()| fs::read_dir(&self.path));
        let is_note = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
        };
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_note).collect()
    }

    /// Checks that it is ours and that no other user can write to it.
    fn check(&self) -> io::Result<()> {
        let (metadata, forbidden) = if self.is_among_others {
            (fs::symlink_metadata(&self.path)?, OTHERS_ANYTHING)
        } else {
            (fs::metadata(&self.path)?, OTHERS_WRITE)
        };
        let is_ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
        if is_ours && metadata.permissions().mode() & forbidden == 0 {
            Ok(())
        } else {
            Err(io::Error::other("other users have access to it"))
        }
    }
}

/// Opens a file.
///
/// # Errors
/// The system's, and when it is not ours or other users can read it.
pub fn open(path: &Path) -> io::Result<File> {
    let file = files::open(path, OpenOptions::new().read(true))?;
    if file.metadata()?.permissions().mode() & OTHERS_ANYTHING == 0 {
        Ok(file)
    } else {
        Err(io::Error::other(format!("other users can read or change {}", path.display())))
    }
}
