//! The history of this machine's pastes: one JSON line per paste, with its delete token and expiry.
//!
//! Invariant: the file has mode 0600, and lines that cannot be parsed are kept. Must never contain a key or a password,
//! nor fail or delay a command that has done its work.

use super::config::create_private_folder;
use super::files;
use super::link::ServerUrl;
use crate::clock::{UnixSeconds, unix_now};
use crate::paste::Id;
use serde_json::Value;
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The size limit of the history, about 100,000 pastes.
const MAX_BYTES: u64 = 32 << 20;
/// Ended pastes are kept this long: servers keep their receipts for 30 days.
const RECEIPT_SECONDS: u64 = 30 * 86_400;
/// Reads extend a paste without a fixed expiry: its entry is kept this long past the initial expiry.
pub const KEPT_SECONDS: u64 = 90 * 86_400;

/// A created paste.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the line")]
pub struct Entry {
    /// Its ID.
    pub id: Id,
    /// Where it was created.
    pub server: ServerUrl,
    /// The link without its key.
    pub url: String,
    /// The delete token.
    pub delete_token: String,
    /// The creation time, by the local clock.
    pub created_at: UnixSeconds,
    /// The expiry, by the local clock; the earliest one if reads extend it.
    pub expires_at: UnixSeconds,
    /// Whether reads extend the expiry.
    pub slides: bool,
    /// Burn after reading.
    pub burn: bool,
    /// The limit of reads, if any; missing in older lines.
    pub reads: Option<u32>,
    /// Password.
    pub password: bool,
    /// Whether the link has a key.
    pub encrypted: bool,
    /// Whether it is sealed; missing in older lines.
    pub sealed: Option<bool>,
    /// The uploaded file's name.
    pub name: Option<String>,
    /// The size in bytes; missing in older lines.
    pub size: Option<u64>,
    /// When this machine deleted it or took the last read, by the local clock.
    pub ended_at: Option<UnixSeconds>,
    /// Whether it is an ask. [`super::asks`] moves it here when its answer was read.
    pub is_ask: bool,
}

impl Entry {
    /// The line's JSON; `list --json` shows it without the token.
    pub fn json(&self) -> Value {
        let mut json = serde_json::json!({
            "id": self.id.as_str(),
            "server": self.server.to_string(),
            "url": self.url,
            "delete_token": self.delete_token,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "slides": self.slides,
            "burn_after_read": self.burn,
            "reads": self.reads,
            "password_protected": self.password,
            "encrypted": self.encrypted,
            "sealed": self.sealed,
            "name": self.name,
            "size": self.size,
        });
        if let (Some(at), Some(fields)) = (self.ended_at, json.as_object_mut()) {
            fields.insert("ended_at".into(), at.into());
        }
        if let Some(fields) = json.as_object_mut().filter(|_| self.is_ask) {
            fields.insert("ask".into(), true.into());
        }
        json
    }

    /// Parses a line; `None` if it is not a paste.
    pub fn parse(line: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| json.get(name)?.as_str();
        let flag = |name: &str| json.get(name).and_then(Value::as_bool).unwrap_or(false);
        let number = |name: &str| json.get(name).and_then(Value::as_u64);
        Some(Self {
            id: text("id")?.parse().ok()?,
            server: ServerUrl::parse(text("server")?).ok()?,
            url: text("url")?.to_owned(),
            delete_token: text("delete_token")?.to_owned(),
            created_at: number("created_at")?,
            expires_at: number("expires_at")?,
            slides: flag("slides"),
            burn: flag("burn_after_read"),
            reads: number("reads").and_then(|reads| reads.try_into().ok()),
            password: flag("password_protected"),
            encrypted: flag("encrypted"),
            sealed: json.get("sealed").and_then(Value::as_bool),
            name: text("name").map(str::to_owned),
            size: number("size"),
            ended_at: number("ended_at"),
            is_ask: flag("ask"),
        })
    }

