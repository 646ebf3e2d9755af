//! Where the content of a paste goes.
//!
//! Invariant: it is opened before the content is fetched, so that what cannot be written burns nothing; a file appears
//! whole or not at all. Must never send a terminal what is not text.

use super::command::Output;
use super::failure::{Exit, Failure};
use super::text::clean_text;
use super::ui::{stdout_failed, try_stdout};
use std::fs;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// An open target.
pub enum Sink {
    /// Stdout, where a person looks at it.
    Terminal,
    /// Stdout, whatever it is.
    Stdout,
    /// A device or a pipe, which cannot be replaced.
    Special(PathBuf),
    /// A file that takes the place of what is there.
    File {
        /// What is written to.
        unfinished: NamedTempFile,
        /// What it becomes.
        path: PathBuf,
    },
}

/// How much of the content has arrived.
pub enum Written {
    /// All.
    Whole,
    /// All but so many characters that a terminal would obey.
    Cleaned(usize),
    /// What the reader wanted: it ended before the content did.
    Cut,
}

impl Sink {
    /// Opens what the options name.
    ///
    /// # Errors
    /// A usage failure when nothing can be written there.
    pub fn open(output: &Output) -> Result<Self, Failure> {
        match output {
            Output::Default if io::stdout().is_terminal() => Ok(Self::Terminal),
            Output::Default | Output::Stdout => Ok(Self::Stdout),
            Output::File(path) => Self::file(path),
        }
    }

    fn file(path: &Path) -> Result<Self, Failure> {
        let unwritable =
            |why: &dyn std::fmt::Display| Failure::usage(format!("cannot write {}: {why}", path.display()));
        let metadata = fs::metadata(path).ok();
        if metadata.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(unwritable(&"it is a directory"));
        }
        if metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            return Ok(Self::Special(path.to_path_buf()));
        }
        // A symbolic link stays one; the file behind it keeps its mode.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Only for the umask to cut, as with every new file.
        let mode = metadata.map_or(0o666, |metadata| metadata.permissions().mode() & 0o777);
        let unfinished = tempfile::Builder::new()
            .prefix(".fpaste-")
            .permissions(fs::Permissions::from_mode(mode))
            .tempfile_in(folder)
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => unwritable(&"there is no such folder"),
                kind => unwritable(&kind),
            })?;
        Ok(Self::File { unfinished, path })
    }

    /// The file that must not be left behind.
    pub fn unfinished(&self) -> Option<PathBuf> {
        match self {
            Self::File { unfinished, .. } => Some(unfinished.path().to_path_buf()),
            _ => None,
        }
    }

    /// Writes the content.
    ///
    /// # Errors
    /// When it cannot be written; a reader that has had enough is none.
    pub fn write(self, content: &[u8]) -> Result<Written, Failure> {
        let failed = |path: &Path, error: io::Error| {
            Failure::new(Exit::Other, format!("cannot write {}: {error}", path.display()))
        };
        match self {
            Self::Stdout => ended(try_stdout(content)).map_err(stdout_failed),
            Self::Terminal => show(content),
            Self::Special(path) => {
                let written =
                    fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(content));
                ended(written).map_err(|error| failed(&path, error))
            }
            Self::File { mut unfinished, path } => {
                let written = unfinished.write_all(content).and_then(|()| unfinished.as_file().sync_all());
                written.map_err(|error| failed(&path, error))?;
                unfinished.persist(&path).map_err(|error| failed(&path, error.error))?;
                Ok(Written::Whole)
            }
        }
    }
}

fn ended(written: io::Result<()>) -> io::Result<Written> {
    match written {
        Ok(()) => Ok(Written::Whole),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Written::Cut),
        Err(error) => Err(error),
    }
}

/// Shows text on a terminal, without what a terminal would obey.
fn show(content: &[u8]) -> Result<Written, Failure> {
    let text = std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'));
    let Some(text) = text else {
        return Err(Failure::new(Exit::Other, "the content is binary; it is not shown on a terminal")
            .hint("-o FILE writes it to a file, -o - to the terminal all the same"));
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
