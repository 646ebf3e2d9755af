//! The store: the rules of pastes, over an engine that keeps their rows.
//!
//! Invariant: what was acknowledged is on the disk; a burn paste's content leaves once; at rest nothing is readable
//! without the link. Must never know HTTP or SQL, and never hold anything of an engine while a peer drains.

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

/// Spool files may have this much together, forty uploads of the largest paste by default, or two where those are more.
const SPOOL_BYTES: u64 = 2 << 30;
/// Random bytes of a lease.
const LEASE_BYTES: usize = 16;
/// How long figures about the database are good enough for the metrics, in seconds: counting half a million rows takes
/// a tenth of one.
const STATS_SECONDS: u64 = 10;

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
    /// Largest paste anybody may create, in bytes.
    pub max_paste_bytes: u64,
    /// Seconds a lease lasts.
    pub lease_seconds: u64,
    /// Seconds a receipt is kept after the end of its paste; 0: none is.
    pub receipt_seconds: u64,
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

/// Which database a store is opened on.
#[derive(Clone)]
pub enum Database {
    /// SQLite's, in this process.
    Sqlite(Location),
    /// One on PostgreSQL, which other servers may share.
    #[cfg(feature = "postgres")]
    Postgres(Address),
}

/// A paste's metadata and the first piece of its content.
pub type Opened = (Paste, Arc<[u8]>);

/// The store, open.
pub struct Store {
    engine: Arc<Engine>,
    pepper: Pepper,
    folder: PathBuf,
    limits: Limits,
    cache: Cache,
    tokens: Arc<Tokens>,
    spool_room: Arc<SpoolRoom>,
    /// The figures of the last count, and when it was. Locked while counting: whoever asks meanwhile waits for the same.
    stats: Mutex<Option<(UnixSeconds, Stats)>>,
}

