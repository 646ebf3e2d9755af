//! Copies the live database in steps.
//!
//! Invariant: each paste is copied consistently, and no step holds a snapshot longer than a few megabytes take: the
//! server's WAL can be checkpointed between steps. Must never leave an incomplete file, nor copy the pepper.

use super::StoreError;
use super::location::Location;
use super::schema;
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Bytes of content copied in one step.
const STEP_BYTES: u64 = 8 << 20;
/// Rows copied in one step.
const STEP_ROWS: i64 = 5000;
/// The pause between steps, in which the writer can checkpoint the WAL.
const PAUSE: Duration = Duration::from_millis(5);

/// Copies the database at `location` to a new file and checks the copy.
///
/// # Errors
/// When the file exists, cannot be written, or fails the check; no file is left.
pub(super) fn write(location: &Location, target: &Path) -> Result<(), StoreError> {
    let name = target.to_str().ok_or_else(|| StoreError::Failed("the file name is not UTF-8".into()))?;
    if target.symlink_metadata().is_ok() {
        return Err(StoreError::Failed(format!("{name} exists; name a new file")));
    }
    let partial = format!("{name}.partial");
    // SQLite treats an empty file as a new database: creating it ourselves keeps it private from the start, and makes
    // it ours to remove.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(|error| {
        StoreError::Failed(match error.kind() {
            ErrorKind::AlreadyExists => format!("{partial} exists; remove it, unless another backup is running"),
            ErrorKind::NotFound => format!("cannot create {name}: its folder does not exist"),
            ErrorKind::PermissionDenied => format!("cannot create {name}: permission denied"),
            _ => format!("cannot create {name}: {error}"),
        })
    })?;
    let copied = schema::make_at(Path::new(&partial))
        .and_then(|copy| copy.close().map_err(|(_, error)| error.into()))
        .and_then(|()| copy_into(location, &partial));
    let checked = copied.and_then(|()| check(Path::new(&partial)));
    let finished = checked.and_then(|()| Ok(std::fs::rename(&partial, target)?));
    if finished.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    finished
}

fn copy_into(location: &Location, partial: &str) -> Result<(), StoreError> {
    let connection = location.connect()?;
    connection.execute("ATTACH ?1 AS copy", [partial])?;
    connection
        .execute_batch("PRAGMA copy.synchronous = OFF; PRAGMA copy.journal_mode = OFF; DELETE FROM copy.setting;")?;
    in_steps(&connection, copy_pastes)?;
    in_steps(&connection, |connection, after| {
        copy_rows(
            connection,
            "SELECT max(rowid) FROM (SELECT rowid FROM main.submission WHERE rowid > ?1 \
            ORDER BY rowid LIMIT ?2)",
            "INSERT INTO copy.submission (rowid, hash, at) SELECT rowid, hash, at \
            FROM main.submission WHERE rowid > ?1 AND rowid <= ?2",
            after,
        )
    })?;
    in_steps(&connection, |connection, after| {
        copy_rows(
            connection,
            "SELECT max(rowid) FROM (SELECT rowid FROM main.receipt WHERE rowid > ?1 ORDER BY rowid LIMIT ?2)",
            "INSERT INTO copy.receipt SELECT * FROM main.receipt WHERE rowid > ?1 AND rowid <= ?2",
            after,
        )
    })?;
    // Last, so that the token of every copied paste is included. A few thousand rows per hour.
    connection.execute_batch(
        "BEGIN; INSERT INTO copy.setting SELECT * FROM main.setting; \
         INSERT INTO copy.spent_token SELECT * FROM main.spent_token; COMMIT; DETACH copy;",
    )?;
    Ok(())
}

/// Repeats a step until there is nothing after the last key it copied.
fn in_steps(
    connection: &Connection,
    step: impl Fn(&Connection, i64) -> Result<Option<i64>, StoreError>,
) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        connection.execute_batch("BEGIN")?;
        let last = step(connection, after);
        connection.execute_batch(if last.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        match last? {
            Some(last) => after = last,
            None => return Ok(()),
        }
        std::thread::sleep(PAUSE);
    }
}

/// Copies the next pastes with their content and returns the last key.
fn copy_pastes(connection: &Connection, after: i64) -> Result<Option<i64>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT key, size FROM main.paste WHERE key > ?1 ORDER BY key LIMIT ?2")?;
    let mut rows = select.query(params![after, STEP_ROWS])?;
    let (mut last, mut bytes) = (None, 0);
    while let (true, Some(row)) = (bytes < STEP_BYTES, rows.next()?) {
        last = Some(row.get::<_, i64>(0)?);
        bytes += row.get::<_, u64>(1)?;
    }
    drop(rows);
    let Some(last) = last else { return Ok(None) };
    for sql in [
        "INSERT INTO copy.paste SELECT * FROM main.paste WHERE key > ?1 AND key <= ?2",
        "INSERT INTO copy.content SELECT * FROM main.content WHERE key >= (?1 + 1) * 65536 AND key < (?2 + 1) * 65536",
        "INSERT INTO copy.seen SELECT * FROM main.seen WHERE key > ?1 AND key <= ?2",
        "INSERT INTO copy.lease SELECT * FROM main.lease WHERE key > ?1 AND key <= ?2",
    ] {
        connection.prepare_cached(sql)?.execute([after, last])?;
    }
    Ok(Some(last))
}

/// Copies the next rows of a table up to the number that `last` finds, and returns it.
fn copy_rows(connection: &Connection, last: &str, copy: &str, after: i64) -> Result<Option<i64>, StoreError> {
    let last: Option<i64> =
        connection.prepare_cached(last)?.query_row([after, STEP_ROWS], |row| row.get(0)).optional()?.flatten();
    if let Some(last) = last {
        connection.prepare_cached(copy)?.execute([after, last])?;
    }
    Ok(last)
}

/// Checks a copy and syncs it to disk.
fn check(copy: &Path) -> Result<(), StoreError> {
    let connection = Connection::open(copy)?;
    let result: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    drop(connection);
    File::open(copy)?.sync_all()?;
    if result == "ok" { Ok(()) } else { Err(StoreError::Failed(format!("the copy is damaged: {result}"))) }
}
