//! Files to upload: inspected first, read later, possibly more than once.
//!
//! Invariant: the file that is read is the one that was inspected, exactly to its recorded end; symbolic links are
//! followed only if named on the command line. Must never load a file of known size into memory.

use super::failure::Failure;
use super::link::is_id_with_key;
use crate::text::{clean, without_fragment};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The total size limit of files that do not report their size and must be held in memory.
pub const MAX_HELD_BYTES: usize = 8 << 20;
/// The reported size of a smaller file is trusted only if it occupies blocks: files in /sys always report 4096.
const MAX_DOUBTFUL_BYTES: u64 = 1 << 16;

/// Identifies a file or folder independently of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// A folder named on the command line.
struct Root {
    path: PathBuf,
    identity: Identity,
}

/// Where a file's content is.
enum Place {
    /// Named on the command line: symbolic links are followed.
    Named,
    /// Below a named folder.
    Below(Arc<Root>, PathBuf),
    /// In memory: the file does not report its size.
    Held(Zeroizing<Vec<u8>>),
}

/// A regular file.
pub struct Item {
    /// Its name in messages.
    pub source: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is executable.
    pub executable: bool,
    identity: Identity,
    place: Place,
}

impl Item {
    /// Inspects a named file.
    ///
    /// # Errors
    /// A usage failure when it cannot be read.
    pub fn named(path: &Path) -> Result<Self, Failure> {
        let file = open_named(path).map_err(|error| unreadable(path, &error))?;
        Self::look(file, path.to_path_buf(), Place::Named)
    }

    fn look(file: File, source: PathBuf, place: Place) -> Result<Self, Failure> {
        let failed = |error: io::Error| unreadable(&source, &error);
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(replaced(&source));
        }
        let identity = Identity { device: metadata.dev(), inode: metadata.ino() };
        let (mut size, mut place) = (metadata.len(), place);
        if size == 0 || metadata.blocks() == 0 && size <= MAX_DOUBTFUL_BYTES {
            let mut content = Zeroizing::new(Vec::new());
            file.take(MAX_HELD_BYTES as u64 + 1).read_to_end(&mut content).map_err(failed)?;
            if content.len() > MAX_HELD_BYTES {
                return Err(too_much_to_hold(&source));
            }
            if content.len() as u64 != size {
                (size, place) = (content.len() as u64, Place::Held(content));
            }
        }
        Ok(Self { source, size, executable: metadata.mode() & 0o111 != 0, identity, place })
    }

    /// Opens it for reading. The reader's errors are [`Failure`]s.
    ///
    /// # Errors
    /// When it cannot be read, or was replaced.
    pub fn read(&self) -> Result<ItemReader<'_>, Failure> {
        let content: Box<dyn Read> = match &self.place {
            Place::Held(content) => Box::new(content.as_slice()),
            Place::Named => Box::new(self.opened(open_named(&self.source))?),
            Place::Below(root, path) => Box::new(self.opened(open_below(root, path))?),
        };
        Ok(ItemReader { item: self, content, left: self.size, is_ended: false })
    }

    fn opened(&self, file: io::Result<File>) -> Result<File, Failure> {
        let file = file.map_err(|error| match error.raw_os_error() {
            // It was replaced by a symbolic link or a file.
            Some(libc::ELOOP | libc::ENOTDIR) => replaced(&self.source),
            _ => unreadable(&self.source, &error),
        })?;
        let identity = Identity::of(&file).map_err(|error| unreadable(&self.source, &error))?;
        if identity == self.identity { Ok(file) } else { Err(replaced(&self.source)) }
    }

    /// The number of its bytes held in memory.
    pub fn held_bytes(&self) -> usize {
        if let Place::Held(content) = &self.place { content.len() } else { 0 }
    }
}

/// Reads a file to the end that it had when it was inspected.
pub struct ItemReader<'a> {
    item: &'a Item,
    content: Box<dyn Read + 'a>,
    left: u64,
    is_ended: bool,
}

impl ItemReader<'_> {
    fn failed(&self, what: &str) -> io::Error {
        let shown = clean(&self.item.source.to_string_lossy());
        io::Error::other(
            Failure::usage(format!("{shown} became {what} while it was being read"))
                .hint(format!("to upload a growing file, use fpaste - < {shown}")),
        )
    }
}

impl Read for ItemReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let unreadable = |error: io::Error| io::Error::other(unreadable(&self.item.source, &error));
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.content.read(buffer.get_mut(..length).unwrap_or_default()).map_err(unreadable)?;
        if read == 0 && length > 0 {
            return Err(self.failed("shorter"));
        }
        self.left -= read as u64;
        // The caller may never read the end, so check it now.
        if self.left == 0 && !self.is_ended {
            self.is_ended = true;
            if self.content.read(&mut [0]).map_err(unreadable)? > 0 {
                return Err(self.failed("longer"));
            }
        }
        Ok(read)
    }
}

