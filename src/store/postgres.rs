//! The shared engine: a PostgreSQL database used by any number of servers, and the only code that uses its client
//! library.
//!
//! Invariant: after `Ok` a change is committed, also on the synchronous standby if there is one; if the outcome is
//! unknown, no content is returned. Servers share nothing but the database. Must never read from a standby, nor wait
//! for the database without a deadline.

mod address;
mod changes;
mod connection;
mod connector;
mod ends;
mod fault;
mod flush;
mod guesses;
mod housekeeping;
mod import;
mod operators;
mod pool;
mod queries;
mod quota;
mod reads;
mod schema;
mod standby;
mod time;
mod tls;
mod turns;
mod value;

pub use address::Address;

use super::inactivity::{FLUSH_INTERVAL, Touched};
use super::model::{
    Action, Answered, Handle, Inserted, Listed, Name, NewRow, OwnedRow, Replaced, Replacement, Row, RowKey,
    SealedContent, Stats, TokenRecord,
};
use super::moved::Imported;
use super::receipt::{End, Reads, Receipt, Status, TokenMark};
use super::sealing::Pepper;
use super::sqlite::Export;
use super::{Limits, Role, StoreError};
use crate::clock::{UnixSeconds, unix_now};
use crate::crypto::Sha256Digest;
use crate::network::Network;
use connection::Connection;
use connector::Connector;
use ends::{Ending, Keeping};
use fault::Fault;
use flush::{Arrival, Clock};
use housekeeping::{CHORE_TIME, Calls, Housekeeper, flush_all, purge_all};
use pool::Pool;
use quota::Quota;
use reads::Taking;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Reads of a paste with less time left than this, in seconds, are written at once: others could see it expire before
/// the next flush.
const WRITE_THROUGH_SECONDS: u64 = 60;
/// The time limit of a health check.
const HEALTH_TIME: Duration = Duration::from_secs(3);
/// The part of a call's time reserved for finding out its outcome.
const SETTLING_TIME: Duration = Duration::from_millis(1500);

/// State shared by the engine and its housekeeping.
struct Shared {
    pool: Pool,
    limits: Limits,
    clock: Clock,
    calls: Calls,
}

impl Shared {
    /// How long a read may be only in this server's memory.
    fn flush_interval(&self) -> Duration {
        Duration::from_secs(self.limits.expiry_seconds / 4).clamp(Duration::from_secs(1), FLUSH_INTERVAL)
    }

    /// What is kept of an ending paste with these unflushed reads.
    fn keeping(&self, unflushed: Touched) -> Keeping {
        Keeping { receipts: self.limits.receipt_seconds > 0, unflushed, is_frugal: false }
    }
}

/// A connected database.
pub(super) struct Postgres {
    shared: Arc<Shared>,
    quota: Quota,
    /// The key for hashing clients that guess passwords.
    guess_key: Sha256Digest,
    /// `None` in commands, and once closed.
    housekeeper: Mutex<Option<Housekeeper>>,
}

#[expect(
    clippy::needless_pass_by_value,
    clippy::unused_self,
    reason = "the operations are those of both engines, and the other one gives what it gets to its writing thread"
)]
impl Postgres {
    /// Connects to the database, creates or migrates its tables if necessary, and reads its pepper.
    ///
    /// # Errors
    /// A message for the operator; a refused database is left unchanged.
    pub(super) fn open(
        address: &Address,
        pepper_file: &Path,
        limits: Limits,
        role: Role,
    ) -> Result<(Self, Pepper), StoreError> {
        let connector = Connector::new(address.clone()).map_err(StoreError::Failed)?;
        let pool = Pool::new(connector);
        let pepper = schema::prepare(&pool, pepper_file, role)?;
        let shared = Arc::new(Shared { pool, limits, clock: Clock::default(), calls: Calls::default() });
        let housekeeper = (role == Role::Server).then(|| Housekeeper::start(Arc::clone(&shared))).transpose()?;
        let (quota, guess_key) = (Quota::of(limits.max_db_bytes), pepper.guess_key());
        Ok((Self { shared, quota, guess_key, housekeeper: Mutex::new(housekeeper) }, pepper))
    }

