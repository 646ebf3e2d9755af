//! Opens the database: checks that it is ours, intact, of a known version and that its pepper is there; and migrates
//! it.
//!
//! Invariant: a refused file is left unchanged, byte for byte. Must never open a file with SQLite that the first
//! hundred bytes already rule out, because SQLite may write on open.

use super::super::disk;
use super::super::pepper;
use super::super::sealing::Pepper;
use super::location::Location;
use super::schema::{self, MIGRATIONS, check, check_header, migrate, note_pepper};
use super::{Role, StoreError, upgrade};
use crate::spool::unnamed_file;
use crate::user;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The first version with sealed rows; older databases are rewritten.
const SEALED_VERSION: u32 = 2;
/// SQLite's default.
const PAGE_BYTES: u64 = 4096;
/// The size of the WAL on a disk with room: each index page is then written once for many pastes. At 16 MiB, creates
/// are a tenth slower, at 4 MiB a quarter. After an erasure the WAL is still emptied at once.
const MOST_WAL_BYTES: u64 = 64 << 20;
/// Its size on any other disk: the reserve beyond twice the paste.
const LEAST_WAL_BYTES: u64 = disk::LEAST_RESERVE_BYTES;

/// Opens the writing connection, creates or migrates the database if necessary, and reads or creates its pepper.
///
/// # Errors
/// A message for the operator: not writable, not ours, newer than this program, damaged, or without its pepper.
pub(super) fn open(
    location: &Location,
    pepper_file: &Path,
    max_paste_bytes: u64,
    role: Role,
) -> Result<(Connection, Pepper), StoreError> {
    let Location::File(path) = location else {
        let connection = location.connect().map_err(|error| unusable(location, &error))?;
        let pepper = Pepper::random()?;
        set_up(&connection, location, &pepper, max_paste_bytes, role)?;
        return Ok((connection, pepper));
    };
    let version = prepare_file(path)?;
    // A server of the previous version may be running: it does not know what a newer one would write.
    if (version as usize) < MIGRATIONS.len() && role == Role::Beside {
        let (path, newest) = (path.display(), MIGRATIONS.len());
        return Err(StoreError::Failed(format!(
            "database {path} has version {version}; start the server once to upgrade it to {newest}"
        )));
    }
    let pepper =
        if version < SEALED_VERSION { pepper::read_or_make(pepper_file)? } else { find_pepper(path, pepper_file)? };
    if role == Role::Server {
        if version > 0 && version < SEALED_VERSION {
            upgrade::seal(path, &pepper)?;
        }
        upgrade::wipe_unsealed(path);
    }
    let connection = location.connect().map_err(|error| unusable(location, &error))?;
    // Check for damage and a wrong pepper before anything is written, even by closing.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if version > 0 {
        check(&connection, path)?;
        check_pepper(&connection, path, pepper_file, &pepper)?;
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    set_up(&connection, location, &pepper, max_paste_bytes, role)?;
    Ok((connection, pepper))
}

/// Opens an existing database of the newest version exclusively and reads its pepper.
///
/// # Errors
/// A line for the operator.
#[cfg(feature = "postgres")]
pub(super) fn open_alone(path: &Path, pepper_file: &Path) -> Result<(Connection, Pepper), StoreError> {
    let newest = MIGRATIONS.len();
    let refuse = |what: String| StoreError::Failed(format!("database {}: {what}", path.display()));
    let mut header = Vec::new();
    let read = File::open(path).and_then(|file| file.take(100).read_to_end(&mut header));
    read.map_err(|error| refuse(format!("cannot read it: {error}")))?;
    // Missing pages may be in its WAL.
    let version = check_header(&header, u64::MAX).map_err(|_| refuse("not a flaskpaste database".into()))?;
    if version as usize != newest {
        let first = if version == 0 { "is empty".to_owned() } else { format!("has version {version}") };
        return Err(refuse(format!("{first}; start flaskpaste with it once to upgrade it to version {newest}")));
    }
    let pepper = find_pepper(path, pepper_file)?;
    let connection =
        Location::File(path.into()).connect().map_err(|error| unusable(&Location::File(path.into()), &error))?;
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    connection
        .execute_batch("BEGIN EXCLUSIVE")
        .map_err(|error| refuse(format!("another process has it open ({error}); stop that process first")))?;
    check(&connection, path)?;
    check_pepper(&connection, path, pepper_file, &pepper)?;
    Ok((connection, pepper))
}

/// The pepper of a database that has one.
fn find_pepper(database: &Path, pepper_file: &Path) -> Result<Pepper, StoreError> {
    pepper::read(pepper_file)?.ok_or_else(|| {
        StoreError::Failed(format!(
            "database {} was sealed with a pepper, but there is no {}; nothing was changed. Put it back, or set its \
             path in FLASKPASTE_PEPPER_FILE",
            database.display(),
            pepper_file.display()
        ))
    })
}

