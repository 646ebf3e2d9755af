//! Each server's housekeeping, every second: flush reads, end expired leases and pastes, and delete outdated rows.
//!
//! Invariant: servers do not wait for each other: they skip rows that another one has locked. Must never end a paste
//! whose expiry was extended by a read on any server.

use super::super::inactivity::{FLUSH_INTERVAL, Touched};
use super::super::receipt::End;
use super::super::{Limits, StoreError};
use super::connection::Connection;
use super::ends::{self, Ending, Keeping};
use super::fault::Fault;
use super::flush::Arrival;
use super::time::{self, MOST_DIFFERENCE};
use super::value::{Columns, Value, signed};
use super::{Shared, changes, flush, guesses, reads};
use crate::clock::UnixSeconds;
use crate::operator_log;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// The interval between rounds.
const INTERVAL: Duration = Duration::from_secs(1);
/// The interval between searches for orphaned rows.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1800);
/// The grace period of a sliding paste in a purge: twice what a server may hold in memory.
const PURGE_GRACE_SECONDS: u64 = 2 * FLUSH_INTERVAL.as_secs();
/// How long a chore may wait for the database, so that stopping does not take long.
pub(super) const CHORE_TIME: Duration = Duration::from_secs(3);
/// The maximum duration of the end of a paste.
const END_TIME: Duration = Duration::from_secs(15);
/// Seconds after which a spent proof-of-work token has certainly expired, even on a server with a different clock.
const TOKEN_GRACE_SECONDS: u64 = 60;
/// Expired pastes purged in one transaction.
const PURGE_PASTES: u64 = 100;
/// Outdated rows deleted in one statement.
const FORGET_ROWS: u64 = 1000;
/// Entries flushed in one statement.
const FLUSH_BATCH: usize = 1000;

/// Whether there is anything to purge: most rounds find nothing and should not lock anything.
const IS_DUE: &str = "SELECT coalesce((SELECT min(expires_at) FROM paste) <= $1, false) AS is_due";
const DUE: &str = "SELECT p.key, p.slides, p.expires_at, coalesce(s.expires_at, 0) AS seen, p.reads_left \
                   FROM paste p LEFT JOIN seen s ON s.key = p.key \
                   WHERE p.expires_at <= $1 AND (NOT p.slides OR p.expires_at <= $2) \
                   ORDER BY p.expires_at LIMIT $3 FOR UPDATE OF p SKIP LOCKED";
/// Updates the index for pastes extended by reads, so that the next round skips them.
const MOVE_ON: &str = "UPDATE paste p SET expires_at = m.expires_at FROM unnest($1, $2) AS m (key, expires_at) \
                       WHERE p.key = m.key";
const FORGET_SUBMISSIONS: &str = "DELETE FROM submission WHERE hash IN (SELECT hash FROM submission WHERE last <= $1 \
                                  ORDER BY last LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1";
const FORGET_TOKENS: &str = "DELETE FROM spent_token WHERE token IN (SELECT token FROM spent_token WHERE token < $1 \
                             ORDER BY token LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1";
/// Rows left behind by a server that has stopped.
const SWEEP_SEEN: &str = "DELETE FROM seen WHERE key IN (SELECT s.key FROM seen s LEFT JOIN paste p ON p.key = s.key \
                          WHERE p.key IS NULL LIMIT $1)";
const SWEEP_PIECES: &str = "DELETE FROM piece WHERE content IN (SELECT DISTINCT c.content FROM piece c \
                            WHERE NOT EXISTS (SELECT FROM paste p WHERE p.content = c.content) \
                            AND NOT EXISTS (SELECT FROM replaced r WHERE r.content = c.content) LIMIT $1)";

/// A message to the housekeeping thread.
#[derive(Default)]
pub(super) struct Calls {
    thread: OnceLock<Thread>,
    wants_flush: AtomicBool,
    wants_stop: AtomicBool,
}

