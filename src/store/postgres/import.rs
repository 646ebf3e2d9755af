//! Imports an SQLite database: its live pastes under their ids, and what belongs to them.
//!
//! Invariant: a paste is imported completely or not at all; existing rows are unchanged, so that an interrupted import
//! can be repeated. A completed one cannot: it would bring back pastes that have ended since. Must never decrypt what
//! it moves.

use super::super::StoreError;
use super::super::model::{MAX_PIECES, RowKey};
use super::super::moved::{Imported, MovedReceipt, MovedRow, MovedToken};
use super::super::sqlite::Export;
use super::connection::Connection;
use super::fault::Fault;
use super::pool::{MOST_WAITING, Pool};
use super::queries::{INSERT_PIECE, PasteColumns, next_key, paste_columns, spend};
use super::schema::{find_setting, setting};
use super::value::Value;
use crate::clock::UnixSeconds;
use std::time::Instant;

/// Pastes read at a time.
const PAGE: usize = 200;
/// The setting that records a completed import.
const COMPLETED: &str = "import_completed";
/// The setting that records the last imported paste.
const LAST_KEY: &str = "import_last_key";

/// A paste with a receipt has ended here since an interrupted import.
const INSERT_ROW: &str = concat!(
    "INSERT INTO paste ",
    paste_columns!(),
    "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20 \
     WHERE NOT EXISTS (SELECT FROM receipt WHERE token = $13) ON CONFLICT (handle) DO NOTHING RETURNING key"
);
const NOTE_KEY: &str = "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
const INSERT_SEEN: &str =
    "INSERT INTO seen (key, expires_at, reads, first_read_at, last_read_at) VALUES ($1, $2, $3, $4, $5)";
const INSERT_LEASE: &str = "INSERT INTO lease (hash, key, expires_at) VALUES ($1, $2, $3)";
const INSERT_TOKEN: &str = "INSERT INTO token (hash, name, created_at, expires_at) VALUES ($1, $2, $3, $4) \
                            ON CONFLICT DO NOTHING RETURNING 1";
const INSERT_RECEIPT: &str = "INSERT INTO receipt (token, state, reads, first_read_at, last_read_at, expires_at, ended_at) \
                              VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING 1";
const INSERT_BLOCKED: &str = "INSERT INTO blocked (mark) VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1";
const INSERT_ACTION: &str = "INSERT INTO action (at, who, what) SELECT $1, $2, $3 \
                             WHERE NOT EXISTS (SELECT FROM action WHERE at = $1 AND who = $2 AND what = $3) RETURNING 1";

/// Imports a database and returns the counts.
///
/// # Errors
/// When either database fails; what was imported until then stays.
pub(super) fn import(pool: &Pool, export: &Export, now: UnixSeconds) -> Result<Imported, StoreError> {
    if pool.read(|connection| find_setting(connection, COMPLETED))?.is_some() {
        return Err(StoreError::Failed(
            "an import into this database was completed before; a second one would bring back what was read for the last \
             time, deleted or removed since"
                .into(),
        ));
    }
    let mut imported = Imported::default();
    // None is imported twice: it may have ended here since.
    let moved = pool.read(|connection| find_setting(connection, LAST_KEY))?;
    let mut last = RowKey(moved.and_then(|key| key.try_into().ok()).map_or(i64::MIN, i64::from_be_bytes));
    loop {
        let rows = export.rows(last, PAGE)?;
        let Some(newest) = rows.last() else { break };
        last = newest.key;
        for row in &rows {
            if row.meta.expiry.at() <= now {
                imported.expired += 1;
            } else if pool.change(|connection| import_row(connection, export, row))? {
                imported.pastes += 1;
                imported.content_bytes += row.meta.size;
            } else {
                imported.known += 1;
            }
        }
    }
    import_rest(pool, export, &mut imported)?;
    pool.change(|connection| setting(connection, COMPLETED, &now.to_be_bytes()))?;
    Ok(imported)
}

