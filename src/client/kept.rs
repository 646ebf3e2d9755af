//! Saves content that a read has deleted from the server, as it was received.
//!
//! Invariant: a file is new, has mode 0600, and is complete or absent. Must never overwrite a file, nor contain the
//! plaintext of encrypted content.

use super::Session;
use super::config::create_private_folder;
use super::spooled::Spooled;
use crate::paste::Id;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How many numbered names are tried.
const MAX_TRIES: u32 = 100;
/// The most characters of an ID in a file name: messages hide anything long enough to be a key, but must show the path.
const MAX_ID_CHARS: usize = 24;

/// A file with burned content.
pub struct Kept(PathBuf);

impl Kept {
    /// Writes it to the first usable folder of [`folders`]; `None` if there is none.
    pub fn store(session: &Session<'_>, id: &Id, content: &Spooled) -> Option<Self> {
        let id: String = id.as_str().chars().take(MAX_ID_CHARS).collect();
        write_somewhere(session, &format!("fpaste-{id}"), content).map(Self)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes it after the content was delivered.
    pub fn forget(self) {
        let _ = fs::remove_file(self.0);
    }
}

/// The folders to try, in order: the state folder, the current one, the one for temporary files.
fn folders(session: &Session<'_>) -> Vec<PathBuf> {
    session.folders.state.clone().into_iter().chain([PathBuf::from("."), std::env::temp_dir()]).collect()
}

/// Writes a new file to the first usable folder of [`folders`]; `None` if there is none.
fn write_somewhere(session: &Session<'_>, name: &str, content: &Spooled) -> Option<PathBuf> {
    if let Some(state) = &session.folders.state {
        // If this fails, so does creating the file, and the next folder is tried.
        let _ = create_private_folder(state);
    }
    folders(session).iter().find_map(|folder| write_new_from(folder, name, &mut content.reader()).ok())
}

/// Writes a new file under this name, or the name with a number.
///
/// # Errors
/// When it cannot be created or written, and the reader's; nothing is left behind then.
pub fn write_new_from(folder: &Path, name: &str, content: &mut dyn Read) -> io::Result<PathBuf> {
    let (path, mut file) = create_new(folder, name)?;
    if let Err(error) = io::copy(content, &mut file).and_then(|_| file.sync_all()) {
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(path)
}

/// Creates an empty file under this name, or the name with a number.
///
/// # Errors
/// When it cannot be created.
pub fn create_new(folder: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    for number in 1..=MAX_TRIES {
        let path = folder.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
        // create_new does not follow symbolic links.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            file => return file.map(|file| (path, file)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}
