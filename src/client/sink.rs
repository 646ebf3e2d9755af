//! The output for the content of a paste.
//!
//! Invariant: it is opened before the content is fetched, so that an unwritable output does not use up a read; a file
//! appears atomically. Must never write binary data to a terminal.

use super::command::Output;
use super::draft::{self, remove_leftovers};
use super::failure::{Exit, Failure};
use super::interrupt::{Guard, Interrupt};
use super::stdio::check_stdout;
use super::ui::{stdout_failed, try_stdout};
use crate::paste::Id;
use crate::text::{clean_text, human_bytes};
use std::fs::{self, File};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// How many symbolic links are followed to a file that does not exist yet.
const MAX_LINKS: usize = 40;

/// The size of the copy buffer.
const BUFFER_BYTES: usize = 64 << 10;
/// The most text shown on a terminal.
const MAX_SHOWN_BYTES: u64 = 8 << 20;

/// An open output.
pub enum Sink<'a> {
    /// Stdout, which is a terminal.
    Terminal,
    /// Stdout, written verbatim.
    Stdout,
    /// A device, a pipe, or a path such as /dev/stdout, which cannot be replaced atomically.
    Special {
        /// The open file.
        file: File,
        /// Its path.
        path: PathBuf,
    },
    /// A file that replaces an existing one.
    File {
        /// The temporary file.
        unfinished: NamedTempFile,
        /// Its final path.
        path: PathBuf,
        /// Its final mode.
        mode: u32,
        /// Removes it if the program is interrupted.
        guard: Guard<'a>,
    },
}

/// How much of the content was written.
pub enum Written {
    /// All.
    Whole,
    /// All, but this many control characters were replaced.
    Cleaned(usize),
    /// A part: the reader closed the pipe early.
    Cut,
}

impl<'a> Sink<'a> {
    /// Opens the output that the options name.
    ///
    /// # Errors
    /// A usage failure when nothing can be written there.
    pub fn open(output: &Output, id: Option<&Id>, interrupt: &'a Interrupt) -> Result<Self, Failure> {
        match output {
            Output::Default if io::stdout().is_terminal() => Ok(Self::Terminal),
            Output::Default | Output::Stdout => Ok(Self::Stdout),
            Output::File(path) | Output::Folder(path) => Self::file(path, id, interrupt),
        }
    }

    fn file(path: &Path, id: Option<&Id>, interrupt: &'a Interrupt) -> Result<Self, Failure> {
        let unwritable = |error: io::Error| unwritable(path, &error);
        if path.is_dir() {
            return Err(unwritable(ErrorKind::IsADirectory.into()));
        }
        // A symbolic link is kept, and so is its target's mode.
        let place = Place::find(path).map_err(unwritable)?;
        let metadata = fs::metadata(&place.path).ok();
        if metadata.as_ref().is_some_and(is_stdout) {
            return check_stdout().map(|()| Self::Stdout);
        }
        if place.is_the_systems || metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            // Append, in case it is a regular file after all.
            let file = File::options().append(true).open(&place.path);
            return file.map(|file| Self::Special { file, path: place.path }).map_err(unwritable);
        }
        let folder = place.path.parent().unwrap_or(Path::new("/"));
        if let (Some(id), Ok(folder)) = (id, File::open(folder)) {
            remove_leftovers(&folder.into(), id);
        }
        // A new file's mode is subject to the umask.
        let mode = metadata.map_or(0o666, |metadata| metadata.permissions().mode() & 0o777);
        let prefix = draft::prefix(id);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).permissions(fs::Permissions::from_mode(mode));
        let (unfinished, guard) = interrupt.removing(|| builder.tempfile_in(folder)).map_err(unwritable)?;
        let mode = make_private(unfinished.as_file()).map_err(unwritable)?;
        Ok(Self::File { unfinished, path: place.path, mode, guard })
    }

    /// Writes the content, which may have any size.
    ///
    /// # Errors
    /// When it cannot be read or written; a closed pipe is not an error.
    pub fn copy(self, content: &mut dyn Read, is_executable: bool) -> Result<Written, Failure> {
        let failed = |path: &Path, error: io::Error| {
            Failure::new(Exit::Other, format!("cannot write {}: {error}", path.display()))
        };
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                let written = pour(content, &mut stdout)?.and_then(|()| stdout.flush());
                ended(written).map_err(stdout_failed)
            }
            Self::Terminal => show(&for_terminal(content)?),
            Self::Special { mut file, path } => ended(pour(content, &mut file)?).map_err(|error| failed(&path, error)),
            Self::File { mut unfinished, path, mode, guard } => {
                // Everyone who can read the file gets execute permission, too.
                let mode = if is_executable { mode | (mode & 0o444) >> 2 } else { mode };
                // Not through the NamedTempFile, whose errors name its path.
                let written = pour(content, unfinished.as_file_mut())?;
                let file = unfinished.as_file();
                let written = written.and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)));
                written.and_then(|()| file.sync_all()).map_err(|error| failed(&path, error))?;
                unfinished.persist(&path).map_err(|error| failed(&path, error.error))?;
                // The server may delete its copy only after file and name are on disk.
                let _ = path.parent().map(|folder| File::open(folder).and_then(|folder| folder.sync_all()));
                drop(guard);
                Ok(Written::Whole)
            }
        }
    }
}

