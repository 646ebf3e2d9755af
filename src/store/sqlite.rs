//! The embedded engine: an SQLite database in this process, and the only code that uses SQLite.
//!
//! Invariant: one thread writes and batches commits; readers do not write; erased content is in none of the database's
//! files seconds later, wherever SQLite's pages allow. Must never expose a connection.

mod backup;
mod changes;
#[cfg(feature = "postgres")]
mod export;
mod files;
mod housekeeping;
mod location;
mod opening;
mod operators;
mod queries;
mod readers;
mod reads;
mod receipts;
mod schema;
mod transaction;
mod upgrade;
mod writer;

#[cfg(feature = "postgres")]
pub(super) use export::Export;
pub use location::Location;

use super::inactivity::{FLUSH_INTERVAL, InactivityClock};
use super::model::{
    Action, Answered, Handle, Inserted, Listed, Name, NewRow, OwnedRow, Replaced, Replacement, Row, RowKey,
    SealedContent, Stats, TokenRecord,
};
use super::receipt::{End, Reads, Receipt, Status, TokenMark};
use super::sealing::Pepper;
use super::tries::Tries;
use super::{Limits, Role, StoreError};
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;
use crate::network::Network;
use files::Files;
use housekeeping::{Housekeeper, purge_some};
use readers::Readers;
use receipts::Keeping;
use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use writer::Writer;

/// The grace period of a sliding paste in a purge outside the server: twice what the server may hold in memory.
const PURGE_GRACE_SECONDS: u64 = 60;

const _: () = assert!(PURGE_GRACE_SECONDS == 2 * FLUSH_INTERVAL.as_secs(), "twice the flush interval");

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Unavailable(format!("SQLite: {error}")),
            _ => Self::Failed(format!("SQLite: {error}")),
        }
    }
}

/// State shared by the writer and the readers.
#[derive(Default)]
struct Shared {
    clock: InactivityClock,
    /// Set when the WAL may still contain deleted content.
    erased: AtomicBool,
    /// Counts deletes other than by the store's own calls.
    generation: AtomicU64,
}

/// The open database: one writer thread and a few read-only connections.
pub(super) struct Sqlite {
    location: Location,
    files: Files,
    limits: Limits,
    /// Dropped before the readers: the writer's last checkpoint empties the WAL.
    writer: Writer,
    readers: Readers,
    shared: Arc<Shared>,
    tries: Tries,
}

impl Sqlite {
    /// Opens the database, creates or migrates it if necessary, and reads or creates its pepper.
    ///
    /// # Errors
    /// A message for the operator; a refused database is left unchanged.
    pub(super) fn open(
        location: &Location,
        pepper_file: &Path,
        limits: Limits,
        role: Role,
    ) -> Result<(Self, Pepper), StoreError> {
        let (connection, pepper) = opening::open(location, pepper_file, limits.max_paste_bytes, role)?;
        let readers = Readers::open(location)?;
        let shared = Arc::<Shared>::default();
        // The WAL may still contain content that the previous process erased.
        shared.erased.store(true, Ordering::Relaxed);
        let housekeeper = Housekeeper::new(role, Arc::clone(&shared), limits);
        // The WAL exists once the database was accessed.
        let files = Files::note(location, pepper_file)?;
        let writer = Writer::start(connection, files.clone(), housekeeper)?;
        let tries = Tries::default();
        Ok((Self { location: location.clone(), files, limits, writer, readers, shared, tries }, pepper))
    }

    /// It waits only for its own disk.
    #[expect(clippy::unused_self, reason = "the other engine waits for a server")]
    pub(super) fn begin_request(&self) {}

    /// As for [`Sqlite::begin_request`].
    #[expect(clippy::unused_self, reason = "the other engine waits for a server")]
    pub(super) fn hurry(&self) {}

    pub(super) fn health(&self) -> Result<(), StoreError> {
        self.files.check()?;
        self.readers.with(|connection| {
            Ok(connection.prepare_cached("SELECT count(*) FROM setting")?.query_row([], |_| Ok(()))?)
        })
    }

    pub(super) fn setting(&self, name: &'static str, new: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.writer.write(0, move |connection| schema::setting(connection, name, &new))
    }

    pub(super) fn insert(&self, row: NewRow) -> Result<Inserted, StoreError> {
        let limits = self.limits;
        self.writer.write(row.meta.size, move |connection| queries::insert(connection, &row, limits))
    }

    pub(super) fn find(&self, name: &Name) -> Result<Option<Row>, StoreError> {
        let row = self.readers.with(|connection| queries::find(connection, name))?;
        Ok(row.map(|row| self.with_clock(row)))
    }

