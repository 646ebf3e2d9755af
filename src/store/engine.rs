//! The engines: what the store asks of whatever keeps its rows.
//!
//! Invariant: an operation is one transaction; what returned `Ok` is on the disk. An engine knows names, keyed hashes and
//! sealed bytes. Must never know ids, nor the rules of pastes: those are the store's.

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

/// What keeps the rows. An enum and not a trait: a second engine is one more variant, and a reader sees both.
#[cfg_attr(feature = "postgres", expect(clippy::large_enum_variant, reason = "there is one in a process"))]
pub(super) enum Engine {
    /// SQLite, in this process.
    Sqlite(Sqlite),
    /// PostgreSQL, which other servers may share.
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

/// The same call on whichever engine it is.
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
    /// A request begins on this thread.
    pub(super) fn begin_request(&self) {
        on_either!(self, engine => engine.begin_request());
    }

    /// The store is about to close.
    pub(super) fn hurry(&self) {
        on_either!(self, engine => engine.hurry());
    }

    /// Whether the database answers.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        on_either!(self, engine => engine.health())
    }

    /// The value of a setting the server keeps; `new` where there is none yet.
    pub(super) fn setting(&self, name: &'static str, new: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        on_either!(self, engine => engine.setting(name, new))
    }

    /// Stores a row with its content and spends its token.
    pub(super) fn insert(&self, row: NewRow) -> Result<Inserted, StoreError> {
        on_either!(self, engine => engine.insert(row))
    }

    /// The row of a name, expired or not, with its expiry as reads have moved it.
    pub(super) fn find(&self, name: &Name) -> Result<Option<Row>, StoreError> {
        on_either!(self, engine => engine.find(name))
    }

    /// The same and the first sealed piece of the content.
    pub(super) fn find_with_piece(&self, name: &Name) -> Result<Option<(Row, Vec<u8>)>, StoreError> {
        on_either!(self, engine => engine.find_with_piece(name))
    }

    /// A sealed piece of a content, by the key of a row's pieces; empty where there is none.
    pub(super) fn piece(&self, key: RowKey, number: u64) -> Result<Vec<u8>, StoreError> {
        on_either!(self, engine => engine.piece(key, number))
    }

    /// Takes one of a row's reads with its content of `size` bytes; `None` where none is left. The last one deletes the
    /// row, unless others hold leases of it.
    pub(super) fn take(
        &self,
        key: RowKey,
        size: u64,
        folder: &Path,
        now: UnixSeconds,
    ) -> Result<Option<SealedContent>, StoreError> {
        on_either!(self, engine => engine.take(key, size, folder, now))
    }

    /// Takes one of a row's reads for a lease until `expires_at`; how many are left, `None` where none was.
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

    /// Ends a lease, and deletes the row if it has neither reads nor other leases; whether there was that lease.
    pub(super) fn end_lease(&self, key: RowKey, lease: Sha256Digest, now: UnixSeconds) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.end_lease(key, lease, now))
    }

    /// How a row is; `None` where there is none any more.
    pub(super) fn status(&self, key: RowKey, now: UnixSeconds) -> Result<Option<Status>, StoreError> {
        on_either!(self, engine => engine.status(key, now))
    }

    /// What is kept of the row with this mark, which has ended.
    pub(super) fn receipt(&self, token: TokenMark) -> Result<Option<Receipt>, StoreError> {
        on_either!(self, engine => engine.receipt(token))
    }

    /// Deletes a row with its content, and keeps a receipt that says why; whether there was one.
    pub(super) fn delete(&self, key: RowKey, end: End, now: UnixSeconds) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.delete(key, end, now))
    }

    /// Moves the expiry of a row on, if there is a new one, from where it was, and adds to its reads; a crash may lose the
    /// last half minute of it.
    pub(super) fn touch(&self, key: RowKey, ended_at: UnixSeconds, expires_at: Option<UnixSeconds>, reads: Reads) {
        on_either!(self, engine => engine.touch(key, ended_at, expires_at, reads));
    }

    /// Has a row end at a moment, whatever happens; whether there is one.
    pub(super) fn set_expiry(&self, key: RowKey, expires_at: UnixSeconds) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.set_expiry(key, expires_at))
    }

    /// Puts another content in the place of a row's, which has no limit of reads. Whoever is in the middle of the old one has
    /// a few seconds to finish.
    pub(super) fn replace(&self, key: RowKey, new: Replacement, now: UnixSeconds) -> Result<Replaced, StoreError> {
        on_either!(self, engine => engine.replace(key, new, now))
    }

    /// Puts the content into a row that is an ask without one.
    pub(super) fn answer(&self, key: RowKey, new: Replacement) -> Result<Answered, StoreError> {
        on_either!(self, engine => engine.answer(key, new))
    }

    /// The name of the token with this hash, unless it has expired.
    pub(super) fn find_token(&self, hash: &Sha256Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        on_either!(self, engine => engine.find_token(hash, now))
    }

    /// All tokens, by name.
    pub(super) fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        on_either!(self, engine => engine.tokens())
    }

    /// Adds a token with a line in the log; whether its name was free.
    pub(super) fn add_token(&self, hash: Sha256Digest, token: TokenRecord, action: Action) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.add_token(hash, token, action))
    }

    /// Removes the token of a name with a line in the log; whether there was one.
    pub(super) fn remove_token(&self, name: String, action: Action) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.remove_token(name, action))
    }

    /// So many rows of an owner, expired or not, the newest first, older than the one with this key.
    pub(super) fn owned(
        &self,
        owner: &Sha256Digest,
        before: Option<RowKey>,
        most: usize,
    ) -> Result<Vec<OwnedRow>, StoreError> {
        on_either!(self, engine => engine.owned(owner, before, most))
    }

    /// The row of a handle, expired or not.
    pub(super) fn find_by_handle(&self, handle: Handle) -> Result<Option<Row>, StoreError> {
        on_either!(self, engine => engine.find_by_handle(handle))
    }

    /// So many rows, expired or not, the newest first, older than the one with this key.
    pub(super) fn list(&self, before: Option<RowKey>, most: usize) -> Result<Vec<Listed>, StoreError> {
        on_either!(self, engine => engine.list(before, most))
    }

    /// Takes a row down with a line in the log, and has its content refused from then on where its mark is given; whether
    /// there was that row.
    pub(super) fn remove(
        &self,
        key: RowKey,
        blocked: Option<Sha256Digest>,
        action: Action,
    ) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.remove(key, blocked, action))
    }

    /// Accepts a content again, with a line in the log; whether it was refused.
    pub(super) fn unblock(&self, mark: Sha256Digest, action: Action) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.unblock(mark, action))
    }

    /// Keeps a line in the log.
    pub(super) fn note(&self, action: Action) -> Result<(), StoreError> {
        on_either!(self, engine => engine.note(action))
    }

    /// What operators did, the oldest first.
    pub(super) fn actions(&self) -> Result<Vec<Action>, StoreError> {
        on_either!(self, engine => engine.actions())
    }

    /// Charges a client for a password it tries; the seconds to wait, if it may not try yet.
    pub(super) fn charge_try(
        &self,
        key: RowKey,
        network: Network,
        now: UnixSeconds,
    ) -> Result<Result<(), u64>, StoreError> {
        on_either!(self, engine => engine.charge_try(key, network, now))
    }

    /// Takes a charge back: the password was not looked at.
    pub(super) fn refund_try(&self, key: RowKey, network: Network, now: UnixSeconds) -> Result<(), StoreError> {
        on_either!(self, engine => engine.refund_try(key, network, now))
    }

    /// Forgets a client's charges: the password was right.
    pub(super) fn forgive_tries(&self, key: RowKey, network: Network) -> Result<(), StoreError> {
        on_either!(self, engine => engine.forgive_tries(key, network))
    }

    /// Whether a proof-of-work token was spent.
    pub(super) fn is_spent(&self, token: &[u8]) -> Result<bool, StoreError> {
        on_either!(self, engine => engine.is_spent(token))
    }

    /// Spends a proof-of-work token on nothing.
    pub(super) fn spend(&self, token: Vec<u8>) -> Result<(), StoreError> {
        on_either!(self, engine => engine.spend(token))
    }

    /// Bytes of the database in use, which the quota counts.
    pub(super) fn used_bytes(&self) -> Result<u64, StoreError> {
        on_either!(self, engine => engine.used_bytes())
    }

    /// A number that changes when rows have gone otherwise than by this store's own calls: what was remembered of rows
    /// before is to be forgotten.
    pub(super) fn generation(&self) -> u64 {
        on_either!(self, engine => engine.generation())
    }

    /// Figures about the database.
    pub(super) fn stats(&self, now: UnixSeconds) -> Result<Stats, StoreError> {
        on_either!(self, engine => engine.stats(now))
    }

    /// Deletes what has expired; how many rows.
    pub(super) fn purge(&self, now: UnixSeconds) -> Result<u64, StoreError> {
        on_either!(self, engine => engine.purge(now))
    }

    /// Copies the live database into a new file and checks the copy.
    pub(super) fn backup(&self, target: &Path) -> Result<(), StoreError> {
        on_either!(self, engine => engine.backup(target))
    }

    /// Writes out what is still in memory and closes the database for writing.
    pub(super) fn close(&self) {
        on_either!(self, engine => engine.close());
    }
}