/// Checks that the rows were sealed with this pepper.
fn check_pepper(connection: &Connection, database: &Path, file: &Path, pepper: &Pepper) -> Result<(), StoreError> {
    match schema::is_sealed_with(connection, pepper) {
        Ok(true) => Ok(()),
        Ok(false) => Err(StoreError::Failed(format!(
            "database {} was sealed with a different pepper than {}; nothing was changed. Put the right one there, \
             or name it in FLASKPASTE_PEPPER_FILE",
            database.display(),
            file.display()
        ))),
        Err(error) => Err(unusable(&Location::File(database.into()), &error)),
    }
}

fn unusable(location: &Location, error: &rusqlite::Error) -> StoreError {
    match location {
        Location::File(path) => StoreError::Failed(format!("cannot use the database {}: {error}", path.display())),
        Location::Memory(_) => StoreError::Failed(format!("cannot use the in-memory database: {error}")),
    }
}

/// Creates a missing folder and file, or checks the header. Returns the version, 0 for an empty file.
fn prepare_file(path: &Path) -> Result<u32, StoreError> {
    let refuse = |what: String| StoreError::Failed(format!("database {}: {what}", path.display()));
    let denied = |error: &io::Error| {
        refuse(format!("cannot be written by user {} ({error}); fix its owner or set FLASKPASTE_DB", user::name()))
    };
    let folder = Location::File(path.into()).folder();
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| denied(&error))?;
    // Only the server's user may read the database; SQLite gives its WAL the same mode.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    drop(options.open(path).map_err(|error| denied(&error))?);
    // SQLite creates its WAL beside the database.
    unnamed_file(&folder).map_err(|error| denied(&error))?;
    let location = Location::File(path.into());
    let is_filled = |path: PathBuf| std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0);
    let look = |has_more: bool| {
        let mut header = Vec::new();
        let file = File::open(path).map_err(|error| denied(&error))?;
        let file_bytes = file.metadata().map_err(|error| denied(&error))?.len();
        file.take(100).read_to_end(&mut header).map_err(|error| denied(&error))?;
        check_header(&header, if has_more { u64::MAX } else { file_bytes }).map_err(refuse)
    };
    // A crash in the very first transaction, the only one before there is a WAL, leaves a rollback journal.
    if is_filled(location.beside("-journal")) {
        look(true)?;
        let connection = location.connect().map_err(|error| unusable(&location, &error))?;
        let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        read.map_err(|error| unusable(&location, &error))?;
    }
    // After a crash during a checkpoint, missing pages are in the WAL; SQLite recovers them.
    look(is_filled(location.wal_path()))
}

fn set_up(
    connection: &Connection,
    location: &Location,
    pepper: &Pepper,
    max_paste_bytes: u64,
    role: Role,
) -> Result<(), StoreError> {
    let wal_pages = max_wal_bytes(disk::reserve_bytes(&location.folder())?, max_paste_bytes) / PAGE_BYTES;
    let run = || {
        if role == Role::Server {
            bring_up_to_date(connection, pepper)?;
        }
        // This does nothing to a database that has a WAL; a backup has none.
        if let Location::File(_) = location {
            connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        }
        connection.query_row(&format!("PRAGMA wal_autocheckpoint = {wal_pages}"), [], |_| Ok(()))
    };
    run().map_err(|error| unusable(location, &error))
}

/// Applies the missing migrations. A command beside a server finds that done, and would wait for its writer.
fn bring_up_to_date(connection: &Connection, pepper: &Pepper) -> rusqlite::Result<()> {
    // In one transaction, before there is a WAL: a new database is ours from its first page on, or empty. The pragma
    // only takes effect before that page exists, but always writes to it.
    if connection.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))? == 0 {
        connection.execute_batch("BEGIN; PRAGMA auto_vacuum = INCREMENTAL;")?;
    } else {
        connection.execute_batch("BEGIN IMMEDIATE")?;
    }
    migrate(connection)?;
    note_pepper(connection, pepper)?;
    connection.execute_batch("COMMIT")
}

/// The size of the WAL at which the writer checkpoints it. The reserve must hold the WAL and twice the paste being
/// stored, so that there is always room for a checkpoint.
fn max_wal_bytes(reserve_bytes: u64, max_paste_bytes: u64) -> u64 {
    reserve_bytes.saturating_sub(2 * max_paste_bytes).clamp(LEAST_WAL_BYTES, MOST_WAL_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_has_the_newest_version_and_its_peppers_mark() {
        let (connection, pepper) =
            open(&Location::memory().unwrap(), Path::new("/nonexistent"), 1, Role::Server).unwrap();
        let version: usize = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, MIGRATIONS.len());
        let [path, file] = [Path::new("database"), Path::new("file")];
        check_pepper(&connection, path, file, &pepper).unwrap();
        let other = check_pepper(&connection, path, file, &Pepper::random().unwrap());
        assert!(other.unwrap_err().to_string().contains("different pepper"));
    }

    #[test]
    fn the_wal_fits_into_the_reserve() {
        const MIB: u64 = 1 << 20;
        for (reserve, paste, wal) in [(16, 50, 16), (30, 3, 24), (100, 50, 16), (150, 50, 50), (1024, 50, 64)] {
            assert_eq!(max_wal_bytes(reserve * MIB, paste * MIB), wal * MIB, "{reserve} MiB kept free");
        }
    }
}
