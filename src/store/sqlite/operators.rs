//! The operators' actions: tokens, listing and removing pastes, blocking content, and the log.
//!
//! Invariant: a change and its log line are one transaction; log lines are never deleted here. Writes must never be
//! outside a transaction.

use super::super::model::{Action, Listed, OwnedRow, RowKey, TokenRecord};
use super::super::receipt::End;
use super::StoreError;
use super::queries::{ends_at, read_handle, read_meta, read_row, select_columns};
use super::receipts::{self, Keeping};
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;
use rusqlite::{Connection, OptionalExtension, params};

/// Adds a log line.
pub(super) fn note(connection: &Connection, action: &Action) -> Result<(), StoreError> {
    let sql = "INSERT INTO action (at, who, what) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![action.at, action.who, action.what])?;
    Ok(())
}

/// The operators' log, oldest first.
pub(super) fn actions(connection: &Connection) -> Result<Vec<Action>, StoreError> {
    let mut select = connection.prepare_cached("SELECT at, who, what FROM action ORDER BY rowid")?;
    let rows = select.query_map([], |row| Ok(Action { at: row.get(0)?, who: row.get(1)?, what: row.get(2)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a token. Returns whether its name was free.
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

/// Removes the token with a name. Returns whether it existed.
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

/// The name of the unexpired token with this hash.
pub(super) fn find_token(
    connection: &Connection,
    hash: &Sha256Digest,
    now: UnixSeconds,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT name FROM token WHERE hash = ?1 AND coalesce(expires_at > ?2, 1)";
    Ok(connection.prepare_cached(sql)?.query_row(params![hash, now], |row| row.get(0)).optional()?)
}

/// Up to `most` pastes of an owner, expired or not, newest first, older than `before`.
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

/// Up to `most` pastes, expired or not, newest first, older than `before`.
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

/// Removes a paste; if a mark is given, its content is blocked from then on. Returns whether the paste existed.
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

/// Unblocks content. Returns whether it was blocked.
pub(super) fn unblock(connection: &Connection, mark: &Sha256Digest, action: &Action) -> Result<bool, StoreError> {
    let unblocked = connection.prepare_cached("DELETE FROM blocked WHERE mark = ?1")?.execute([mark])? > 0;
    if unblocked {
        note(connection, action)?;
    }
    Ok(unblocked)
}
