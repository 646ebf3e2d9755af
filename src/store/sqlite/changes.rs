//! What whoever made a paste changes about it: its end, and its content.
//!
//! Invariant: a reader gets one content whole, the old or the new: the pieces of the old one stay for [`READERS_SECONDS`],
//! for whoever is in the middle of them, and are erased then. What writes must never be called outside a transaction.

use super::super::model::{Replaced, Replacement, RowKey};
use super::queries::{self, fits, insert_pieces, protection_columns};
use super::{Limits, StoreError, operators};
use crate::clock::UnixSeconds;
use rusqlite::{Connection, OptionalExtension, params};

/// How long readers may take who are in the middle of a content when it is replaced: erased is it within ten seconds.
const READERS_SECONDS: u64 = 4;

/// Has a paste end at a moment, whatever happens; whether there is one.
pub(super) fn set_expiry(connection: &Connection, key: RowKey, expires_at: UnixSeconds) -> Result<bool, StoreError> {
    let sql = "UPDATE paste SET expires_at = ?2, slides = 0 WHERE key = ?1";
    Ok(connection.prepare_cached(sql)?.execute(params![key.0, expires_at])? > 0)
}

/// Puts another content in the place of a paste's, which has no limit of reads.
pub(super) fn replace(
    connection: &Connection,
    key: RowKey,
    new: &Replacement,
    limits: Limits,
    now: UnixSeconds,
) -> Result<Replaced, StoreError> {
    if operators::is_blocked(connection, &new.mark)? {
        return Ok(Replaced::Blocked);
    }
    if !fits(connection, new.content.size + new.arriving_bytes, limits)? {
        return Err(StoreError::Full);
    }
    let Some(old) = queries::pieces_of(connection, key)? else { return Ok(Replaced::Gone) };
    // Never used before nor again, as those of pastes are.
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
    let sql = "INSERT INTO replaced (content, at) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![old, now])?;
    Ok(Replaced::Done)
}

/// A replaced content whose readers have had their time.
pub(super) fn next_outdated(connection: &Connection, now: UnixSeconds) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT content FROM replaced WHERE at <= ?1 LIMIT 1";
    let before = now.saturating_sub(READERS_SECONDS);
    Ok(connection.prepare_cached(sql)?.query_row([before], |row| row.get(0)).optional()?)
}

/// Erases a replaced content.
pub(super) fn erase_outdated(connection: &Connection, content: i64) -> Result<(), StoreError> {
    queries::erase_pieces(connection, content)?;
    connection.prepare_cached("DELETE FROM replaced WHERE content = ?1")?.execute([content])?;
    Ok(())
}