    pub(super) fn find_with_piece(&self, name: &Name) -> Result<Option<(Row, Vec<u8>)>, StoreError> {
        let found = self.readers.with(|connection| queries::find_with_piece(connection, name))?;
        Ok(found.map(|(row, piece)| (self.with_clock(row), piece)))
    }

    /// Applies unflushed reads.
    fn with_clock(&self, mut row: Row) -> Row {
        row.meta.expiry = self.shared.clock.applied_to(row.key, row.meta.expiry);
        row
    }

    pub(super) fn piece(&self, key: RowKey, number: u64) -> Result<Vec<u8>, StoreError> {
        self.readers.with(|connection| queries::piece(connection, key, number))
    }

    pub(super) fn take(
        &self,
        key: RowKey,
        size: u64,
        folder: &Path,
        now: UnixSeconds,
    ) -> Result<Option<SealedContent>, StoreError> {
        let (folder, keeping): (PathBuf, _) = (folder.into(), self.keeping());
        let taken =
            self.writer.write(size, move |connection| reads::take(connection, key, size, &folder, now, keeping(key)));
        self.note_erased(taken, Option::is_some)
    }

    pub(super) fn lease(
        &self,
        key: RowKey,
        hash: Sha256Digest,
        expires_at: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<Option<u32>, StoreError> {
        let keeping = self.keeping();
        self.writer
            .write(0, move |connection| reads::lease(connection, key, &hash, expires_at, now, keeping(key).unflushed))
    }

    pub(super) fn is_leased(&self, key: RowKey, hash: Sha256Digest, now: UnixSeconds) -> Result<bool, StoreError> {
        self.readers.with(|connection| reads::is_leased(connection, key, &hash, now))
    }

    pub(super) fn end_lease(&self, key: RowKey, hash: Sha256Digest, now: UnixSeconds) -> Result<bool, StoreError> {
        let keeping = self.keeping();
        let ended = self.writer.write(0, move |connection| reads::end_lease(connection, key, &hash, now, keeping(key)));
        Ok(self.note_erased(ended, |ended| ended.erased)?.was_held)
    }

    /// Runs on the writer thread, where no flush can intervene.
    pub(super) fn status(&self, key: RowKey, now: UnixSeconds) -> Result<Option<Status>, StoreError> {
        let keeping = self.keeping();
        self.writer.write(0, move |connection| receipts::status(connection, key, now, keeping(key).unflushed))
    }

    pub(super) fn receipt(&self, token: TokenMark) -> Result<Option<Receipt>, StoreError> {
        self.readers.with(|connection| receipts::find(connection, token))
    }

    pub(super) fn delete(&self, key: RowKey, end: End, now: UnixSeconds) -> Result<bool, StoreError> {
        let keeping = self.keeping();
        let deleted = self.writer.write(0, move |connection| receipts::end(connection, key, end, now, keeping(key)));
        self.note_erased(deleted, |gone| *gone)
    }

    /// What is kept of an ending paste; to be called on the writer thread.
    fn keeping(&self) -> impl Fn(RowKey) -> Keeping + Send + 'static {
        let (shared, receipts) = (Arc::clone(&self.shared), self.limits.receipt_seconds > 0);
        move |key| Keeping { receipts, unflushed: shared.clock.unflushed(key) }
    }

    /// After content was deleted, schedules its removal from the WAL within a second.
    fn note_erased<T>(&self, result: Result<T, StoreError>, erased: impl Fn(&T) -> bool) -> Result<T, StoreError> {
        if result.as_ref().is_ok_and(erased) {
            self.shared.erased.store(true, Ordering::Relaxed);
        }
        result
    }

    pub(super) fn touch(&self, key: RowKey, _: UnixSeconds, expires_at: Option<UnixSeconds>, reads: Reads) {
        self.shared.clock.touch(key, expires_at.unwrap_or(0), reads);
    }

    pub(super) fn set_expiry(&self, key: RowKey, expires_at: UnixSeconds) -> Result<bool, StoreError> {
        self.writer.write(0, move |connection| changes::set_expiry(connection, key, expires_at))
    }

    pub(super) fn replace(&self, key: RowKey, new: Replacement, now: UnixSeconds) -> Result<Replaced, StoreError> {
        let limits = self.limits;
        let size = new.content.size;
        let replaced = self.writer.write(size, move |connection| changes::replace(connection, key, &new, limits, now));
        self.note_erased(replaced, |replaced| matches!(replaced, Replaced::Done))
    }

