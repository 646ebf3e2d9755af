//! Every statement about pastes: the SQL and the rows, in one place.
//!
//! Invariant: a function here runs inside whatever transaction its caller has, and leaves opening and committing to
//! it. Must never be called from outside the store.

use super::{Created, Limits, NewPaste, PIECE_BYTES, PIECES, Stats, StoreError};
use crate::clock::UnixSeconds;
use crate::crypto::PasswordHash;
use crate::paste::{Expiry, Fingerprint, Id, Paste};
use crate::spool::{MEMORY_BYTES, unnamed_file};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// A paste's metadata by its id, reads so far included, and whatever else is asked for. A macro, because `concat!`
/// takes only literals.
macro_rules! select_paste {
    ($more:literal) => {
        concat!(
            "SELECT p.key, p.id, p.size, p.mime_type, p.created_at, p.slides, p.burn, p.password, p.owner, p.token_hash, \
             max(p.expires_at, coalesce(s.expires_at, 0)) AS expires_at",
            $more,
            " FROM paste p LEFT JOIN seen s ON s.key = p.key WHERE p.id = ?1"
        )
    };
}

/// The columns of [`read_paste`], by id.
pub(super) const FIND: &str = select_paste!("");
/// The same and, as `data`, the first piece of the content.
pub(super) const OPEN: &str = select_paste!(", (SELECT data FROM content WHERE key = p.key * 65536) AS data");

pub(super) fn read_paste(row: &Row<'_>) -> rusqlite::Result<Paste> {
    let malformed = |column: &str| rusqlite::Error::InvalidColumnName(format!("{column} is malformed"));
    let expires_at = row.get("expires_at")?;
    let password: Option<String> = row.get("password")?;
    let owner: Option<String> = row.get("owner")?;
    Ok(Paste {
        key: row.get("key")?,
        id: row.get::<_, String>("id")?.parse().map_err(|()| malformed("id"))?,
        size: row.get("size")?,
        mime_type: row.get("mime_type")?,
        created_at: row.get("created_at")?,
        expiry: if row.get("slides")? { Expiry::Sliding(expires_at) } else { Expiry::Fixed(expires_at) },
        burn: row.get("burn")?,
        // A hash that cannot be read must not open the paste: fail instead.
        password: password.map(|text| PasswordHash::decode(&text).ok_or_else(|| malformed("password"))).transpose()?,
        owner: owner.map(|text| text.parse().map_err(|()| malformed("owner"))).transpose()?,
        token_hash: row.get("token_hash")?,
    })
}

pub(super) fn create(connection: &Connection, new: &NewPaste, limits: Limits) -> Result<Created, StoreError> {
    if limits.max_db_bytes > 0 && used_bytes(connection)?.saturating_add(new.content.size) > limits.max_db_bytes {
        return Err(StoreError::Full);
    }
    if let Some(refused) = find_duplicates(connection, new, limits)? {
        return Ok(refused);
    }
    if let Some(token) = &new.spent_token {
        let spent =
            connection.prepare_cached("INSERT OR IGNORE INTO spent_token (token) VALUES (?1)")?.execute([token])?;
        if spent == 0 {
            return Ok(Created::TokenSpent);
        }
    }
    let id = insert_paste(connection, new, limits.id_length)?;
    let key = connection.last_insert_rowid();
    let mut insert = connection.prepare_cached("INSERT INTO content (key, data) VALUES (?1, ?2)")?;
    new.content.for_each_piece(PIECE_BYTES, |number, piece| -> Result<(), StoreError> {
        insert.execute(params![key * PIECES + i64::from(number), piece])?;
        Ok(())
    })?;
    if limits.dedup_max > 0 {
        let sql = "INSERT INTO submission (hash, at) VALUES (?1, ?2)";
        connection.prepare_cached(sql)?.execute(params![new.content.sha256, new.created_at])?;
    }
    Ok(Created::Stored(id))
}

