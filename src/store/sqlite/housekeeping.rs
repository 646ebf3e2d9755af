//! The writer's housekeeping between transactions: flush reads, purge expired pastes, remove erased content from the
//! WAL, and release free pages.
//!
//! Invariant: seconds after a paste has ended, its content is in none of the database's files, and no step is long
//! enough to delay reads or writes noticeably. Must never delete a paste whose expiry was extended by a read.

use super::super::inactivity::{FLUSH_INTERVAL, InactivityClock, Touched};
use super::super::model::RowKey;
use super::super::receipt::End;
use super::receipts::{self, Keeping};
use super::transaction::transaction;
use super::{Limits, Role, Shared, StoreError, changes, location, reads};
use crate::clock::{UnixSeconds, unix_now};
use crate::operator_log;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Entries flushed in one transaction.
const FLUSH_BATCH: usize = 4096;
/// Expired pastes purged in one transaction.
const PURGE_PASTES: usize = 100;
/// Bytes of content after which a purge starts a new transaction.
const PURGE_BYTES: i64 = 8 << 20;
/// Outdated submissions and tokens deleted in one transaction.
const FORGET_ROWS: usize = 1000;
/// Free pages released to the file system in one step: 4 MiB.
const VACUUM_PAGES: i64 = 1024;
/// The minimum number of free pages kept for the next pastes: 256 KiB.
const SPARE_PAGES: i64 = 64;

/// The writer's chores and their state shared with the engine.
pub(super) struct Housekeeper {
    role: Role,
    shared: Arc<Shared>,
    limits: Limits,
    next_flush: Instant,
    /// The last `PRAGMA data_version`, which changes when another process writes.
    data_version: i64,
    /// Entries of the current flush, written in batches between other jobs.
    flushing: Vec<(RowKey, Touched)>,
}

impl Housekeeper {
    pub(super) fn new(role: Role, shared: Arc<Shared>, limits: Limits) -> Self {
        let next_flush = Instant::now() + FLUSH_INTERVAL;
        Self { role, shared, limits, next_flush, data_version: 0, flushing: Vec::new() }
    }

    /// Runs a short round. Returns whether there is more to do at once.
    pub(super) fn tick(&mut self, connection: &Connection) -> bool {
        if self.role == Role::Beside {
            return false;
        }
        let now = unix_now();
        self.look_for_other_writers(connection);
        let flushing = self.flush_step(connection);
        let leases = self.lease_step(connection, now);
        let purged = purge_step(connection, &self.shared.clock, now, self.keeps_receipts());
        if matches!(&purged, Ok(purged) if purged.deleted > 0) {
            self.shared.generation.fetch_add(1, Ordering::Release);
            self.shared.erased.store(true, Ordering::Relaxed);
        }
        if let Err(error) = self.replaced_step(connection, now) {
            log_failure("replaced contents", &error);
        }
        let forgotten = forget_step(connection, now, self.limits);
        let more = is_more("purge", purged.map(|purged| purged.settled), 1)
            | is_more("leases", leases, 1)
            | is_more("forget", forgotten, FORGET_ROWS)
            | is_more("flush", flushing, 1);
        if more {
            return true;
        }
        // Vacuum before the checkpoint: the pages it moves are also in the WAL.
        let vacuumed = vacuum_step(connection);
        if matches!(vacuumed, Ok(pages) if pages > 0) {
            self.shared.erased.store(true, Ordering::Relaxed);
        }
        let more = is_more("vacuum", vacuumed, 1);
        if !more && self.shared.erased.swap(false, Ordering::Relaxed) && !truncate_wal(connection) {
            self.shared.erased.store(true, Ordering::Relaxed);
        }
        more
    }

