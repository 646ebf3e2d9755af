//! What this machine has asked for: the private keys, and what else reads the answers, noted until they were read.
//!
//! Invariant: a note is on the disk before anybody gets the link, for its owner alone (0600), and goes with the answer that was
//! read, the ask that was deleted, or its end. Must never show a key or a token, nor put one into the history.

use super::failure::Failure;
use super::history::Entry;
use super::kept::write_new_from;
use super::notes::{Folder, MAX_BYTES, file_name, open};
use super::{Session, password};
use crate::clock::unix_now;
use crate::crypto::Sha256Digest;
use crate::sealed::{ANSWER_HEAD_BYTES, KeyPair, Secrets};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What the names begin with; the ID follows.
const PREFIX: &str = "ask-";

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
        let folder = Folder::state(session).ok_or(io::ErrorKind::NotFound)?;
        let path = folder.prepare()?;
        write_new_from(path, &file_name(PREFIX, &self.entry.id), &mut self.text().as_bytes())?;
        File::open(path)?.sync_all()
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

    /// `None` for whatever is no such note.
    fn read(path: &Path) -> Option<Self> {
        let mut text = Zeroizing::new(String::new());
        open(path)?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
        let entry = Entry::parse(&text).filter(|entry| entry.is_ask)?;
        let json: Value = serde_json::from_str(&text).ok()?;
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

/// Every note there is; those of asks that have ended are removed.
fn all(session: &Session<'_>) -> Vec<(PathBuf, Asked)> {
    let now = unix_now();
    let paths = Folder::state(session).map(|folder| folder.notes(PREFIX)).unwrap_or_default();
    let noted = paths.into_iter().filter_map(|path| Asked::read(&path).map(|asked| (path, asked)));
    let (live, ended): (Vec<_>, Vec<_>) = noted.partition(|(_, asked)| asked.entry.may_be_live(now));
    for (path, _) in ended {
        let _ = fs::remove_file(path);
    }
    live
}

/// All that is asked for, oldest first.
pub fn entries(session: &Session<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = all(session).into_iter().map(|(_, asked)| asked.entry).collect();
    entries.sort_by_key(|entry| entry.created_at);
    entries
}

/// The note of an ask, and where it is.
fn noted(session: &Session<'_>, entry: &Entry) -> Option<(PathBuf, Asked)> {
    let is_it = |(_, asked): &(_, Asked)| asked.entry.id == entry.id && asked.entry.server == entry.server;
    all(session).into_iter().find(is_it).filter(|_| entry.is_ask)
}

/// What reads the answer to an ask, if this is one.
pub fn find(session: &Session<'_>, entry: &Entry) -> Option<Asked> {
    noted(session, entry).map(|(_, asked)| asked)
}

/// Forgets an ask, if this is one.
pub fn forget(session: &Session<'_>, entry: &Entry) {
    if let Some((path, _)) = noted(session, entry) {
        let _ = fs::remove_file(path);
    }
}

/// Notes what has changed about an ask, if this is one.
///
/// # Errors
/// When it cannot be written; the old note stays then.
pub fn change(session: &Session<'_>, entry: &Entry, change: impl Fn(&mut Entry)) -> io::Result<()> {
    let Some((path, mut asked)) = noted(session, entry) else { return Ok(()) };
    change(&mut asked.entry);
    // For its owner alone, as that library makes every file.
    let mut new = tempfile::NamedTempFile::new_in(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
    new.write_all(asked.text().as_bytes()).and_then(|()| new.as_file().sync_all())?;
    new.persist(&path).map(drop).map_err(|error| error.error)
}
