//! The schema and its versions, what recognises a database as ours and intact, and its settings.
//!
//! Invariant: a version is only ever reached by the migrations before it. Must never change a database that it checks.

use super::super::sealing::Pepper;
use super::StoreError;
use super::location::Location;
use crate::crypto;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

/// The migrations, in order: the first turns an empty database into version 1, and so on. To change the schema, add a
/// file; never change a released one.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("001_initial.sql"),
    include_str!("002_sealed.sql"),
    include_str!("003_gated.sql"),
    include_str!("004_operators.sql"),
    include_str!("005_asks.sql"),
];

/// SQLite's `application_id` of our databases: "fpst".
const APPLICATION_ID: u32 = 0x6670_7374;
/// Databases up to this size are checked completely at startup, in about 10 ms.
const QUICK_CHECK_BYTES: u64 = 16 << 20;
/// The setting with the mark of the pepper.
const PEPPER_MARK: &str = "pepper_mark";

/// Checks the first 100 bytes (<https://www.sqlite.org/fileformat.html>, section 1.3) and returns the version.
pub(super) fn check_header(header: &[u8], file_bytes: u64) -> Result<u32, String> {
    if header.is_empty() {
        return Ok(0);
    }
    let field = |at: usize| -> u32 {
        header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
    };
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Err("is not an SQLite database; nothing was changed. Move it away or set FLASKPASTE_DB".into());
    }
    if field(68) != APPLICATION_ID {
        return Err("belongs to another program; nothing was changed. Set FLASKPASTE_DB to another path".into());
    }
    let version = field(60);
    if version as usize > MIGRATIONS.len() {
        let known = MIGRATIONS.len();
        return Err(format!(
            "has version {version}; this program supports at most {known}; nothing was changed. Use a newer flaskpaste"
        ));
    }
    let page_bytes = match field(16) >> 16 {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    if field(28) > 0 && u64::from(field(28)) * page_bytes > file_bytes {
        return Err(format!(
            "is truncated ({file_bytes} of {} bytes); nothing was changed. Restore a backup",
            u64::from(field(28)) * page_bytes
        ));
    }
    Ok(version)
}

/// Creates an empty database of the newest version in an empty file, for a private copy: without a WAL, and not synced
/// until the caller does so.
pub(super) fn make_at(path: &Path) -> Result<Connection, StoreError> {
    let connection = Location::File(path.into()).connect()?;
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA synchronous = OFF;")?;
    connection.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    migrate(&connection)?;
    Ok(connection)
}

/// Applies the missing migrations.
pub(super) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (number, sql) in (1u32..).zip(MIGRATIONS).skip(version as usize) {
        connection.execute_batch(sql)?;
        connection
            .execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"))?;
    }
    Ok(())
}

/// Stores the mark of the pepper, unless there is one.
pub(super) fn note_pepper(connection: &Connection, pepper: &Pepper) -> rusqlite::Result<()> {
    insert_setting(connection, PEPPER_MARK, &pepper.own_mark())
}

/// Checks for damage: all of a small database, the schema of a large one.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let checked = if bytes <= QUICK_CHECK_BYTES {
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
    } else {
        connection.query_row("SELECT count(*) FROM (SELECT * FROM sqlite_schema)", [], |_| Ok("ok".to_owned()))
    };
    let damage = match checked {
        Ok(result) if result == "ok" => return Ok(()),
        Ok(result) => result,
        Err(error) => error.to_string(),
    };
    let damage = damage.lines().last().unwrap_or_default().to_owned();
    Err(StoreError::Failed(format!(
        "database {} is damaged ({damage}); restore a backup or set FLASKPASTE_DB",
        path.display()
    )))
}

/// Whether the rows were sealed with this pepper.
pub(super) fn is_sealed_with(connection: &Connection, pepper: &Pepper) -> rusqlite::Result<bool> {
    Ok(find_setting(connection, PEPPER_MARK)?.is_some_and(|mark| crypto::equal(&mark, &pepper.own_mark())))
}

/// The stored value of a setting, initialized to `new`.
pub(super) fn setting(connection: &Connection, name: &str, new: &[u8]) -> Result<Vec<u8>, StoreError> {
    // Another process may have been first: its value wins.
    insert_setting(connection, name, new)?;
    find_setting(connection, name)?.ok_or_else(|| StoreError::Failed(format!("cannot store the setting {name}")))
}

fn find_setting(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection.query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// Stores a setting, unless it exists.
fn insert_setting(connection: &Connection, name: &str, value: &[u8]) -> rusqlite::Result<()> {
    connection.execute("INSERT OR IGNORE INTO setting (name, value) VALUES (?1, ?2)", params![name, value]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_headers_are_refused() {
        let mut header = vec![0; 100];
        header[..16].copy_from_slice(b"SQLite format 3\0");
        header[16..18].copy_from_slice(&4096u16.to_be_bytes());
        assert!(check_header(&header, 4096).unwrap_err().contains("another program"));
        header[68..72].copy_from_slice(&APPLICATION_ID.to_be_bytes());
        assert_eq!(check_header(&header, 4096), Ok(0));
        header[28..32].copy_from_slice(&2u32.to_be_bytes());
        assert!(check_header(&header, 4096).unwrap_err().contains("truncated"));
        header[60..64].copy_from_slice(&99u32.to_be_bytes());
        assert!(check_header(&header, 8192).unwrap_err().contains("version 99"));
        assert!(check_header(&header[..99], 99).unwrap_err().contains("not an SQLite"));
        assert_eq!(check_header(b"", 0), Ok(0));
    }
}
