//! The storage engines and their operations.
//!
//! Invariant: an operation that changes pastes, tokens or the log is one transaction; after `Ok` it is on disk. The
//! effects of reads (`touch`) are written later, a purge takes several transactions, and SQLite has the counts of
//! password attempts in memory only. An engine sees names, keyed hashes and sealed bytes. Must never know ids, nor the
//! rules of pastes, which belong to the store.

use super::StoreError;
use super::model::{
    Action, Answered, Handle, Inserted, Listed, Name, NewRow, OwnedRow, Replaced, Replacement, Row, RowKey,
    SealedContent, Stats, TokenRecord,
};
#[cfg(feature = "postgres")]
use super::postgres::Postgres;
use super::receipt::{End, Reads, Receipt, Status, TokenMark};
use super::sqlite::Sqlite;
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;
use crate::network::Network;
use std::path::Path;

/// A storage engine. An enum instead of a trait: another engine is one more variant, and all are visible here.
#[cfg_attr(feature = "postgres", expect(clippy::large_enum_variant, reason = "there is one in a process"))]
pub(super) enum Engine {
    /// SQLite, in this process.
    Sqlite(Sqlite),
    /// PostgreSQL, which other servers may share.
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

/// Calls the method on either engine.
macro_rules! on_either {
    ($engine:expr, $name:ident => $call:expr) => {
        match $engine {
            Engine::Sqlite($name) => $call,
            #[cfg(feature = "postgres")]
            Engine::Postgres($name) => $call,
        }
    };
}

impl Engine {
    /// Begins a request on this thread.
    pub(super) fn begin_request(&self) {
        on_either!(self, engine => engine.begin_request());
    }

    /// Prepares for closing the store.
    pub(super) fn hurry(&self) {
        on_either!(self, engine => engine.hurry());
    }

    /// Checks whether the database responds.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        on_either!(self, engine => engine.health())
    }

    /// The stored value of a setting, initialized to `new`.
    pub(super) fn setting(&self, name: &'static str, new: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        on_either!(self, engine => engine.setting(name, new))
    }

    /// Stores a row with its content and spends its token.
    pub(super) fn insert(&self, row: NewRow) -> Result<Inserted, StoreError> {
        on_either!(self, engine => engine.insert(row))
    }

    /// The row with a name, expired or not; its expiry includes reads so far.
    pub(super) fn find(&self, name: &Name) -> Result<Option<Row>, StoreError> {
        on_either!(self, engine => engine.find(name))
    }

    /// Likewise, with the first sealed piece of the content.
    pub(super) fn find_with_piece(&self, name: &Name) -> Result<Option<(Row, Vec<u8>)>, StoreError> {
        on_either!(self, engine => engine.find_with_piece(name))
    }

    /// A sealed piece of content, by the key of a row's pieces; empty if there is none.
    pub(super) fn piece(&self, key: RowKey, number: u64) -> Result<Vec<u8>, StoreError> {
        on_either!(self, engine => engine.piece(key, number))
    }

    /// Uses one of a row's reads and returns its content of `size` bytes; `None` if none is left. The last one deletes
    /// the row, unless it has leases.
    pub(super) fn take(
        &self,
        key: RowKey,
        size: u64,
        folder: &Path,
        now: UnixSeconds,
    ) -> Result<Option<SealedContent>, StoreError> {
        on_either!(self, engine => engine.take(key, size, folder, now))
    }

