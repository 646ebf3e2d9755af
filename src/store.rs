//! The store: the rules of pastes, on top of a database engine.
//!
//! Invariant: acknowledged changes are on disk; the content of a burn paste is delivered once; at rest nothing is
//! readable without the link. Must never know HTTP or SQL, nor hold an engine's resources while a peer reads.

mod cache;
#[cfg(test)]
mod conformance;
mod content_reader;
mod details;
mod disk;
mod engine;
mod error;
mod inactivity;
mod makers;
mod model;
#[cfg(feature = "postgres")]
mod moved;
mod operators;
mod pepper;
#[cfg(feature = "postgres")]
mod postgres;
mod receipt;
mod sealing;
mod sqlite;
mod tokens;
mod tries;

pub use error::StoreError;
pub use makers::{Changed, NewContent, OwnPaste, Place};
pub use model::{
    Action, Answered, Created, Deleted, Duplicate, Handle, Lease, Listed, MAX_PASTE_BYTES, Meta, NewPaste, Paste,
    Protection, Stats, TokenRecord,
};
#[cfg(feature = "postgres")]
pub use moved::Imported;
pub use operators::Found;
#[cfg(feature = "postgres")]
pub use postgres::Address;
pub use receipt::{End, Reads, Receipt, Status};
pub use sqlite::Location;
pub use tokens::Attempt;

use crate::blocking;
use crate::clock::UnixSeconds;
use crate::crypto::{self, Sha256Digest};
use crate::network::Network;
use crate::operator_log;
use crate::paste::{Expiry, Id};
use crate::spool::SpoolRoom;
#[cfg(feature = "postgres")]
use crate::spool::unnamed_file;
use cache::Cache;
use content_reader::ContentReader;
use engine::Engine;
use model::Row;
use sealing::Pepper;
use sqlite::Sqlite;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokens::Tokens;
use zeroize::Zeroizing;

/// The size limit of all spool files: forty uploads of the largest paste by default; at least two of them.
const SPOOL_BYTES: u64 = 2 << 30;
/// The random bytes of a lease.
const LEASE_BYTES: usize = 16;
/// How long statistics are cached for the metrics, in seconds: counting half a million rows takes a tenth of a second.
const STATS_SECONDS: u64 = 10;

/// The limits that the store enforces.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes in use above which creates are refused; 0 means no limit.
    pub max_db_bytes: u64,
    /// Identical submissions accepted in a window; 0 means no limit.
    pub dedup_max: u64,
    /// Length of that window in seconds.
    pub dedup_window_seconds: u64,
    /// Seconds a read keeps a sliding paste alive.
    pub expiry_seconds: u64,
    /// Hex digits of new ids.
    pub id_length: usize,
    /// Largest paste anybody may create, in bytes.
    pub max_paste_bytes: u64,
    /// Seconds a lease lasts.
    pub lease_seconds: u64,
    /// Seconds a receipt is kept after the end of its paste; 0: no receipts.
    pub receipt_seconds: u64,
}

/// The role of the process that opens the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The server, which does the housekeeping.
    Server,
    /// A command beside the server, without housekeeping: recent reads are only in the server's memory, so a paste that
    /// looks expired may still be alive.
    Beside,
}

/// The database of a store.
#[derive(Clone)]
pub enum Database {
    /// SQLite.
    Sqlite(Location),
    /// PostgreSQL, which several servers may share.
    #[cfg(feature = "postgres")]
    Postgres(Address),
}

/// A paste's metadata and the first piece of its content.
pub type Opened = (Paste, Arc<[u8]>);

/// The open store.
pub struct Store {
    engine: Arc<Engine>,
    pepper: Pepper,
    folder: PathBuf,
    limits: Limits,
    cache: Cache,
    tokens: Arc<Tokens>,
    spool_room: Arc<SpoolRoom>,
    /// The cached statistics and their time. Locked while counting, so that concurrent requests share the result.
    stats: Mutex<Option<(UnixSeconds, Stats)>>,
}

