//! Changes to existing pastes: new expiry, new content, and the answer to an ask.
//!
//! Invariant: an ask is answered once. A reader gets either the old content or the new, complete: the pieces of the old
//! one are kept for [`OUTDATED_SECONDS`] for reads in progress and then erased. Writes must never be outside a
//! transaction.

use super::super::model::{
    Answered, MAX_OUTDATED, MAX_OUTDATED_BYTES, OUTDATED_SECONDS, Replaced, Replacement, RowKey,
};
use super::queries::{self, fits, insert_pieces, is_blocked, protection_columns};
use super::{Limits, StoreError};
use crate::clock::UnixSeconds;
use rusqlite::{Connection, params};

/// Sets a fixed expiry. Returns whether the paste exists.
pub(super) fn set_expiry(connection: &Connection, key: RowKey, expires_at: UnixSeconds) -> Result<bool, StoreError> {
    let sql = "UPDATE paste SET expires_at = ?2, slides = 0 WHERE key = ?1";
    Ok(connection.prepare_cached(sql)?.execute(params![key.0, expires_at])? > 0)
}

/// Replaces the content of a paste without a read limit.
pub(super) fn replace(
    connection: &Connection,
    key: RowKey,
    new: &Replacement,
    limits: Limits,
    now: UnixSeconds,
) -> Result<Replaced, StoreError> {
    if is_blocked(connection, &new.mark)? {
        return Ok(Replaced::Blocked);
    }
    if !fits(connection, new.content.size + new.arriving_bytes, limits)? {
        return Err(StoreError::Full);
    }
    let Some((old, old_bytes)) = queries::find_content(connection, key)? else { return Ok(Replaced::Gone) };
    // Never reused, like the keys of pastes.
    let pieces: i64 = connection
        .prepare_cached("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'paste' RETURNING seq")?
        .query_row([], |row| row.get(0))?;
    let sql = "UPDATE paste SET content = ?2, size = ?3, sealed_key = ?4, details = ?5 WHERE key = ?1";
    connection.prepare_cached(sql)?.execute(params![key.0, pieces, new.content.size, new.sealed_key, new.details])?;
    if let Some(protection) = &new.protection {
        let (password, link_proof, password_proof) = protection_columns(protection);
        let sql = "UPDATE paste SET password = ?2, read_proof = ?3, password_proof = ?4 WHERE key = ?1";
        connection.prepare_cached(sql)?.execute(params![key.0, password, link_proof, password_proof])?;
    }
    insert_pieces(connection, pieces, &new.content)?;
    make_room(connection, old_bytes)?;
    let sql = "INSERT INTO replaced (content, bytes, at) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![old, old_bytes, now])?;
    Ok(Replaced::Done)
}

/// Stores the content of an unanswered ask under its own key, where [`super::reads`] expects it.
pub(super) fn answer(
    connection: &Connection,
    key: RowKey,
    new: &Replacement,
    limits: Limits,
) -> Result<Answered, StoreError> {
    if is_blocked(connection, &new.mark)? {
        return Ok(Answered::Blocked);
    }
    if !fits(connection, new.content.size + new.arriving_bytes, limits)? {
        return Err(StoreError::Full);
    }
    let sql = "UPDATE paste SET size = ?2, sealed_key = ?3, details = ?4 \
               WHERE key = ?1 AND answer_proof IS NOT NULL AND size = 0";
    let values = params![key.0, new.content.size, new.sealed_key, new.details];
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        let is_there = queries::find_content(connection, key)?.is_some();
        return Ok(if is_there { Answered::Already } else { Answered::Gone });
    }
    insert_pieces(connection, key.0, &new.content)?;
    Ok(Answered::Done)
}

/// Erases the oldest kept contents until there is room for another one of `bytes`.
fn make_room(connection: &Connection, bytes: u64) -> Result<(), StoreError> {
    let waiting = "SELECT count(*), coalesce(sum(bytes), 0) FROM replaced";
    loop {
        let (count, sum): (u64, u64) =
            connection.prepare_cached(waiting)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if count == 0 || count < MAX_OUTDATED && sum + bytes <= MAX_OUTDATED_BYTES {
            return Ok(());
        }
        let oldest = "SELECT content FROM replaced ORDER BY content LIMIT 1";
        erase(connection, connection.prepare_cached(oldest)?.query_row([], |row| row.get(0))?)?;
    }
}

/// Erases replaced content.
pub(super) fn erase(connection: &Connection, content: i64) -> Result<(), StoreError> {
    queries::erase_pieces(connection, content)?;
    connection.prepare_cached("DELETE FROM replaced WHERE content = ?1")?.execute([content])?;
    Ok(())
}

/// The replaced contents due for erasure: few, as those kept are few.
pub(super) fn outdated(connection: &Connection, now: UnixSeconds) -> Result<Vec<i64>, StoreError> {
    let mut select = connection.prepare_cached("SELECT content FROM replaced WHERE at <= ?1")?;
    let rows = select.query_map([now.saturating_sub(OUTDATED_SECONDS)], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