/// Why a path cannot be written; nothing has been read yet.
pub fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::NotFound => "no such folder".to_owned(),
        // Only the kind: the error may name a temporary file.
        kind => kind.to_string(),
    };
    Failure::usage(format!("cannot write {}: {why}", path.display()))
}

/// Locks a temporary file and makes it private. Returns its original mode.
fn make_private(file: &File) -> io::Result<u32> {
    let mode = file.metadata()?.permissions().mode() & 0o777;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    // On file systems without locks no draft counts as a leftover.
    let _ = file.try_lock();
    Ok(mode)
}

/// Copies. A read error is a failure, a write error is returned to the caller.
pub fn pour(content: &mut dyn Read, target: &mut dyn Write) -> Result<io::Result<()>, Failure> {
    let mut buffer = Zeroizing::new(vec![0; BUFFER_BYTES]);
    loop {
        let read = content.read(&mut buffer).map_err(|error| Failure::of(error, "the content"))?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(Ok(())) };
        if let Err(error) = target.write_all(bytes) {
            return Ok(Err(error));
        }
    }
}

/// Reads everything, to check that it is text before a terminal gets it.
fn for_terminal(content: &mut dyn Read) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    content.take(MAX_SHOWN_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Failure::of(error, "the content"))?;
    if bytes.len() as u64 > MAX_SHOWN_BYTES {
        let most = human_bytes(MAX_SHOWN_BYTES);
        return Err(Failure::new(Exit::Other, format!("not showing more than {most} on a terminal"))
            .hint("use -o FILE to write to a file, or -o - to write to the terminal anyway"));
    }
    Ok(bytes)
}

/// A resolved path.
struct Place {
    path: PathBuf,
    /// Whether it is a path such as /dev/stdout or /proc/self/fd/3, which must not be replaced.
    is_the_systems: bool,
}

impl Place {
    /// Follows symbolic links; the target may not exist yet.
    fn find(path: &Path) -> io::Result<Self> {
        let mut path = path.to_path_buf();
        for _ in 0..MAX_LINKS {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder = fs::canonicalize(folder)?;
            path = folder.join(path.file_name().ok_or(ErrorKind::InvalidFilename)?);
            let is_the_systems = folder == Path::new("/dev") || folder.starts_with("/proc");
            match fs::read_link(&path) {
                Ok(target) if !is_the_systems => path = folder.join(target),
                _ => return Ok(Self { path, is_the_systems }),
            }
        }
        Err(io::Error::from_raw_os_error(libc::ELOOP))
    }
}

/// Whether this is the same file as stdout.
fn is_stdout(metadata: &fs::Metadata) -> bool {
    let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|stdout| File::from(stdout).metadata());
    stdout.is_ok_and(|stdout| (stdout.dev(), stdout.ino()) == (metadata.dev(), metadata.ino()))
}

fn ended(written: io::Result<()>) -> io::Result<Written> {
    match written {
        Ok(()) => Ok(Written::Whole),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Written::Cut),
        Err(error) => Err(error),
    }
}

/// Shows text on a terminal, with control characters replaced.
fn show(content: &[u8]) -> Result<Written, Failure> {
    let text = std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'));
    let Some(text) = text else {
        return Err(Failure::new(Exit::Other, "not showing binary content on a terminal")
            .hint("use -o FILE to write to a file, or -o - to write to the terminal anyway"));
    };
    let (mut shown, left_out) = clean_text(text);
    if !shown.is_empty() && !shown.ends_with('\n') {
        shown.push('\n');
    }
    Ok(match ended(try_stdout(shown.as_bytes())).map_err(stdout_failed)? {
        Written::Whole if left_out > 0 => Written::Cleaned(left_out),
        written => written,
    })
}