impl Calls {
    /// Flush reads now.
    pub(super) fn flush(&self) {
        if !self.wants_flush.swap(true, Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// The housekeeping thread.
pub(super) struct Housekeeper {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Housekeeper {
    /// # Errors
    /// When the system refuses another thread.
    pub(super) fn start(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let keeper = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("housekeeper".into())
            .spawn(move || run(&keeper))
            .map_err(|error| StoreError::Failed(format!("cannot start the housekeeping thread: {error}")))?;
        // It is the only one.
        let _ = shared.calls.thread.set(thread.thread().clone());
        Ok(Self { shared, thread })
    }

    /// Stops the thread and waits for it.
    pub(super) fn stop(self) {
        self.shared.calls.wants_stop.store(true, Ordering::SeqCst);
        self.shared.calls.wake();
        let _ = self.thread.join();
    }
}

fn run(shared: &Shared) {
    let mut chores = Chores::new(shared);
    let mut next_round = Instant::now();
    while !shared.calls.wants_stop.load(Ordering::SeqCst) {
        if shared.calls.wants_flush.swap(false, Ordering::SeqCst) {
            let flushed = chores.flush();
            chores.log(&flushed);
        }
        if Instant::now() >= next_round {
            // A panic here is a bug in one chore; the others continue.
            let more = catch_unwind(AssertUnwindSafe(|| chores.round())).unwrap_or(false);
            next_round = Instant::now() + if more { Duration::ZERO } else { INTERVAL };
        }
        // A message that arrived meanwhile ends the wait at once.
        std::thread::park_timeout(next_round.saturating_duration_since(Instant::now()));
    }
}

/// The schedule, and whether the last round failed.
struct Chores<'a> {
    shared: &'a Shared,
    next_flush: Instant,
    next_sweep: Instant,
    /// Pastes whose reads were flushed, and when.
    written: VecDeque<(Instant, Vec<i64>)>,
    has_failed: bool,
    /// When the database became available again.
    back_at: Option<Instant>,
}

impl<'a> Chores<'a> {
    fn new(shared: &'a Shared) -> Self {
        let now = Instant::now();
        let (next_flush, next_sweep) = (now + shared.flush_interval(), now + SWEEP_INTERVAL);
        Self { shared, next_flush, next_sweep, written: VecDeque::new(), has_failed: false, back_at: None }
    }

    /// Runs a round. Returns whether there is more to do at once.
    fn round(&mut self) -> bool {
        let result = self.try_round();
        self.log(&result);
        result.unwrap_or(false)
    }

    /// Logs only the first of consecutive failures, and the recovery.
    fn log<T>(&mut self, result: &Result<T, StoreError>) {
        match result {
            Err(error) if !self.has_failed => operator_log::message(&format!("database housekeeping failed: {error}")),
            Ok(_) if self.has_failed => {
                self.back_at = Some(Instant::now());
                operator_log::message("database housekeeping works again");
            }
            _ => {}
        }
        self.has_failed = result.is_err();
    }

    fn try_round(&mut self) -> Result<bool, StoreError> {
        if Instant::now() >= self.next_flush || self.shared.clock.is_full() {
            self.flush()?;
        }
        self.move_orphans()?;
        let pool = &self.shared.pool;
        // By the database's clock, or not at all; what has just expired by it may not have by another server's.
        let agreed = pool.try_read(Instant::now() + CHORE_TIME, time::agreed)?;
        let now = agreed.saturating_sub(MOST_DIFFERENCE.as_secs());
        let keeping = self.shared.keeping(Touched::default());
        let ended = pool.change_within(CHORE_TIME, |connection| reads::end_some(connection, now, keeping))?;
        // After an outage, other servers may hold reads that could not be flushed for long.
        let is_early = self.has_failed || self.back_at.is_some_and(|at| at.elapsed() < FLUSH_INTERVAL);
        let settled = if is_early { 0 } else { purge_some(self.shared, now)?.settled };
        pool.change_within(CHORE_TIME, |connection| changes::erase_outdated(connection, agreed))?;
        let forgotten =
            pool.change_within(CHORE_TIME, |connection| forget_some(connection, now, self.shared.limits))?;
        if Instant::now() >= self.next_sweep {
            self.next_sweep = Instant::now() + SWEEP_INTERVAL;
            pool.change_within(CHORE_TIME, sweep)?;
        }
        Ok(ended > 0 || settled > 0 || forgotten as u64 >= FORGET_ROWS)
    }

    /// Flushes all reads.
    fn flush(&mut self) -> Result<(), StoreError> {
        let (keys, result) = flush_all(self.shared, CHORE_TIME);
        if !keys.is_empty() {
            self.written.push_back((Instant::now(), keys));
        }
        // Parts that failed are retried in the next round.
        let pause = if result.is_ok() { self.shared.flush_interval() } else { Duration::ZERO };
        self.next_flush = Instant::now() + pause;
        result
    }

    /// After a while, moves reads flushed for ending pastes into their receipts.
    fn move_orphans(&mut self) -> Result<(), StoreError> {
        while let Some((_, keys)) = self.written.front().filter(|(at, _)| at.elapsed() > END_TIME) {
            for keys in keys.chunks(FLUSH_BATCH) {
                let move_them = |connection: &mut Connection| flush::move_orphans(connection, keys);
                self.shared.pool.change_within(CHORE_TIME, move_them)?;
            }
            self.written.pop_front();
        }
        Ok(())
    }
}

/// Writes all that reads have done; the keys of the pastes it is or may be written beside.
pub(super) fn flush_all(shared: &Shared, time: Duration) -> (Vec<i64>, Result<(), StoreError>) {
    let (touched, mut keys, mut result) = (shared.clock.begin_flush(), Vec::new(), Ok(()));
    for batch in touched.chunks(FLUSH_BATCH) {
        // After a failure, the rest is not attempted.
        let arrival = if result.is_err() {
            Arrival::Failed
        } else {
            result = shared.pool.change_within(time, |connection| flush::write(connection, batch));
            match &result {
                Ok(()) => Arrival::Arrived,
                Err(StoreError::OutcomeUnknown(_)) => Arrival::Unknown,
                Err(_) => Arrival::Failed,
            }
        };
        if arrival != Arrival::Failed {
            keys.extend(batch.iter().map(|(key, _)| key.0));
        }
        shared.clock.end_flush(batch, arrival);
    }
    (keys, result)
}

/// Deletes orphaned rows.
fn sweep(connection: &mut Connection) -> Result<(), Fault> {
    connection.change(SWEEP_SEEN, &[FORGET_ROWS.into()])?;
    connection.change(SWEEP_PIECES, &[FORGET_ROWS.into()]).map(|_| ())
}

/// The result of a batch of the purge.
struct Purged {
    /// Rows that are no longer due: deleted, or extended by reads.
    settled: usize,
    /// Pastes deleted.
    deleted: u64,
}

/// Ends all expired pastes and returns their number.
pub(super) fn purge_all(shared: &Shared, now: UnixSeconds) -> Result<u64, StoreError> {
    let mut deleted = 0;
    loop {
        let purged = purge_some(shared, now)?;
        deleted += purged.deleted;
        if purged.settled == 0 {
            return Ok(deleted);
        }
    }
}

/// Ends some expired pastes. If the database's disk has no room for their receipts, they leave none.
fn purge_some(shared: &Shared, now: UnixSeconds) -> Result<Purged, StoreError> {
    let keeping = shared.keeping(Touched::default());
    match shared.pool.change_within(CHORE_TIME, |connection| purge_batch(connection, now, keeping)) {
        Err(StoreError::Full) => {
            shared.pool.change_within(CHORE_TIME, |connection| purge_batch(connection, now, keeping.frugal()))
        }
        purged => purged,
    }
}

fn purge_batch(connection: &mut Connection, now: UnixSeconds, keeping: Keeping) -> Result<Purged, Fault> {
    let nothing = Purged { settled: 0, deleted: 0 };
    if !connection.is_true(IS_DUE, &[now.into()])? {
        return Ok(nothing);
    }
    let purged = connection.transaction(|connection| {
        let spared = now.saturating_sub(PURGE_GRACE_SECONDS);
        let rows = connection.query(DUE, &[now.into(), spared.into(), PURGE_PASTES.into()])?;
        let (mut endings, mut alive) = (Vec::new(), Vec::new());
        for row in &rows {
            let (key, seen, expires_at) = (row.key("key")?, row.number("seen")?, row.number("expires_at")?);
            if row.flag("slides")? && seen > spared {
                alive.push((key.0, signed(seen)));
                continue;
            }
            let ended_at = if row.flag("slides")? { seen.max(expires_at) } else { expires_at };
            endings.push(Ending { key, ended_at, end: End::by_expiry(row.count("reads_left")?) });
        }
        if rows.is_empty() {
            return Ok(None);
        }
        move_on(connection, alive)?;
        let deleted = if endings.is_empty() { 0 } else { ends::end(connection, &endings, keeping)? };
        Ok(Some(Purged { settled: rows.len(), deleted }))
    })?;
    Ok(purged.unwrap_or(nothing))
}

fn move_on(connection: &mut Connection, mut alive: Vec<(i64, i64)>) -> Result<(), Fault> {
    if alive.is_empty() {
        return Ok(());
    }
    alive.sort_unstable();
    let (keys, ends): (Vec<i64>, Vec<i64>) = alive.into_iter().unzip();
    connection.query(MOVE_ON, &[Value::Ints(&keys), Value::Ints(&ends)]).map(|_| ())
}

/// Deletes outdated submissions, tokens, guesses and receipts. Returns the number of rows of the fullest table.
fn forget_some(connection: &mut Connection, now: UnixSeconds, limits: Limits) -> Result<usize, Fault> {
    let oldest_kept = now.saturating_sub(limits.dedup_window_seconds);
    let submissions = connection.change(FORGET_SUBMISSIONS, &[oldest_kept.into(), FORGET_ROWS.into()])?.len();
    let expired_token = now.saturating_sub(TOKEN_GRACE_SECONDS).to_be_bytes();
    let tokens = connection.change(FORGET_TOKENS, &[expired_token.as_slice().into(), FORGET_ROWS.into()])?.len();
    let oldest_end = now.saturating_sub(limits.receipt_seconds);
    let receipts = ends::forget_some(connection, now, oldest_end, FORGET_ROWS)?;
    let guesses = guesses::forget_some(connection, now, FORGET_ROWS)?;
    Ok(submissions.max(tokens).max(receipts).max(guesses))
}
