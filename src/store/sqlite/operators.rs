//! What operators do: give out tokens, list pastes, take them down, refuse their content, and read what was done.
//!
//! Invariant: a change and the line about it in the log are one transaction; nothing here takes a line out of it. What writes
//! must never be called outside a transaction.

use super::super::model::{Action, Listed, OwnedRow, RowKey, TokenRecord};
use super::super::receipt::End;
use super::StoreError;
use super::queries::{ends_at, read_handle, read_meta, read_row, select_columns};
use super::receipts::{self, Keeping};
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;
use rusqlite::{Connection, OptionalExtension, params};

/// Keeps what somebody did.
pub(super) fn note(connection: &Connection, action: &Action) -> Result<(), StoreError> {
    let sql = "INSERT INTO action (at, who, what) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![action.at, action.who, action.what])?;
    Ok(())
}

/// What operators did, the oldest first.
pub(super) fn actions(connection: &Connection) -> Result<Vec<Action>, StoreError> {
    let mut select = connection.prepare_cached("SELECT at, who, what FROM action ORDER BY rowid")?;
    let rows = select.query_map([], |row| Ok(Action { at: row.get(0)?, who: row.get(1)?, what: row.get(2)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a token; whether its name was free.
pub(super) fn add_token(
    connection: &Connection,
    hash: &Sha256Digest,
    token: &TokenRecord,
    action: &Action,
) -> Result<bool, StoreError> {
    let sql = "INSERT OR IGNORE INTO token (hash, name, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)";
    let added =
        connection.prepare_cached(sql)?.execute(params![hash, token.name, token.created_at, token.expires_at])? > 0;
    if added {
        note(connection, action)?;
    }
    Ok(added)
}

/// Removes the token of a name; whether there was one.
pub(super) fn remove_token(connection: &Connection, name: &str, action: &Action) -> Result<bool, StoreError> {
    let removed = connection.prepare_cached("DELETE FROM token WHERE name = ?1")?.execute([name])? > 0;
    if removed {
        note(connection, action)?;
    }
    Ok(removed)
}

/// All tokens, by name.
pub(super) fn tokens(connection: &Connection) -> Result<Vec<TokenRecord>, StoreError> {
    let mut select = connection.prepare_cached("SELECT name, created_at, expires_at FROM token ORDER BY name")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(TokenRecord { name: row.get(0)?, created_at: row.get(1)?, expires_at: row.get(2)? })
    };
    Ok(select.query_map([], read)?.collect::<Result<_, _>>()?)
}

/// The name of the token with this hash, unless it has expired.
pub(super) fn find_token(
    connection: &Connection,
    hash: &Sha256Digest,
    now: UnixSeconds,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT name FROM token WHERE hash = ?1 AND coalesce(expires_at > ?2, 1)";
    Ok(connection.prepare_cached(sql)?.query_row(params![hash, now], |row| row.get(0)).optional()?)
}

/// So many pastes of an owner, expired or not, the newest first, older than the one with this key.
pub(super) fn owned(
    connection: &Connection,
    owner: &Sha256Digest,
    before: Option<RowKey>,
    most: usize,
) -> Result<Vec<OwnedRow>, StoreError> {
    let mut select = connection.prepare_cached(concat!(
        "SELECT ",
        select_columns!(),
        ", p.sealed_id FROM paste p LEFT JOIN seen s ON s.key = p.key \
         WHERE p.owner = ?1 AND p.key < ?2 ORDER BY p.key DESC LIMIT ?3"
    ))?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(OwnedRow { handle: read_handle(row)?, row: read_row(row)?, sealed_id: row.get("sealed_id")? })
    };
    let before = before.map_or(i64::MAX, |key| key.0);
    Ok(select.query_map(params![owner, before, most], read)?.collect::<Result<_, _>>()?)
}

/// So many pastes, expired or not, the newest first, older than the one with this key.
pub(super) fn list(connection: &Connection, before: Option<RowKey>, most: usize) -> Result<Vec<Listed>, StoreError> {
    let mut select = connection.prepare_cached(concat!(
        "SELECT ",
        select_columns!(),
        " FROM paste p LEFT JOIN seen s ON s.key = p.key \
         WHERE p.key < ?1 ORDER BY p.key DESC LIMIT ?2"
    ))?;
    let read = |row: &rusqlite::Row<'_>| {
        let is_owned = row.get::<_, Option<Sha256Digest>>("owner")?.is_some();
        Ok(Listed { key: RowKey(row.get("key")?), handle: read_handle(row)?, meta: read_meta(row)?, is_owned })
    };
    let before = before.map_or(i64::MAX, |key| key.0);
    Ok(select.query_map(params![before, most], read)?.collect::<Result<_, _>>()?)
}

/// Takes a paste down, and has its content refused from then on where a mark of it is given; whether there was that paste.
pub(super) fn remove(
    connection: &Connection,
    key: RowKey,
    blocked: Option<&Sha256Digest>,
    action: &Action,
    keeping: Keeping,
) -> Result<bool, StoreError> {
    if !receipts::end(connection, key, End::Removed, action.at, keeping)? {
        return Ok(false);
    }
    if let Some(mark) = blocked {
        connection.prepare_cached("INSERT OR IGNORE INTO blocked (mark) VALUES (?1)")?.execute([mark])?;
    }
    note(connection, action)?;
    Ok(true)
}

/// Accepts a content again; whether it was refused.
pub(super) fn unblock(connection: &Connection, mark: &Sha256Digest, action: &Action) -> Result<bool, StoreError> {
    let unblocked = connection.prepare_cached("DELETE FROM blocked WHERE mark = ?1")?.execute([mark])? > 0;
    if unblocked {
        note(connection, action)?;
    }
    Ok(unblocked)
}

/// Whether a content is refused.
pub(super) fn is_blocked(connection: &Connection, mark: &Sha256Digest) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("SELECT 1 FROM blocked WHERE mark = ?1")?.exists([mark])?)
}
