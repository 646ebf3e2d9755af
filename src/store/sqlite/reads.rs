//! Limited reads: direct, or leased and then confirmed.
//!
//! Invariant: a paste grants exactly as many reads and leases as it has, with any concurrency and after any crash: each
//! is taken by one statement and committed before content is sent. A paste without reads and leases is erased. Writes
//! must never be outside a transaction.

use super::super::inactivity::Touched;
use super::super::model::{RowKey, SealedContent};
use super::super::receipt::End;
use super::StoreError;
use super::queries::PIECES;
use super::receipts::{self, Keeping};
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;
use crate::spool::{MEMORY_BYTES, unnamed_file};
use rusqlite::{Connection, OptionalExtension, params};
use std::io::Write;
use std::path::Path;

/// Expired leases ended in one transaction.
const ENDED_LEASES: usize = 100;

/// Uses a read and returns the sealed content, or `None` if no read is left. The last one erases the paste, unless it
/// has leases.
pub(super) fn take(
    connection: &Connection,
    key: RowKey,
    size: u64,
    folder: &Path,
    now: UnixSeconds,
    keeping: Keeping,
) -> Result<Option<SealedContent>, StoreError> {
    if count_down(connection, key, now, keeping.unflushed)?.is_none() {
        return Ok(None);
    }
    let content = read_content(connection, key, size, folder)?;
    erase_if_used_up(connection, key, now, now, keeping)?;
    Ok(Some(content))
}

/// Uses a read for a lease. Returns how many are left, `None` if there was none.
pub(super) fn lease(
    connection: &Connection,
    key: RowKey,
    hash: &Sha256Digest,
    expires_at: UnixSeconds,
    now: UnixSeconds,
    unflushed: Touched,
) -> Result<Option<u32>, StoreError> {
    let left = count_down(connection, key, now, unflushed)?;
    if left.is_some() {
        let sql = "INSERT INTO lease (hash, key, expires_at) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![hash, key.0, expires_at])?;
    }
    Ok(left)
}

/// Uses one read and returns how many are left. Also writes the expiry as extended by reads: a lease is valid until
/// then, even after a crash.
fn count_down(
    connection: &Connection,
    key: RowKey,
    now: UnixSeconds,
    unflushed: Touched,
) -> Result<Option<u32>, StoreError> {
    let sql = "UPDATE paste SET reads_left = reads_left - 1 WHERE key = ?1 AND reads_left > 0 RETURNING reads_left";
    let left = connection.prepare_cached(sql)?.query_row([key.0], |row| row.get(0)).optional()?;
    if left.is_some() {
        let sql = "INSERT INTO seen (key, expires_at, reads, first_read_at, last_read_at) VALUES (?1, ?3, 1, ?2, ?2) \
                   ON CONFLICT (key) DO UPDATE SET reads = reads + 1, expires_at = max(expires_at, excluded.expires_at), \
                   first_read_at = coalesce(first_read_at, excluded.first_read_at), last_read_at = excluded.last_read_at";
        connection.prepare_cached(sql)?.execute(params![key.0, now, unflushed.expires_at])?;
    }
    Ok(left)
}

fn read_content(connection: &Connection, key: RowKey, size: u64, folder: &Path) -> Result<SealedContent, StoreError> {
    let mut select = connection.prepare_cached("SELECT data FROM content WHERE key BETWEEN ?1 AND ?2 ORDER BY key")?;
    // Content with a read limit is never replaced.
    let mut rows = select.query(params![key.0 * PIECES, key.0 * PIECES + PIECES - 1])?;
    if size <= MEMORY_BYTES as u64 {
        let mut bytes = Vec::new();
        while let Some(row) = rows.next()? {
            bytes.extend_from_slice(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
        }
        return Ok(SealedContent::Memory(bytes));
    }
    let mut file = unnamed_file(folder)?;
    while let Some(row) = rows.next()? {
        file.write_all(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
    }
    Ok(SealedContent::File(file))
}

/// Erases a paste without reads and leases, with a receipt that it ended at `ended_at`. Returns whether it did.
fn erase_if_used_up(
    connection: &Connection,
    key: RowKey,
    ended_at: UnixSeconds,
    now: UnixSeconds,
    keeping: Keeping,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM paste WHERE key = ?1 AND reads_left = 0 \
               AND NOT EXISTS (SELECT 1 FROM lease WHERE key = ?1 AND expires_at > ?2)";
    let is_used_up = connection.prepare_cached(sql)?.exists(params![key.0, now])?;
    Ok(is_used_up && receipts::end(connection, key, End::Read, ended_at, keeping)?)
}

/// Whether a row has this unexpired lease.
pub(super) fn is_leased(
    connection: &Connection,
    key: RowKey,
    hash: &Sha256Digest,
    now: UnixSeconds,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM lease WHERE hash = ?1 AND key = ?2 AND expires_at > ?3";
    Ok(connection.prepare_cached(sql)?.exists(params![hash, key.0, now])?)
}

/// The result of ending a lease.
pub(super) struct Ended {
    /// Whether the lease existed.
    pub(super) was_held: bool,
    /// Whether its paste was erased with it.
    pub(super) erased: bool,
}

/// Ends an unexpired lease, and erases its paste if that has neither reads nor other leases left.
pub(super) fn end_lease(
    connection: &Connection,
    key: RowKey,
    hash: &Sha256Digest,
    now: UnixSeconds,
    keeping: Keeping,
) -> Result<Ended, StoreError> {
    let sql = "DELETE FROM lease WHERE hash = ?1 AND key = ?2 AND expires_at > ?3";
    let was_held = connection.prepare_cached(sql)?.execute(params![hash, key.0, now])? > 0;
    let erased = was_held && erase_if_used_up(connection, key, now, now, keeping)?;
    Ok(Ended { was_held, erased })
}

/// When the next lease expires, if there is one.
pub(super) fn next_lease_end(connection: &Connection) -> Result<Option<UnixSeconds>, StoreError> {
    Ok(connection.prepare_cached("SELECT min(expires_at) FROM lease")?.query_row([], |row| row.get(0))?)
}

/// Ends some expired leases. Returns how many, and whether pastes were erased.
pub(super) fn end_some(
    connection: &Connection,
    now: UnixSeconds,
    keeping: impl Fn(RowKey) -> Keeping,
) -> Result<(usize, bool), StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT hash, key, expires_at FROM lease WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
    )?;
    let rows = select.query_map(params![now, ENDED_LEASES], |row| {
        Ok((row.get::<_, Sha256Digest>(0)?, RowKey(row.get(1)?), row.get::<_, UnixSeconds>(2)?))
    })?;
    let (mut ended, mut erased) = (0, false);
    for (hash, key, expires_at) in rows.collect::<Result<Vec<_>, _>>()? {
        connection.prepare_cached("DELETE FROM lease WHERE hash = ?1")?.execute([hash])?;
        erased |= erase_if_used_up(connection, key, expires_at, now, keeping(key))?;
        ended += 1;
    }
    Ok((ended, erased))
}
