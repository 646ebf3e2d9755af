//! The statements that create, find and delete pastes; those for limited reads are in reads.rs, those for receipts in
//! receipts.rs.
//!
//! Invariant: a function here runs in the caller's transaction, which it neither opens nor commits. Must never be
//! called from outside the engine.

use super::super::Limits;
use super::super::model::{
    Duplicate, Handle, Inserted, MAX_PIECES, Meta, Name, NewRow, Protection, Row, RowKey, SEALED_KEY_BYTES, Stats,
};
use super::super::receipt::TokenMark;
use super::StoreError;
use crate::clock::UnixSeconds;
use crate::crypto::{PasswordHash, Sha256Digest};
use crate::paste::Expiry;
use crate::spool::Content;
use rusqlite::{Connection, OptionalExtension, params};

/// `content.key` is the paste's key times this, plus the number of the piece.
pub(super) const PIECES: i64 = 1 << 16;

const _: () = assert!(PIECES as u64 == MAX_PIECES, "the numbers of a paste's pieces end where those of the next begin");

/// The expiry of a paste, including flushed reads. A macro, because `concat!` takes only literals.
macro_rules! ends_at {
    () => {
        "iif(p.slides, max(p.expires_at, coalesce(s.expires_at, 0)), p.expires_at)"
    };
}

/// The columns that [`read_row`] reads.
macro_rules! select_columns {
    () => {
        concat!(
            "p.key, p.handle, coalesce(p.content, p.key) AS pieces, p.size, p.created_at, p.slides, p.reads_left, p.burn, \
             p.password, p.read_proof, p.password_proof, p.owner, p.token_hash, p.bound, p.sealed_key, p.details, \
             p.answer_proof, ",
            ends_at!(),
            " AS expires_at"
        )
    };
}
pub(super) use {ends_at, select_columns};

/// A paste's row by its name, with additional columns.
macro_rules! select_paste {
    ($more:literal) => {
        concat!(
            "SELECT ",
            select_columns!(),
            $more,
            " FROM paste p LEFT JOIN seen s ON s.key = p.key WHERE p.handle = ?1 AND p.name = ?2"
        )
    };
}

/// A handle as stored by SQLite.
pub(super) fn signed(handle: Handle) -> i64 {
    handle.0.cast_signed()
}

pub(super) fn read_handle(row: &rusqlite::Row<'_>) -> rusqlite::Result<Handle> {
    Ok(Handle(row.get::<_, i64>("handle")?.cast_unsigned()))
}

pub(super) fn read_meta(row: &rusqlite::Row<'_>) -> rusqlite::Result<Meta> {
    let expires_at = row.get("expires_at")?;
    Ok(Meta {
        size: row.get("size")?,
        created_at: row.get("created_at")?,
        expiry: if row.get("slides")? { Expiry::Sliding(expires_at) } else { Expiry::Fixed(expires_at) },
        reads_left: row.get("reads_left")?,
        burn: row.get("burn")?,
        protection: read_protection(row)?,
        token: read_mark(row)?,
        answer_proof: row.get("answer_proof")?,
    })
}

pub(super) fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        key: RowKey(row.get("key")?),
        pieces: RowKey(row.get("pieces")?),
        meta: read_meta(row)?,
        owner: row.get("owner")?,
        sealed_key: row.get("sealed_key")?,
        details: row.get("details")?,
    })
}

/// The protection of a row. A malformed value is an error, so that it never makes a paste readable.
fn read_protection(row: &rusqlite::Row<'_>) -> rusqlite::Result<Protection> {
    let malformed = || rusqlite::Error::InvalidColumnName("password is malformed".into());
    if let Some(link_proof) = row.get("read_proof")? {
        return Ok(Protection::Gate { link_proof, password_proof: row.get("password_proof")? });
    }
    let password: Option<String> = row.get("password")?;
    Ok(match password {
        Some(text) => Protection::Password(PasswordHash::decode(&text).ok_or_else(malformed)?),
        None => Protection::None,
    })
}

fn read_mark(row: &rusqlite::Row<'_>) -> rusqlite::Result<TokenMark> {
    let hash = row.get("token_hash")?;
    Ok(if row.get("bound")? { TokenMark::Bound(hash) } else { TokenMark::Plain(hash) })
}

pub(super) fn find(connection: &Connection, name: &Name) -> Result<Option<Row>, StoreError> {
    let mut select = connection.prepare_cached(select_paste!(""))?;
    Ok(select.query_row(params![signed(name.handle()), name.0], read_row).optional()?)
}

