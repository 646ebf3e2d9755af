//! The store: pastes in one SQLite database, and the only module that knows it.
//!
//! Invariant: what was acknowledged is on the disk; a burn paste's content leaves once; bytes that were erased are
//! gone from every file within seconds. Must never know HTTP, and never hold a transaction while a peer drains.

mod cache;
mod disk;
mod files;
mod housekeeping;
mod queries;
mod readers;
mod schema;
mod writer;

pub use schema::Location;

use crate::clock::UnixSeconds;
use crate::crypto::{self, PasswordHash, Sha256Digest};
use crate::paste::{Expiry, Fingerprint, Id, Paste};
use crate::spool::{Content, unnamed_file};
use cache::Cache;
use files::Files;
use housekeeping::{Housekeeper, InactivityClock};
use queries::{FIND, OPEN, burn, create, delete_by_key, read_paste, stats};
use readers::{PieceReader, Readers};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use writer::Writer;

/// Bytes of content in one row of the `content` table.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces a paste may have: `content.key` gives them 16 bits.
const PIECES: i64 = 1 << 16;
/// Seconds by which a purge outside the server spares a sliding paste: twice what the server keeps in memory.
const PURGE_GRACE_SECONDS: u64 = 60;

/// Why the store could not do something.
#[derive(Debug, Clone)]
pub enum StoreError {
    /// The disk or the quota is full.
    Full,
    /// Anything else, for the log.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk or the quota is full"),
            Self::Failed(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(format!("SQLite: {error}")),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Limits the store itself keeps.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes in use past which creates are refused; 0 means none.
    pub max_db_bytes: u64,
    /// Identical submissions accepted in a window; 0 means any number.
    pub dedup_max: u64,
    /// Length of that window in seconds.
    pub dedup_window_seconds: u64,
    /// Seconds a read keeps a sliding paste alive.
    pub expiry_seconds: u64,
    /// Hex digits of new ids.
    pub id_length: usize,
}

/// Who opens the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The server, which keeps house.
    Server,
    /// A command beside it, which does not: the latest reads are in the server's memory alone, and what looks expired
    /// from here may be alive.
    Beside,
}

/// A paste's metadata and the first piece of its content.
pub type Opened = (Paste, Arc<[u8]>);

/// A paste to be.
pub struct NewPaste {
    /// Received content.
    pub content: Content,
    /// Sanitised type.
    pub mime_type: String,
    /// Moment of creation.
    pub created_at: UnixSeconds,
    /// When it goes.
    pub expiry: Expiry,
    /// Whether the first read is the last.
    pub burn: bool,
    /// Hash of its password.
    pub password: Option<PasswordHash>,
    /// Its creator's certificate.
    pub owner: Option<Fingerprint>,
    /// SHA-256 of its delete token.
    pub token_hash: Sha256Digest,
    /// Proof-of-work token it is bought with ([`crate::pow::Challenge::spent_key`]).
    pub spent_token: Option<Vec<u8>>,
}

/// How a create ended. Only [`Created::Stored`] changed anything.
pub enum Created {
    /// Stored, under this id.
    Stored(Id),
    /// The content was submitted too often.
    Duplicate {
        /// Submissions in the window, this one included.
        count: u64,
        /// Seconds until one leaves the window.
        retry_after_seconds: u64,
    },
    /// The proof-of-work token has already bought a paste.
    TokenSpent,
}

/// How a delete ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Gone.
    Done,
    /// Neither owner nor token match.
    Denied,
    /// There was nothing.
    NotFound,
}

/// Figures about the database.
#[derive(Debug)]
pub struct Stats {
    /// Pastes that have not expired.
    pub pastes: u64,
    /// Bytes of their content.
    pub content_bytes: u64,
    /// Those that burn after reading.
    pub burn: u64,
    /// Those with a password.
    pub password_protected: u64,
    /// Those with an owner.
    pub owned: u64,
    /// Creation of the oldest, if there is one.
    pub oldest_created_at: Option<UnixSeconds>,
    /// Expired ones that wait for the purge.
    pub expired: u64,
    /// Size of the database file in bytes, free pages included.
    pub database_bytes: u64,
    /// Size of the database's files together, its log included; 0 in memory.
    pub disk_bytes: u64,
    /// Bytes of the database in use, which the quota counts.
    pub used_bytes: u64,
}

/// The database, open: one writing thread, a few reading connections.
pub struct Store {
    location: Location,
    files: Files,
    folder: PathBuf,
    limits: Limits,
    /// Dropped before the readers: the writer's last checkpoint empties the WAL.
    writer: Writer,
    readers: Arc<Readers>,
    clock: Arc<InactivityClock>,
    cache: Arc<Cache>,
    erased: Arc<AtomicBool>,
}

