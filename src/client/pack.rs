//! Packs files and folders into the plaintext of a sealed paste.
//!
//! Invariant: a file that cannot be part of a paste is refused before anything is sent; skipped files are reported.
//! Must never accept a name that a reader would refuse.

use super::failure::Failure;
use super::items::{Folder, Found, Item, ItemReader, MAX_HELD_BYTES, too_much_to_hold, unreadable};
use super::media::type_of;
use super::ui::Ui;
use crate::sealed::{FileEntry, MAX_FILES, Malformed, Manifest, name_fault};
use crate::text::clean;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file of a paste, and its name there.
pub struct Member {
    /// The file.
    pub item: Item,
    /// Its name.
    pub name: String,
}

/// How files are named in a paste.
#[derive(Clone, Copy)]
pub enum Names<'a> {
    /// By their local names.
    Own,
    /// The single file gets this name.
    Given(&'a str),
    /// Without names.
    None,
}

/// The files of a paste.
pub struct Pack {
    members: Vec<Member>,
    /// The length of the manifest, and the manifest.
    head: Vec<u8>,
    /// The size of the head and the files.
    bytes: u64,
}

impl Pack {
    /// Collects all files under these paths.
    ///
    /// # Errors
    /// A usage failure if a file cannot be read or cannot be part of a paste.
    pub fn gather(paths: &[PathBuf], names: Names<'_>, ui: &Ui) -> Result<Vec<Member>, Failure> {
        let mut all = Gathering { members: Vec::new(), names, is_alone: paths.len() == 1, held_bytes: 0, ui };
        for path in paths {
            all.add_named(path)?;
        }
        if all.members.is_empty() {
            return Err(Failure::usage("no files found; nothing to upload"));
        }
        if !matches!(names, Names::None) {
            check_apart(&all.members)?;
        }
        Ok(all.members)
    }

    /// Builds the manifest, with or without names.
    ///
    /// # Errors
    /// A usage failure for conflicting names.
    pub fn new(
        members: Vec<Member>,
        with_names: bool,
        reads: Option<u32>,
        expires_at: Option<u64>,
    ) -> Result<Self, Failure> {
        if !with_names && members.len() > 1 {
            return Err(Failure::usage("several files need names").hint("leave out --no-name"));
        }
        let entry = |Member { name, item }: &Member| FileEntry {
            name: with_names.then(|| name.clone()),
            mime_type: type_of(name).filter(|_| with_names).map(str::to_owned),
            size: item.size,
            executable: item.executable,
        };
        let files: Vec<FileEntry> = members.iter().map(entry).collect();
        let manifest = Manifest { files, reads: reads.map(Into::into), expires_at };
        let head = head(&manifest, 0)?;
        let bytes = manifest.content_bytes().ok().and_then(|bytes| bytes.checked_add(head.len() as u64));
        let bytes = bytes.ok_or_else(|| Failure::usage("these files are too large for a paste"))?;
        Ok(Self { members, head, bytes })
    }

    /// The size of the plaintext without padding.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The total size of the files.
    pub fn content_bytes(&self) -> u64 {
        self.bytes - self.head.len() as u64
    }

    /// The name of the single file, or the number of files.
    pub fn name(&self) -> String {
        match self.members.as_slice() {
            [member] => member.name.clone(),
            members => format!("{} files", members.len()),
        }
    }

    /// The plaintext, padded to `bytes`. A file that changed its size or was replaced is an error.
    pub fn read(&self, bytes: u64) -> impl Read + '_ {
        let files = Files { members: self.members.iter(), now: None };
        let padding = io::repeat(0).take(bytes.saturating_sub(self.bytes));
        self.head.as_slice().chain(files).chain(padding)
    }
}

/// A manifest preceded by its length, padded with spaces to at least this many bytes.
///
/// # Errors
/// A usage failure for conflicting names.
pub fn head(manifest: &Manifest, bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut json = manifest.render().map_err(|Malformed| {
        let why = if manifest.files.len() > MAX_FILES {
            format!("more than {MAX_FILES} files")
        } else {
            "the names are too long in total".into()
        };
        Failure::usage(format!("cannot put these files into one paste: {why}")).hint("pack them with tar")
    })?;
    json.resize(json.len().max(bytes.saturating_sub(4)), b' ');
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX).to_be_bytes();
    Ok([length.as_slice(), &json].concat())
}