    /// Detects writes by another process, such as an operator's command: it may have deleted pastes.
    fn look_for_other_writers(&mut self, connection: &Connection) {
        let look = || -> Result<i64, StoreError> {
            Ok(connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
        };
        match look() {
            Ok(version) if version == self.data_version => return,
            Ok(version) => self.data_version = version,
            Err(error) => log_failure("check for other writers", &error),
        }
        self.shared.generation.fetch_add(1, Ordering::Release);
        self.shared.erased.store(true, Ordering::Relaxed);
    }

    fn keeps_receipts(&self) -> bool {
        self.limits.receipt_seconds > 0
    }

    /// Ends expired leases and returns their number.
    fn lease_step(&self, connection: &Connection, now: UnixSeconds) -> Result<usize, StoreError> {
        if reads::next_lease_end(connection)?.is_none_or(|end| end > now) {
            return Ok(0);
        }
        let keeping = |key| Keeping { receipts: self.keeps_receipts(), unflushed: self.shared.clock.unflushed(key) };
        let (ended, erased) = transaction(connection, |connection| reads::end_some(connection, now, keeping))?;
        if erased {
            self.shared.erased.store(true, Ordering::Relaxed);
        }
        Ok(ended)
    }

    /// Erases replaced contents that are due.
    fn replaced_step(&self, connection: &Connection, now: UnixSeconds) -> Result<(), StoreError> {
        let outdated = changes::outdated(connection, now)?;
        if !outdated.is_empty() {
            transaction(connection, |connection| {
                outdated.iter().try_for_each(|content| changes::erase(connection, *content))
            })?;
            self.shared.erased.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Runs the last round, when the server stops.
    pub(super) fn close(&mut self, connection: &Connection) {
        if self.role == Role::Beside {
            return;
        }
        self.next_flush = Instant::now();
        while is_more("flush", self.flush_step(connection), 1) {}
        truncate_wal(connection);
    }

    /// Flushes a batch of reads when due. Returns the number of rows.
    fn flush_step(&mut self, connection: &Connection) -> Result<usize, StoreError> {
        if self.flushing.is_empty() {
            if Instant::now() < self.next_flush && !self.shared.clock.is_full() {
                return Ok(0);
            }
            self.next_flush = Instant::now() + FLUSH_INTERVAL;
            self.flushing = self.shared.clock.snapshot();
        }
        let batch = self.flushing.split_off(self.flushing.len().saturating_sub(FLUSH_BATCH));
        let flushed = transaction(connection, |connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO seen (key, expires_at, reads, first_read_at, last_read_at) SELECT ?1, ?2, ?3, ?4, ?5 \
                 WHERE EXISTS (SELECT 1 FROM paste WHERE key = ?1) ON CONFLICT (key) DO UPDATE SET \
                 expires_at = max(expires_at, excluded.expires_at), reads = reads + excluded.reads, \
                 first_read_at = coalesce(first_read_at, excluded.first_read_at), \
                 last_read_at = coalesce(excluded.last_read_at, last_read_at)",
            )?;
            for (key, Touched { expires_at, reads }) in &batch {
                statement.execute(params![key.0, expires_at, reads.count, reads.first_at, reads.last_at])?;
            }
            Ok(())
        });
        flushed?;
        self.shared.clock.forget(&batch);
        Ok(batch.len())
    }
}

/// Whether a step did enough work to repeat it at once. A failed step is logged and waits for the next round.
fn is_more(step: &str, done: Result<usize, StoreError>, enough: usize) -> bool {
    match done {
        Ok(done) => done >= enough,
        Err(error) => {
            log_failure(step, &error);
            false
        }
    }
}

/// Purges a batch in its own transaction, if there is anything to purge.
fn purge_step(
    connection: &Connection,
    clock: &InactivityClock,
    now: UnixSeconds,
    receipts: bool,
) -> Result<Purged, StoreError> {
    // Most rounds find nothing and should not write.
    let first_expiry: Option<UnixSeconds> =
        connection.prepare_cached("SELECT min(expires_at) FROM paste")?.query_row([], |row| row.get(0))?;
    if first_expiry.is_none_or(|first| first > now) {
        return Ok(Purged { settled: 0, deleted: 0 });
    }
    transaction(connection, |connection| purge_some(connection, Some(clock), now, 0, receipts))
}

/// The result of a batch of the purge.
pub(super) struct Purged {
    /// Rows that are no longer due: deleted, or extended by reads.
    pub(super) settled: usize,
    /// Pastes deleted.
    pub(super) deleted: u64,
}

/// A paste that looks expired.
struct Due {
    key: RowKey,
    size: i64,
    slides: bool,
    /// As of its creation or the last check.
    expires_at: UnixSeconds,
    /// As of the last flush.
    seen: UnixSeconds,
    reads_left: Option<u32>,
}

/// Deletes some expired pastes. `grace_seconds` spares sliding pastes, for a process that does not see the unflushed
/// reads of the running server.
pub(super) fn purge_some(
    connection: &Connection,
    clock: Option<&InactivityClock>,
    now: UnixSeconds,
    grace_seconds: u64,
    receipts: bool,
) -> Result<Purged, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT p.key, p.size, p.slides, p.expires_at, coalesce(s.expires_at, 0), p.reads_left FROM paste p LEFT JOIN seen s ON s.key = p.key \
         WHERE p.expires_at <= ?1 - p.slides * ?2 ORDER BY p.expires_at LIMIT ?3",
    )?;
    let rows = select.query_map(params![now, grace_seconds, PURGE_PASTES], |row| {
        Ok(Due {
            key: RowKey(row.get(0)?),
            size: row.get(1)?,
            slides: row.get(2)?,
            expires_at: row.get(3)?,
            seen: row.get(4)?,
            reads_left: row.get(5)?,
        })
    })?;
    let (mut purged, mut bytes) = (Purged { settled: 0, deleted: 0 }, 0);
    for due in rows.collect::<Result<Vec<_>, _>>()? {
        let key = due.key;
        let unflushed = clock.map(|clock| clock.unflushed(key)).unwrap_or_default();
        let expires_at = due.seen.max(unflushed.expires_at);
        if due.slides && expires_at + grace_seconds > now {
            // Extended by reads: update the index, so that the next round skips it.
            connection
                .prepare_cached("UPDATE paste SET expires_at = ?2 WHERE key = ?1")?
                .execute(params![key.0, expires_at])?;
        } else {
            let ended_at = if due.slides { expires_at.max(due.expires_at) } else { due.expires_at };
            receipts::end(connection, key, End::by_expiry(due.reads_left), ended_at, Keeping { receipts, unflushed })?;
            bytes += due.size;
            purged.deleted += 1;
        }
        purged.settled += 1;
        if bytes >= PURGE_BYTES {
            break;
        }
    }
    Ok(purged)
}