    /// Imports everything from another engine's database.
    pub(super) fn import(&self, export: &Export) -> Result<Imported, StoreError> {
        import::import(&self.shared.pool, export, unix_now())
    }

    fn read<T>(&self, work: impl FnMut(&mut Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        self.shared.pool.read(work)
    }

    fn change<T>(&self, work: impl FnMut(&mut Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        self.shared.pool.change(work)
    }

    /// Makes a change that may end a paste. If the database's disk has no room for its receipt, it ends without one.
    fn end<T>(
        &self,
        key: RowKey,
        has_ended: impl Fn(&T) -> bool,
        mut work: impl FnMut(&mut Connection, Keeping) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let unflushed = self.shared.clock.take(key);
        let keeping = self.shared.keeping(unflushed);
        let outcome = match self.change(|connection| work(connection, keeping)) {
            Err(StoreError::Full) => self.change(|connection| work(connection, keeping.frugal())),
            outcome => outcome,
        };
        // The receipt, if there is one now, includes the unflushed reads.
        let arrival = match &outcome {
            Ok(outcome) if has_ended(outcome) => Arrival::Arrived,
            Err(StoreError::OutcomeUnknown(_)) => Arrival::Unknown,
            _ => Arrival::Failed,
        };
        self.shared.clock.give_back(key, unflushed, arrival);
        self.quota.recount();
        outcome
    }

    /// Checks whether the database responds and its clock agrees with ours.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + HEALTH_TIME;
        self.shared.pool.try_read(deadline, time::agreed).map(|_| ()).map_err(StoreError::from)
    }

    pub(super) fn setting(&self, name: &'static str, new: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.change(|connection| schema::setting(connection, name, &new))
    }

    pub(super) fn insert(&self, row: NewRow) -> Result<Inserted, StoreError> {
        self.expect_room(row.content.size, row.arriving_bytes)?;
        let limits = self.shared.limits;
        let deadline = pool::deadline();
        let try_insert = |connection: &mut Connection| queries::insert(connection, &row, limits);
        let inserted = match self.shared.pool.try_change(trying_deadline(deadline), try_insert) {
            Err(Fault::Unknown(reason)) => self.settle_insert(&row, settling_deadline(deadline), &reason),
            other => Ok(other?),
        };
        if matches!(inserted, Ok(Inserted::Stored)) {
            self.quota.add(queries::bytes_of(row.content.size));
        }
        inserted
    }

    /// Finds out the outcome of a create whose response was lost: its delete token is unique. If it is not there, a
    /// retry either creates it or finds it.
    fn settle_insert(&self, row: &NewRow, deadline: Instant, reason: &str) -> Result<Inserted, StoreError> {
        let limits = self.shared.limits;
        let mut unknown = StoreError::OutcomeUnknown(format!("PostgreSQL: {reason}"));
        let (mut refusal, mut has_refused) = (None, false);
        while Connector::has_time(deadline) {
            let settled = self.shared.pool.try_change(deadline, |connection| {
                if queries::is_stored(connection, row)? {
                    return Ok(None);
                }
                // The earlier attempt was over when the same one was refused.
                refusal.take().map_or_else(|| queries::insert(connection, row, limits), Ok).map(Some)
            });
            match settled {
                // We created it; a later confirmed commit proves that it is durable.
                Ok(None) => return self.confirm(deadline).map(|()| Inserted::Stored),
                Ok(Some(Inserted::Stored)) => return Ok(Inserted::Stored),
                Ok(Some(refused)) if has_refused => return Ok(refused),
                // The earlier attempt may have been in progress when we looked, and have won.
                Ok(Some(refused)) => (refusal, has_refused) = (Some(refused), true),
                Err(Fault::Unknown(reason)) => unknown = StoreError::OutcomeUnknown(format!("PostgreSQL: {reason}")),
                Err(_) => return Err(unknown),
            }
        }
        Err(unknown)
    }

    /// Commits something, which proves that all earlier commits are on the standby, too.
    fn confirm(&self, deadline: Instant) -> Result<(), StoreError> {
        let confirmed = self.shared.pool.try_change(deadline, standby::confirm);
        // Whatever the fault, the change may not be durable.
        confirmed.map_err(|fault| StoreError::OutcomeUnknown(StoreError::from(fault).to_string()))
    }

    pub(super) fn find(&self, name: &Name) -> Result<Option<Row>, StoreError> {
        let row = self.read(|connection| queries::find(connection, name))?;
        Ok(row.map(|row| self.with_clock(row)))
    }

    pub(super) fn find_with_piece(&self, name: &Name) -> Result<Option<(Row, Vec<u8>)>, StoreError> {
        let found = self.read(|connection| queries::find_with_piece(connection, name))?;
        Ok(found.map(|(row, piece)| (self.with_clock(row), piece)))
    }

    /// Applies unflushed reads.
    fn with_clock(&self, mut row: Row) -> Row {
        row.meta.expiry = self.shared.clock.applied_to(row.key, row.meta.expiry);
        row
    }

    pub(super) fn piece(&self, key: RowKey, number: u64) -> Result<Vec<u8>, StoreError> {
        self.shared.pool.fetch(|connection| queries::piece(connection, key, number))
    }

    pub(super) fn take(
        &self,
        key: RowKey,
        size: u64,
        folder: &Path,
        now: UnixSeconds,
    ) -> Result<Option<SealedContent>, StoreError> {
        let taking = |keeping| Taking { key, size, folder, now, keeping };
        self.end(key, Option::is_some, |connection, keeping| reads::take(connection, taking(keeping)))
    }

    pub(super) fn lease(
        &self,
        key: RowKey,
        hash: Sha256Digest,
        expires_at: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<Option<u32>, StoreError> {
        let moved_to = self.shared.clock.waiting(key).expires_at;
        let deadline = pool::deadline();
        let lease = |connection: &mut Connection| reads::lease(connection, key, &hash, expires_at, now, moved_to);
        match self.shared.pool.try_change(trying_deadline(deadline), lease) {
            Err(Fault::Unknown(reason)) => {
                let deadline = settling_deadline(deadline);
                // Nobody else knows this lease: if it exists, it is ours.
                let found = self.shared.pool.try_read(deadline, |connection| reads::find_lease(connection, key, &hash));
                let Ok(Some(left)) = found else {
                    return Err(StoreError::OutcomeUnknown(format!("PostgreSQL: {reason}")));
                };
                self.confirm(deadline).map(|()| Some(left))
            }
            other => Ok(other?),
        }
    }

    pub(super) fn is_leased(&self, key: RowKey, hash: Sha256Digest, now: UnixSeconds) -> Result<bool, StoreError> {
        self.read(|connection| reads::is_leased(connection, key, &hash, now))
    }

    pub(super) fn end_lease(&self, key: RowKey, hash: Sha256Digest, now: UnixSeconds) -> Result<bool, StoreError> {
        // The paste may continue to exist: its unflushed reads must still be written then.
        self.end(key, |_| false, |connection, keeping| reads::end_lease(connection, key, &hash, now, keeping))
    }

    pub(super) fn status(&self, key: RowKey, now: UnixSeconds) -> Result<Option<Status>, StoreError> {
        let unflushed = self.shared.clock.waiting(key);
        self.read(|connection| ends::status(connection, key, now, unflushed))
    }

    pub(super) fn receipt(&self, token: TokenMark) -> Result<Option<Receipt>, StoreError> {
        self.read(|connection| ends::receipt(connection, token))
    }

    pub(super) fn delete(&self, key: RowKey, end: End, now: UnixSeconds) -> Result<bool, StoreError> {
        let ending = Ending { key, ended_at: now, end };
        self.end(key, |deleted| *deleted, |connection, keeping| ends::end_one(connection, ending, keeping))
    }

    pub(super) fn touch(&self, key: RowKey, ended_at: UnixSeconds, expires_at: Option<UnixSeconds>, reads: Reads) {
        self.shared.clock.touch(key, expires_at.unwrap_or(0), reads);
        if expires_at.is_some() && ended_at < unix_now() + WRITE_THROUGH_SECONDS {
            // On another thread: a reader does not wait for a commit.
            self.shared.calls.flush();
        }
    }

    pub(super) fn set_expiry(&self, key: RowKey, expires_at: UnixSeconds) -> Result<bool, StoreError> {
        self.change(|connection| changes::set_expiry(connection, key, expires_at))
    }

    pub(super) fn replace(&self, key: RowKey, new: Replacement, now: UnixSeconds) -> Result<Replaced, StoreError> {
        self.expect_room(new.content.size, new.arriving_bytes)?;
        let replaced = self.change(|connection| changes::replace(connection, key, &new, now))?;
        self.quota.recount();
        Ok(replaced)
    }

    pub(super) fn answer(&self, key: RowKey, new: Replacement) -> Result<Answered, StoreError> {
        self.expect_room(new.content.size, new.arriving_bytes)?;
        let deadline = pool::deadline();
        let answer = |connection: &mut Connection| changes::answer(connection, key, &new);
        let answered = match self.shared.pool.try_change(trying_deadline(deadline), answer) {
            Err(Fault::Unknown(reason)) => {
                self.settle_answer(key, &new.sealed_key, settling_deadline(deadline), &reason)
            }
            other => Ok(other?),
        };
        self.quota.recount();
        answered
    }

    /// Finds out the outcome of an answer if it is unknown.
    fn settle_answer(
        &self,
        key: RowKey,
        sealed_key: &[u8],
        deadline: Instant,
        reason: &str,
    ) -> Result<Answered, StoreError> {
        let find = |connection: &mut Connection| changes::find_answer(connection, key, sealed_key);
        match self.shared.pool.try_read(deadline, find) {
            // A later confirmed commit proves that it is durable.
            Ok(Answered::Done) => self.confirm(deadline).map(|()| Answered::Done),
            Ok(Answered::Already) => Ok(Answered::Already),
            // It may still be in progress.
            _ => Err(StoreError::OutcomeUnknown(format!("PostgreSQL: {reason}"))),
        }
    }

    pub(super) fn find_token(&self, hash: &Sha256Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        self.read(|connection| operators::find_token(connection, hash, now))
    }

    pub(super) fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read(operators::tokens)
    }

    pub(super) fn add_token(&self, hash: Sha256Digest, token: TokenRecord, action: Action) -> Result<bool, StoreError> {
        self.change(|connection| operators::add_token(connection, &hash, &token, &action))
    }

    pub(super) fn remove_token(&self, name: String, action: Action) -> Result<bool, StoreError> {
        self.change(|connection| operators::remove_token(connection, &name, &action))
    }

    pub(super) fn owned(
        &self,
        owner: &Sha256Digest,
        before: Option<RowKey>,
        most: usize,
    ) -> Result<Vec<OwnedRow>, StoreError> {
        let rows = self.read(|connection| operators::owned(connection, owner, before, most))?;
        Ok(rows.into_iter().map(|owned| OwnedRow { row: self.with_clock(owned.row), ..owned }).collect())
    }

    pub(super) fn find_by_handle(&self, handle: Handle) -> Result<Option<Row>, StoreError> {
        self.read(|connection| queries::find_by_handle(connection, handle))
    }

    pub(super) fn list(&self, before: Option<RowKey>, most: usize) -> Result<Vec<Listed>, StoreError> {
        self.read(|connection| operators::list(connection, before, most))
    }

    pub(super) fn remove(
        &self,
        key: RowKey,
        blocked: Option<Sha256Digest>,
        action: Action,
    ) -> Result<bool, StoreError> {
        self.end(
            key,
            |removed| *removed,
            |connection, keeping| operators::remove(connection, key, blocked.as_ref(), &action, keeping),
        )
    }

    pub(super) fn unblock(&self, mark: Sha256Digest, action: Action) -> Result<bool, StoreError> {
        self.change(|connection| operators::unblock(connection, &mark, &action))
    }

    pub(super) fn note(&self, action: Action) -> Result<(), StoreError> {
        self.change(|connection| operators::note(connection, &action))
    }

    pub(super) fn actions(&self) -> Result<Vec<Action>, StoreError> {
        self.read(operators::actions)
    }

    pub(super) fn charge_try(
        &self,
        key: RowKey,
        network: Network,
        now: UnixSeconds,
    ) -> Result<Result<(), u64>, StoreError> {
        self.read(|connection| guesses::charge(connection, &self.guess_key, key, network, now))
    }

    pub(super) fn refund_try(&self, key: RowKey, network: Network, now: UnixSeconds) -> Result<(), StoreError> {
        self.read(|connection| guesses::refund(connection, &self.guess_key, key, network, now))
    }

    pub(super) fn forgive_tries(&self, key: RowKey, network: Network) -> Result<(), StoreError> {
        self.read(|connection| guesses::forgive(connection, &self.guess_key, key, network))
    }

    pub(super) fn is_spent(&self, token: &[u8]) -> Result<bool, StoreError> {
        self.read(|connection| queries::is_spent(connection, token))
    }

    pub(super) fn spend(&self, token: Vec<u8>) -> Result<(), StoreError> {
        self.change(|connection| queries::spend(connection, &token))
    }

    pub(super) fn used_bytes(&self) -> Result<u64, StoreError> {
        self.quota.used_bytes(|| self.read(queries::used_bytes))
    }

    fn expect_room(&self, bytes: u64, arriving_bytes: u64) -> Result<(), StoreError> {
        let used_bytes = || self.read(queries::used_bytes);
        if self.quota.has_room(bytes.saturating_add(arriving_bytes), used_bytes)? {
            Ok(())
        } else {
            Err(StoreError::Full)
        }
    }

    /// Other servers may change rows at any time: nothing is cached.
    pub(super) fn generation(&self) -> u64 {
        0
    }

    pub(super) fn stats(&self, now: UnixSeconds) -> Result<Stats, StoreError> {
        self.read(|connection| queries::stats(connection, now))
    }

    pub(super) fn purge(&self, now: UnixSeconds) -> Result<u64, StoreError> {
        purge_all(&self.shared, now)
    }

    pub(super) fn backup(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Failed(BACKUP_REFUSAL.into()))
    }