impl Store {
    /// Opens the database, making or migrating it as needed. `pepper_file` names the file of the pepper, where there is
    /// a file to the database.
    ///
    /// # Errors
    /// One line for the operator; a database that is refused is left as it was.
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
                        "no file can be made in {} ({error}); set TMPDIR to a folder for large uploads",
                        folder.display()
                    ))
                })?;
                // What another server deletes is gone here at once.
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

    /// A request begins on this thread: what it waits for a database counts from here.
    pub fn begin_request(&self) {
        self.engine.begin_request();
    }

    /// Whether the pepper was made just now, and nobody can have a copy.
    pub fn has_new_pepper(&self) -> bool {
        self.pepper.is_new
    }

    /// The folder for spool files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that can still be written to the disk of the database.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        Ok(disk::free_bytes(&self.folder)?)
    }

    /// What spool files may take together.
    pub fn spool_room(&self) -> &Arc<SpoolRoom> {
        &self.spool_room
    }

    /// The value of a setting the server keeps in the database, made on first use.
    ///
    /// # Errors
    /// When it can be neither read nor kept.
    pub fn kept_secret(&self, name: &'static str) -> Result<Vec<u8>, StoreError> {
        self.engine.setting(name, crypto::random::<32>()?.to_vec())
    }

    /// Whether the database answers, from the files that were opened.
    ///
    /// # Errors
    /// When it does not.
    pub fn health(&self) -> Result<(), StoreError> {
        self.engine.health()
    }

    /// Makes sure that a paste of so many bytes still fits, with what others are uploading. `spooled_bytes` of it are in a
    /// spool file already.
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

    /// Bytes that others than the spooler of these are uploading.
    fn arriving_bytes(&self, spooled_bytes: u64) -> u64 {
        self.spool_room.taken_bytes().saturating_sub(spooled_bytes)
    }

    fn expect_disk(&self, paste_bytes: u64, arriving_bytes: u64) -> Result<(), StoreError> {
        if disk::has_room(&self.folder, paste_bytes, arriving_bytes)? { Ok(()) } else { Err(StoreError::Full) }
    }

    /// Takes a proof-of-work token for one attempt to create a paste; `None` if it was spent, or is in use just now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_attempt(&self, token: Vec<u8>) -> Result<Option<Attempt>, StoreError> {
        // Taken first: what another request is about to spend is not looked for too early.
        let Some(attempt) = self.tokens.take(token) else { return Ok(None) };
        Ok(if self.engine.is_spent(&attempt.token)? { None } else { Some(attempt) })
    }

    /// Spends the token of an attempt that came to nothing. Where the database fails, the log says so, and the token can
    /// be used again.
    pub fn spend(&self, attempt: &Attempt) {
        self.spend_token(attempt.token.clone());
    }

    fn spend_token(&self, token: Vec<u8>) {
        if let Err(error) = self.engine.spend(token) {
            operator_log::message(&format!("a proof-of-work token cannot be spent: {error}"));
        }
    }

    /// A paste's metadata, if it exists and has not expired, be all its reads given out.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find(&self, id: &Id, now: UnixSeconds) -> Result<Option<Paste>, StoreError> {
        let ticket = match self.cache.find(id, self.engine.generation()) {
            Ok(paste) if paste.is_alive(now) => return Ok(Some(paste)),
            // A read that came between may have moved its end: the engine knows.
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

    /// The same and the first piece of its content.
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

    /// Opens what a row says to whoever has its id.
    fn unseal(&self, id: &Id, row: Row) -> Result<Paste, StoreError> {
        let content_key = self.pepper.open_key(id, &row.sealed_key)?;
        let (mime_type, filename) = details::decode(content_key.cipher().open_details(row.details)?)?;
        let Row { key, pieces, meta, owner, .. } = row;
        Ok(Paste { key, id: id.clone(), mime_type, filename, meta, owner, pieces, content_key })
    }

    /// Moves a paste's inactivity clock, if it has one; its expiry afterwards.
    pub fn touch(&self, paste: &Paste, now: UnixSeconds) -> Expiry {
        self.note_read(paste, now, Reads::default())
    }

    /// The same for a read of the content of a paste without a limit, which counts.
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

    /// A reader over the content of a paste from `offset` on, fetched piece by piece. It fails when the paste goes
    /// meanwhile: a row's key is never used twice, so it cannot continue with another's content.
    pub fn content(&self, paste: &Paste, offset: u64) -> impl Read + Send + 'static {
        let (engine, key) = (Arc::clone(&self.engine), paste.pieces);
        ContentReader::new(paste.content_key.cipher(), offset, move |number| {
            engine.piece(key, number).map_err(|error| io::Error::other(error.to_string()))
        })
    }

    /// Takes one of the reads of a paste with a limit: its content, to exactly as many callers as it has reads. The last one
    /// deletes it, unless others hold leases.
    ///
    /// # Errors
    /// When that could not be committed; the read is still to be had then.
    pub fn take(&self, paste: &Paste, now: UnixSeconds) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        self.touch(paste, now);
        let taken = self.engine.take(paste.key, paste.meta.size, &self.folder, now)?;
        Ok(taken.map(|content| -> Box<dyn Read + Send> {
            Box::new(ContentReader::new(paste.content_key.cipher(), 0, move |number| content.piece(number)))
        }))
    }

    /// Takes one of the reads of a paste with a limit, to be confirmed; `None` if all are given out.
    ///
    /// # Errors
    /// When that could not be committed; the read is still to be had then.
    pub fn lease(&self, paste: &Paste, now: UnixSeconds) -> Result<Option<Lease>, StoreError> {
        let secret = Zeroizing::new(crypto::hex(&crypto::random::<LEASE_BYTES>()?));
        let expires_at = self.touch(paste, now).at().min(now + self.limits.lease_seconds);
        let left = self.engine.lease(paste.key, lease_hash(&secret), expires_at, now)?;
        Ok(left.map(|reads_left| Lease { secret, expires_at, reads_left }))
    }

    /// Whether this is a lease of the paste that has not ended.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_leased(&self, paste: &Paste, lease: &str, now: UnixSeconds) -> Result<bool, StoreError> {
        self.engine.is_leased(paste.key, lease_hash(lease), now)
    }

    /// Ends a lease, and deletes the paste if no read and no other lease is left; whether there was that lease.
    ///
    /// # Errors
    /// When that could not be committed.
    pub fn end_lease(&self, paste: &Paste, lease: &str, now: UnixSeconds) -> Result<bool, StoreError> {
        self.engine.end_lease(paste.key, lease_hash(lease), now)
    }

    /// Charges a client for a password it is about to try; the seconds to wait, if it may not try yet.
    ///
    /// # Errors
    /// When the database fails.
    pub fn charge_try(&self, paste: &Paste, network: Network, now: UnixSeconds) -> Result<Result<(), u64>, StoreError> {
        self.engine.charge_try(paste.key, network, now)
    }

    /// Takes a charge back: the password was not looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub fn refund_try(&self, paste: &Paste, network: Network, now: UnixSeconds) -> Result<(), StoreError> {
        self.engine.refund_try(paste.key, network, now)
    }

    /// Forgets a client's charges: the password was right.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forgive_tries(&self, paste: &Paste, network: Network) -> Result<(), StoreError> {
        self.engine.forgive_tries(paste.key, network)
    }

    /// Writes out what is still in memory and closes the database for writing, whoever else still holds the store.
    pub fn close(&self) {
        self.engine.hurry();
        // Of requests that are still under way nobody will know how they ended.
        self.tokens.begun().into_iter().for_each(|token| self.spend_token(token));
        self.engine.close();
    }

    /// Figures about the database.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stats(&self, now: UnixSeconds) -> Result<Stats, StoreError> {
        self.engine.stats(now)
    }

    /// The same, a few seconds old at most, for those who ask often.
    ///
    /// # Errors
    /// When the database fails.
    pub fn recent_stats(&self, now: UnixSeconds) -> Result<Stats, StoreError> {
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

    /// Deletes what has expired, for `flaskpaste purge`; how many pastes.
    ///
    /// # Errors
    /// When the database fails.
    pub fn purge(&self, now: UnixSeconds) -> Result<u64, StoreError> {
        self.engine.purge(now)
    }

    /// Copies the live database into a new file and checks the copy. The pepper is not in it.
    ///
    /// # Errors
    /// When the file exists, cannot be written, or does not pass the check; no file is left then.
    pub fn backup(&self, target: &Path) -> Result<(), StoreError> {
        self.engine.backup(target)
    }
}