    /// Whether it may still exist, as far as this machine knows: it is not told of reads.
    pub fn may_be_live(&self, now: UnixSeconds) -> bool {
        // A metadata read extends the expiry, too, even of a burn paste.
        let slack = if self.slides { KEPT_SECONDS } else { 0 };
        self.ended_at.is_none() && now < self.expires_at.saturating_add(slack)
    }

    /// Whether its server may still know how it ended.
    fn is_worth_keeping(&self, now: UnixSeconds) -> bool {
        self.may_be_live(now) || now < self.ended_at.unwrap_or(self.expires_at).saturating_add(RECEIPT_SECONDS)
    }
}

/// The contents of the history.
#[derive(Default)]
pub struct Entries {
    /// The pastes, oldest first.
    pub entries: Vec<Entry>,
    /// The number of lines that cannot be parsed.
    pub damaged: usize,
}

/// The path of the history; `None` if it is off.
pub struct History(Option<PathBuf>);

impl History {
    /// The history in this file, or none.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// Adds a paste and drops old entries.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&self, entry: &Entry, now: UnixSeconds) -> io::Result<()> {
        let line = format!("{}\n", entry.json());
        self.rewrite(true, |known| known.is_worth_keeping(now).then_some(known), &line)
    }

    /// Marks a paste as ended: this machine deleted it or took its last read. It is kept while its server may know how
    /// it ended.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&self, server: &ServerUrl, id: &Id) -> io::Result<()> {
        self.change(server, id, |known| {
            known.ended_at.get_or_insert_with(unix_now);
        })
    }

    /// Updates an entry.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn change(&self, server: &ServerUrl, id: &Id, change: impl Fn(&mut Entry)) -> io::Result<()> {
        let changed = |mut known: Entry| {
            if known.id == *id && known.server == *server {
                change(&mut known);
            }
            Some(known)
        };
        self.rewrite(false, changed, "")
    }

    /// Reads all entries.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn read(&self) -> io::Result<Entries> {
        let Some(path) = &self.0 else { return Ok(Entries::default()) };
        match files::open(path, OpenOptions::new().read(true)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Entries::default()),
            file => {
                let mut all = Entries::default();
                for line in text(&mut file?)?.lines().filter(|line| !line.trim().is_empty()) {
                    match Entry::parse(line) {
                        Some(entry) => all.entries.push(entry),
                        None => all.damaged += 1,
                    }
                }
                Ok(all)
            }
        }
    }

    /// Under a lock: appends a line, or rewrites the file if any entry changes. The lock is a separate file, because
    /// the history is replaced atomically.
    fn rewrite(&self, create: bool, change: impl Fn(Entry) -> Option<Entry>, added: &str) -> io::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
        if !create && !path.exists() {
            return Ok(());
        }
        create_private_folder(folder)?;
        let private = |path: &Path| files::open(path, OpenOptions::new().read(true).append(true).create(true));
        let lock = private(&folder.join("history.lock"))?;
        files::lock(&lock)?;
        let mut file = private(path)?;
        if file.metadata()?.permissions().mode() & 0o777 != 0o600 {
            file.set_permissions(PermissionsExt::from_mode(0o600))?;
        }
        let old = text(&mut file)?;
        // A line truncated by a full disk must not swallow the next one.
        let separator = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
        let lines: Vec<Option<Cow<'_, str>>> = old.lines().map(|line| changed(line, &change)).collect();
        if lines.iter().all(|line| matches!(line, Some(Cow::Borrowed(_)))) {
            return file.write_all(format!("{separator}{added}").as_bytes());
        }
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        for line in lines.iter().flatten() {
            writeln!(new, "{line}")?;
        }
        new.write_all(added.as_bytes())?;
        new.persist(path).map(drop).map_err(|error| error.error)
    }
}

