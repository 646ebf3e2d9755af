//! Files and folders, as the plaintext of a sealed paste.
//!
//! Invariant: what cannot be in a paste is found before anything is sent; what is left out is said. Must never follow a
//! symbolic link that was not named, nor hold a file in memory.

use super::failure::Failure;
use super::link::is_id_with_key;
use super::text::{clean, without_fragment};
use super::ui::Ui;
use crate::sealed::{FileEntry, MAX_FILES, Malformed, Manifest, check_name};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file that goes into a paste.
pub struct Item {
    source: PathBuf,
    name: String,
    size: u64,
    executable: bool,
}

/// Files that go into a paste together.
pub struct Pack {
    items: Vec<Item>,
    /// The manifest, with its length before it.
    head: Vec<u8>,
    /// Bytes of the head and the files.
    bytes: u64,
}

impl Pack {
    /// Everything these paths name.
    ///
    /// # Errors
    /// A usage failure for what cannot be read or be in a paste.
    pub fn gather(paths: &[PathBuf], with_names: bool, ui: &Ui) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        for path in paths {
            let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            let name = base_name(path)?;
            add(&mut items, path, name, &metadata, ui)?;
        }
        if items.is_empty() {
            return Err(Failure::usage("there are no files in it; there is nothing to upload"));
        }
        if !with_names {
            return Ok(items);
        }
        if let Some(item) = items.iter().find(|item| check_name(&item.name) == Err(Malformed)) {
            return Err(unusable(&item.source));
        }
        let mut known: HashMap<String, &Item> = HashMap::new();
        for item in &items {
            if let Some(other) = known.insert(item.name.to_lowercase(), item) {
                let [a, b] = [other, item].map(|item| clean(&item.source.to_string_lossy()));
                return Err(Failure::usage(format!("{a} and {b} would have one name in the paste"))
                    .hint("rename one of them, or put them into folders"));
            }
        }
        Ok(items)
    }

    /// Puts a manifest before the files, without their names where those are not wanted.
    ///
    /// # Errors
    /// A usage failure for names that do not go together.
    pub fn new(
        items: Vec<Item>,
        with_names: bool,
        reads: Option<u32>,
        expires_at: Option<u64>,
    ) -> Result<Self, Failure> {
        if !with_names && items.len() > 1 {
            return Err(Failure::usage("several files need their names").hint("leave --no-name away"));
        }
        let entry = |item: &Item| FileEntry {
            name: with_names.then(|| item.name.clone()),
            mime_type: None,
            size: item.size,
            executable: item.executable,
        };
        let files: Vec<FileEntry> = items.iter().map(entry).collect();
        let manifest = Manifest { files, reads: reads.map(Into::into), expires_at };
        let head = head(&manifest, 0)?;
        let bytes = manifest.content_bytes().ok().and_then(|bytes| bytes.checked_add(head.len() as u64));
        let bytes = bytes.ok_or_else(|| Failure::usage("these files are too large for a paste"))?;
        Ok(Self { items, head, bytes })
    }

    /// Bytes of the plaintext, without padding.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the files.
    pub fn content_bytes(&self) -> u64 {
        self.bytes - self.head.len() as u64
    }

    /// The one file's name, or how many there are.
    pub fn name(&self) -> String {
        match self.items.as_slice() {
            [item] => item.name.clone(),
            items => format!("{} files", items.len()),
        }
    }

    /// The plaintext, padded to `bytes`. A file that has become shorter is an error.
    pub fn read(&self, bytes: u64) -> impl Read + '_ {
        let files = Files { items: self.items.iter(), now: None };
        let padding = io::repeat(0).take(bytes.saturating_sub(self.bytes));
        self.head.as_slice().chain(files).chain(padding)
    }
}

