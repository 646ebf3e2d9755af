//! The operators' actions: tokens, listing and removing pastes, blocking content, and the log.
//!
//! Invariant: a change and its log line are one commit; log lines are never deleted here. Must never be called from
//! outside the engine.

use super::super::model::{Action, Listed, OwnedRow, RowKey, TokenRecord};
use super::super::receipt::End;
use super::connection::Connection;
use super::ends::{self, Ending, Keeping, LOCK};
use super::fault::Fault;
use super::queries::{read_meta, read_row, select_columns};
use super::value::{Columns, Value};
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;

const NOTE: &str = "INSERT INTO action (at, who, what) VALUES ($1, $2, $3)";
const ACTIONS: &str = "SELECT at, who, what FROM action ORDER BY number";
const ADD_TOKEN: &str = "WITH added AS (INSERT INTO token (hash, name, created_at, expires_at) VALUES ($4, $5, $6, $7) \
                         ON CONFLICT DO NOTHING RETURNING 1) \
                         INSERT INTO action (at, who, what) SELECT $1, $2, $3 FROM added RETURNING 1";
const REMOVE_TOKEN: &str = "WITH removed AS (DELETE FROM token WHERE name = $4 RETURNING 1) \
                            INSERT INTO action (at, who, what) SELECT $1, $2, $3 FROM removed RETURNING 1";
const TOKENS: &str = "SELECT name, created_at, expires_at FROM token ORDER BY name COLLATE \"C\"";
const FIND_TOKEN: &str = "SELECT name FROM token WHERE hash = $1 AND coalesce(expires_at > $2, true)";
const BLOCK: &str = "INSERT INTO blocked (mark) VALUES ($1) ON CONFLICT DO NOTHING";
const UNBLOCK: &str = "WITH unblocked AS (DELETE FROM blocked WHERE mark = $4 RETURNING 1) \
                       INSERT INTO action (at, who, what) SELECT $1, $2, $3 FROM unblocked RETURNING 1";
const OWNED: &str =
    concat!(select_columns!(", p.sealed_id"), "WHERE p.owner = $1 AND p.key < $2 ORDER BY p.key DESC LIMIT $3");
const LIST: &str = concat!(select_columns!(""), "WHERE p.key < $1 ORDER BY p.key DESC LIMIT $2");

/// The columns of a log line.
fn line(action: &Action) -> [Value<'_>; 3] {
    [action.at.into(), action.who.as_str().into(), action.what.as_str().into()]
}

/// Adds a log line.
pub(super) fn note(connection: &mut Connection, action: &Action) -> Result<(), Fault> {
    connection.change(NOTE, &line(action)).map(|_| ())
}

/// The operators' log, oldest first.
pub(super) fn actions(connection: &mut Connection) -> Result<Vec<Action>, Fault> {
    let read = |row: &tokio_postgres::Row| {
        let text = |name| Ok::<_, Fault>(row.text(name)?.unwrap_or_default().to_owned());
        Ok(Action { at: row.number("at")?, who: text("who")?, what: text("what")? })
    };
    connection.query(ACTIONS, &[])?.iter().map(read).collect()
}

/// Adds a token. Returns whether its name was free.
pub(super) fn add_token(
    connection: &mut Connection,
    hash: &Sha256Digest,
    token: &TokenRecord,
    action: &Action,
) -> Result<bool, Fault> {
    let [at, who, what] = line(action);
    let values =
        [at, who, what, hash.into(), token.name.as_str().into(), token.created_at.into(), token.expires_at.into()];
    Ok(!connection.change(ADD_TOKEN, &values)?.is_empty())
}

/// Removes the token with a name. Returns whether it existed.
pub(super) fn remove_token(connection: &mut Connection, name: &str, action: &Action) -> Result<bool, Fault> {
    let [at, who, what] = line(action);
    Ok(!connection.change(REMOVE_TOKEN, &[at, who, what, name.into()])?.is_empty())
}

/// All tokens, by name.
pub(super) fn tokens(connection: &mut Connection) -> Result<Vec<TokenRecord>, Fault> {
    let read = |row: &tokio_postgres::Row| {
        let name = row.text("name")?.unwrap_or_default().to_owned();
        Ok(TokenRecord { name, created_at: row.number("created_at")?, expires_at: row.time("expires_at")? })
    };
    connection.query(TOKENS, &[])?.iter().map(read).collect()
}

/// The name of the unexpired token with this hash.
pub(super) fn find_token(
    connection: &mut Connection,
    hash: &Sha256Digest,
    now: UnixSeconds,
) -> Result<Option<String>, Fault> {
    let rows = connection.query(FIND_TOKEN, &[hash.into(), now.into()])?;
    let name = rows.first().map(|row| row.text("name")).transpose()?;
    Ok(name.flatten().map(str::to_owned))
}

/// Up to `most` pastes of an owner, expired or not, newest first, older than `before`.
pub(super) fn owned(
    connection: &mut Connection,
    owner: &Sha256Digest,
    before: Option<RowKey>,
    most: usize,
) -> Result<Vec<OwnedRow>, Fault> {
    let read = |row: &tokio_postgres::Row| {
        let sealed_id = row.bytes("sealed_id")?.map(<[u8]>::to_vec);
        Ok(OwnedRow { handle: row.handle("handle")?, row: read_row(row)?, sealed_id })
    };
    let rows = connection.query(OWNED, &[owner.into(), newest(before), (most as u64).into()])?;
    rows.iter().map(read).collect()
}

/// Up to `most` pastes, expired or not, newest first, older than `before`.
pub(super) fn list(connection: &mut Connection, before: Option<RowKey>, most: usize) -> Result<Vec<Listed>, Fault> {
    let read = |row: &tokio_postgres::Row| {
        let is_owned = row.bytes("owner")?.is_some();
        Ok(Listed { key: row.key("key")?, handle: row.handle("handle")?, meta: read_meta(row)?, is_owned })
    };
    connection.query(LIST, &[newest(before), (most as u64).into()])?.iter().map(read).collect()
}

fn newest(before: Option<RowKey>) -> Value<'static> {
    before.unwrap_or(RowKey(i64::MAX)).into()
}

/// Removes a paste; if a mark is given, its content is blocked from then on. Returns whether the paste existed.
pub(super) fn remove(
    connection: &mut Connection,
    key: RowKey,
    blocked: Option<&Sha256Digest>,
    action: &Action,
    keeping: Keeping,
) -> Result<bool, Fault> {
    let removed = connection.transaction(|connection| {
        let ending = Ending { key, ended_at: action.at, end: End::Removed };
        let rows = connection.query(LOCK, &[key.into()])?;
        if rows.is_empty() || ends::end(connection, &[ending], keeping)? == 0 {
            return Ok(None);
        }
        if let Some(mark) = blocked {
            connection.query(BLOCK, &[mark.into()])?;
        }
        connection.query(NOTE, &line(action))?;
        Ok(Some(()))
    })?;
    Ok(removed.is_some())
}

/// Unblocks content. Returns whether it was blocked.
pub(super) fn unblock(connection: &mut Connection, mark: &Sha256Digest, action: &Action) -> Result<bool, Fault> {
    let [at, who, what] = line(action);
    Ok(!connection.change(UNBLOCK, &[at, who, what, mark.into()])?.is_empty())
}