/// The row with a handle.
pub(super) fn find_by_handle(connection: &Connection, handle: Handle) -> Result<Option<Row>, StoreError> {
    let mut select = connection.prepare_cached(concat!(
        "SELECT ",
        select_columns!(),
        " FROM paste p LEFT JOIN seen s ON s.key = p.key WHERE p.handle = ?1"
    ))?;
    Ok(select.query_row([signed(handle)], read_row).optional()?)
}

/// The row with a name, with the first piece of the content.
pub(super) fn find_with_piece(connection: &Connection, name: &Name) -> Result<Option<(Row, Vec<u8>)>, StoreError> {
    let sql = select_paste!(
        ", coalesce((SELECT data FROM content WHERE key = coalesce(p.content, p.key) * 65536), x'') AS data"
    );
    let read = |row: &rusqlite::Row<'_>| Ok((read_row(row)?, row.get("data")?));
    Ok(connection.prepare_cached(sql)?.query_row(params![signed(name.handle()), name.0], read).optional()?)
}

pub(super) fn piece(connection: &Connection, key: RowKey, number: u64) -> Result<Vec<u8>, StoreError> {
    let Some(number) = i64::try_from(number).ok().filter(|number| *number < PIECES) else { return Ok(Vec::new()) };
    let mut select = connection.prepare_cached("SELECT data FROM content WHERE key = ?1")?;
    Ok(select.query_row([key.0 * PIECES + number], |row| row.get(0)).optional()?.unwrap_or_default())
}

pub(super) fn insert(connection: &Connection, row: &NewRow, limits: Limits) -> Result<Inserted, StoreError> {
    if !fits(connection, row.meta.size + row.arriving_bytes, limits)? {
        return Err(StoreError::Full);
    }
    if is_blocked(connection, &row.mark)? {
        return Ok(Inserted::Blocked);
    }
    if let Some(duplicate) = find_duplicates(connection, row, limits)? {
        return Ok(Inserted::Duplicate(duplicate));
    }
    if let Some(token) = &row.token
        && is_spent(connection, token)?
    {
        return Ok(Inserted::TokenSpent);
    }
    if !insert_paste(connection, row)? {
        return Ok(Inserted::NameTaken);
    }
    let key = connection.last_insert_rowid();
    insert_pieces(connection, key, &row.content)?;
    if let Some(token) = &row.token {
        spend(connection, token)?;
    }
    if let Some(hash) = row.submission {
        let sql = "INSERT INTO submission (hash, at) VALUES (?1, ?2)";
        connection.prepare_cached(sql)?.execute(params![signed(hash), row.meta.created_at])?;
    }
    Ok(Inserted::Stored)
}

/// Whether content is blocked.
pub(super) fn is_blocked(connection: &Connection, mark: &Sha256Digest) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("SELECT 1 FROM blocked WHERE mark = ?1")?.exists([mark])?)
}

/// Whether `bytes` more stay within the quota.
pub(super) fn fits(connection: &Connection, new_bytes: u64, limits: Limits) -> Result<bool, StoreError> {
    let quota = limits.max_db_bytes;
    Ok(quota == 0 || used_bytes(connection)?.saturating_add(new_bytes) <= quota)
}

/// Stores the pieces of content under a key.
pub(super) fn insert_pieces(connection: &Connection, key: i64, content: &Content) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached("INSERT INTO content (key, data) VALUES (?1, ?2)")?;
    content.for_each_piece(|number, piece| -> Result<(), StoreError> {
        let number = i64::try_from(number).unwrap_or(PIECES);
        insert.execute(params![key * PIECES + number, piece])?;
        Ok(())
    })
}