/// Imports a paste with its pieces, reads and leases. Returns whether it was new.
fn import_row(connection: &mut Connection, export: &Export, row: &MovedRow) -> Result<bool, Fault> {
    let moved = connection.transaction(|connection| {
        let key = next_key(connection)?;
        let first_piece = read_piece(export, row, 0)?;
        if insert_row(connection, key, row, &first_piece)?.is_empty() {
            return Ok(None);
        }
        connection.query(NOTE_KEY, &[LAST_KEY.into(), row.key.0.to_be_bytes().as_slice().into()])?;
        for number in 1..MAX_PIECES {
            let piece = read_piece(export, row, number)?;
            if piece.is_empty() {
                break;
            }
            connection.query(INSERT_PIECE, &[key.into(), number.into(), piece.as_slice().into()])?;
            connection.set_deadline(Instant::now() + MOST_WAITING);
        }
        let reads = row.reads;
        if reads.count > 0 {
            let (expires_at, first_at, last_at) = (row.meta.expiry.at(), reads.first_at, reads.last_at);
            let values = [key.into(), expires_at.into(), reads.count.into(), first_at.into(), last_at.into()];
            connection.query(INSERT_SEEN, &values)?;
        }
        for (hash, expires_at) in &row.leases {
            connection.query(INSERT_LEASE, &[hash.into(), key.into(), (*expires_at).into()])?;
        }
        Ok(Some(()))
    })?;
    Ok(moved.is_some())
}

fn insert_row(
    connection: &mut Connection,
    key: RowKey,
    row: &MovedRow,
    first_piece: &[u8],
) -> Result<Vec<tokio_postgres::Row>, Fault> {
    let columns = PasteColumns {
        owner: row.owner.as_ref(),
        sealed_key: &row.sealed_key,
        details: &row.details,
        sealed_id: row.sealed_id.as_deref(),
        first_piece,
        ..PasteColumns::of(&row.name, &row.meta)
    };
    connection.query(INSERT_ROW, &[columns.values().as_slice(), &[key.into()]].concat())
}

fn read_piece(export: &Export, row: &MovedRow, number: u64) -> Result<Vec<u8>, Fault> {
    export.piece(row.pieces, number).map_err(|error| Fault::Failed(error.to_string()))
}

/// Imports what does not belong to a live paste.
fn import_rest(pool: &Pool, export: &Export, imported: &mut Imported) -> Result<(), StoreError> {
    // Whether a row was new.
    let insert = |sql: &'static str, values: &[Value<'_>]| -> Result<u64, StoreError> {
        pool.change(|connection| Ok(connection.change(sql, values)?.len() as u64))
    };
    for MovedToken { hash, record } in export.tokens()? {
        let values = [(&hash).into(), record.name.as_str().into(), record.created_at.into(), record.expires_at.into()];
        imported.tokens += insert(INSERT_TOKEN, &values)?;
    }
    for MovedReceipt { token, receipt } in export.receipts()? {
        let reads = receipt.reads;
        let values = [
            (&token).into(),
            u64::from(receipt.end.number()).into(),
            reads.count.into(),
            reads.first_at.into(),
            reads.last_at.into(),
            receipt.expires_at.into(),
            receipt.ended_at.into(),
        ];
        imported.receipts += insert(INSERT_RECEIPT, &values)?;
    }
    for mark in export.blocked()? {
        imported.blocked += insert(INSERT_BLOCKED, &[(&mark).into()])?;
    }
    for action in export.actions()? {
        let values = [action.at.into(), action.who.as_str().into(), action.what.as_str().into()];
        imported.actions += insert(INSERT_ACTION, &values)?;
    }
    for token in export.spent_tokens()? {
        pool.change(|connection| spend(connection, &token))?;
    }
    for (name, value) in export.settings()? {
        pool.change(|connection| setting(connection, &name, &value))?;
    }
    Ok(())
}
