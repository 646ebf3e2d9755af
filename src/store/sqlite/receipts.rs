//! The end of pastes, and their receipts.
//!
//! Invariant: one transaction replaces a paste by its receipt. Must never store anything in a receipt that identifies
//! its paste.

use super::super::inactivity::Touched;
use super::super::model::RowKey;
use super::super::receipt::{End, Reads, Receipt, Status, TokenMark};
use super::StoreError;
use super::queries;
use crate::clock::UnixSeconds;
use rusqlite::{Connection, OptionalExtension, params};

/// What ending a paste depends on besides the database.
#[derive(Clone, Copy)]
pub(super) struct Keeping {
    /// Whether receipts are kept.
    pub(super) receipts: bool,
    /// The unflushed effects of reads.
    pub(super) unflushed: Touched,
}

/// Erases a paste and leaves a receipt, if receipts are kept and it can have one. Returns whether the paste existed.
pub(super) fn end(
    connection: &Connection,
    key: RowKey,
    end: End,
    ended_at: UnixSeconds,
    keeping: Keeping,
) -> Result<bool, StoreError> {
    if keeping.receipts
        && let Some(Living { token: Some(token), reads, expires_at, .. }) = living(connection, key, keeping.unflushed)?
    {
        let sql = "INSERT OR REPLACE INTO receipt (token, state, reads, first_read_at, last_read_at, expires_at, ended_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        connection.prepare_cached(sql)?.execute(params![
            token,
            end.number(),
            reads.count,
            reads.first_at,
            reads.last_at,
            expires_at,
            ended_at
        ])?;
    }
    queries::erase(connection, key)
}

/// The status columns of a row.
struct Living {
    /// The key of its receipt, if it can have one.
    token: Option<Vec<u8>>,
    reads_left: Option<u32>,
    reads: Reads,
    expires_at: UnixSeconds,
}

fn living(connection: &Connection, key: RowKey, unflushed: Touched) -> Result<Option<Living>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT iif(p.bound, p.token_hash, NULL), p.reads_left, coalesce(s.reads, 0), s.first_read_at, s.last_read_at, \
         iif(p.slides, max(p.expires_at, coalesce(s.expires_at, 0), ?2), p.expires_at) \
         FROM paste p LEFT JOIN seen s ON s.key = p.key WHERE p.key = ?1",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let flushed = Reads { count: row.get(2)?, first_at: row.get(3)?, last_at: row.get(4)? };
        let (token, reads_left, expires_at) = (row.get(0)?, row.get(1)?, row.get(5)?);
        Ok(Living { token, reads_left, reads: flushed.and(unflushed.reads), expires_at })
    };
    Ok(select.query_row(params![key.0, unflushed.expires_at], read).optional()?)
}

/// The status of a paste; `None` if it no longer exists.
pub(super) fn status(
    connection: &Connection,
    key: RowKey,
    now: UnixSeconds,
    unflushed: Touched,
) -> Result<Option<Status>, StoreError> {
    let Some(living) = living(connection, key, unflushed)? else { return Ok(None) };
    let Living { reads_left, reads, expires_at, .. } = living;
    let last_lease_end: Option<UnixSeconds> = connection
        .prepare_cached("SELECT max(expires_at) FROM lease WHERE key = ?1")?
        .query_row([key.0], |row| row.get(0))?;
    Ok(Some(Status::of_stored(reads, reads_left, expires_at, last_lease_end, now)))
}

/// The receipt with a mark.
pub(super) fn find(connection: &Connection, token: TokenMark) -> Result<Option<Receipt>, StoreError> {
    let TokenMark::Bound(token) = token else { return Ok(None) };
    let mut select = connection.prepare_cached(
        "SELECT state, ended_at, expires_at, reads, first_read_at, last_read_at FROM receipt WHERE token = ?1",
    )?;
    Ok(select.query_row([token], read_receipt).optional()?)
}

pub(super) fn read_receipt(row: &rusqlite::Row<'_>) -> rusqlite::Result<Receipt> {
    let malformed = || rusqlite::Error::InvalidColumnName("state is malformed".into());
    Ok(Receipt {
        end: End::of(row.get("state")?).ok_or_else(malformed)?,
        ended_at: row.get("ended_at")?,
        expires_at: row.get("expires_at")?,
        reads: Reads {
            count: row.get("reads")?,
            first_at: row.get("first_read_at")?,
            last_at: row.get("last_read_at")?,
        },
    })
}

/// Deletes some receipts of pastes that ended at or before `oldest_end`. Returns their number.
pub(super) fn forget_some(connection: &Connection, oldest_end: UnixSeconds, rows: usize) -> Result<usize, StoreError> {
    let sql =
        "DELETE FROM receipt WHERE ended_at <= ?1 AND rowid IN (SELECT rowid FROM receipt ORDER BY rowid LIMIT ?2)";
    Ok(connection.prepare_cached(sql)?.execute(params![oldest_end, rows])?)
}

/// When the paste of the first receipt ended; receipts are in order of creation.
pub(super) fn first_end(connection: &Connection) -> Result<Option<UnixSeconds>, StoreError> {
    let mut select = connection.prepare_cached("SELECT ended_at FROM receipt ORDER BY rowid LIMIT 1")?;
    Ok(select.query_row([], |row| row.get(0)).optional()?)
}
