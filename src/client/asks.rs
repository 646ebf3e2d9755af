//! The asks of this machine: a file for each in the state folder, with its private key and read token.
//!
//! Invariant: the file is on disk with mode 0600 before the link is shown. It is removed when the answer was read, the
//! ask was deleted or the server reports its end; by the local clock, which may be wrong, only months after its expiry.
//! Must never print a key or a token, nor write one to the history.

use super::failure::{Exit, Failure};
use super::history::{Entry, KEPT_SECONDS};
use super::kept::create_new;
use super::notes::{Folder, MAX_BYTES, file_name, open};
use super::{Session, password, status};
use crate::clock::{UnixSeconds, unix_now};
use crate::crypto::Sha256Digest;
use crate::sealed::{ANSWER_HEAD_BYTES, KeyPair, Secrets};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// The prefix of the file names; the ID follows.
const PREFIX: &str = "ask-";
/// The suffix of a file that is still being written.
const NEW: &str = ".new";
/// Older unfinished files are leftovers of a killed run.
const NEW_FOR: Duration = Duration::from_secs(60);

/// A saved ask.
pub struct Asked {
    /// Its description, in the format of the history.
    pub entry: Entry,
    keys: KeyPair,
    /// Proves to the server that we are the asker.
    token: Zeroizing<Sha256Digest>,
}

impl Asked {
    /// A new ask.
    pub fn new(entry: Entry, keys: KeyPair, token: Zeroizing<Sha256Digest>) -> Self {
        Self { entry, keys, token }
    }

    /// Saves it; file and directory entry are synced when this returns.
    ///
    /// # Errors
    /// When it cannot be written; nothing is left behind then.
    pub fn keep(&self, session: &Session<'_>) -> io::Result<()> {
        let folder = Folder::state(session).ok_or(ErrorKind::NotFound)?;
        let folder = folder.prepare()?;
        let (path, _) = create_new(folder, &file_name(PREFIX, &self.entry.id))?;
        self.write(&path).and_then(|()| File::open(folder)?.sync_all()).inspect_err(|_| drop(fs::remove_file(&path)))
    }

    /// Replaces the existing file. The leftovers of a killed run are found by their suffix.
    fn write(&self, path: &Path) -> io::Result<()> {
        let text = self.text();
        if text.len() as u64 > MAX_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "the server's response is too long"));
        }
        let mut new = OsString::from(path);
        new.push(NEW);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// The header that authorizes reading the answer.
    pub fn read_proof(&self) -> password::Header {
        ("X-Read-Proof", text(&self.token))
    }

    /// The keys to an answer with this header; `None` if it is not for this ask.
    pub fn open(&self, head: &[u8; ANSWER_HEAD_BYTES]) -> Option<Secrets> {
        self.keys.open(head).ok().map(|key| Secrets::new(&key, None))
    }

    fn text(&self) -> Zeroizing<String> {
        let mut json = self.entry.json();
        if let Some(fields) = json.as_object_mut() {
            fields.insert("private_key".into(), text(self.keys.private()).as_str().into());
            fields.insert("read_token".into(), text(&self.token).as_str().into());
        }
        Zeroizing::new(format!("{json}\n"))
    }

    /// Reads a file; `None` if it is not a saved ask.
    ///
    /// # Errors
    /// When it cannot be opened, or other users can access it.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut text = Zeroizing::new(String::new());
        let read = open(path)?.take(MAX_BYTES).read_to_string(&mut text);
        Ok(read.ok().and_then(|_| Self::parse(&text)))
    }

    fn parse(text: &str) -> Option<Self> {
        let entry = Entry::parse(text).filter(|entry| entry.is_ask)?;
        let json: Value = serde_json::from_str(text).ok()?;
        let secret = |name: &str| {
            let mut bytes = Zeroizing::new(Sha256Digest::default());
            let length = URL_SAFE_NO_PAD.decode_slice(json.get(name)?.as_str()?, bytes.as_mut_slice()).ok()?;
            (length == bytes.len()).then_some(bytes)
        };
        Some(Self { entry, keys: KeyPair::of(secret("private_key")?)?, token: secret("read_token")? })
    }
}

fn text(secret: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(secret))
}

/// Checks that an ask can be saved before one is created.
///
/// # Errors
/// A usage failure if it cannot.
pub fn prepare(session: &Session<'_>) -> Result<(), Failure> {
    let refused = |why: String| {
        Failure::usage(format!("cannot save the keys to the answer: {why}"))
            .hint("no link was made; set XDG_STATE_HOME to a writable folder of your own")
    };
    let folder = Folder::state(session).ok_or_else(|| refused("there is no state folder".to_owned()))?;
    folder.prepare().map(drop).map_err(|error| refused(format!("{}: {error}", folder.path().display())))
}

