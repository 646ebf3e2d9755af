//! The files of a paste, written below a folder.
//!
//! Invariant: each step goes through the handle of a folder and follows no symbolic link, so that nothing is written
//! outside. The files are written beside their places first, and get them when all are whole: all of them do, or none does,
//! and then what was there is there again. Must never leave anything behind when it fails or is interrupted, nor keep more
//! of a file's mode than whether it is a program.

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
    /// Below this folder, which is made if it is not there.
    pub folder: PathBuf,
    /// Which paste they are of, unless it was kept.
    pub id: Option<Id>,
    /// Whether what is there is replaced.
    pub overwrite: bool,
}

impl Destination {
    /// Makes sure, before a read is taken, that files can be made there as far as that can be seen.
    ///
    /// # Errors
    /// A usage failure.
    pub fn check(&self) -> Result<(), Failure> {
        let existing = existing_ancestor(&self.folder);
        let is_folder = fs::metadata(existing).map(|metadata| metadata.is_dir());
        let checked = is_folder.and_then(|is_folder| {
            if is_folder { check_writable(existing) } else { Err(io::ErrorKind::NotADirectory.into()) }
        });
        checked.map_err(|error| unwritable(&self.folder, &error))
    }
}

fn check_writable(folder: &Path) -> io::Result<()> {
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from)
}

/// The nearest folder above, or the folder itself, that is there.
fn existing_ancestor(folder: &Path) -> &Path {
    let is_there = |path: &&Path| !path.as_os_str().is_empty() && fs::symlink_metadata(path).is_ok();
    folder.ancestors().find(is_there).unwrap_or_else(|| Path::new(if folder.has_root() { "/" } else { "." }))
}

/// Writes the files of a plaintext.
///
/// # Errors
/// When something is in the way or cannot be written, or the content is not whole; nothing is left then.
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
    // A signal waits until all files have their places, or none has.
    let outcome = session.interrupt.uninterrupted(|is_interrupted| placed.place_all(&names, &modes, is_interrupted));
    outcome.map_err(|(failure, is_undone)| {
        let draft = to.folder.join(&draft.name);
        let stays = || format!("not all could be put back; what was replaced is in {}", draft.display());
        if is_undone { failure } else { failure.hint(stays()) }
    })?;
    placed.sync(&names);
    placed.discard_old();
    root.keep();
    Ok(())
}

/// Opens the folder, and one in it for drafts; an interruption removes what was made, and so does a failure.
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
        session.ui.warning(&format!("{} has files that an interrupted fpaste was replacing", path.display()));
    }
    Ok(opened)
}

fn name_of(file: &FileEntry) -> Result<&str, Failure> {
    file.name
        .as_deref()
        .ok_or_else(|| Failure::usage("the content of this paste has no name").hint("-o FILE gives it one"))
}

/// The folder the files go below.
struct Root {
    handle: Arc<OwnedFd>,
    /// It and those above it that were not there before, the topmost first.
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

    /// The folders stay: they have something in them.
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
            // Another fpaste was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes folders that are empty.
fn remove_folders(made: &[PathBuf]) {
    made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
}

/// Writes one file into the draft folder; the mode it is to have.
fn write(draft: &OwnedFd, number: usize, file: &FileEntry, content: &mut OneFile<'_, '_>) -> Result<u32, Failure> {
    let shown = file.name.as_deref().map(clean).unwrap_or_default();
    let failed = |error: io::Error| Failure::new(Exit::Other, format!("cannot write {shown}: {error}"));
    let mode = if file.executable { 0o777 } else { 0o666 };
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(draft, number.to_string(), flags, Mode::from_raw_mode(mode));
    let mut target = File::from(target.map_err(|error| failed(error.into()))?);
    // What the umask has left of it is for later: until it has its place, it is for its owner alone.
    let mode = target.metadata().map_err(failed)?.permissions().mode() & 0o777;
    target.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    // What reading says ends the copy after that, too: the last file is checked to the end.
    pour(content, &mut target)?.and_then(|()| target.sync_all()).map_err(failed)?;
    Ok(mode)
}

/// What was done to give the files their places.
enum Step {
    /// A folder was made.
    Folder(String),
    /// What was there was moved into the draft folder.
    Aside(String, String),
    /// A file got its place.
    File(String),
}

/// The files that have got their places so far.
struct Placed<'a> {
    root: &'a OwnedFd,
    draft: &'a Draft,
    overwrite: bool,
    steps: Vec<Step>,
}

impl Placed<'_> {
    /// Makes sure that nothing is in the way of a file that is to stay.
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

    /// Whether there is something to be replaced.
    fn check_free(&self, place: &OwnedFd, file: &str) -> Result<bool, Errno> {
        match statat(place, file, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
            Ok(_) if !self.overwrite => Err(Errno::EXIST),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Err(Errno::ISDIR),
            Ok(_) => Ok(true),
        }
    }

    /// Gives all files their places. Where that fails or is interrupted, everything is as before, if the second value says
    /// so.
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

    /// Gives a file of the draft folder its place.
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
        // Not every file system can rename without replacing; a link never replaces.
        match renameat_with(draft, &*number, place, file, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => linkat(draft, &*number, place, file, AtFlags::empty())?,
            moved => moved?,
        }
        self.steps.push(Step::File(name.to_owned()));
        Ok(())
    }

    /// Takes everything back; whether all of it is as before.
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
                // Somebody else may have put something there.
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

    /// Has the system write down where the files are: only then may the server forget them.
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

    /// Removes what was replaced.
    fn discard_old(&self) {
        for step in &self.steps {
            if let Step::Aside(_, aside) = step {
                let _ = unlinkat(&self.draft.folder, &**aside, AtFlags::empty());
            }
        }
    }
}

/// Whether something can be made in a folder.
fn check_place(folder: &OwnedFd) -> Result<(), Errno> {
    accessat(folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
}

/// The folders of a name, and what lies in the last of them.
fn split(name: &str) -> (impl Iterator<Item = &str>, &str) {
    let (folders, file) = name.rsplit_once('/').unwrap_or(("", name));
    (folders.split('/').filter(|part| !part.is_empty()), file)
}

fn in_the_way(name: &str, error: Errno) -> Failure {
    let name = clean(name);
    match error {
        Errno::EXIST => Failure::usage(format!("{name} is there already; nothing was written"))
            .hint("--force overwrites, -o DIR/ writes elsewhere"),
        Errno::ISDIR => {
            Failure::usage(format!("{name} is a folder here, and a file in the paste; nothing was written"))
                .hint("-o DIR/ writes elsewhere")
        }
        Errno::NOTDIR | Errno::LOOP => {
            Failure::usage(format!("{name} leads through what is no folder; nothing was written"))
        }
        error => Failure::new(Exit::Other, format!("cannot write {name}: {}", io::Error::from(error))),
    }
}