/// A manifest with its length before it, filled up with blanks to at least so many bytes.
///
/// # Errors
/// A usage failure for names that do not go together.
pub fn head(manifest: &Manifest, bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut json = manifest.render().map_err(|Malformed| {
        let why =
            if manifest.files.len() > MAX_FILES { format!("at most {MAX_FILES}") } else { "fewer of them".into() };
        Failure::usage("these files cannot be in one paste")
            .hint(format!("a paste holds {why}; tar packs more into one file"))
    })?;
    json.resize(json.len().max(bytes.saturating_sub(4)), b' ');
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX).to_be_bytes();
    Ok([length.as_slice(), &json].concat())
}

/// A file, or what lies in a folder.
fn add(items: &mut Vec<Item>, path: &Path, name: String, metadata: &Metadata, ui: &Ui) -> Result<(), Failure> {
    if metadata.is_dir() {
        return add_folder(items, path, &name, ui);
    }
    if !metadata.is_file() {
        ui.warning(&format!("{} is left out: it is no regular file", clean(&path.to_string_lossy())));
        return Ok(());
    }
    if items.len() >= MAX_FILES {
        return Err(Failure::usage(format!("there are more than {MAX_FILES} files"))
            .hint("tar packs them into one: tar c FOLDER | fpaste --name FOLDER.tar"));
    }
    let executable = metadata.permissions().mode() & 0o111 != 0;
    items.push(Item { source: path.to_path_buf(), name, size: metadata.len(), executable });
    Ok(())
}

fn add_folder(items: &mut Vec<Item>, path: &Path, name: &str, ui: &Ui) -> Result<(), Failure> {
    let failed = |error: io::Error| unreadable(path, &error);
    let mut entries: Vec<_> = fs::read_dir(path).and_then(Iterator::collect).map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // Not followed: it may lead anywhere.
        let metadata = entry.metadata().map_err(failed)?;
        if metadata.is_symlink() {
            ui.warning(&format!("{} is left out: it is a symbolic link", clean(&path.to_string_lossy())));
            continue;
        }
        let file_name = entry.file_name();
        let below = format!("{name}/{}", as_name(&file_name));
        add(items, &path, below, &metadata, ui)?;
    }
    Ok(())
}

/// What a path is called in a paste. `.` and `..` are called as their folders are.
fn base_name(path: &Path) -> Result<String, Failure> {
    let named = match path.file_name() {
        Some(_) => path.to_path_buf(),
        None => fs::canonicalize(path).map_err(|error| unreadable(path, &error))?,
    };
    Ok(as_name(named.file_name().unwrap_or_default()))
}

/// A file's name as text. What is not UTF-8 gets a character that no paste takes, for where names are wanted.
fn as_name(name: &OsStr) -> String {
    name.to_str().map_or_else(|| "\0".to_owned(), str::to_owned)
}

fn unusable(path: &Path) -> Failure {
    Failure::usage(format!("{} is no name that can be in a paste", clean(&path.to_string_lossy())))
        .hint("rename it: UTF-8 without control characters and backslashes; or leave the name out with --no-name")
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

/// The contents of files, one behind the other.
struct Files<'a> {
    items: std::slice::Iter<'a, Item>,
    now: Option<(File, u64, &'a Item)>,
}

impl Read for Files<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some((file, left, item)) = self.now.as_mut().filter(|(_, left, _)| *left > 0) {
                let length = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let read = file.read(buffer.get_mut(..length).unwrap_or_default());
                let read = read.map_err(|error| io::Error::other(unreadable(&item.source, &error)))?;
                if read == 0 && length > 0 {
                    let shown = clean(&item.source.to_string_lossy());
                    return Err(io::Error::other(Failure::usage(format!(
                        "{shown} has become shorter while it was read"
                    ))));
                }
                *left -= read as u64;
                return Ok(read);
            }
            let Some(item) = self.items.next() else { return Ok(0) };
            let file = File::open(&item.source).map_err(|error| io::Error::other(unreadable(&item.source, &error)))?;
            self.now = Some((file, item.size, item));
        }
    }
}
