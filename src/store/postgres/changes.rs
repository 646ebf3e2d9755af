//! What changes about a paste that is there: its end and its content, by whoever made it, and the answer to an ask.
//!
//! Invariant: an ask is answered once. A reader gets one content whole, the old or the new: the pieces of the old one stay for [`READERS_SECONDS`],
//! for whoever is in the middle of them. Must never lock a paste while a content is on its way.

use super::super::model::{Answered, Replaced, Replacement, RowKey};
use super::connection::Connection;
use super::fault::Fault;
use super::queries::{self, ProtectionColumns};
use super::value::{Columns, Value};
use crate::clock::UnixSeconds;

/// How long readers may take who are in the middle of a content when it is replaced.
const READERS_SECONDS: u64 = 4;
/// So many contents that were replaced wait for their readers, and so many bytes of them.
const MOST_WAITING: u64 = 64;
const MOST_WAITING_BYTES: u64 = 64 << 20;

const SET_EXPIRY: &str = "UPDATE paste SET expires_at = $2, slides = false WHERE key = $1 RETURNING 1";
const LOCK_CONTENT: &str = "SELECT content, size FROM paste WHERE key = $1 FOR UPDATE";
/// The first piece of a content that is replaced goes where its readers will look for it.
const MOVE_FIRST_PIECE: &str = "INSERT INTO piece (content, number, data) SELECT content, 0, first_piece FROM paste \
                                WHERE key = $1 AND first_piece IS NOT NULL";
const REPLACE: &str = "UPDATE paste SET content = $2, size = $3, sealed_key = $4, details = $5, first_piece = NULL \
                       WHERE key = $1";
const PROTECT: &str = "UPDATE paste SET password = $2, read_proof = $3, password_proof = $4 WHERE key = $1";
const ANSWER: &str = "UPDATE paste SET size = $2, sealed_key = $3, details = $4, first_piece = $5 \
                      WHERE key = $1 AND answer_proof IS NOT NULL AND size = 0 RETURNING 1";
const FIND_ANSWER: &str = "SELECT size, sealed_key FROM paste WHERE key = $1";
const NOTE_REPLACED: &str = "INSERT INTO replaced (content, bytes, at) VALUES ($1, $2, $3)";
/// Of those that wait, the oldest beyond what may: their number and their bytes are summed from the newest on, which stays.
const ERASE_EXCESS: &str = "WITH waiting AS (SELECT content, row_number() OVER newest AS place, \
                            sum(bytes) OVER newest AS total FROM replaced WINDOW newest AS (ORDER BY at DESC, content DESC)), \
                            gone AS (DELETE FROM replaced WHERE content IN (SELECT content FROM replaced WHERE content IN \
                            (SELECT content FROM waiting WHERE place > 1 AND (place > $1 OR total > $2)) FOR UPDATE SKIP LOCKED) \
                            RETURNING content) DELETE FROM piece WHERE content IN (SELECT content FROM gone)";
const ERASE_OUTDATED: &str = "WITH gone AS (DELETE FROM replaced WHERE content IN (SELECT content FROM replaced \
                              WHERE at <= $1 FOR UPDATE SKIP LOCKED) RETURNING content), \
                              erased AS (DELETE FROM piece WHERE content IN (SELECT content FROM gone)) \
                              SELECT content FROM gone";

/// Has a paste end at a moment, whatever happens; whether there is one.
pub(super) fn set_expiry(connection: &mut Connection, key: RowKey, expires_at: UnixSeconds) -> Result<bool, Fault> {
    Ok(!connection.change(SET_EXPIRY, &[key.into(), expires_at.into()])?.is_empty())
}

/// Puts another content in the place of a paste's, which has no limit of reads.
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
        // Its pieces may have taken their time.
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
        connection.query(ERASE_EXCESS, &[MOST_WAITING.into(), MOST_WAITING_BYTES.into()])?;
        Ok(Some(()))
    })?;
    Ok(done.map_or(refusal, |()| Replaced::Done))
}

/// Puts the content into an ask that has none yet, under its own key. Of one that is large the pieces go first, as with a create;
/// of two at once, the second waits for the first at their second pieces.
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

/// What became of an answer, which nobody else seals with this key: it is there, or another is, or none; the latter looks like
/// [`Answered::Gone`] to whoever has just tried.
pub(super) fn find_answer(connection: &mut Connection, key: RowKey, sealed_key: &[u8]) -> Result<Answered, Fault> {
    let rows = connection.query(FIND_ANSWER, &[key.into()])?;
    let Some(row) = rows.first().filter(|row| row.number("size").is_ok_and(|size| size > 0)) else {
        return Ok(Answered::Gone);
    };
    Ok(if row.blob("sealed_key")? == sealed_key { Answered::Done } else { Answered::Already })
}

/// Erases the replaced contents whose readers have had their time; how many.
pub(super) fn erase_outdated(connection: &mut Connection, now: UnixSeconds) -> Result<usize, Fault> {
    Ok(connection.change(ERASE_OUTDATED, &[now.saturating_sub(READERS_SECONDS).into()])?.len())
}