impl Store {
    /// Opens the database, making or migrating it as needed.
    ///
    /// # Errors
    /// One line for the operator; a database that is refused is left as it was.
    pub fn open(location: &Location, limits: Limits, role: Role) -> Result<Self, StoreError> {
        let connection = schema::open(location)?;
        let readers = Arc::new(Readers::open(location)?);
        let clock = Arc::new(InactivityClock::default());
        let erased = Arc::new(AtomicBool::new(true));
        let cache = Arc::new(Cache::default());
        let shared = (Arc::clone(&clock), Arc::clone(&cache), Arc::clone(&erased));
        let housekeeper = Housekeeper::new(role, shared, limits.dedup_window_seconds);
        // The log exists from the first look at the database on.
        let files = Files::note(location)?;
        let writer = Writer::start(connection, files.clone(), housekeeper)?;
        Ok(Self {
            location: location.clone(),
            files,
            folder: location.folder(),
            limits,
            writer,
            readers,
            clock,
            cache,
            erased,
        })
    }

    /// The folder for spool files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The value of a setting the server keeps in the database, made on first use.
    ///
    /// # Errors
    /// When it can be neither read nor kept.
    pub fn kept_secret(&self, name: &'static str) -> Result<Vec<u8>, StoreError> {
        self.writer.write(0, move |connection| {
            schema::setting(connection, name, || crypto::random::<32>().map(|bytes| bytes.to_vec()))
        })
    }

    /// Whether the database answers, from the files that were opened.
    ///
    /// # Errors
    /// When it does not.
    pub fn health(&self) -> Result<(), StoreError> {
        self.files.check()?;
        self.readers.with(|connection| {
            Ok(connection.prepare_cached("SELECT count(*) FROM setting")?.query_row([], |_| Ok(()))?)
        })
    }

    /// Stores a paste; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Full`] past the quota or the disk, else a failure; nothing is stored then.
    pub fn create(&self, new: NewPaste) -> Result<Created, StoreError> {
        let limits = self.limits;
        if !disk::has_room(&self.folder, new.content.size)? {
            return Err(StoreError::Full);
        }
        self.writer.write(new.content.size, move |connection| create(connection, &new, limits))
    }

    /// A paste's metadata, if it exists and has not expired.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find(&self, id: &Id, now: UnixSeconds) -> Result<Option<Paste>, StoreError> {
        let ticket = match self.cache.find(id) {
            Ok(paste) if paste.expiry.at() > now => return Ok(Some(paste)),
            // A read that came between may have moved its end: the database and the clock know.
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        let found = self.readers.with(|connection| {
            Ok(connection.prepare_cached(FIND)?.query_row([id.as_str()], read_paste).optional()?)
        })?;
        let found = found.and_then(|paste| self.alive(paste, now));
        if let (Some(ticket), Some(paste)) = (ticket, &found) {
            self.cache.insert(ticket, paste, None);
        }
        Ok(found)
    }

    /// A paste's metadata and the first piece of its content.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_paste(&self, id: &Id, now: UnixSeconds) -> Result<Option<Opened>, StoreError> {
        let ticket = match self.cache.open(id) {
            Ok(found) if found.0.expiry.at() > now => return Ok(Some(found)),
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        let found = self.readers.with(|connection| {
            let read = |row: &Row<'_>| Ok((read_paste(row)?, row.get_ref("data")?.as_blob()?.into()));
            Ok(connection.prepare_cached(OPEN)?.query_row([id.as_str()], read).optional()?)
        })?;
        let found = found.and_then(|(paste, piece)| Some((self.alive(paste, now)?, piece)));
        if let (Some(ticket), Some((paste, piece))) = (ticket, &found) {
            self.cache.insert(ticket, paste, Some(piece));
        }
        Ok(found)
    }

    /// Applies the clock of reads not flushed yet, and drops what has expired.
    fn alive(&self, mut paste: Paste, now: UnixSeconds) -> Option<Paste> {
        if let Expiry::Sliding(stored) = paste.expiry {
            paste.expiry = Expiry::Sliding(self.clock.expires_at(paste.key).unwrap_or(0).max(stored));
        }
        (paste.expiry.at() > now).then_some(paste)
    }

    /// Moves a paste's inactivity clock, if it has one; its expiry afterwards.
    pub fn touch(&self, paste: &Paste, now: UnixSeconds) -> Expiry {
        match paste.expiry {
            Expiry::Fixed(_) => paste.expiry,
            Expiry::Sliding(stored) => {
                let expires_at = (now + self.limits.expiry_seconds).max(stored);
                if expires_at > stored {
                    self.clock.touch(paste.key, expires_at);
                    self.cache.touch(&paste.id, expires_at);
                }
                Expiry::Sliding(expires_at)
            }
        }
    }