/// Moves what is in the SQLite database of a single machine, which nobody else may have open, into one on PostgreSQL.
///
/// # Errors
/// One line for the operator; what was moved until then stays, and is skipped the next time.
#[cfg(feature = "postgres")]
pub fn import(source: &Path, target: &Address, pepper_file: &Path, limits: Limits) -> Result<Imported, StoreError> {
    // First, so that no pepper is made for the other that could not open what this one has.
    let (export, pepper) = sqlite::Export::open(source, pepper_file)?;
    let (postgres, other) = postgres::Postgres::open(target, pepper_file, limits, Role::Server)?;
    if !crypto::equal(&pepper.own_mark(), &other.own_mark()) {
        return Err(StoreError::Failed("the two databases have different peppers; nothing was moved".into()));
    }
    postgres.import(&export)
}

impl Paste {
    /// A number that tells it from others; nothing else follows from it.
    pub fn number(&self) -> u64 {
        self.key.0.cast_unsigned()
    }

    /// Whether all its reads are given out: whoever holds a lease reads it, and to everybody else it is gone.
    pub fn is_given_out(&self) -> bool {
        self.meta.reads_left == Some(0)
    }

    fn is_alive(&self, now: UnixSeconds) -> bool {
        self.meta.expiry.at() > now
    }
}

/// By what an engine knows a lease.
fn lease_hash(secret: &str) -> Sha256Digest {
    crypto::sha256(secret.as_bytes())
}
