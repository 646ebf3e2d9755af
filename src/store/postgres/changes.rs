//! Changes to existing pastes: new expiry, new content, and the answer to an ask.
//!
//! Invariant: an ask is answered once. A reader gets either the old content or the new, complete: the pieces of the old
//! one are kept for [`OUTDATED_SECONDS`] for reads in progress. Must never lock a paste while content is being
//! transferred.

use super::super::model::{
    Answered, MAX_OUTDATED, MAX_OUTDATED_BYTES, OUTDATED_SECONDS, Replaced, Replacement, RowKey,
};
use super::connection::Connection;
use super::fault::Fault;
use super::queries::{self, ProtectionColumns};
use super::value::{Columns, Value};
use crate::clock::UnixSeconds;

const SET_EXPIRY: &str = "UPDATE paste SET expires_at = $2, slides = false WHERE key = $1 RETURNING 1";
const LOCK_CONTENT: &str = "SELECT content, size FROM paste WHERE key = $1 FOR UPDATE";
/// Moves the first piece of replaced content to where its readers will look for it.
const MOVE_FIRST_PIECE: &str = "INSERT INTO piece (content, number, data) SELECT content, 0, first_piece FROM paste \
                                WHERE key = $1 AND first_piece IS NOT NULL";
const REPLACE: &str = "UPDATE paste SET content = $2, size = $3, sealed_key = $4, details = $5, first_piece = NULL \
                       WHERE key = $1";
const PROTECT: &str = "UPDATE paste SET password = $2, read_proof = $3, password_proof = $4 WHERE key = $1";
const ANSWER: &str = "UPDATE paste SET size = $2, sealed_key = $3, details = $4, first_piece = $5 \
                      WHERE key = $1 AND answer_proof IS NOT NULL AND size = 0 RETURNING 1";
const FIND_ANSWER: &str = "SELECT size, sealed_key FROM paste WHERE key = $1";
const NOTE_REPLACED: &str = "INSERT INTO replaced (content, bytes, at) VALUES ($1, $2, $3)";
/// The oldest kept contents beyond the limits; counts and sizes are summed from the newest, which is kept.
const ERASE_EXCESS: &str = "WITH waiting AS (SELECT content, row_number() OVER newest AS place, \
                            sum(bytes) OVER newest AS total FROM replaced WINDOW newest AS (ORDER BY at DESC, content DESC)), \
                            gone AS (DELETE FROM replaced WHERE content IN (SELECT content FROM replaced WHERE content IN \
                            (SELECT content FROM waiting WHERE place > 1 AND (place > $1 OR total > $2)) FOR UPDATE SKIP LOCKED) \
                            RETURNING content) DELETE FROM piece WHERE content IN (SELECT content FROM gone)";
const ERASE_OUTDATED: &str = "WITH gone AS (DELETE FROM replaced WHERE content IN (SELECT content FROM replaced \
                              WHERE at <= $1 FOR UPDATE SKIP LOCKED) RETURNING content), \
                              erased AS (DELETE FROM piece WHERE content IN (SELECT content FROM gone)) \
                              SELECT content FROM gone";

/// Sets a fixed expiry. Returns whether the paste exists.
pub(super) fn set_expiry(connection: &mut Connection, key: RowKey, expires_at: UnixSeconds) -> Result<bool, Fault> {
    Ok(!connection.change(SET_EXPIRY, &[key.into(), expires_at.into()])?.is_empty())
}

/// Replaces the content of a paste without a read limit.
pub(super) fn replace(
    connection: &mut Connection,
    key: RowKey,
    new: &Replacement,
    now: UnixSeconds,
) -> Result<Replaced, Fault> {
    let is_blocked = |connection: &mut Connection| queries::is_blocked(connection, &new.mark);
    if is_blocked(connection)? {
        return Ok(Replaced::Blocked);
    }
    let mut refusal = Replaced::Gone;
    let done = connection.transaction(|connection| {
        let pieces = queries::next_key(connection)?;
        queries::insert_pieces(connection, pieces, &new.content, 0)?;
        let rows = connection.query(LOCK_CONTENT, &[key.into()])?;
        let Some(old) = rows.first() else { return Ok(None) };
        // Uploading the pieces may have taken a while.
        if is_blocked(connection)? {
            refusal = Replaced::Blocked;
            return Ok(None);
        }
        connection.query(MOVE_FIRST_PIECE, &[key.into()])?;
        let values = [
            key.into(),
            pieces.into(),
            new.content.size.into(),
            new.sealed_key.as_slice().into(),
            new.details.as_slice().into(),
        ];
        connection.query(REPLACE, &values)?;
        if let Some(protection) = &new.protection {
            let ProtectionColumns { password, link_proof, password_proof } = ProtectionColumns::of(protection);
            let password = Value::Text(password.as_deref());
            let values = [key.into(), password, link_proof.as_ref().into(), password_proof.as_ref().into()];
            connection.query(PROTECT, &values)?;
        }
        let (content, bytes) = (old.key("content")?, old.number("size")?);
        connection.query(NOTE_REPLACED, &[content.into(), bytes.into(), now.into()])?;
        connection.query(ERASE_EXCESS, &[MAX_OUTDATED.into(), MAX_OUTDATED_BYTES.into()])?;
        Ok(Some(()))
    })?;
    Ok(done.map_or(refusal, |()| Replaced::Done))
}

/// Stores the content of an unanswered ask under its own key. The pieces of large content come first, as with a create;
/// of two concurrent answers, the second waits for the first at the second piece.
pub(super) fn answer(connection: &mut Connection, key: RowKey, new: &Replacement) -> Result<Answered, Fault> {
    if queries::is_blocked(connection, &new.mark)? {
        return Ok(Answered::Blocked);
    }
    let first_piece = new.content.first_piece()?;
    let values = [
        key.into(),
        new.content.size.into(),
        new.sealed_key.as_slice().into(),
        new.details.as_slice().into(),
        first_piece.as_slice().into(),
    ];
    let done = connection.transaction(|connection| {
        queries::insert_pieces(connection, key, &new.content, 1)?;
        Ok((!connection.query(ANSWER, &values)?.is_empty()).then_some(()))
    });
    match done {
        Ok(Some(())) => Ok(Answered::Done),
        Ok(None) | Err(Fault::Taken(_)) => find_answer(connection, key, &new.sealed_key),
        Err(fault) => Err(fault),
    }
}

/// The outcome of an answer, recognized by its unique sealed key: stored, another one stored, or none, which looks like
/// [`Answered::Gone`] to a caller that has just tried.
pub(super) fn find_answer(connection: &mut Connection, key: RowKey, sealed_key: &[u8]) -> Result<Answered, Fault> {
    let rows = connection.query(FIND_ANSWER, &[key.into()])?;
    let Some(row) = rows.first().filter(|row| row.number("size").is_ok_and(|size| size > 0)) else {
        return Ok(Answered::Gone);
    };
    Ok(if row.blob("sealed_key")? == sealed_key { Answered::Done } else { Answered::Already })
}

/// Erases replaced contents that are due and returns their number.
pub(super) fn erase_outdated(connection: &mut Connection, now: UnixSeconds) -> Result<usize, Fault> {
    Ok(connection.change(ERASE_OUTDATED, &[now.saturating_sub(OUTDATED_SECONDS).into()])?.len())
}
