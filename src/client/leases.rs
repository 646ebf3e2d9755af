//! Unconfirmed leases, saved until their content has been delivered, so that an interrupted read can be resumed.
//!
//! Invariant: a lease file is in a folder that only this user can write, has mode 0600, and is locked by one fpaste at
//! a time. Files that do not parse are ignored. Must never contain a key or a password, nor be looked for elsewhere:
//! files in the current folder may have come from someone's paste.

use super::Session;
use super::files;
use super::kept::create_new;
use super::link::ServerUrl;
use super::notes::{Folder, MAX_BYTES, file_name, open};
use crate::clock::{UnixSeconds, unix_now};
use crate::paste::Id;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// The prefix of the file names; the ID follows, and a number if there are several.
const PREFIX: &str = "lease-";
/// The longest lifetime of a saved lease, whatever the server says.
const MAX_SECONDS: u64 = 86_400;
/// Hexadecimal digits of a lease.
const DIGITS: usize = 32;
/// A file that is still empty after this time is a leftover.
const EMPTY_FOR: Duration = Duration::from_secs(60);

/// Validates a lease from a server.
pub fn as_lease(text: &str) -> Option<&str> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == DIGITS && text.bytes().all(is_digit)).then_some(text)
}

/// When a lease of this remaining lifetime ends, by the local clock.
pub fn ends_in(seconds: u64) -> UnixSeconds {
    unix_now().saturating_add(seconds.min(MAX_SECONDS))
}

/// A file for a lease, created and locked before the read is taken. It is removed if it stays empty.
pub struct Place {
    file: Option<(PathBuf, File)>,
    /// A warning if it is not in the usual folder.
    remark: Option<String>,
}

impl Place {
    /// Creates the file in the state folder, else in a private folder below the one for temporary files.
    pub fn prepare(session: &Session<'_>, id: &Id) -> Self {
        tidy(session);
        let name = file_name(PREFIX, id);
        let make = |folder: &Folder| {
            let (path, file) = create_new(folder.prepare()?, &name)?;
            files::lock(&file).map(|()| (path, file))
        };
        let why = match Folder::state(session) {
            None => "there is no state folder".to_owned(),
            Some(state) => match make(&state) {
                Ok(file) => return Self { file: Some(file), remark: None },
                Err(error) => format!("cannot use the state folder {} ({error})", state.path().display()),
            },
        };
        let file = make(&Folder::rescue()).ok();
        let remark = match &file {
            Some((path, _)) => format!("{why}; the read is recorded in {} instead", path.display()),
            None => format!("{why}, nor any other folder; if the transfer fails, it cannot be resumed"),
        };
        Self { file, remark: Some(remark) }
    }

    /// Saves a lease. If that fails, the lease can be used by this run only.
    pub fn fill(mut self, session: &Session<'_>, server: &ServerUrl, id: &Id, lease: &str, ends: UnixSeconds) -> Held {
        let line = json!({ "id": id.as_str(), "server": server.to_string(), "lease": lease, "expires_at": ends });
        let line = Zeroizing::new(line.to_string());
        let file = self.file.take().filter(|(path, file)| {
            let mut writer: &File = file;
            let written = writer.write_all(line.as_bytes()).and_then(|()| file.sync_all());
            if let Err(error) = &written {
                self.remark = Some(format!("cannot record the read in {}: {error}", path.display()));
                let _ = fs::remove_file(path);
            }
            written.is_ok()
        });
        if let Some(remark) = &self.remark {
            session.ui.warning(remark);
        }
        Held { secret: Zeroizing::new(lease.to_owned()), expires_at: ends, file }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((path, _)) = self.file.take() {
            let _ = fs::remove_file(path);
        }
    }
}

/// A lease of ours, until it is confirmed or ends.
pub struct Held {
    /// The lease token.
    pub secret: Zeroizing<String>,
    /// When it ends, by the local clock.
    pub expires_at: UnixSeconds,
    /// Its file, which holds the lock.
    file: Option<(PathBuf, File)>,
}

