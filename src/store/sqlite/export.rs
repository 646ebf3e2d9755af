//! Exports a whole database for another engine.
//!
//! Invariant: no other process has the database open, so nothing is created, read or deleted meanwhile. Must never
//! write to it.

use super::super::model::{Action, Name, RowKey, TokenRecord};
use super::super::moved::{MovedReceipt, MovedRow, MovedToken};
use super::super::receipt::Reads;
use super::super::sealing::Pepper;
use super::queries::{self, ends_at, read_meta, select_columns};
use super::{StoreError, opening, operators, receipts};
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;
use rusqlite::{Connection, params};
use std::path::Path;

/// An exclusively opened database.
pub(in crate::store) struct Export(Connection);

impl Export {
    /// Opens an existing database of the newest version.
    ///
    /// # Errors
    /// A line for the operator.
    pub(in crate::store) fn open(path: &Path, pepper_file: &Path) -> Result<(Self, Pepper), StoreError> {
        let (connection, pepper) = opening::open_alone(path, pepper_file)?;
        Ok((Self(connection), pepper))
    }

    /// Up to `most` pastes, expired or not, oldest first, after the one with this key.
    pub(in crate::store) fn rows(&self, after: RowKey, most: usize) -> Result<Vec<MovedRow>, StoreError> {
        let mut select = self.0.prepare_cached(concat!(
            "SELECT ",
            select_columns!(),
            ", p.name, p.sealed_id, coalesce(s.reads, 0) AS reads, s.first_read_at, s.last_read_at \
             FROM paste p LEFT JOIN seen s ON s.key = p.key WHERE p.key > ?1 ORDER BY p.key LIMIT ?2"
        ))?;
        let rows = select.query_map(params![after.0, most], read_row)?.collect::<Result<Vec<_>, _>>()?;
        rows.into_iter().map(|row| Ok(MovedRow { leases: self.leases(row.key)?, ..row })).collect()
    }

    fn leases(&self, key: RowKey) -> Result<Vec<(Sha256Digest, UnixSeconds)>, StoreError> {
        let mut select = self.0.prepare_cached("SELECT hash, expires_at FROM lease WHERE key = ?1")?;
        let rows = select.query_map([key.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A sealed piece of content; empty after the last.
    pub(in crate::store) fn piece(&self, key: RowKey, number: u64) -> Result<Vec<u8>, StoreError> {
        queries::piece(&self.0, key, number)
    }

    /// All tokens.
    pub(in crate::store) fn tokens(&self) -> Result<Vec<MovedToken>, StoreError> {
        let read = |row: &rusqlite::Row<'_>| {
            let record = TokenRecord { name: row.get(1)?, created_at: row.get(2)?, expires_at: row.get(3)? };
            Ok(MovedToken { hash: row.get(0)?, record })
        };
        self.all("SELECT hash, name, created_at, expires_at FROM token ORDER BY name", read)
    }

    /// All receipts.
    pub(in crate::store) fn receipts(&self) -> Result<Vec<MovedReceipt>, StoreError> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(MovedReceipt { token: row.get("token")?, receipt: receipts::read_receipt(row)? })
        };
        self.all(
            "SELECT state, ended_at, expires_at, reads, first_read_at, last_read_at, token FROM receipt ORDER BY rowid",
            read,
        )
    }

    /// The marks of blocked contents.
    pub(in crate::store) fn blocked(&self) -> Result<Vec<Sha256Digest>, StoreError> {
        self.all("SELECT mark FROM blocked", |row| row.get(0))
    }

    /// The spent proof-of-work tokens.
    pub(in crate::store) fn spent_tokens(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.all("SELECT token FROM spent_token", |row| row.get(0))
    }

    /// The server's stored settings, except the mark of its pepper.
    pub(in crate::store) fn settings(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let sql = "SELECT name, value FROM setting WHERE name <> 'pepper_mark'";
        self.all(sql, |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// The operators' log, oldest first.
    pub(in crate::store) fn actions(&self) -> Result<Vec<Action>, StoreError> {
        operators::actions(&self.0)
    }

    fn all<T>(
        &self,
        sql: &str,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        Ok(self.0.prepare(sql)?.query_map([], read)?.collect::<Result<_, _>>()?)
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<MovedRow> {
    Ok(MovedRow {
        key: RowKey(row.get("key")?),
        pieces: RowKey(row.get("pieces")?),
        name: Name(row.get("name")?),
        meta: read_meta(row)?,
        owner: row.get("owner")?,
        sealed_key: row.get("sealed_key")?,
        details: row.get("details")?,
        sealed_id: row.get("sealed_id")?,
        reads: Reads {
            count: row.get("reads")?,
            first_at: row.get("first_read_at")?,
            last_at: row.get("last_read_at")?,
        },
        leases: Vec::new(),
    })
}