/// The new version of a line; `None` drops it.
fn changed(line: &str, change: impl Fn(Entry) -> Option<Entry>) -> Option<Cow<'_, str>> {
    let Some(entry) = Entry::parse(line) else { return Some(line.into()) };
    let new = change(entry.clone())?;
    Some(if new == entry { line.into() } else { new.json().to_string().into() })
}

fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("the history is too large; remove it"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, expires_at: UnixSeconds) -> Entry {
        Entry {
            id: id.parse().unwrap(),
            server: ServerUrl::parse("http://localhost:5000").unwrap(),
            url: format!("http://localhost:5000/{id}"),
            delete_token: "aa".into(),
            created_at: 1,
            expires_at,
            slides: false,
            burn: false,
            reads: Some(2),
            password: false,
            encrypted: true,
            sealed: Some(true),
            name: None,
            size: None,
            ended_at: None,
            is_ask: false,
        }
    }

    #[test]
    fn entries_are_read_back_and_expire() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/history.jsonl");
        let history = History::new(Some(path.clone()));
        assert!(history.read().unwrap().entries.is_empty());
        history.add(&entry("aaaa", 100), 10).unwrap();
        history.add(&entry("bbbb", 1000), 10).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(history.read().unwrap().entries, [entry("aaaa", 100), entry("bbbb", 1000)]);
        history.add(&entry("cccc", 1000), 100 + RECEIPT_SECONDS).unwrap();
        assert_eq!(history.read().unwrap().entries, [entry("bbbb", 1000), entry("cccc", 1000)]);
    }

    #[test]
    fn ended_entries_are_kept_as_long_as_servers_keep_receipts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let history = History::new(Some(path));
        let mut ended = entry("aaaa", u64::MAX);
        history.add(&ended, 10).unwrap();
        history.add(&entry("bbbb", u64::MAX), 10).unwrap();
        assert!(ended.may_be_live(10));
        history.remove(&ended.server, &ended.id).unwrap();
        ended.ended_at = history.read().unwrap().entries[0].ended_at;
        let at = ended.ended_at.unwrap();
        assert!(unix_now().abs_diff(at) < 60 && !ended.may_be_live(10));
        assert_eq!(history.read().unwrap().entries, [ended.clone(), entry("bbbb", u64::MAX)]);
        // The first end counts.
        history.remove(&ended.server, &ended.id).unwrap();
        history.add(&entry("cccc", u64::MAX), at + RECEIPT_SECONDS - 1).unwrap();
        assert_eq!(history.read().unwrap().entries[0], ended);
        history.add(&entry("dddd", u64::MAX), at + RECEIPT_SECONDS).unwrap();
        assert_eq!(history.read().unwrap().entries.len(), 3);
    }

    #[test]
    fn damaged_lines_are_counted_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        std::fs::write(&path, b"nonsense\n\xff\xfe\n{\"id\":\"zz\"}\n{\"id\":\"cut").unwrap();
        let history = History::new(Some(path.clone()));
        history.add(&entry("aaaa", 100), 10).unwrap();
        history.add(&entry("bbbb", 1000), 200 + RECEIPT_SECONDS).unwrap();
        let all = history.read().unwrap();
        assert_eq!((all.entries.len(), all.damaged), (1, 4));
    }

    #[test]
    fn concurrent_writers_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let history = History::new(Some(path.clone()));
                scope.spawn(move || {
                    for number in 0..20 {
                        // Every other one is gone already, so that the file is written anew all the time.
                        let expires_at = if number % 2 == 0 { 100 } else { 5 };
                        let entry = entry(&format!("{writer:04x}{number:04x}"), expires_at);
                        history.add(&entry, 10 + RECEIPT_SECONDS).unwrap();
                    }
                });
            }
        });
        let entries = History::new(Some(path)).read().unwrap().entries;
        assert_eq!(entries.iter().filter(|entry| entry.expires_at == 100).count(), 80);
    }
}
