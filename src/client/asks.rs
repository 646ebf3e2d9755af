//! What this machine has asked for: the private keys, and what else reads the answers, noted until they were read.
//!
//! Invariant: a note is on the disk before anybody gets the link, for its owner alone (0600), and goes when the answer was
//! read, the ask deleted, or its server tells how it ended; by the clock of this machine, which may be wrong, only months after
//! its end. Must never show a key or a token, nor put a key or what reads an answer into the history.

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

/// What the names begin with; the ID follows.
const PREFIX: &str = "ask-";
/// What the name of a note ends with until all of it is there.
const NEW: &str = ".new";
/// A file that is being written is not older than this.
const NEW_FOR: Duration = Duration::from_secs(60);

/// Something asked for.
pub struct Asked {
    /// What it is, as the history has it of pastes.
    pub entry: Entry,
    keys: KeyPair,
    /// What proves to the server that it was we who asked.
    token: Zeroizing<Sha256Digest>,
}

impl Asked {
    /// Something new.
    pub fn new(entry: Entry, keys: KeyPair, token: Zeroizing<Sha256Digest>) -> Self {
        Self { entry, keys, token }
    }

    /// Notes it, by its name and on the disk when this returns.
    ///
    /// # Errors
    /// When that cannot be done; then nothing is left of it.
    pub fn keep(&self, session: &Session<'_>) -> io::Result<()> {
        let folder = Folder::state(session).ok_or(ErrorKind::NotFound)?;
        let folder = folder.prepare()?;
        let (path, _) = create_new(folder, &file_name(PREFIX, &self.entry.id))?;
        self.write(&path).and_then(|()| File::open(folder)?.sync_all()).inspect_err(|_| drop(fs::remove_file(&path)))
    }

    /// Puts the note into the place of the file that is there. What a killed run leaves is found by its name.
    fn write(&self, path: &Path) -> io::Result<()> {
        let text = self.text();
        if text.len() as u64 > MAX_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "the server's answer is too long"));
        }
        let mut new = OsString::from(path);
        new.push(NEW);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// The header that reads the answer.
    pub fn read_proof(&self) -> password::Header {
        ("X-Read-Proof", text(&self.token))
    }

    /// What opens the answer that begins with these bytes; `None` if nothing does.
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

    /// Reads a note; `None` for whatever is none.
    ///
    /// # Errors
    /// When it cannot be opened, or is not for its owner alone.
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

/// Makes sure that an ask can be noted, before there is one.
///
/// # Errors
/// A usage failure when it cannot.
pub fn prepare(session: &Session<'_>) -> Result<(), Failure> {
    let refused = |why: String| {
        Failure::usage(format!("what reads the answer has to be kept in the state folder, {why}"))
            .hint("nothing was asked; set HOME or XDG_STATE_HOME to a place of your own that can be written")
    };
    let folder = Folder::state(session).ok_or_else(|| refused("and there is none".to_owned()))?;
    folder.prepare().map(drop).map_err(|error| refused(format!("and {}: {error}", folder.path().display())))
}

/// Every file that may be a note. What a killed run has left of one that was being written goes.
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

/// Every note there is; `refused` is told of a file that is not read. One whose end is long past goes; until then the clock may be
/// wrong, or the end have been moved elsewhere.
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

/// All that is asked for, oldest first. What cannot be used is named.
pub fn entries(session: &Session<'_>) -> Vec<Entry> {
    let name = |path: &Path, error: io::Error| {
        if error.kind() != ErrorKind::NotFound {
            session.ui.warning(&format!(
                "what was asked for is not read: {error}; make it a file of your own that nobody else reads: chmod 600 {}",
                path.display()
            ));
        }
    };
    let mut entries: Vec<Entry> = all(session, name).into_iter().map(|(_, asked)| asked.entry).collect();
    entries.sort_by_key(|entry| entry.created_at);
    entries
}

/// The note of an ask, and where it is.
fn noted(session: &Session<'_>, entry: &Entry) -> Option<(PathBuf, Asked)> {
    let is_it = |(_, asked): &(_, Asked)| asked.entry.id == entry.id && asked.entry.server == entry.server;
    all(session, |_, _| ()).into_iter().find(is_it).filter(|_| entry.is_ask)
}

/// What reads the answer to an ask, if this is one.
pub fn find(session: &Session<'_>, entry: &Entry) -> Option<Asked> {
    noted(session, entry).map(|(_, asked)| asked)
}

/// Erases what reads the answer to an ask, if this is one. What its server is asked and told with goes into the history.
pub fn end(session: &Session<'_>, entry: &Entry, ended_at: Option<UnixSeconds>) {
    let Some((path, asked)) = noted(session, entry) else { return };
    if let Err(error) = fs::remove_file(&path) {
        session.ui.warning(&format!("what read the answer could not be removed: {error}; remove {}", path.display()));
        return;
    }
    if let Err(error) = session.history.add(&Entry { ended_at, ..asked.entry }, unix_now()) {
        session.ui.warning(&format!("the history could not be updated: {error}"));
    }
}

/// How an ask has ended that a flaskpaste server does not find; what reads its answer is erased then. `None` while it may be
/// there, or nobody says how it ended: a server with another database finds none of its asks.
pub fn over(session: &Session<'_>, entry: &Entry) -> Option<Failure> {
    let how = match status::ending(entry, session)? {
        "read" => "its answer was read",
        "expired" => "it has expired",
        "deleted" => "it was deleted",
        "removed" => "the operator of the server has removed it",
        _ if unix_now() >= entry.expires_at => "its time is over",
        _ => return None,
    };
    end(session, entry, Some(unix_now()));
    Some(Failure::new(Exit::NotFound, format!("the ask has ended: {how}")).hint("ask again, and send the new link"))
}

/// Notes what has changed about an ask, if this is one.
///
/// # Errors
/// When it cannot be written; the old note stays then.
pub fn change(session: &Session<'_>, entry: &Entry, change: impl Fn(&mut Entry)) -> io::Result<()> {
    let Some((path, mut asked)) = noted(session, entry) else { return Ok(()) };
    change(&mut asked.entry);
    asked.write(&path)
}
