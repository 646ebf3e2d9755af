//! Files that are to be sent: looked at first, read later, perhaps more than once.
//!
//! Invariant: what is read is the file that was looked at, to its end and not beyond; a symbolic link is followed only where
//! it was named. Must never hold a file in memory that says how large it is.

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

/// Most bytes of files that do not say how large they are, and have to be held in memory, together.
pub const MAX_HELD_BYTES: usize = 8 << 20;
/// A file of more bytes than this says its size, and of fewer if it occupies any: those of /sys say 4096, whatever they hold.
const MAX_DOUBTFUL_BYTES: u64 = 1 << 16;

/// A file or a folder, whatever is called by its name.
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

/// A folder that was named.
struct Root {
    path: PathBuf,
    identity: Identity,
}

/// Where a file's content is.
enum Place {
    /// It was named itself: links are followed.
    Named,
    /// Below a folder that was named.
    Below(Arc<Root>, PathBuf),
    /// Here: its file does not say how large it is.
    Held(Zeroizing<Vec<u8>>),
}

/// A regular file.
pub struct Item {
    /// What it is called in messages.
    pub source: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Whether it is a program.
    pub executable: bool,
    identity: Identity,
    place: Place,
}

impl Item {
    /// Looks at a file that was named.
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

    /// Begins to read it: what was looked at, or an error. Its errors are [`Failure`]s.
    ///
    /// # Errors
    /// When it cannot be read, or is another file now.
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
            // A symbolic link or a file has taken the place of what it was.
            Some(libc::ELOOP | libc::ENOTDIR) => replaced(&self.source),
            _ => unreadable(&self.source, &error),
        })?;
        let identity = Identity::of(&file).map_err(|error| unreadable(&self.source, &error))?;
        if identity == self.identity { Ok(file) } else { Err(replaced(&self.source)) }
    }

    /// Bytes of it that are in memory.
    pub fn held_bytes(&self) -> usize {
        if let Place::Held(content) = &self.place { content.len() } else { 0 }
    }
}

/// Reads a file to the end that it had when it was looked at.
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
            Failure::usage(format!("{shown} has become {what} while it was read"))
                .hint(format!("fpaste - < {shown} takes what there is")),
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
        // Nobody may ask for its end.
        if self.left == 0 && !self.is_ended {
            self.is_ended = true;
            if self.content.read(&mut [0]).map_err(unreadable)? > 0 {
                return Err(self.failed("longer"));
            }
        }
        Ok(read)
    }
}

/// What lies in a folder, by the names it has there.
pub struct Folder {
    root: Arc<Root>,
    /// Below the root.
    path: PathBuf,
    handle: OwnedFd,
}

/// What a name in a folder is.
pub enum Found {
    /// A folder, to be looked into.
    Folder(Folder),
    /// A regular file.
    File(Item),
    /// What is left out, and why.
    Other(&'static str),
}

impl Folder {
    /// Opens a folder that was named, whatever links lead to it.
    ///
    /// # Errors
    /// A usage failure when it cannot be read.
    pub fn named(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| unreadable(path, &error);
        let file = open_root(path).map_err(failed)?;
        let root = Root { path: path.to_path_buf(), identity: Identity::of(&file).map_err(failed)? };
        Ok(Self { root: Arc::new(root), path: PathBuf::new(), handle: file.into() })
    }

    /// Its names, in order.
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

    /// Looks at one of them. A symbolic link is not followed: it may lead anywhere.
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
            _ => Ok(Found::Other("it is no regular file")),
        }
    }

    /// What a name in it is called in messages.
    pub fn source(&self, name: &OsStr) -> PathBuf {
        let path = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        if path.as_os_str().is_empty() { self.root.path.clone() } else { self.root.path.join(path) }
    }
}

/// Opens what was named. It may have become a pipe, which would be waited for.
fn open_named(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

fn open_root(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path)
}

/// Opens a file below a folder that was named, if that is still the same, through no symbolic link.
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
    Failure::usage(format!("{shown} was replaced while it was read")).hint("try again when nobody writes there")
}

/// What does not say how large it is goes into memory, which is bounded.
pub fn too_much_to_hold(source: &Path) -> Failure {
    let shown = clean(&source.to_string_lossy());
    Failure::usage(format!("{shown} does not say how large it is, and there is too much of it to go with others"))
        .hint(format!("fpaste - < {shown} makes a paste of it alone"))
}

/// Why a path cannot be uploaded. A word that is no file may have been meant as a command.
pub fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let given = path.to_string_lossy();
    let shown = without_fragment(&given);
    let failure = match error.kind() {
        ErrorKind::NotFound => Failure::usage(format!("there is no file {shown}")),
        _ => Failure::usage(format!("cannot read {shown}: {error}")),
    };
    match shown.split_once("://") {
        Some(("http" | "https", _)) => failure.hint("fpaste get URL downloads"),
        _ if error.kind() == ErrorKind::NotFound && is_id_with_key(&given) => {
            failure.hint("if it names a paste: fpaste get 'ID#KEY'")
        }
        _ if error.kind() == ErrorKind::NotFound => failure.hint("fpaste --help lists the commands"),
        _ => failure,
    }
}
