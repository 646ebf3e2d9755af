//! Extracts the files of a paste into a folder.
//!
//! Invariant: every step uses a folder's handle and follows no symbolic link, so that nothing is written outside. The
//! files are written to a temporary folder first and moved when all are complete: either all of them appear or none,
//! and then replaced files are restored. Must never leave anything behind after a failure or an interruption, nor keep
//! more of a file's mode than the executable bit.

use super::Session;
use super::draft::{Draft, open_folder, remove_leftovers};
use super::failure::{Exit, Failure};
use super::interrupt::Guard;
use super::plaintext::{OneFile, Plaintext};
use super::sink::{pour, unwritable};
use crate::paste::Id;
use crate::sealed::{FileEntry, Manifest};
use crate::text::clean;
use rustix::fs::{
    Access, AtFlags, FileType, Mode, OFlags, RenameFlags, accessat, chmodat, fsync, linkat, mkdirat, openat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the files of a paste go.
pub struct Destination {
    /// The folder, created if missing.
    pub folder: PathBuf,
    /// The paste's ID, unless it is a saved one.
    pub id: Option<Id>,
    /// Whether existing files are replaced.
    pub overwrite: bool,
}

impl Destination {
    /// Checks, before a read is taken, that the folder is writable as far as that can be known.
    ///
    /// # Errors
    /// A usage failure.
    pub fn check(&self) -> Result<(), Failure> {
        let existing = existing_ancestor(&self.folder);
        let is_folder = fs::metadata(existing).map(|metadata| metadata.is_dir());
        if matches!(is_folder, Ok(false)) {
            return Err(Failure::usage(format!("{} is not a folder", existing.display())));
        }
        is_folder.and_then(|_| check_writable(existing)).map_err(|error| unwritable(&self.folder, &error))
    }
}

fn check_writable(folder: &Path) -> io::Result<()> {
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from)
}

/// The folder itself or its nearest existing ancestor.
fn existing_ancestor(folder: &Path) -> &Path {
    // Without the trailing slash, with which a file does not seem to exist.
    let folder = folder.components().as_path();
    let is_there = |path: &&Path| !path.as_os_str().is_empty() && fs::symlink_metadata(path).is_ok();
    folder.ancestors().find(is_there).unwrap_or_else(|| Path::new(if folder.has_root() { "/" } else { "." }))
}

/// Writes the files of a plaintext.
///
/// # Errors
/// When a file exists or cannot be written, or the content is damaged; nothing is left behind then.
pub fn extract(
    manifest: &Manifest,
    plaintext: &mut Plaintext<'_>,
    to: &Destination,
    session: &Session<'_>,
) -> Result<(), Failure> {
    let names: Vec<&str> = manifest.files.iter().map(name_of).collect::<Result<_, _>>()?;
    let ((mut root, draft), _guard) = prepare(to, session)?;
    let mut placed = Placed { root: &root.handle, draft: &draft, overwrite: to.overwrite, steps: Vec::new() };
    names.iter().try_for_each(|name| placed.check(name))?;
    let last = manifest.files.len().saturating_sub(1);
    let mut modes = Vec::with_capacity(names.len());
    for (number, file) in manifest.files.iter().enumerate() {
        let mut content = OneFile::new(plaintext, file.size, number == last);
        modes.push(write(&draft.folder, number, file, &mut content)?);
    }
    // Signals are held back until all files are in place, or none.
    let outcome = session.interrupt.uninterrupted(|is_interrupted| placed.place_all(&names, &modes, is_interrupted));
    outcome.map_err(|(failure, is_undone)| {
        let draft = to.folder.join(&draft.name);
        let stays = || format!("some files could not be restored; the originals are in {}", draft.display());
        if is_undone { failure } else { failure.hint(stays()) }
    })?;
    placed.sync(&names);
    placed.discard_old();
    root.keep();
    Ok(())
}

/// Opens the folder and creates a draft folder in it; both an interruption and a failure remove what was created.
fn prepare<'a>(to: &Destination, session: &'a Session<'_>) -> Result<((Root, Draft), Guard<'a>), Failure> {
    let make = || {
        let root = Root::open(&to.folder)?;
        let draft = Draft::create(&root.handle, to.id.as_ref())?;
        let (remove_draft, made) = (draft.remover(), root.made.clone());
        let put_right = move || {
            remove_draft();
            remove_folders(&made);
        };
        Ok(((root, draft), put_right))
    };
    let opened = session.interrupt.putting_right(make).map_err(|error| unwritable(&to.folder, &error))?;
    let ((root, _), _) = &opened;
    for name in to.id.iter().flat_map(|id| remove_leftovers(&root.handle, id)) {
        let path = to.folder.join(name);
        session.ui.warning(&format!("{} holds files that an interrupted fpaste was replacing", path.display()));
    }
    Ok(opened)
}