impl Store {
    /// Opens the database, creating or migrating it as needed. `pepper_file` is the path of the pepper, unless the
    /// database is in memory.
    ///
    /// # Errors
    /// One line for the operator; a refused database is left unchanged.
    pub fn open(database: &Database, pepper_file: &Path, limits: Limits, role: Role) -> Result<Self, StoreError> {
        let (engine, pepper, folder, cache) = match database {
            Database::Sqlite(location) => {
                let (sqlite, pepper) = Sqlite::open(location, pepper_file, limits, role)?;
                (Engine::Sqlite(sqlite), pepper, location.folder(), Cache::default())
            }
            #[cfg(feature = "postgres")]
            Database::Postgres(address) => {
                let (postgres, pepper) = postgres::Postgres::open(address, pepper_file, limits, role)?;
                let folder = std::env::temp_dir();
                unnamed_file(&folder).map_err(|error| {
                    StoreError::Failed(format!(
                        "cannot create files in {} ({error}); set TMPDIR to a folder for large uploads",
                        folder.display()
                    ))
                })?;
                // No cache: deletes by other servers must take effect at once.
                (Engine::Postgres(postgres), pepper, folder, Cache::off())
            }
        };
        Ok(Self {
            engine: Arc::new(engine),
            pepper,
            folder,
            limits,
            cache,
            tokens: Arc::default(),
            spool_room: SpoolRoom::of(SPOOL_BYTES.max(2 * limits.max_paste_bytes)),
            stats: Mutex::default(),
        })
    }

    /// Starts the time limit for database waits of this thread's request.
    pub fn begin_request(&self) {
        self.engine.begin_request();
    }

    /// Whether the pepper was newly created, so that there cannot be a copy.
    pub fn has_new_pepper(&self) -> bool {
        self.pepper.is_new
    }