/// Every file that may be a saved ask. Unfinished files of killed runs are removed.
fn paths(session: &Session<'_>) -> Vec<PathBuf> {
    let mut paths = Folder::state(session).map(|folder| folder.notes(PREFIX)).unwrap_or_default();
    paths.retain(|path| {
        let Ok(metadata) = fs::symlink_metadata(path) else { return false };
        let is_whole = metadata.len() > 0 && !path.as_os_str().as_encoded_bytes().ends_with(NEW.as_bytes());
        let age = metadata.modified().ok().and_then(|at| at.elapsed().ok());
        if !is_whole && age.is_some_and(|age| age > NEW_FOR) {
            let _ = fs::remove_file(path);
        }
        is_whole
    });
    paths
}

/// All saved asks; `refused` is called for each unreadable file. Those that expired long ago are removed; until then
/// the local clock may be wrong, or the ask may have been extended on another machine.
fn all(session: &Session<'_>, refused: impl Fn(&Path, io::Error)) -> Vec<(PathBuf, Asked)> {
    let now = unix_now();
    let noted = paths(session).into_iter().filter_map(|path| {
        let asked = Asked::read(&path).unwrap_or_else(|error| {
            refused(&path, error);
            None
        });
        asked.map(|asked| (path, asked))
    });
    let may_be_open = |entry: &Entry| now < entry.expires_at.saturating_add(KEPT_SECONDS);
    let (kept, ended): (Vec<_>, Vec<_>) = noted.partition(|(_, asked)| may_be_open(&asked.entry));
    for (path, _) in ended {
        let _ = fs::remove_file(path);
    }
    kept
}

/// All saved asks, oldest first. Unusable files are reported.
pub fn entries(session: &Session<'_>) -> Vec<Entry> {
    let name = |path: &Path, error: io::Error| {
        if error.kind() != ErrorKind::NotFound {
            session.ui.warning(&format!(
                "cannot read a saved request: {error}; make sure that you own it and run chmod 600 {}",
                path.display()
            ));
        }
    };
    let mut entries: Vec<Entry> = all(session, name).into_iter().map(|(_, asked)| asked.entry).collect();
    entries.sort_by_key(|entry| entry.created_at);
    entries
}

/// The saved ask for an entry, and its path.
fn noted(session: &Session<'_>, entry: &Entry) -> Option<(PathBuf, Asked)> {
    let is_it = |(_, asked): &(_, Asked)| asked.entry.id == entry.id && asked.entry.server == entry.server;
    all(session, |_, _| ()).into_iter().find(is_it).filter(|_| entry.is_ask)
}

/// The saved ask for an entry, if it is an ask.
pub fn find(session: &Session<'_>, entry: &Entry) -> Option<Asked> {
    noted(session, entry).map(|(_, asked)| asked)
}

/// Erases the keys of an ask, if this is one. Its ID and delete token move to the history.
pub fn end(session: &Session<'_>, entry: &Entry, ended_at: Option<UnixSeconds>) {
    let Some((path, asked)) = noted(session, entry) else { return };
    if let Err(error) = fs::remove_file(&path) {
        session.ui.warning(&format!("cannot remove the keys of the request: {error}; remove {}", path.display()));
        return;
    }
    if let Err(error) = session.history.add(&Entry { ended_at, ..asked.entry }, unix_now()) {
        session.ui.warning(&format!("cannot update the history: {error}"));
    }
}

/// How an ask ended that the server no longer finds; its keys are erased then. `None` while it may still exist, or if
/// the server does not know how it ended: one with another database finds none of its asks.
pub fn over(session: &Session<'_>, entry: &Entry) -> Option<Failure> {
    let how = match status::ending(entry, session)? {
        "read" => "its answer was read",
        "expired" => "it has expired",
        "deleted" => "it was deleted",
        "removed" => "the server's operator removed it",
        _ if unix_now() >= entry.expires_at => "it has expired",
        _ => return None,
    };
    end(session, entry, Some(unix_now()));
    Some(Failure::new(Exit::NotFound, format!("the request has ended: {how}")).hint("ask again, and send the new link"))
}

/// Updates a saved ask, if this is one.
///
/// # Errors
/// When it cannot be written; the old file stays then.
pub fn change(session: &Session<'_>, entry: &Entry, change: impl Fn(&mut Entry)) -> io::Result<()> {
    let Some((path, mut asked)) = noted(session, entry) else { return Ok(()) };
    change(&mut asked.entry);
    asked.write(&path)
}
