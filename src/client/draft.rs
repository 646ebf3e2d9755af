//! What is written beside its place first, so that it can appear as a whole.
//!
//! Invariant: a draft is for its owner alone until it gets its place, is locked while somebody works on it, and carries the
//! paste's ID in its name: what a killed fpaste has left is removed by the next one for the same paste. Must never remove
//! what it has not written.

use crate::crypto;
use crate::paste::Id;
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Drafts that are tried.
const MAX_TRIES: u32 = 10;
/// Names of what was replaced, and may have to be put back, begin so; those of new files are numbers.
const OLD_PREFIX: &str = "old-";

/// What the names of drafts of a paste begin with; without an ID, of what was kept of one.
pub fn prefix(id: Option<&Id>) -> String {
    format!(".fpaste-{}-", id.map_or("kept", Id::as_str))
}

/// Opens a folder by its name alone, which is no symbolic link.
///
/// # Errors
/// The system's.
pub fn open_folder(place: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(place, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())
}

/// A folder in which files wait for their places.
pub struct Draft {
    place: Arc<OwnedFd>,
    /// Its name in that place.
    pub name: String,
    /// Its handle, which holds the lock.
    pub folder: Arc<OwnedFd>,
}

impl Draft {
    /// Makes one.
    ///
    /// # Errors
    /// The system's.
    pub fn create(place: &Arc<OwnedFd>, id: Option<&Id>) -> io::Result<Self> {
        for _ in 0..MAX_TRIES {
            let random = crypto::random::<6>().map_err(|error| io::Error::other(error.to_string()))?;
            let name = format!("{}{}", prefix(id), crypto::hex(&random));
            mkdirat(place, &*name, Mode::RWXU)?;
            let Ok(folder) = open_folder(place, &name) else { continue };
            // Where there are no locks, no draft is taken for a leftover.
            let _ = flock(&folder, FlockOperation::LockExclusive);
            // Until now another fpaste may have done so.
            if fstat(&folder)?.st_nlink > 0 {
                return Ok(Self { place: Arc::clone(place), name, folder: Arc::new(folder) });
            }
        }
        Err(io::Error::other("no folder for drafts can be kept"))
    }

    /// What a replaced file is called here.
    pub fn old_name(number: usize) -> String {
        format!("{OLD_PREFIX}{number}")
    }

    /// What removes it, from whichever thread.
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

/// Removes a draft folder with the new files in it. One that holds anything else stays.
fn remove(place: &OwnedFd, name: &str, folder: &OwnedFd) -> bool {
    for file in names(folder).into_iter().filter(|file| file.bytes().all(|byte| byte.is_ascii_digit())) {
        let _ = unlinkat(folder, &*file, AtFlags::empty());
    }
    unlinkat(place, name, AtFlags::REMOVEDIR).is_ok()
}

/// Removes what killed runs have left of a paste in this folder; the names of what cannot go, for it holds files that were
/// being replaced.
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

/// Opens a draft of ours that nobody works on.
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