    /// The folder for spool files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Free bytes on the disk of the database.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        Ok(disk::free_bytes(&self.folder)?)
    }

    /// The room of all spool files.
    pub fn spool_room(&self) -> &Arc<SpoolRoom> {
        &self.spool_room
    }

    /// A secret stored in the database, generated on first use.
    ///
    /// # Errors
    /// When it can be neither read nor stored.
    pub fn kept_secret(&self, name: &'static str) -> Result<Vec<u8>, StoreError> {
        self.engine.setting(name, crypto::random::<32>()?.to_vec())
    }

    /// Checks that the database responds, using the files that were opened.
    ///
    /// # Errors
    /// When it does not.
    pub fn health(&self) -> Result<(), StoreError> {
        self.engine.health()
    }

    /// Checks that a paste of this size still fits, in addition to concurrent uploads. `spooled_bytes` of it are
    /// already in a spool file.
    ///
    /// # Errors
    /// [`StoreError::Full`] if it does not.
    pub fn expect_room(&self, paste_bytes: u64, spooled_bytes: u64) -> Result<(), StoreError> {
        let arriving_bytes = self.arriving_bytes(spooled_bytes);
        let quota = self.limits.max_db_bytes;
        if quota > 0 && self.engine.used_bytes()?.saturating_add(paste_bytes + arriving_bytes) > quota {
            return Err(StoreError::Full);
        }
        self.expect_disk(paste_bytes, arriving_bytes)
    }

    /// The bytes of other uploads in progress.
    fn arriving_bytes(&self, spooled_bytes: u64) -> u64 {
        self.spool_room.taken_bytes().saturating_sub(spooled_bytes)
    }

    fn expect_disk(&self, paste_bytes: u64, arriving_bytes: u64) -> Result<(), StoreError> {
        if disk::has_room(&self.folder, paste_bytes, arriving_bytes)? { Ok(()) } else { Err(StoreError::Full) }
    }

    /// Reserves a proof-of-work token for one attempt to create a paste; `None` if it is spent or in use.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_attempt(&self, token: Vec<u8>) -> Result<Option<Attempt>, StoreError> {
        // Reserved before the lookup, so that a concurrent request cannot spend it in between.
        let Some(attempt) = self.tokens.take(token) else { return Ok(None) };
        Ok(if self.engine.is_spent(&attempt.token)? { None } else { Some(attempt) })
    }

    /// Spends the token of a failed attempt. If the database fails, that is logged, and the token can be used again.
    pub fn spend(&self, attempt: &Attempt) {
        self.spend_token(attempt.token.clone());
    }

    fn spend_token(&self, token: Vec<u8>) {
        if let Err(error) = self.engine.spend(token) {
            operator_log::message(&format!("cannot mark a proof-of-work token as spent: {error}"));
        }
    }

    /// The metadata of a paste that exists and has not expired, even if all its reads are leased.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find(&self, id: &Id, now: UnixSeconds) -> Result<Option<Paste>, StoreError> {
        let ticket = match self.cache.find(id, self.engine.generation()) {
            Ok(paste) if paste.is_alive(now) => return Ok(Some(paste)),
            // A concurrent read may have extended the expiry: ask the engine.
            Ok(_) => None,
            Err(ticket) => ticket,
        };
        let found = self.engine.find(&self.pepper.name(id))?.map(|row| self.unseal(id, row)).transpose()?;
        let found = found.filter(|paste| paste.is_alive(now));
        if let (Some(ticket), Some(paste)) = (ticket, &found) {
            self.cache.insert(ticket, paste, None);
        }
        Ok(found)
    }

    /// The same with the first piece of its content.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_paste(&self, id: &Id, now: UnixSeconds) -> Result<Option<Opened>, StoreError> {
        let ticket = match self.cache.open(id, self.engine.generation()) {
            Ok(found) if found.0.is_alive(now) => return Ok(Some(found)),
            Ok(_) => None,
            Err(ticket) => ticket,
        };
        let Some((row, mut piece)) = self.engine.find_with_piece(&self.pepper.name(id))? else { return Ok(None) };
        let paste = self.unseal(id, row)?;
        if !paste.is_alive(now) {
            return Ok(None);
        }
        if paste.meta.is_unanswered() {
            return Ok(Some((paste, Arc::default())));
        }
        paste.content_key.cipher().open_piece(0, &mut piece)?;
        let piece: Arc<[u8]> = piece.into();
        if let Some(ticket) = ticket {
            self.cache.insert(ticket, &paste, Some(&piece));
        }
        Ok(Some((paste, piece)))
    }

    /// Decrypts a row with the id of its paste.
    fn unseal(&self, id: &Id, row: Row) -> Result<Paste, StoreError> {
        let content_key = self.pepper.open_key(id, &row.sealed_key)?;
        let (mime_type, filename) = details::decode(content_key.cipher().open_details(row.details)?)?;
        let Row { key, pieces, meta, owner, .. } = row;
        Ok(Paste { key, id: id.clone(), mime_type, filename, meta, owner, pieces, content_key })
    }

    /// Extends a sliding expiry. Returns the new expiry.
    pub fn touch(&self, paste: &Paste, now: UnixSeconds) -> Expiry {
        self.note_read(paste, now, Reads::default())
    }

    /// The same for a read of the content of a paste without a read limit, which is counted.
    pub fn count_read(&self, paste: &Paste, now: UnixSeconds) {
        self.note_read(paste, now, Reads::one(now));
    }

    fn note_read(&self, paste: &Paste, now: UnixSeconds, reads: Reads) -> Expiry {
        let stored = paste.meta.expiry;
        let moved = match stored {
            Expiry::Fixed(_) => None,
            Expiry::Sliding(at) => Some(now + self.limits.expiry_seconds).filter(|moved| *moved > at),
        };
        if moved.is_some() || reads.count > 0 {
            self.engine.touch(paste.key, stored.at(), moved, reads);
        }
        let Some(expires_at) = moved else { return stored };
        self.cache.touch(&paste.id, expires_at);
        Expiry::Sliding(expires_at)
    }

    /// A reader of the content from `offset`, fetched piece by piece. It fails if the paste is deleted meanwhile: row
    /// keys are never reused, so it cannot continue with other content.
    pub fn content(&self, paste: &Paste, offset: u64) -> impl Read + Send + 'static {
        let (engine, key) = (Arc::clone(&self.engine), paste.pieces);
        ContentReader::new(paste.content_key.cipher(), offset, move |number| {
            engine.piece(key, number).map_err(|error| io::Error::other(error.to_string()))
        })
    }

    /// Takes one read of a limited paste and returns its content, to exactly as many callers as it has reads. The last
    /// read deletes the paste, unless there are leases.
    ///
    /// # Errors
    /// When that could not be committed; the read is not used up then.
    pub fn take(&self, paste: &Paste, now: UnixSeconds) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        self.touch(paste, now);
        let taken = self.engine.take(paste.key, paste.meta.size, &self.folder, now)?;
        Ok(taken.map(|content| -> Box<dyn Read + Send> {
            Box::new(ContentReader::new(paste.content_key.cipher(), 0, move |number| content.piece(number)))
        }))
    }

    /// Takes a lease of a limited paste, to be confirmed; `None` if no reads are left.
    ///
    /// # Errors
    /// When that could not be committed; the read is not used up then.
    pub fn lease(&self, paste: &Paste, now: UnixSeconds) -> Result<Option<Lease>, StoreError> {
        let secret = Zeroizing::new(crypto::hex(&crypto::random::<LEASE_BYTES>()?));
        let expires_at = self.touch(paste, now).at().min(now + self.limits.lease_seconds);
        let left = self.engine.lease(paste.key, lease_hash(&secret), expires_at, now)?;
        Ok(left.map(|reads_left| Lease { secret, expires_at, reads_left }))
    }

    /// Whether this is a current lease of the paste.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_leased(&self, paste: &Paste, lease: &str, now: UnixSeconds) -> Result<bool, StoreError> {
        self.engine.is_leased(paste.key, lease_hash(lease), now)
    }

    /// Ends a lease, and deletes the paste if no read or other lease is left. Returns whether the lease existed.
    ///
    /// # Errors
    /// When that could not be committed.
    pub fn end_lease(&self, paste: &Paste, lease: &str, now: UnixSeconds) -> Result<bool, StoreError> {
        self.engine.end_lease(paste.key, lease_hash(lease), now)
    }

    /// Counts a password attempt of a client. Returns the seconds to wait if it is throttled.
    ///
    /// # Errors
    /// When the database fails.
    pub fn charge_try(&self, paste: &Paste, network: Network, now: UnixSeconds) -> Result<Result<(), u64>, StoreError> {
        self.engine.charge_try(paste.key, network, now)
    }

    /// Takes back a counted attempt whose password was not checked.
    ///
    /// # Errors
    /// When the database fails.
    pub fn refund_try(&self, paste: &Paste, network: Network, now: UnixSeconds) -> Result<(), StoreError> {
        self.engine.refund_try(paste.key, network, now)
    }

    /// Resets a client's attempts after a correct password.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forgive_tries(&self, paste: &Paste, network: Network) -> Result<(), StoreError> {
        self.engine.forgive_tries(paste.key, network)
    }

    /// Flushes pending writes and closes the database for writing, even if the store is still in use.
    pub fn close(&self) {
        self.engine.hurry();
        // The outcome of requests still in flight is unknown: spend their tokens.
        self.tokens.begun().into_iter().for_each(|token| self.spend_token(token));
        self.engine.close();
    }

    /// Database statistics.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stats(&self, now: UnixSeconds) -> Result<Stats, StoreError> {
        self.engine.stats(now)
    }

    /// The same, cached for a few seconds.
    ///
    /// # Errors
    /// When the database fails.
    pub fn recent_stats(&self, now: UnixSeconds) -> Result<Stats, StoreError> {
        // Others wait here while one asks the database.
        blocking::about_to_block();
        let mut kept = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((at, stats)) if (*at..*at + STATS_SECONDS).contains(&now) => Ok(stats.clone()),
            _ => {
                let stats = self.stats(now)?;
                *kept = Some((now, stats.clone()));
                Ok(stats)
            }
        }
    }

    /// Deletes expired pastes, for `flaskpaste purge`. Returns their number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn purge(&self, now: UnixSeconds) -> Result<u64, StoreError> {
        self.engine.purge(now)
    }

    /// Copies the live database to a new file and checks the copy. The pepper is not included.
    ///
    /// # Errors
    /// When the file exists, cannot be written, or fails the check; no file is left behind then.
    pub fn backup(&self, target: &Path) -> Result<(), StoreError> {
        self.engine.backup(target)
    }
}