    pub(super) fn answer(&self, key: RowKey, new: Replacement) -> Result<Answered, StoreError> {
        let limits = self.limits;
        self.writer.write(new.content.size, move |connection| changes::answer(connection, key, &new, limits))
    }

    pub(super) fn find_token(&self, hash: &Sha256Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        self.readers.with(|connection| operators::find_token(connection, hash, now))
    }

    pub(super) fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.readers.with(operators::tokens)
    }

    pub(super) fn add_token(&self, hash: Sha256Digest, token: TokenRecord, action: Action) -> Result<bool, StoreError> {
        self.writer.write(0, move |connection| operators::add_token(connection, &hash, &token, &action))
    }

    pub(super) fn remove_token(&self, name: String, action: Action) -> Result<bool, StoreError> {
        self.writer.write(0, move |connection| operators::remove_token(connection, &name, &action))
    }

    pub(super) fn owned(
        &self,
        owner: &Sha256Digest,
        before: Option<RowKey>,
        most: usize,
    ) -> Result<Vec<OwnedRow>, StoreError> {
        let rows = self.readers.with(|connection| operators::owned(connection, owner, before, most))?;
        Ok(rows.into_iter().map(|owned| OwnedRow { row: self.with_clock(owned.row), ..owned }).collect())
    }

    pub(super) fn find_by_handle(&self, handle: Handle) -> Result<Option<Row>, StoreError> {
        self.readers.with(|connection| queries::find_by_handle(connection, handle))
    }

    pub(super) fn list(&self, before: Option<RowKey>, most: usize) -> Result<Vec<Listed>, StoreError> {
        self.readers.with(|connection| operators::list(connection, before, most))
    }

    pub(super) fn remove(
        &self,
        key: RowKey,
        blocked: Option<Sha256Digest>,
        action: Action,
    ) -> Result<bool, StoreError> {
        let keeping = self.keeping();
        let removed = self
            .writer
            .write(0, move |connection| operators::remove(connection, key, blocked.as_ref(), &action, keeping(key)));
        self.note_erased(removed, |gone| *gone)
    }

    pub(super) fn unblock(&self, mark: Sha256Digest, action: Action) -> Result<bool, StoreError> {
        self.writer.write(0, move |connection| operators::unblock(connection, &mark, &action))
    }

    pub(super) fn note(&self, action: Action) -> Result<(), StoreError> {
        self.writer.write(0, move |connection| operators::note(connection, &action))
    }

    pub(super) fn actions(&self) -> Result<Vec<Action>, StoreError> {
        self.readers.with(operators::actions)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the other engine counts in its database")]
    pub(super) fn charge_try(
        &self,
        key: RowKey,
        network: Network,
        now: UnixSeconds,
    ) -> Result<Result<(), u64>, StoreError> {
        Ok(self.tries.charge(key, network, now))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the other engine counts in its database")]
    pub(super) fn refund_try(&self, key: RowKey, network: Network, now: UnixSeconds) -> Result<(), StoreError> {
        self.tries.refund(key, network, now);
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the other engine counts in its database")]
    pub(super) fn forgive_tries(&self, key: RowKey, network: Network) -> Result<(), StoreError> {
        self.tries.forgive(key, network);
        Ok(())
    }

    pub(super) fn is_spent(&self, token: &[u8]) -> Result<bool, StoreError> {
        self.readers.with(|connection| queries::is_spent(connection, token))
    }

    pub(super) fn spend(&self, token: Vec<u8>) -> Result<(), StoreError> {
        self.writer.write(0, move |connection| queries::spend(connection, &token))
    }

    pub(super) fn used_bytes(&self) -> Result<u64, StoreError> {
        self.readers.with(queries::used_bytes)
    }

    pub(super) fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    pub(super) fn stats(&self, now: UnixSeconds) -> Result<Stats, StoreError> {
        let stats = self.readers.with(|connection| queries::stats(connection, now))?;
        Ok(Stats { disk_bytes: self.location.disk_bytes(), ..stats })
    }

    pub(super) fn purge(&self, now: UnixSeconds) -> Result<u64, StoreError> {
        let (mut deleted, receipts) = (0, self.limits.receipt_seconds > 0);
        loop {
            let purged = self
                .writer
                .write(0, move |connection| purge_some(connection, None, now, PURGE_GRACE_SECONDS, receipts))?;
            deleted += purged.deleted;
            if purged.settled == 0 {
                return Ok(deleted);
            }
        }
    }

    pub(super) fn backup(&self, target: &Path) -> Result<(), StoreError> {
        backup::write(&self.location, target)
    }

    pub(super) fn close(&self) {
        self.writer.close();
    }
}
