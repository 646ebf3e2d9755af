//! What exists nowhere else any more, as a file: content that was burned by a read, as it came off the server.
//!
//! Invariant: a file is new, for its owner alone (0600), and whole or not there. Must never write over anything, nor
//! hold the plaintext of what was encrypted.

use super::Session;
use super::config::create_private_folder;
use super::spooled::Spooled;
use crate::paste::Id;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Files of one name there may be: the same paste read with several wrong keys is burned once.
const MAX_TRIES: u32 = 100;
/// Characters of an ID in a name. A message shows nothing that is long enough to be a key, and has to show the path.
const MAX_ID_CHARS: usize = 24;

/// A file that holds what was burned.
pub struct Kept(PathBuf);

impl Kept {
    /// Writes it into the first of [`folders`] where that works; `None` if nowhere.
    pub fn store(session: &Session<'_>, id: &Id, content: &Spooled) -> Option<Self> {
        let id: String = id.as_str().chars().take(MAX_ID_CHARS).collect();
        write_somewhere(session, &format!("fpaste-{id}"), content).map(Self)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes it: the person has the content.
    pub fn forget(self) {
        let _ = fs::remove_file(self.0);
    }
}

/// Where things are kept, the best place first: the state folder, the working folder, that for temporary files.
fn folders(session: &Session<'_>) -> Vec<PathBuf> {
    session.folders.state.clone().into_iter().chain([PathBuf::from("."), std::env::temp_dir()]).collect()
}

/// Writes a new file into the first of [`folders`] where that works; `None` if nowhere.
fn write_somewhere(session: &Session<'_>, name: &str, content: &Spooled) -> Option<PathBuf> {
    if let Some(state) = &session.folders.state {
        // If it cannot be made, no file in it can either, and goes into the next.
        let _ = create_private_folder(state);
    }
    folders(session).iter().find_map(|folder| write_new_from(folder, name, &mut content.reader()).ok())
}

/// Writes a new file of what a reader gives by this name, or by the name and a number.
///
/// # Errors
/// When it cannot be made or written, and the reader's; then nothing is left of it.
pub fn write_new_from(folder: &Path, name: &str, content: &mut dyn Read) -> io::Result<PathBuf> {
    let (path, mut file) = create_new(folder, name)?;
    if let Err(error) = io::copy(content, &mut file).and_then(|_| file.sync_all()) {
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(path)
}

/// A new file by this name, or by the name and a number, still empty.
///
/// # Errors
/// When it cannot be made.
pub fn create_new(folder: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    for number in 1..=MAX_TRIES {
        let path = folder.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
        // create_new follows no symbolic link.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            file => return file.map(|file| (path, file)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}