/// Imports the SQLite database of a single machine, which must not be in use, into PostgreSQL.
///
/// # Errors
/// One line for the operator; pastes imported so far stay, and are skipped the next time.
#[cfg(feature = "postgres")]
pub fn import(source: &Path, target: &Address, pepper_file: &Path, limits: Limits) -> Result<Imported, StoreError> {
    // Opened first, so that PostgreSQL does not get a new pepper that cannot decrypt the source.
    let (export, pepper) = sqlite::Export::open(source, pepper_file)?;
    let (postgres, other) = postgres::Postgres::open(target, pepper_file, limits, Role::Server)?;
    if !crypto::equal(&pepper.own_mark(), &other.own_mark()) {
        return Err(StoreError::Failed("the two databases have different peppers; nothing was imported".into()));
    }
    postgres.import(&export)
}

impl Paste {
    /// A number that identifies it and reveals nothing.
    pub fn number(&self) -> u64 {
        self.key.0.cast_unsigned()
    }

    /// Whether no reads are left: lease holders can still read it, for everyone else it is gone.
    pub fn is_given_out(&self) -> bool {
        self.meta.reads_left == Some(0)
    }

    fn is_alive(&self, now: UnixSeconds) -> bool {
        self.meta.expiry.at() > now
    }
}

/// The stored hash of a lease.
fn lease_hash(secret: &str) -> Sha256Digest {
    crypto::sha256(secret.as_bytes())
}
