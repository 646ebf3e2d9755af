//! What this machine created: one JSON line a paste, with its delete token and expiry.
//!
//! Invariant: the file is for its owner alone (0600), and a line that cannot be understood is kept. Must never hold a
//! key or a password, and never make a command fail or wait for long that has done its work.

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

/// Largest history read; 100,000 pastes.
const MAX_BYTES: u64 = 32 << 20;
/// What has ended is asked about: servers know how for thirty days.
const RECEIPT_SECONDS: u64 = 30 * 86_400;
/// A paste without a fixed expiry lives on while it is read: it is kept here this much longer than it first promised.
pub const KEPT_SECONDS: u64 = 90 * 86_400;

/// A created paste.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the line")]
pub struct Entry {
    /// Which.
    pub id: Id,
    /// Where it was created.
    pub server: ServerUrl,
    /// The link without its key.
    pub url: String,
    /// What deletes it.
    pub delete_token: String,
    /// When, by this machine's clock.
    pub created_at: UnixSeconds,
    /// When it goes, by this machine's clock; if a read moves that on, not before.
    pub expires_at: UnixSeconds,
    /// Whether a read moves the expiry on.
    pub slides: bool,
    /// Burn after reading.
    pub burn: bool,
    /// How often it can be read, where that is limited; older lines do not say.
    pub reads: Option<u32>,
    /// Password.
    pub password: bool,
    /// Whether the link has a key.
    pub encrypted: bool,
    /// Whether it is sealed; older lines do not say.
    pub sealed: Option<bool>,
    /// The uploaded file's name.
    pub name: Option<String>,
    /// The content's bytes; older lines do not say.
    pub size: Option<u64>,
    /// When this machine read it for the last time, or deleted it, by its own clock.
    pub ended_at: Option<UnixSeconds>,
    /// Whether it is an ask, which the history gets when its answer was read; until then [`super::asks`] has it.
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

    /// The paste of a line's JSON; `None` for whatever is none.
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

    /// Whether it is there for all this machine knows: nobody tells it of reads.
    pub fn may_be_live(&self, now: UnixSeconds) -> bool {
        // A look at what is known of a paste moves the expiry on, too, of one that burns as well.
        let slack = if self.slides { KEPT_SECONDS } else { 0 };
        self.ended_at.is_none() && now < self.expires_at.saturating_add(slack)
    }

    /// Whether its server may still be asked how it ended.
    fn is_worth_keeping(&self, now: UnixSeconds) -> bool {
        self.may_be_live(now) || now < self.ended_at.unwrap_or(self.expires_at).saturating_add(RECEIPT_SECONDS)
    }
}

/// What the history holds.
#[derive(Default)]
pub struct Entries {
    /// The pastes, oldest first.
    pub entries: Vec<Entry>,
    /// Lines nobody understands.
    pub damaged: usize,
}

/// The file; `None` when it is switched off.
pub struct History(Option<PathBuf>);

impl History {
    /// The history in this file, or none.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// Adds a paste, and drops what has gone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&self, entry: &Entry, now: UnixSeconds) -> io::Result<()> {
        let line = format!("{}\n", entry.json());
        self.rewrite(true, |known| known.is_worth_keeping(now).then_some(known), &line)
    }

    /// Takes a paste out of what may still be there: this machine has read it for the last time, or deleted it. Its server
    /// can be asked how it ended as long as it knows.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&self, server: &ServerUrl, id: &Id) -> io::Result<()> {
        self.change(server, id, |known| {
            known.ended_at.get_or_insert_with(unix_now);
        })
    }

    /// Notes what has changed about a paste.
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

    /// Everything noted.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
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

    /// Under a lock: appends, and if any entry is to go or to change, writes the file anew. The lock is on a file of its
    /// own, because the history is replaced as a whole.
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
        // A line cut short by a full disk must not swallow the next.
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

/// What becomes of a line; nothing where it goes.
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
    fn entries_come_back_and_go() {
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
    fn what_was_ended_here_is_kept_as_long_as_servers_know_how() {
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
    fn many_writers_lose_nothing() {
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