/// The entries of a folder.
pub struct Folder {
    root: Arc<Root>,
    /// Relative to the root.
    path: PathBuf,
    handle: OwnedFd,
}

/// An entry of a folder.
pub enum Found {
    /// A subfolder.
    Folder(Folder),
    /// A regular file.
    File(Item),
    /// Anything else, which is skipped, and why.
    Other(&'static str),
}

impl Folder {
    /// Opens a named folder, following symbolic links.
    ///
    /// # Errors
    /// A usage failure when it cannot be read.
    pub fn named(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| unreadable(path, &error);
        let file = open_root(path).map_err(failed)?;
        let root = Root { path: path.to_path_buf(), identity: Identity::of(&file).map_err(failed)? };
        Ok(Self { root: Arc::new(root), path: PathBuf::new(), handle: file.into() })
    }

    /// Its names, sorted.
    ///
    /// # Errors
    /// A usage failure when it cannot be read.
    pub fn names(&self) -> Result<Vec<OsString>, Failure> {
        let failed = |error: Errno| unreadable(&self.source(OsStr::new("")), &error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Inspects an entry. Symbolic links are not followed: they may lead anywhere.
    ///
    /// # Errors
    /// A usage failure when it cannot be read.
    pub fn look(&self, name: &OsStr) -> Result<Found, Failure> {
        let source = self.source(name);
        let failed = |error: Errno| unreadable(&source, &error.into());
        let seen: Stat = statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let path = self.path.join(name);
        match FileType::from_raw_mode(seen.st_mode) {
            FileType::Directory => {
                let handle = open_at(self.handle.as_fd(), name, OFlags::DIRECTORY).map_err(failed)?;
                Ok(Found::Folder(Self { root: Arc::clone(&self.root), path, handle }))
            }
            FileType::RegularFile => {
                let file = open_at(self.handle.as_fd(), name, OFlags::empty()).map_err(failed)?;
                let place = Place::Below(Arc::clone(&self.root), path);
                Item::look(file.into(), source.clone(), place).map(Found::File)
            }
            FileType::Symlink => Ok(Found::Other("it is a symbolic link")),
            _ => Ok(Found::Other("it is not a regular file")),
        }
    }

    /// An entry's name in messages.
    pub fn source(&self, name: &OsStr) -> PathBuf {
        let path = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        if path.as_os_str().is_empty() { self.root.path.clone() } else { self.root.path.join(path) }
    }
}

/// Opens a named file without blocking, as it may have become a pipe.
fn open_named(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

fn open_root(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path)
}

/// Opens a file below a named folder, if that is still the same, without following symbolic links.
fn open_below(root: &Root, path: &Path) -> io::Result<File> {
    let folder = open_root(&root.path)?;
    if Identity::of(&folder)? != root.identity {
        return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
    }
    let mut place: OwnedFd = folder.into();
    let mut names = path.components().map(Component::as_os_str).peekable();
    while let Some(name) = names.next() {
        let kind = if names.peek().is_some() { OFlags::DIRECTORY } else { OFlags::empty() };
        place = open_at(place.as_fd(), name, kind)?;
    }
    Ok(place.into())
}

fn open_at(folder: BorrowedFd<'_>, name: &OsStr, kind: OFlags) -> Result<OwnedFd, Errno> {
    let flags = kind | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(folder, name.as_bytes(), flags, Mode::empty())
}

fn replaced(source: &Path) -> Failure {
    let shown = clean(&source.to_string_lossy());
    Failure::usage(format!("{shown} was replaced while it was being read")).hint("try again when it no longer changes")
}

/// Files of unknown size are held in memory, which is limited.
pub fn too_much_to_hold(source: &Path) -> Failure {
    let shown = clean(&source.to_string_lossy());
    Failure::usage(format!("{shown} does not report its size and is too large to be combined with other files"))
        .hint(format!("upload it on its own: fpaste - < {shown}"))
}

/// Why a path cannot be uploaded. If there is no such file, a command may have been meant.
pub fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let given = path.to_string_lossy();
    let shown = without_fragment(&given);
    let failure = match error.kind() {
        ErrorKind::NotFound => Failure::usage(format!("{shown}: no such file")),
        _ => Failure::usage(format!("cannot read {shown}: {error}")),
    };
    match shown.split_once("://") {
        Some(("http" | "https", _)) => failure.hint("to download, use fpaste get URL"),
        _ if error.kind() == ErrorKind::NotFound && is_id_with_key(&given) => {
            failure.hint("to read a paste, use fpaste get 'ID#KEY'")
        }
        _ if error.kind() == ErrorKind::NotFound => failure.hint("for the list of commands see fpaste --help"),
        _ => failure,
    }
}