/// Collects the files of a command line.
struct Gathering<'a> {
    members: Vec<Member>,
    names: Names<'a>,
    /// Whether there is only one file, which needs no name.
    is_alone: bool,
    held_bytes: usize,
    ui: &'a Ui,
}

impl Gathering<'_> {
    /// Adds a named file or all files in a named folder.
    fn add_named(&mut self, path: &Path) -> Result<(), Failure> {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        let name = match self.names {
            Names::Given(_) if metadata.is_dir() => {
                return Err(Failure::usage(format!("{} is a folder", clean(&path.to_string_lossy())))
                    .hint("--name needs a single file or standard input; folders keep their names"));
            }
            Names::Given(name) => name.into(),
            Names::Own | Names::None => base_name(path)?,
        };
        match () {
            () if metadata.is_dir() => self.add_folder(&Folder::named(path)?, &name),
            () if metadata.is_file() => Item::named(path).and_then(|item| self.add(item, &name)),
            () => {
                self.leave_out(path, "it is not a regular file");
                Ok(())
            }
        }
    }

    fn add_folder(&mut self, folder: &Folder, below: &Path) -> Result<(), Failure> {
        self.is_alone = false;
        for file_name in folder.names()? {
            let name = below.join(&file_name);
            match folder.look(&file_name)? {
                Found::Folder(folder) => self.add_folder(&folder, &name)?,
                Found::File(item) => self.add(item, &name)?,
                Found::Other(why) => self.leave_out(&folder.source(&file_name), why),
            }
        }
        Ok(())
    }

    fn add(&mut self, item: Item, name: &Path) -> Result<(), Failure> {
        if self.members.len() >= MAX_FILES {
            return Err(Failure::usage(format!("more than {MAX_FILES} files"))
                .hint("pack them with tar: tar c FOLDER | fpaste --name FOLDER.tar"));
        }
        self.held_bytes += item.held_bytes();
        if self.held_bytes > MAX_HELD_BYTES {
            return Err(too_much_to_hold(&item.source));
        }
        let fault = name.to_str().map_or(Some("is not UTF-8"), name_fault);
        if let Some(fault) = fault.filter(|_| !matches!(self.names, Names::None)) {
            return Err(self.unusable(&item, fault));
        }
        self.members.push(Member { item, name: name.to_string_lossy().into_owned() });
        Ok(())
    }

    fn unusable(&self, item: &Item, fault: &str) -> Failure {
        let shown = clean(&item.source.to_string_lossy());
        let failure = Failure::usage(format!("invalid file name {shown}: it {fault}"));
        failure.hint(if self.is_alone { "rename it, or use --no-name" } else { "rename it" })
    }

    fn leave_out(&self, path: &Path, why: &str) {
        self.ui.warning(&format!("skipping {}: {why}", clean(&path.to_string_lossy())));
    }
}

/// No two files may have the same name, nor one that another uses as a folder, ignoring case.
fn check_apart(members: &[Member]) -> Result<(), Failure> {
    let shown = |member: &Member| clean(&member.item.source.to_string_lossy());
    let refused =
        |message: String| Failure::usage(message).hint("rename one of them, or move them into different folders");
    let mut known: HashMap<String, &Member> = HashMap::new();
    for member in members {
        if let Some(other) = known.insert(member.name.to_lowercase(), member) {
            let message = format!("{} and {} would have the same name in the paste", shown(other), shown(member));
            return Err(refused(message));
        }
    }
    for member in members {
        let name = member.name.to_lowercase();
        if let Some(file) = name.match_indices('/').find_map(|(at, _)| known.get(name.get(..at)?)) {
            let message =
                format!("{} would be both a file and the folder of {} in the paste", shown(file), shown(member));
            return Err(refused(message));
        }
    }
    Ok(())
}

/// The name of a path in a paste. `.` and `..` get the names of their folders.
fn base_name(path: &Path) -> Result<PathBuf, Failure> {
    let named = match path.file_name() {
        Some(_) => path.to_path_buf(),
        None => fs::canonicalize(path).map_err(|error| unreadable(path, &error))?,
    };
    Ok(named.file_name().unwrap_or_default().into())
}

/// The concatenated contents of files.
struct Files<'a> {
    members: std::slice::Iter<'a, Member>,
    now: Option<ItemReader<'a>>,
}

impl Read for Files<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(file) = &mut self.now {
                let read = file.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
            }
            let Some(member) = self.members.next() else { return Ok(0) };
            self.now = Some(member.item.read().map_err(io::Error::other)?);
        }
    }
}
