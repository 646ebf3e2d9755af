//! Reads that were taken from a server and are not confirmed: kept until their content has been delivered.
//!
//! Invariant: a file is for its owner alone (0600), and one fpaste at a time uses it. Must never hold a key or a password.

use super::Session;
use super::files;
use super::kept::{folders, write_somewhere};
use super::link::ServerUrl;
use crate::clock::{UnixSeconds, unix_now};
use crate::paste::Id;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What the names begin with; the ID follows, and a number where there are several.
const PREFIX: &str = "lease-";
/// Most bytes of a file.
const MAX_BYTES: u64 = 4096;

/// A read that was just given to us.
pub struct NewLease<'a> {
    /// What opens the content.
    pub secret: &'a str,
    /// When it ends, by our own clock.
    pub expires_at: UnixSeconds,
    /// Whether the paste was to be read once.
    pub burns: bool,
    /// Whether a password opens it, which the server never sees.
    pub has_password: bool,
}

/// A read that is ours until it is confirmed, or until it ends.
pub struct Held {
    /// What opens the content.
    pub secret: Zeroizing<String>,
    /// When it ends, by our own clock.
    pub expires_at: UnixSeconds,
    /// Whether the paste was to be read once.
    pub burns: bool,
    /// Whether a password opens it, which the server never sees.
    pub has_password: bool,
    /// Where it is kept, and its lock.
    file: Option<(PathBuf, File)>,
}

impl Held {
    /// Keeps a new lease. Where that fails it is good for this run alone.
    pub fn keep(session: &Session<'_>, server: &ServerUrl, id: &Id, new: &NewLease<'_>) -> Self {
        let NewLease { secret, expires_at, burns, has_password } = *new;
        let line = json!({
            "server": server.to_string(), "lease": secret, "expires_at": expires_at, "burns": burns,
            "password": has_password,
        });
        let line = Zeroizing::new(line.to_string());
        let path = write_somewhere(session, &format!("{PREFIX}{id}"), line.as_bytes());
        let file = path.and_then(|path| open(&path).map(|file| (path, file)));
        Self { secret: Zeroizing::new(secret.to_owned()), expires_at, burns, has_password, file }
    }

    /// One that an earlier run has left for this paste, and that no other run uses now.
    pub fn find(session: &Session<'_>, server: &ServerUrl, id: &Id) -> Option<Self> {
        let name = format!("{PREFIX}{id}");
        let is_its = |path: &PathBuf| {
            let found = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let entries = folders(session).into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        entries.map(|entry| entry.path()).filter(is_its).find_map(|path| Self::read(path, server))
    }

    fn read(path: PathBuf, server: &ServerUrl) -> Option<Self> {
        let mut file = open(&path)?;
        let mut text = Zeroizing::new(String::new());
        (&mut file).take(MAX_BYTES).read_to_string(&mut text).ok()?;
        let json: Value = serde_json::from_str(&text).ok()?;
        let expires_at = json.get("expires_at")?.as_u64()?;
        if expires_at <= unix_now() {
            let _ = fs::remove_file(&path);
            return None;
        }
        let secret = Zeroizing::new(json.get("lease")?.as_str()?.to_owned());
        let is_here = json.get("server")?.as_str() == Some(&server.to_string());
        let flag = |name: &str| json.get(name).and_then(Value::as_bool) == Some(true);
        let (burns, has_password) = (flag("burns"), flag("password"));
        is_here.then_some(Self { secret, expires_at, burns, has_password, file: Some((path, file)) })
    }

    /// Whether the next run will find it.
    pub fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// Forgets it: it is confirmed, or has ended.
    pub fn forget(self) {
        if let Some((path, _)) = self.file {
            let _ = fs::remove_file(path);
        }
    }
}

/// Opens it, unless another run has it.
fn open(path: &Path) -> Option<File> {
    let file = files::open(path, OpenOptions::new().read(true)).ok()?;
    file.try_lock().ok().map(|()| file)
}