fn name_of(file: &FileEntry) -> Result<&str, Failure> {
    file.name.as_deref().ok_or_else(|| Failure::usage("this paste has no file name").hint("use -o FILE"))
}

/// The destination folder.
struct Root {
    handle: Arc<OwnedFd>,
    /// The folders that were created for it, topmost first.
    made: Vec<PathBuf>,
}

impl Root {
    fn open(folder: &Path) -> io::Result<Self> {
        let mut made = Vec::new();
        let opened = make_folders(folder, &mut made).and_then(|()| File::open(folder));
        match opened {
            Ok(handle) => Ok(Self { handle: Arc::new(handle.into()), made }),
            Err(error) => {
                remove_folders(&made);
                Err(error)
            }
        }
    }

    /// Keeps the created folders.
    fn keep(&mut self) {
        for parent in self.made.drain(..).filter_map(|folder| folder.parent().map(Path::to_path_buf)) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { &parent };
            let _ = File::open(parent).and_then(|parent| parent.sync_all());
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        remove_folders(&self.made);
    }
}

fn make_folders(folder: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    let missing = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.is_dir());
    let missing: Vec<&Path> = missing.collect();
    for path in missing.into_iter().rev() {
        match fs::create_dir(path) {
            Ok(()) => made.push(path.to_path_buf()),
            // Another fpaste created it first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes empty folders.
fn remove_folders(made: &[PathBuf]) {
    made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
}

/// Writes one file into the draft folder. Returns its final mode.
fn write(draft: &OwnedFd, number: usize, file: &FileEntry, content: &mut OneFile<'_, '_>) -> Result<u32, Failure> {
    let shown = file.name.as_deref().map(clean).unwrap_or_default();
    let failed = |error: io::Error| Failure::new(Exit::Other, format!("cannot write {shown}: {error}"));
    let mode = if file.executable { 0o777 } else { 0o666 };
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(draft, number.to_string(), flags, Mode::from_raw_mode(mode));
    let mut target = File::from(target.map_err(|error| failed(error.into()))?);
    // The mode under the umask is applied later: until the file is in place it stays private.
    let mode = target.metadata().map_err(failed)?.permissions().mode() & 0o777;
    target.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    // A read error ends the copy, also after the last byte: the last file is verified to the end.
    pour(content, &mut target)?.and_then(|()| target.sync_all()).map_err(failed)?;
    Ok(mode)
}

/// A step of moving files into place, for undoing it.
enum Step {
    /// A folder was created.
    Folder(String),
    /// An existing file was moved into the draft folder.
    Aside(String, String),
    /// A file was moved into place.
    File(String),
}

/// The files moved into place so far.
struct Placed<'a> {
    root: &'a OwnedFd,
    draft: &'a Draft,
    overwrite: bool,
    steps: Vec<Step>,
}

impl Placed<'_> {
    /// Checks that a file can be placed without replacing what must stay.
    fn check(&self, name: &str) -> Result<(), Failure> {
        let in_way = |error| in_the_way(name, error);
        let mut folder = None;
        let (parents, file) = split(name);
        for parent in parents {
            let place = folder.as_ref().unwrap_or(self.root);
            match open_folder(place, parent) {
                Ok(opened) => folder = Some(opened),
                Err(Errno::NOENT) => return check_place(place).map_err(in_way),
                Err(error) => return Err(in_way(error)),
            }
        }
        let place = folder.as_ref().unwrap_or(self.root);
        self.check_free(place, file).and_then(|_| check_place(place)).map_err(in_way)
    }

    /// Whether there is a file to replace.
    fn check_free(&self, place: &OwnedFd, file: &str) -> Result<bool, Errno> {
        match statat(place, file, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
            Ok(_) if !self.overwrite => Err(Errno::EXIST),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Err(Errno::ISDIR),
            Ok(_) => Ok(true),
        }
    }

    /// Moves all files into place. On failure or interruption all steps are undone; the second value tells whether that
    /// succeeded.
    fn place_all(
        &mut self,
        names: &[&str],
        modes: &[u32],
        is_interrupted: &dyn Fn() -> bool,
    ) -> Result<(), (Failure, bool)> {
        let mut outcome = Ok(());
        for (number, (name, mode)) in names.iter().zip(modes).enumerate() {
            outcome = self.place(number, name, *mode).map_err(|error| in_the_way(name, error));
            if is_interrupted() {
                outcome = outcome.and(Err(Failure::new(Exit::Other, "interrupted")));
            }
            if outcome.is_err() {
                break;
            }
        }
        outcome.map_err(|failure| (failure, self.undo()))
    }

    /// Moves a file from the draft folder into place.
    fn place(&mut self, number: usize, name: &str, mode: u32) -> Result<(), Errno> {
        let (parents, file) = split(name);
        let mut folder: Option<OwnedFd> = None;
        let mut path = String::new();
        for parent in parents {
            path.push_str(parent);
            let place = folder.as_ref().unwrap_or(self.root);
            match mkdirat(place, parent, Mode::from_raw_mode(0o777)) {
                Ok(()) => self.steps.push(Step::Folder(path.clone())),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            folder = Some(open_folder(place, parent)?);
            path.push('/');
        }
        let place = folder.as_ref().unwrap_or(self.root);
        let draft = &self.draft.folder;
        if self.check_free(place, file)? {
            let aside = Draft::old_name(number);
            renameat(place, file, draft, &*aside)?;
            self.steps.push(Step::Aside(name.to_owned(), aside));
        }
        let number = number.to_string();
        chmodat(draft, &*number, Mode::from_raw_mode(mode), AtFlags::empty())?;
        // Not every file system supports RENAME_NOREPLACE; a hard link never replaces.
        match renameat_with(draft, &*number, place, file, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => linkat(draft, &*number, place, file, AtFlags::empty())?,
            moved => moved?,
        }
        self.steps.push(Step::File(name.to_owned()));
        Ok(())
    }

    /// Undoes all steps. Returns whether everything was restored.
    fn undo(&mut self) -> bool {
        let mut is_undone = true;
        while let Some(step) = self.steps.pop() {
            let (Step::Folder(name) | Step::File(name) | Step::Aside(name, _)) = &step;
            let (parents, last) = split(name);
            let Ok(folder) = self.parent(parents) else {
                is_undone = false;
                continue;
            };
            let place = folder.as_ref().unwrap_or(self.root);
            is_undone &= match &step {
                // Another program may have put something there.
                Step::Folder(_) => unlinkat(place, last, AtFlags::REMOVEDIR).is_ok() || self.overwrite,
                Step::File(_) => unlinkat(place, last, AtFlags::empty()).is_ok(),
                Step::Aside(_, aside) => renameat(&self.draft.folder, &**aside, place, last).is_ok(),
            };
        }
        is_undone
    }

    fn parent<'n>(&self, mut parents: impl Iterator<Item = &'n str>) -> Result<Option<OwnedFd>, Errno> {
        parents.try_fold(None, |folder, name| open_folder(folder.as_ref().unwrap_or(self.root), name).map(Some))
    }

    /// Syncs the folders: only then may the server delete its copy.
    fn sync(&self, names: &[&str]) {
        let folders: BTreeSet<&str> =
            names.iter().filter_map(|name| name.rsplit_once('/').map(|(path, _)| path)).collect();
        for path in folders {
            if let Ok(Some(folder)) = self.parent(path.split('/')) {
                let _ = fsync(folder);
            }
        }
        let _ = fsync(self.root);
    }

    /// Removes the replaced files.
    fn discard_old(&self) {
        for step in &self.steps {
            if let Step::Aside(_, aside) = step {
                let _ = unlinkat(&self.draft.folder, &**aside, AtFlags::empty());
            }
        }
    }
}

/// Checks that files can be created in a folder.
fn check_place(folder: &OwnedFd) -> Result<(), Errno> {
    accessat(folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
}

/// Splits a name into its folders and the file name.
fn split(name: &str) -> (impl Iterator<Item = &str>, &str) {
    let (folders, file) = name.rsplit_once('/').unwrap_or(("", name));
    (folders.split('/').filter(|part| !part.is_empty()), file)
}

fn in_the_way(name: &str, error: Errno) -> Failure {
    let name = clean(name);
    match error {
        Errno::EXIST => Failure::usage(format!("{name} already exists; nothing was written"))
            .hint("use --force to overwrite, or -o DIR/ to write elsewhere"),
        Errno::ISDIR => Failure::usage(format!("{name} is a folder here but a file in the paste; nothing was written"))
            .hint("use -o DIR/ to write elsewhere"),
        Errno::NOTDIR | Errno::LOOP => {
            Failure::usage(format!("part of the path {name} is not a folder here; nothing was written"))
        }
        error => Failure::new(Exit::Other, format!("cannot write {name}: {}", io::Error::from(error))),
    }
}
