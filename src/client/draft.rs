//! Temporary folders beside the destination, so that files can appear atomically.
//!
//! Invariant: a draft is private to its owner, locked while in use, and has the paste's ID in its name, so that the
//! next fpaste for the same paste removes what a killed one left behind. Must never remove a file it has not written.

use crate::crypto;
use crate::paste::Id;
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// How many folder names are tried.
const MAX_TRIES: u32 = 10;
/// The prefix of replaced files, which may have to be restored; new files are named by numbers.
const OLD_PREFIX: &str = "old-";

/// The prefix of the drafts of a paste; without an ID, of a saved one.
pub fn prefix(id: Option<&Id>) -> String {
    format!(".fpaste-{}-", id.map_or("kept", Id::as_str))
}

/// Opens a subfolder without following a symbolic link.
///
/// # Errors
/// The system's.
pub fn open_folder(place: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(place, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())
}

/// A folder of files that are not in their final place yet.
pub struct Draft {
    place: Arc<OwnedFd>,
    /// Its name in the parent folder.
    pub name: String,
    /// Its handle, which holds the lock.
    pub folder: Arc<OwnedFd>,
}

impl Draft {
    /// Creates one.
    ///
    /// # Errors
    /// The system's.
    pub fn create(place: &Arc<OwnedFd>, id: Option<&Id>) -> io::Result<Self> {
        for _ in 0..MAX_TRIES {
            let random = crypto::random::<6>().map_err(|error| io::Error::other(error.to_string()))?;
            let name = format!("{}{}", prefix(id), crypto::hex(&random));
            mkdirat(place, &*name, Mode::RWXU)?;
            let Ok(folder) = open_folder(place, &name) else { continue };
            // On file systems without locks no draft counts as a leftover.
            let _ = flock(&folder, FlockOperation::LockExclusive);
            // Before the lock, another fpaste may have removed it.
            if fstat(&folder)?.st_nlink > 0 {
                return Ok(Self { place: Arc::clone(place), name, folder: Arc::new(folder) });
            }
        }
        Err(io::Error::other("cannot create a temporary folder"))
    }

    /// The name of a replaced file in the draft.
    pub fn old_name(number: usize) -> String {
        format!("{OLD_PREFIX}{number}")
    }

    /// A function that removes it, callable from any thread.
    pub fn remover(&self) -> impl FnOnce() + Send + use<> {
        let (place, name, folder) = (Arc::clone(&self.place), self.name.clone(), Arc::clone(&self.folder));
        move || {
            remove(&place, &name, &folder);
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        remove(&self.place, &self.name, &self.folder);
    }
}

/// Removes a draft folder and the new files in it. A folder with anything else in it stays.
fn remove(place: &OwnedFd, name: &str, folder: &OwnedFd) -> bool {
    for file in names(folder).into_iter().filter(|file| file.bytes().all(|byte| byte.is_ascii_digit())) {
        let _ = unlinkat(folder, &*file, AtFlags::empty());
    }
    unlinkat(place, name, AtFlags::REMOVEDIR).is_ok()
}

/// Removes the leftovers of killed runs for a paste from this folder. Returns the names of those that stay because they
/// hold replaced files.
pub fn remove_leftovers(place: &OwnedFd, id: &Id) -> Vec<String> {
    let begin = prefix(Some(id));
    let is_leftover = |name: &String| name.starts_with(&begin) && is_ours(place, name).is_some();
    let mut stay = Vec::new();
    for name in names(place).into_iter().filter(is_leftover) {
        let is_gone = match open_folder(place, &name) {
            Ok(folder) => remove(place, &name, &folder),
            Err(_) => unlinkat(place, &*name, AtFlags::empty()).is_ok(),
        };
        if !is_gone {
            stay.push(name);
        }
    }
    stay
}

/// Opens a draft of ours that is not in use.
fn is_ours(place: &OwnedFd, name: &str) -> Option<OwnedFd> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::RDONLY;
    let file = openat(place, name, flags, Mode::empty()).ok()?;
    let is_ours = fstat(&file).is_ok_and(|stat| stat.st_uid == rustix::process::geteuid().as_raw());
    (is_ours && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()).then_some(file)
}

fn names(folder: &OwnedFd) -> Vec<String> {
    let entries = Dir::read_from(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    names.filter(|name| name != "." && name != "..").collect()
}