impl Held {
    /// Finds a lease that an earlier run left for this paste and that is not in use.
    pub fn find(session: &Session<'_>, server: &ServerUrl, id: &Id) -> Option<Self> {
        let of_server = |path: PathBuf| {
            let file = open(&path).ok().filter(|file| file.try_lock().is_ok())?;
            let note = Note::read(&file).filter(|note| note.is_of(server, id))?;
            Some(Self { secret: note.secret, expires_at: note.expires_at, file: Some((path, file)) })
        };
        notes(session, id).into_iter().find_map(of_server)
    }

    /// Whether the next run can resume it.
    pub fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// Removes it after it was confirmed or has ended.
    pub fn forget(self) {
        if let Some((path, _)) = self.file {
            let _ = fs::remove_file(path);
        }
    }
}

/// Reads the lease of a paste without locking it, for a metadata request.
pub fn peek(session: &Session<'_>, server: &ServerUrl, id: &Id) -> Option<Zeroizing<String>> {
    let read = |path: PathBuf| Note::read(&open(&path).ok()?).filter(|note| note.is_of(server, id));
    notes(session, id).into_iter().find_map(read).map(|note| note.secret)
}

/// Another server address under which a lease for this ID is saved: it may be the same server.
pub fn elsewhere(session: &Session<'_>, id: &Id) -> Option<String> {
    let read = |path: PathBuf| Note::read(&open(&path).ok()?).filter(|note| note.id == id.as_str() && note.is_live());
    notes(session, id).into_iter().find_map(read).map(|note| note.server)
}

/// The contents of a lease file.
struct Note {
    id: String,
    server: String,
    secret: Zeroizing<String>,
    expires_at: UnixSeconds,
}

impl Note {
    /// `None` if it is not valid.
    fn read(mut file: &File) -> Option<Self> {
        let mut text = Zeroizing::new(String::new());
        (&mut file).take(MAX_BYTES).read_to_string(&mut text).ok()?;
        let json: Value = serde_json::from_str(&text).ok()?;
        let field = |name: &str| json.get(name)?.as_str();
        let note = Self {
            id: field("id")?.to_owned(),
            server: field("server")?.to_owned(),
            secret: Zeroizing::new(as_lease(field("lease")?)?.to_owned()),
            expires_at: json.get("expires_at")?.as_u64()?,
        };
        (note.expires_at <= ends_in(MAX_SECONDS)).then_some(note)
    }

    fn is_live(&self) -> bool {
        self.expires_at > unix_now()
    }

    fn is_of(&self, server: &ServerUrl, id: &Id) -> bool {
        self.is_live() && self.id == id.as_str() && self.server == server.to_string()
    }
}

/// Every file that may be a lease.
fn all_notes(session: &Session<'_>) -> Vec<PathBuf> {
    Folder::state(session).into_iter().chain([Folder::rescue()]).flat_map(|folder| folder.notes(PREFIX)).collect()
}

/// Those whose names match this paste.
fn notes(session: &Session<'_>, id: &Id) -> Vec<PathBuf> {
    let begin = file_name(PREFIX, id);
    let is_its = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_number = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
        name.strip_prefix(&begin).is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(is_number))
    };
    all_notes(session).into_iter().filter(is_its).collect()
}

/// Removes ended leases of all pastes, and invalid files.
fn tidy(session: &Session<'_>) {
    for path in all_notes(session) {
        let Some(file) = open(&path).ok().filter(|file| file.try_lock().is_ok()) else { continue };
        let is_old = || {
            let modified = file.metadata().and_then(|metadata| metadata.modified());
            modified.ok().and_then(|at| at.elapsed().ok()).is_some_and(|age| age > EMPTY_FOR)
        };
        if Note::read(&file).map_or_else(is_old, |note| !note.is_live()) {
            let _ = fs::remove_file(&path);
        }
    }
}
