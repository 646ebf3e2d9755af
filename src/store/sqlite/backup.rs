//! Copies the live database in steps.
//!
//! Invariant: each paste is copied consistently, and no step holds a snapshot longer than a few megabytes take: the
//! server's WAL can be checkpointed between steps. Must never leave an incomplete file, nor copy the pepper.

use super::StoreError;
use super::location::Location;
use super::schema;
use rusqlite::{Connection, params};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Bytes of content copied in one step.
const STEP_BYTES: u64 = 8 << 20;
/// Rows copied in one step.
const STEP_ROWS: i64 = 5000;
/// Tables copied in steps by row number. The operators' log is never truncated.
const BY_ROW: [&str; 3] = ["submission", "receipt", "action"];
/// Small tables, copied whole and last: the spent token of every copied paste is then included, and the last key given
/// out is above every copied one.
const WHOLE: [&str; 5] = ["setting", "token", "blocked", "spent_token", "sqlite_sequence"];
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
    connection.execute_batch("PRAGMA copy.synchronous = OFF; PRAGMA copy.journal_mode = OFF")?;
    in_steps(&connection, copy_pastes)?;
    for table in BY_ROW {
        in_steps(&connection, |connection, after| copy_rows(connection, table, after))?;
    }
    let replace = |table| format!("DELETE FROM copy.{table}; INSERT INTO copy.{table} SELECT * FROM main.{table};");
    connection.execute_batch(&format!("BEGIN; {} COMMIT; DETACH copy", WHOLE.map(replace).concat()))?;
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
        // Not a range of keys: replaced content has a key of its own, newer than that of its paste.
        "INSERT INTO copy.content SELECT c.* FROM main.paste p CROSS JOIN main.content c \
         ON c.key BETWEEN coalesce(p.content, p.key) * 65536 AND coalesce(p.content, p.key) * 65536 + 65535 \
         WHERE p.key > ?1 AND p.key <= ?2",
        "INSERT INTO copy.seen SELECT * FROM main.seen WHERE key > ?1 AND key <= ?2",
        "INSERT INTO copy.lease SELECT * FROM main.lease WHERE key > ?1 AND key <= ?2",
    ] {
        connection.prepare_cached(sql)?.execute([after, last])?;
    }
    Ok(Some(last))
}

/// Copies the next rows of a table and returns the number of the last.
fn copy_rows(connection: &Connection, table: &str, after: i64) -> Result<Option<i64>, StoreError> {
    let last =
        format!("SELECT max(rowid) FROM (SELECT rowid FROM main.{table} WHERE rowid > ?1 ORDER BY rowid LIMIT ?2)");
    let last: Option<i64> = connection.prepare_cached(&last)?.query_row([after, STEP_ROWS], |row| row.get(0))?;
    if let Some(last) = last {
        let copy = format!("INSERT INTO copy.{table} SELECT * FROM main.{table} WHERE rowid > ?1 AND rowid <= ?2");
        connection.prepare_cached(&copy)?.execute([after, last])?;
    }
    Ok(last)
}

/// Checks a copy and syncs it to disk.
fn check(copy: &Path) -> Result<(), StoreError> {
    let connection = Connection::open(copy)?;
    let result: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if result != "ok" {
        return Err(StoreError::Failed(format!("the copy is damaged: {result}")));
    }
    let empty: u64 = connection.query_row(
        "SELECT count(*) FROM paste WHERE size > 0 \
         AND NOT EXISTS (SELECT 1 FROM content WHERE content.key = coalesce(paste.content, paste.key) * 65536)",
        [],
        |row| row.get(0),
    )?;
    if empty > 0 {
        return Err(StoreError::Failed(format!("the copy is incomplete: {empty} pastes are without content")));
    }
    drop(connection);
    Ok(File::open(copy)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_copied() {
        let file = std::env::temp_dir().join(format!("flaskpaste-tables-{}", std::process::id()));
        File::create(&file).unwrap();
        let connection = schema::make_at(&file).unwrap();
        let mut select =
            connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
        let tables: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        std::fs::remove_file(file).unwrap();
        // Contents that were replaced are kept for seconds, for readers of the live database.
        let mut copied = [&["paste", "content", "seen", "lease", "replaced"], &BY_ROW[..], &WHOLE[..]].concat();
        copied.sort_unstable();
        assert_eq!(tables, copied);
    }
}
