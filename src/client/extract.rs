//! The files of a paste, written below a folder.
//!
//! Invariant: each step goes through the handle of a folder and follows no symbolic link, so that nothing is written
//! outside. The files are written beside their places first, and get them when all are whole; what is there is not
//! overwritten unless that was asked for. Must never leave anything behind when it fails, nor keep more of a file's mode
//! than whether it is a program.

use super::failure::{Exit, Failure};
use super::interrupt::Interrupt;
use super::plaintext::{OneFile, Plaintext};
use super::sink::pour;
use super::text::clean;
use crate::sealed::{FileEntry, Manifest};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, linkat, mkdirat, openat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What the folder begins with in which files are written before they get their places.
const DRAFT_PREFIX: &str = ".fpaste-";

/// Writes the files of a plaintext below `folder`, which is made if it is not there.
///
/// # Errors
/// When something is in the way or cannot be written, or the content is not whole; nothing is left then.
pub fn extract(
    manifest: &Manifest,
    plaintext: &mut Plaintext<'_>,
    folder: &Path,
    overwrite: bool,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("cannot write into {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let root = OwnedFd::from(File::open(folder).map_err(failed)?);
    let mut placed = Placed { root: &root, files: Vec::new(), folders: Vec::new() };
    if !overwrite {
        manifest.files.iter().try_for_each(|file| placed.expect_free(name_of(file)?))?;
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(DRAFT_PREFIX);
    let (draft, _guard) = interrupt.removing_folder(|| builder.tempdir_in(folder)).map_err(failed)?;
    let draft_folder = OwnedFd::from(File::open(draft.path()).map_err(failed)?);
    let last = manifest.files.len().saturating_sub(1);
    for (number, file) in manifest.files.iter().enumerate() {
        let mut content = OneFile::new(plaintext, file.size, number == last);
        write(&draft_folder, &number.to_string(), file, &mut content)?;
    }
    let outcome = manifest
        .files
        .iter()
        .enumerate()
        .try_for_each(|(number, file)| placed.place(&draft_folder, &number.to_string(), name_of(file)?, overwrite));
    // What was overwritten cannot be had again, and what took its place is whole.
    if outcome.is_err() && !overwrite {
        placed.undo();
    }
    outcome
}

fn name_of(file: &FileEntry) -> Result<&str, Failure> {
    file.name.as_deref().ok_or_else(|| Failure::usage("the content has no name").hint("-o FILE gives it one"))
}

/// Writes one file into the draft folder.
fn write(draft: &OwnedFd, number: &str, file: &FileEntry, content: &mut OneFile<'_, '_>) -> Result<(), Failure> {
    let shown = file.name.as_deref().map(clean).unwrap_or_default();
    let failed = |error: std::io::Error| Failure::new(Exit::Other, format!("cannot write {shown}: {error}"));
    let mode = if file.executable { 0o777 } else { 0o666 };
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(draft, number, flags, Mode::from_raw_mode(mode)).map_err(|error| failed(error.into()))?;
    let mut target = File::from(target);
    // What reading says ends the copy after that, too: the last file is checked to the end.
    pour(content, &mut target)?.and_then(|()| target.sync_all()).map_err(failed)
}

/// What has got its place so far.
struct Placed<'a> {
    root: &'a OwnedFd,
    files: Vec<String>,
    /// Folders that were not there before.
    folders: Vec<String>,
}

impl Placed<'_> {
    /// Makes sure that nothing is in the way of a file.
    fn expect_free(&self, name: &str) -> Result<(), Failure> {
        let mut folder = None;
        let (parents, file) = split(name);
        for parent in parents {
            match open_folder(folder.as_ref().unwrap_or(self.root), parent) {
                Ok(opened) => folder = Some(opened),
                Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(in_the_way(name, error)),
            }
        }
        match rustix::fs::statat(folder.as_ref().unwrap_or(self.root), file, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(in_the_way(name, error)),
            Ok(_) => Err(in_the_way(name, Errno::EXIST)),
        }
    }

    /// Gives a file of the draft folder its place.
    fn place(&mut self, draft: &OwnedFd, number: &str, name: &str, overwrite: bool) -> Result<(), Failure> {
        let (parents, file) = split(name);
        let mut folder: Option<OwnedFd> = None;
        let mut path = String::new();
        for parent in parents {
            path.push_str(parent);
            let place = folder.as_ref().unwrap_or(self.root);
            match mkdirat(place, parent, Mode::from_raw_mode(0o777)) {
                Ok(()) => self.folders.push(path.clone()),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(in_the_way(name, error)),
            }
            folder = Some(open_folder(place, parent).map_err(|error| in_the_way(name, error))?);
            path.push('/');
        }
        let place = folder.as_ref().unwrap_or(self.root);
        let moved = if overwrite {
            renameat(draft, number, place, file)
        } else {
            // Not every file system can rename without replacing; a link never replaces.
            match renameat_with(draft, number, place, file, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS) => linkat(draft, number, place, file, AtFlags::empty()),
                moved => moved,
            }
        };
        moved.map_err(|error| in_the_way(name, error))?;
        self.files.push(name.to_owned());
        Ok(())
    }

    /// Takes everything back.
    fn undo(&self) {
        for name in &self.files {
            self.remove(name, AtFlags::empty());
        }
        for name in self.folders.iter().rev() {
            self.remove(name, AtFlags::REMOVEDIR);
        }
    }

    fn remove(&self, name: &str, flags: AtFlags) {
        let mut folder: Option<OwnedFd> = None;
        let (parents, last) = split(name);
        for parent in parents {
            let Ok(opened) = open_folder(folder.as_ref().unwrap_or(self.root), parent) else { return };
            folder = Some(opened);
        }
        let _ = unlinkat(folder.as_ref().unwrap_or(self.root), last, flags);
    }
}

/// The folders of a name, and what lies in the last of them.
fn split(name: &str) -> (impl Iterator<Item = &str>, &str) {
    let (folders, file) = name.rsplit_once('/').unwrap_or(("", name));
    (folders.split('/').filter(|part| !part.is_empty()), file)
}

/// A folder by its name alone, which is no symbolic link.
fn open_folder(place: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(place, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())
}

fn in_the_way(name: &str, error: Errno) -> Failure {
    let name = clean(name);
    match error {
        Errno::EXIST => Failure::usage(format!("{name} is there already; nothing was written"))
            .hint("--force overwrites, -o DIR/ writes elsewhere"),
        Errno::NOTDIR | Errno::LOOP => {
            Failure::usage(format!("{name} leads through what is no folder; nothing was written"))
        }
        error => Failure::new(Exit::Other, format!("cannot write {name}: {}", std::io::Error::from(error))),
    }
}