    /// Uses one of a row's reads for a lease until `expires_at`. Returns how many are left, `None` if there was none.
    pub(super) fn lease(
        &self,
        key: RowKey,
        lease: Sha256Digest,
        expires_at: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<Option<u32>, StoreError> {
        on_either!(self, engine => engine.lease(key, lease, expires_at, now))
    }

    /// Whether a row has this lease.
    pub(super) fn is_leased(&self, key: RowKey, lease: Sha256Digest, now: UnixSeconds) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.is_leased(key, lease, now))
    }

    /// Ends a lease, and deletes the row if it has neither reads nor other leases. Returns whether the lease existed.
    pub(super) fn end_lease(&self, key: RowKey, lease: Sha256Digest, now: UnixSeconds) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.end_lease(key, lease, now))
    }

    /// The status of a row; `None` if it no longer exists.
    pub(super) fn status(&self, key: RowKey, now: UnixSeconds) -> Result<Option<Status>, StoreError> {
        on_either!(self, engine => engine.status(key, now))
    }

    /// The receipt of the ended row with this mark.
    pub(super) fn receipt(&self, token: TokenMark) -> Result<Option<Receipt>, StoreError> {
        on_either!(self, engine => engine.receipt(token))
    }

    /// Deletes a row with its content and keeps a receipt. Returns whether the row existed.
    pub(super) fn delete(&self, key: RowKey, end: End, now: UnixSeconds) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.delete(key, end, now))
    }

    /// Extends the expiry of a row, if a new one is given, and adds to its read count; a crash may lose the last 30
    /// seconds of this.
    pub(super) fn touch(&self, key: RowKey, ended_at: UnixSeconds, expires_at: Option<UnixSeconds>, reads: Reads) {
        on_either!(self, engine => engine.touch(key, ended_at, expires_at, reads));
    }

    /// Sets a fixed expiry. Returns whether the row exists.
    pub(super) fn set_expiry(&self, key: RowKey, expires_at: UnixSeconds) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.set_expiry(key, expires_at))
    }

    /// Replaces the content of a row without a read limit. Reads in progress have a few seconds to finish the old one.
    pub(super) fn replace(&self, key: RowKey, new: Replacement, now: UnixSeconds) -> Result<Replaced, StoreError> {
        on_either!(self, engine => engine.replace(key, new, now))
    }

    /// Stores the content of an unanswered ask.
    pub(super) fn answer(&self, key: RowKey, new: Replacement) -> Result<Answered, StoreError> {
        on_either!(self, engine => engine.answer(key, new))
    }

    /// The name of the unexpired token with this hash.
    pub(super) fn find_token(&self, hash: &Sha256Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        on_either!(self, engine => engine.find_token(hash, now))
    }

    /// All tokens, by name.
    pub(super) fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        on_either!(self, engine => engine.tokens())
    }

    /// Adds a token and a log line. Returns whether its name was free.
    pub(super) fn add_token(&self, hash: Sha256Digest, token: TokenRecord, action: Action) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.add_token(hash, token, action))
    }

    /// Removes the token with a name and adds a log line. Returns whether it existed.
    pub(super) fn remove_token(&self, name: String, action: Action) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.remove_token(name, action))
    }

    /// Up to `most` rows of an owner, expired or not, newest first, older than `before`.
    pub(super) fn owned(
        &self,
        owner: &Sha256Digest,
        before: Option<RowKey>,
        most: usize,
    ) -> Result<Vec<OwnedRow>, StoreError> {
        on_either!(self, engine => engine.owned(owner, before, most))
    }

    /// The row with a handle, expired or not.
    pub(super) fn find_by_handle(&self, handle: Handle) -> Result<Option<Row>, StoreError> {
        on_either!(self, engine => engine.find_by_handle(handle))
    }

    /// Up to `most` rows, expired or not, newest first, older than `before`.
    pub(super) fn list(&self, before: Option<RowKey>, most: usize) -> Result<Vec<Listed>, StoreError> {
        on_either!(self, engine => engine.list(before, most))
    }

    /// Removes a row and adds a log line; if a mark is given, its content is blocked from then on. Returns whether the
    /// row existed.
    pub(super) fn remove(
        &self,
        key: RowKey,
        blocked: Option<Sha256Digest>,
        action: Action,
    ) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.remove(key, blocked, action))
    }

    /// Unblocks content and adds a log line. Returns whether it was blocked.
    pub(super) fn unblock(&self, mark: Sha256Digest, action: Action) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.unblock(mark, action))
    }

    /// Adds a log line.
    pub(super) fn note(&self, action: Action) -> Result<(), StoreError> {
        on_either!(self, engine => engine.note(action))
    }

    /// The operators' log, oldest first.
    pub(super) fn actions(&self) -> Result<Vec<Action>, StoreError> {
        on_either!(self, engine => engine.actions())
    }

    /// Charges a client for a password attempt; an error is the number of seconds to wait before the next.
    pub(super) fn charge_try(
        &self,
        key: RowKey,
        network: Network,
        now: UnixSeconds,
    ) -> Result<Result<(), u64>, StoreError> {
        on_either!(self, engine => engine.charge_try(key, network, now))
    }

    /// Refunds a charge: the password was not checked.
    pub(super) fn refund_try(&self, key: RowKey, network: Network, now: UnixSeconds) -> Result<(), StoreError> {
        on_either!(self, engine => engine.refund_try(key, network, now))
    }

    /// Clears a client's charges: the password was correct.
    pub(super) fn forgive_tries(&self, key: RowKey, network: Network) -> Result<(), StoreError> {
        on_either!(self, engine => engine.forgive_tries(key, network))
    }

    /// Whether a proof-of-work token was spent.
    pub(super) fn is_spent(&self, token: &[u8]) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.is_spent(token))
    }

    /// Spends a proof-of-work token without creating anything.
    pub(super) fn spend(&self, token: Vec<u8>) -> Result<(), StoreError> {
        on_either!(self, engine => engine.spend(token))
    }

    /// Bytes of the database in use, which the quota counts.
    pub(super) fn used_bytes(&self) -> Result<u64, StoreError> {
        on_either!(self, engine => engine.used_bytes())
    }

    /// A number that changes when rows were deleted other than by this store's own calls, which invalidates caches.
    pub(super) fn generation(&self) -> u64 {
        on_either!(self, engine => engine.generation())
    }

    /// Statistics about the database.
    pub(super) fn stats(&self, now: UnixSeconds) -> Result<Stats, StoreError> {
        on_either!(self, engine => engine.stats(now))
    }

    /// Deletes expired rows and returns their number.
    pub(super) fn purge(&self, now: UnixSeconds) -> Result<u64, StoreError> {
        on_either!(self, engine => engine.purge(now))
    }

    /// Copies the live database to a new file and checks the copy.
    pub(super) fn backup(&self, target: &Path) -> Result<(), StoreError> {
        on_either!(self, engine => engine.backup(target))
    }

    /// Flushes what is still in memory and closes the database for writing.
    pub(super) fn close(&self) {
        on_either!(self, engine => engine.close());
    }
}