/// Deletes outdated submissions, tokens and receipts. Returns the number of rows of the fullest table.
fn forget_step(connection: &Connection, now: UnixSeconds, limits: Limits) -> Result<usize, StoreError> {
    let oldest_kept = now.saturating_sub(limits.dedup_window_seconds);
    let oldest_end = now.saturating_sub(limits.receipt_seconds);
    // Rows of `submission` are in chronological order, so checking the first ones suffices.
    let submission: Option<UnixSeconds> = connection
        .prepare_cached("SELECT at FROM submission ORDER BY rowid LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let token: Option<Vec<u8>> = connection
        .prepare_cached("SELECT token FROM spent_token ORDER BY token LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let expired_token = now.to_be_bytes();
    let submissions_due = submission.is_some_and(|at| at <= oldest_kept);
    let tokens_due = token.is_some_and(|token| token.as_slice() < expired_token.as_slice());
    let receipts_due = receipts::first_end(connection)?.is_some_and(|at| at <= oldest_end);
    if !submissions_due && !tokens_due && !receipts_due {
        return Ok(0);
    }
    transaction(connection, |connection| {
        let submissions = connection
            .prepare_cached(
                "DELETE FROM submission WHERE at <= ?1 AND rowid IN (SELECT rowid FROM submission ORDER BY rowid LIMIT ?2)",
            )?
            .execute(params![oldest_kept, FORGET_ROWS])?;
        let tokens = connection
            .prepare_cached(
                "DELETE FROM spent_token WHERE token IN (SELECT token FROM spent_token WHERE token < ?1 LIMIT ?2)",
            )?
            .execute(params![expired_token.as_slice(), FORGET_ROWS])?;
        let receipts = receipts::forget_some(connection, oldest_end, FORGET_ROWS)?;
        Ok(submissions.max(tokens).max(receipts))
    })
}

/// Releases some free pages, while there are more than a small reserve. Returns their number.
fn vacuum_step(connection: &Connection) -> Result<usize, StoreError> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let (free, pages) = (pragma("freelist_count")?, pragma("page_count")?);
    let excess = free - SPARE_PAGES.max(pages / 50);
    if excess <= 0 {
        return Ok(0);
    }
    // The pragma returns a row per page and frees pages as it is stepped.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({})", excess.min(VACUUM_PAGES)))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    let freed = free - pragma("freelist_count")?;
    Ok(usize::try_from(freed).unwrap_or(0))
}

/// Checkpoints and truncates the WAL, so that no old page image remains. False if a reader such as a backup prevents
/// it: jobs wait for this, so it never waits itself.
fn truncate_wal(connection: &Connection) -> bool {
    let truncate = || -> rusqlite::Result<i64> {
        connection.busy_timeout(Duration::ZERO)?;
        let blocked = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        connection.busy_timeout(location::BUSY_TIMEOUT)?;
        blocked
    };
    match truncate() {
        Ok(blocked) => blocked == 0,
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => false,
        Err(error) => {
            log_failure("checkpoint", &error.into());
            false
        }
    }
}

/// Logs a failed chore; the next round retries it.
fn log_failure(what: &str, error: &StoreError) {
    operator_log::message(&format!("database {what} failed: {error}"));
}

#[cfg(test)]
mod tests {
    use super::super::super::receipt::Reads;
    use super::super::schema::MIGRATIONS;
    use super::*;

    fn housekeeper(role: Role) -> (Arc<Shared>, Housekeeper) {
        let shared = Arc::<Shared>::default();
        let limits = Limits {
            max_db_bytes: 0,
            dedup_max: 1,
            dedup_window_seconds: 3600,
            expiry_seconds: 1000,
            id_length: 12,
            max_paste_bytes: 1,
            lease_seconds: 600,
            receipt_seconds: 1000,
        };
        (Arc::clone(&shared), Housekeeper::new(role, shared, limits))
    }

    /// A database with one sliding paste (key 1) and one fixed (key 2), both expired at `at`.
    fn two_expired_at(at: UnixSeconds) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        for sql in MIGRATIONS {
            connection.execute_batch(sql).unwrap();
        }
        for (key, slides) in [(1, true), (2, false)] {
            let sql = "INSERT INTO paste (key, handle, name, size, created_at, expires_at, slides, burn, token_hash, \
                       sealed_key, details) VALUES (?1, ?1, x'00', 1, 0, ?2, ?3, 0, x'00', x'00', x'00')";
            connection.execute(sql, params![key, at, slides]).unwrap();
        }
        connection
    }

    fn keys(connection: &Connection) -> Vec<i64> {
        let mut select = connection.prepare("SELECT key FROM paste ORDER BY key").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn only_the_server_does_housekeeping() {
        let connection = two_expired_at(1000);
        housekeeper(Role::Beside).1.tick(&connection);
        assert_eq!(keys(&connection), [1, 2], "a command beside the server does not know what was read");
        housekeeper(Role::Server).1.tick(&connection);
        assert!(keys(&connection).is_empty());
    }

    #[test]
    fn an_unflushed_read_keeps_a_paste() {
        let connection = two_expired_at(1000);
        let clock = InactivityClock::default();
        clock.touch(RowKey(1), 2000, Reads::default());
        let purged = purge_some(&connection, Some(&clock), 1500, 0, true).unwrap();
        assert_eq!((keys(&connection).as_slice(), purged.settled, purged.deleted), (&[1][..], 2, 1));
        assert_eq!(purge_some(&connection, Some(&clock), 2000, 0, true).unwrap().deleted, 1);
    }

    #[test]
    fn a_purge_outside_the_server_spares_recently_read_pastes() {
        let connection = two_expired_at(1000);
        assert_eq!(purge_some(&connection, None, 1030, 60, true).unwrap().deleted, 1);
        assert_eq!(keys(&connection), [1]);
        assert_eq!(purge_some(&connection, None, 1060, 60, true).unwrap().deleted, 1);
    }

    #[test]
    fn a_purge_outside_the_server_extends_no_paste() {
        let connection = two_expired_at(1000);
        connection.execute("INSERT INTO seen (key, expires_at, reads) VALUES (1, 1200, 0)", []).unwrap();
        assert_eq!(purge_some(&connection, None, 1100, 60, true).unwrap().settled, 2);
        assert_eq!(purge_some(&connection, None, 1100, 60, true).unwrap().settled, 0, "it is not looked at again");
        let expires_at = connection.query_row("SELECT expires_at FROM paste", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(expires_at, 1200);
        assert_eq!(purge_some(&connection, None, 1260, 60, true).unwrap().deleted, 1);
    }

    #[test]
    fn a_failed_flush_loses_no_reads() {
        let (shared, mut housekeeper) = housekeeper(Role::Server);
        shared.clock.touch(RowKey(7), 1000, Reads::one(900));
        housekeeper.next_flush = Instant::now();
        // There are no tables: every statement fails.
        assert!(housekeeper.flush_step(&Connection::open_in_memory().unwrap()).is_err());
        assert_eq!(shared.clock.unflushed(RowKey(7)), Touched { expires_at: 1000, reads: Reads::one(900) });
    }
}