/// Counts earlier submissions of the content in the window that ends now.
fn find_duplicates(connection: &Connection, new: &NewPaste, limits: Limits) -> Result<Option<Created>, StoreError> {
    if limits.dedup_max == 0 {
        return Ok(None);
    }
    let window_start = new.created_at.saturating_sub(limits.dedup_window_seconds);
    // The one that has to leave the window before there is room: the dedup_max-th newest.
    let blocking: Option<UnixSeconds> = connection
        .prepare_cached("SELECT at FROM submission WHERE hash = ?1 AND at > ?2 ORDER BY at DESC LIMIT 1 OFFSET ?3")?
        .query_row(params![new.content.sha256, window_start, limits.dedup_max - 1], |row| row.get(0))
        .optional()?;
    let Some(blocking) = blocking else { return Ok(None) };
    let earlier: u64 = connection
        .prepare_cached("SELECT count(*) FROM submission WHERE hash = ?1 AND at > ?2")?
        .query_row(params![new.content.sha256, window_start], |row| row.get(0))?;
    let leaves_at = blocking + limits.dedup_window_seconds;
    let retry_after_seconds = leaves_at.saturating_sub(new.created_at).clamp(1, limits.dedup_window_seconds);
    Ok(Some(Created::Duplicate { count: earlier + 1, retry_after_seconds }))
}

/// Inserts the metadata under a new id; a collision, which twelve digits make unlikely and eight do not, draws again.
fn insert_paste(connection: &Connection, new: &NewPaste, id_length: usize) -> Result<Id, StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO paste (id, size, mime_type, created_at, expires_at, slides, burn, password, owner, token_hash) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for _ in 0..16 {
        let id = Id::random(id_length)?;
        let inserted = insert.execute(params![
            id.as_str(),
            new.content.size,
            new.mime_type,
            new.created_at,
            new.expiry.at(),
            matches!(new.expiry, Expiry::Sliding(_)),
            new.burn,
            new.password.as_ref().map(PasswordHash::encode),
            new.owner.as_ref().map(Fingerprint::as_str),
            new.token_hash,
        ])?;
        if inserted == 1 {
            return Ok(id);
        }
    }
    Err(StoreError::Failed("no free id in 16 draws; raise FLASKPASTE_ID_LENGTH".into()))
}

/// Reads the content and deletes the paste, in the transaction it is called in.
pub(super) fn burn(
    connection: &Connection,
    key: i64,
    size: u64,
    folder: &Path,
) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
    let exists = connection.prepare_cached("SELECT 1 FROM paste WHERE key = ?1")?.exists([key])?;
    if !exists {
        return Ok(None);
    }
    let mut select = connection.prepare_cached("SELECT data FROM content WHERE key BETWEEN ?1 AND ?2 ORDER BY key")?;
    let mut rows = select.query(params![key * PIECES, key * PIECES + PIECES - 1])?;
    let content: Box<dyn Read + Send> = if size <= MEMORY_BYTES as u64 {
        let mut bytes = Vec::new();
        while let Some(row) = rows.next()? {
            bytes.extend_from_slice(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
        }
        Box::new(io::Cursor::new(bytes))
    } else {
        let mut file = unnamed_file(folder)?;
        while let Some(row) = rows.next()? {
            file.write_all(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        }
        file.rewind()?;
        Box::new(file)
    };
    drop(rows);
    delete_by_key(connection, key)?;
    Ok(Some(content))
}

/// Deletes a paste with all that belongs to it; whether there was one.
pub(super) fn delete_by_key(connection: &Connection, key: i64) -> Result<bool, StoreError> {
    let deleted = connection.prepare_cached("DELETE FROM paste WHERE key = ?1")?.execute([key])?;
    connection
        .prepare_cached("DELETE FROM content WHERE key BETWEEN ?1 AND ?2")?
        .execute(params![key * PIECES, key * PIECES + PIECES - 1])?;
    connection.prepare_cached("DELETE FROM seen WHERE key = ?1")?.execute([key])?;
    Ok(deleted > 0)
}

pub(super) fn used_bytes(connection: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT (page_count - freelist_count) * page_size \
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

pub(super) fn stats(connection: &Connection, now: UnixSeconds) -> Result<Stats, StoreError> {
    let sql = "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(burn), 0), count(password), count(owner), \
               min(created_at), (SELECT count(*) FROM paste) - count(*) \
               FROM paste p LEFT JOIN seen s ON s.key = p.key WHERE max(p.expires_at, coalesce(s.expires_at, 0)) > ?1";
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
