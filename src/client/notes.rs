//! Small files for ourselves, a thing each, in a folder that nobody else writes.
//!
//! Invariant: a note is for its owner alone (0600), and is one only where nobody else could have put it. Must never look
//! for one anywhere else: whatever lies in the working folder may have come out of somebody's paste.

use super::config::create_private_folder;
use super::{Session, files};
use crate::paste::Id;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Most bytes of a note.
pub const MAX_BYTES: u64 = 4096;
/// Characters of an ID in a name: a message that has it in a path shows it.
const MAX_ID_CHARS: usize = 24;
/// Others may do nothing with a file of this mode.
const OTHERS_ANYTHING: u32 = 0o077;
/// Others may not write in a folder of this mode.
const OTHERS_WRITE: u32 = 0o022;

/// What the note of a paste is called, or begins with where there are several.
pub fn file_name(prefix: &str, id: &Id) -> String {
    format!("{prefix}{}", id.as_str().chars().take(MAX_ID_CHARS).collect::<String>())
}

/// A folder for notes.
pub struct Folder {
    path: PathBuf,
    /// Whether it lies among other people's, and may be nothing but our own.
    is_among_others: bool,
}

impl Folder {
    /// The usual one; `None` without a home.
    pub fn state(session: &Session<'_>) -> Option<Self> {
        session.folders.state.clone().map(|path| Self { path, is_among_others: false })
    }

    /// For when the state folder cannot be used.
    pub fn rescue() -> Self {
        let name = format!("fpaste-{}", rustix::process::geteuid().as_raw());
        Self { path: std::env::temp_dir().join(name), is_among_others: true }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, if it is not there, for notes to be put into it.
    ///
    /// # Errors
    /// When it cannot be made, or is not ours alone.
    pub fn prepare(&self) -> io::Result<&Path> {
        create_private_folder(&self.path)?;
        self.check()?;
        Ok(&self.path)
    }

    /// Every file in it that may be a note of this kind; none where it is not ours alone.
    pub fn notes(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = self.check().and_then(|()| fs::read_dir(&self.path));
        let is_note = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
        };
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_note).collect()
    }

    /// Makes sure that it is ours, and that nobody else can put a note there.
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
            Err(io::Error::other("it is not this user's alone"))
        }
    }
}

/// Opens a note.
///
/// # Errors
/// The system's, and when it is not a file of ours that nobody else reads.
pub fn open(path: &Path) -> io::Result<File> {
    let file = files::open(path, OpenOptions::new().read(true))?;
    if file.metadata()?.permissions().mode() & OTHERS_ANYTHING == 0 {
        Ok(file)
    } else {
        Err(io::Error::other(format!("others may read or change {}", path.display())))
    }
}