    /// Prepares for closing the store: remaining calls must finish soon.
    pub(super) fn hurry(&self) {
        self.shared.pool.hurry();
    }

    /// Begins a request: its database time counts from here.
    pub(super) fn begin_request(&self) {
        pool::begin_request();
    }

    pub(super) fn close(&self) {
        self.hurry();
        let housekeeper = self.housekeeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(housekeeper) = housekeeper {
            housekeeper.stop();
            if let (_, Err(error)) = flush_all(&self.shared, CHORE_TIME) {
                crate::operator_log::message(&format!("cannot write the last reads to the database: {error}"));
            }
        }
        self.shared.pool.close();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.close();
    }
}

/// The deadline for a call that leaves time for finding out its outcome.
fn trying_deadline(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    Instant::now() + left.saturating_sub(SETTLING_TIME).max(SETTLING_TIME / 3)
}

/// The deadline for finding out the outcome of a call; large content may have taken longer.
fn settling_deadline(deadline: Instant) -> Instant {
    deadline.max(Instant::now() + SETTLING_TIME / 2)
}

/// Why `backup` refuses a shared database.
const BACKUP_REFUSAL: &str = "back up a PostgreSQL database with its own tools: pg_dump, or pgBackRest \
                              for point-in-time recovery; keep the pepper elsewhere";