    /// A reader over the content of a paste from `offset` on, fetched piece by piece. It fails when the paste goes
    /// meanwhile: a key is never used twice, so it cannot continue with another's content.
    pub fn content(&self, key: i64, offset: u64) -> impl Read + Send + 'static {
        PieceReader::new(Arc::clone(&self.readers), key, offset)
    }

    /// Takes a burn paste: deletes it and returns its content, to exactly one caller ever.
    ///
    /// # Errors
    /// When the delete could not be committed; the paste is still there then.
    pub fn burn(&self, paste: &Paste) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        let (key, size, folder) = (paste.key, paste.size, self.folder.clone());
        let burned = self.writer.write(0, move |connection| burn(connection, key, size, &folder));
        self.note_erased(burned, Option::is_some)
    }

    /// Deletes a paste for its owner or for whoever has the token.
    ///
    /// # Errors
    /// When the delete could not be committed.
    pub fn delete(
        &self,
        id: &Id,
        owner: Option<&Fingerprint>,
        token_hash: Option<Sha256Digest>,
        now: UnixSeconds,
    ) -> Result<Deleted, StoreError> {
        let Some(paste) = self.find(id, now)? else { return Ok(Deleted::NotFound) };
        let is_owner = paste.owner.is_some() && paste.owner.as_ref() == owner;
        let has_token = token_hash.is_some_and(|hash| crypto::equal(&hash, &paste.token_hash));
        if !is_owner && !has_token {
            return Ok(Deleted::Denied);
        }
        let key = paste.key;
        let deleted = self.writer.write(0, move |connection| delete_by_key(connection, key));
        self.cache.remove(id);
        let gone = self.note_erased(deleted, |gone| *gone)?;
        Ok(if gone { Deleted::Done } else { Deleted::NotFound })
    }

    /// After content was deleted, has its bytes taken out of the WAL within a second.
    fn note_erased<T>(&self, result: Result<T, StoreError>, erased: impl Fn(&T) -> bool) -> Result<T, StoreError> {
        if result.as_ref().is_ok_and(erased) {
            self.erased.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Writes out what is still in memory and closes the database for writing, whoever else still holds the store.
    pub fn close(&self) {
        self.writer.close();
    }

    /// Figures about the database.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stats(&self, now: UnixSeconds) -> Result<Stats, StoreError> {
        let stats = self.readers.with(|connection| stats(connection, now))?;
        Ok(Stats { disk_bytes: self.location.disk_bytes(), ..stats })
    }

    /// Deletes what has expired, for `flaskpaste purge`; how many pastes.
    ///
    /// # Errors
    /// When the database fails.
    pub fn purge(&self, now: UnixSeconds) -> Result<u64, StoreError> {
        let step = move |connection: &Connection| housekeeping::purge_some(connection, None, now, PURGE_GRACE_SECONDS);
        let mut deleted = 0;
        loop {
            let purged = self.writer.write(0, step)?;
            deleted += purged.deleted;
            if purged.settled == 0 {
                return Ok(deleted);
            }
        }
    }

    /// Copies the live database into a new file and checks the copy.
    ///
    /// # Errors
    /// When the file exists, cannot be written, or does not pass the check; no file is left then.
    pub fn backup(&self, target: &Path) -> Result<(), StoreError> {
        let name = target.to_str().ok_or_else(|| StoreError::Failed("the file name is not UTF-8".into()))?;
        if target.symlink_metadata().is_ok() {
            return Err(StoreError::Failed(format!("{name} exists; name a new file")));
        }
        let partial = format!("{name}.partial");
        // SQLite takes an empty file for a new one: made by us, it is nobody else's to read from the start, and ours
        // to remove.
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        let checked = self.copy_into(&partial).and_then(|()| check_copy(Path::new(&partial)));
        let finished = checked.and_then(|()| Ok(std::fs::rename(&partial, target)?));
        if finished.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        finished
    }

    fn copy_into(&self, partial: &str) -> Result<(), StoreError> {
        // One read transaction: a consistent copy without free pages, beside which writing goes on.
        self.location.connect()?.execute("VACUUM INTO ?1", [partial])?;
        Ok(())
    }
}

/// Makes sure a backup is whole and on the disk.
fn check_copy(copy: &Path) -> Result<(), StoreError> {
    let connection = Connection::open(copy)?;
    let result: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    drop(connection);
    std::fs::File::open(copy)?.sync_all()?;
    if result == "ok" { Ok(()) } else { Err(StoreError::Failed(format!("the copy is damaged: {result}"))) }
}

/// One line about a chore that failed; the next round tries again.
fn log_failure(what: &str, error: &StoreError) {
    // A closed stderr must not end the writer: `eprintln!` would panic.
    let _ = writeln!(io::stderr(), "flaskpaste: database {what} failed: {error}");
}