/// The key of a paste's pieces, and their size, if the paste exists.
pub(super) fn find_content(connection: &Connection, key: RowKey) -> Result<Option<(i64, u64)>, StoreError> {
    let mut select = connection.prepare_cached("SELECT coalesce(content, key), size FROM paste WHERE key = ?1")?;
    Ok(select.query_row([key.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Deletes the pieces under a key.
pub(super) fn erase_pieces(connection: &Connection, key: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM content WHERE key BETWEEN ?1 AND ?2")?
        .execute(params![key * PIECES, key * PIECES + PIECES - 1])?;
    Ok(())
}

/// Counts earlier submissions of the content in the window that ends now.
fn find_duplicates(connection: &Connection, row: &NewRow, limits: Limits) -> Result<Option<Duplicate>, StoreError> {
    let Some(hash) = row.submission.map(signed) else { return Ok(None) };
    let (now, window) = (row.meta.created_at, limits.dedup_window_seconds);
    let window_start = now.saturating_sub(window);
    // The submission that must leave the window first: the dedup_max-th newest.
    let blocking: Option<UnixSeconds> = connection
        .prepare_cached("SELECT at FROM submission WHERE hash = ?1 AND at > ?2 ORDER BY at DESC LIMIT 1 OFFSET ?3")?
        .query_row(params![hash, window_start, limits.dedup_max - 1], |row| row.get(0))
        .optional()?;
    let Some(blocking) = blocking else { return Ok(None) };
    let earlier: u64 = connection
        .prepare_cached("SELECT count(*) FROM submission WHERE hash = ?1 AND at > ?2")?
        .query_row(params![hash, window_start], |row| row.get(0))?;
    let retry_after_seconds = (blocking + window).saturating_sub(now).clamp(1, window);
    Ok(Some(Duplicate { count: earlier + 1, retry_after_seconds }))
}

/// Inserts the metadata. Returns whether its name was free.
fn insert_paste(connection: &Connection, row: &NewRow) -> Result<bool, StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO paste (handle, name, size, created_at, expires_at, slides, burn, password, owner, \
         token_hash, sealed_key, details, reads_left, read_proof, password_proof, bound, sealed_id, answer_proof) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?;
    let meta = &row.meta;
    let (password, link_proof, password_proof) = protection_columns(&meta.protection);
    let inserted = insert.execute(params![
        signed(row.name.handle()),
        row.name.0,
        meta.size,
        meta.created_at,
        meta.expiry.at(),
        matches!(meta.expiry, Expiry::Sliding(_)),
        meta.burn,
        password,
        row.owner,
        meta.token.hash(),
        row.sealed_key,
        row.details,
        meta.reads_left,
        link_proof,
        password_proof,
        matches!(meta.token, TokenMark::Bound(_)),
        row.sealed_id,
        meta.answer_proof,
    ])?;
    Ok(inserted == 1)
}

/// The columns `password`, `read_proof` and `password_proof`.
pub(super) fn protection_columns(
    protection: &Protection,
) -> (Option<String>, Option<Sha256Digest>, Option<Sha256Digest>) {
    match protection {
        Protection::None => (None, None, None),
        Protection::Password(hash) => (Some(hash.encode()), None, None),
        Protection::Gate { link_proof, password_proof } => (None, Some(*link_proof), *password_proof),
    }
}

pub(super) fn is_spent(connection: &Connection, token: &[u8]) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("SELECT 1 FROM spent_token WHERE token = ?1")?.exists([token])?)
}

pub(super) fn spend(connection: &Connection, token: &[u8]) -> Result<(), StoreError> {
    connection.prepare_cached("INSERT OR IGNORE INTO spent_token (token) VALUES (?1)")?.execute([token])?;
    Ok(())
}

/// Erases a row and everything that belongs to it. Returns whether it existed.
pub(super) fn erase(connection: &Connection, key: RowKey) -> Result<bool, StoreError> {
    let Some((pieces, _)) = find_content(connection, key)? else { return Ok(false) };
    // Zeroed in place first: secure_delete clears freed space, but not what a rebuilt page leaves behind.
    connection
        .prepare_cached("UPDATE paste SET sealed_key = zeroblob(?2) WHERE key = ?1")?
        .execute(params![key.0, SEALED_KEY_BYTES])?;
    let deleted = connection.prepare_cached("DELETE FROM paste WHERE key = ?1")?.execute([key.0])?;
    erase_pieces(connection, pieces)?;
    connection.prepare_cached("DELETE FROM seen WHERE key = ?1")?.execute([key.0])?;
    connection.prepare_cached("DELETE FROM lease WHERE key = ?1")?.execute([key.0])?;
    Ok(deleted > 0)
}

pub(super) fn used_bytes(connection: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT (page_count - freelist_count) * page_size \
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

pub(super) fn stats(connection: &Connection, now: UnixSeconds) -> Result<Stats, StoreError> {
    let sql = concat!(
        "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(burn), 0), count(password) + count(password_proof), count(owner), \
         min(created_at), (SELECT count(*) FROM paste) - count(*) FROM paste p LEFT JOIN seen s ON s.key = p.key WHERE ",
        ends_at!(),
        " > ?1"
    );
    let used_bytes = used_bytes(connection)?;
    let pages: u64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let page_bytes: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    Ok(connection.query_row(sql, [now], |row| {
        Ok(Stats {
            pastes: row.get(0)?,
            content_bytes: row.get(1)?,
            burn: row.get(2)?,
            password_protected: row.get(3)?,
            owned: row.get(4)?,
            oldest_created_at: row.get(5)?,
            expired: row.get(6)?,
            database_bytes: pages * page_bytes,
            disk_bytes: 0,
            used_bytes,
        })
    })?)
}
