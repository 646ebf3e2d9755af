//! Opening the database: is it ours, is it whole, is it of a version we know; and bringing it up to date.
//!
//! Invariant: a file that is refused is left as it was, byte for byte. Must never open with SQLite what the first
//! hundred bytes already rule out, because SQLite may write on open.

use super::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The migrations, in order: the first makes version 1 of an empty database, and so on.
/// To change the schema, add a file; never change one that was released.
pub const MIGRATIONS: &[&str] = &[include_str!("001_initial.sql")];

/// SQLite's `application_id` of our databases: "fpst".
const APPLICATION_ID: u32 = 0x6670_7374;
/// Databases up to this size are checked whole at the start; it takes some 10 ms.
const QUICK_CHECK_BYTES: u64 = 16 << 20;
/// How long a connection waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the database is.
#[derive(Clone)]
pub enum Location {
    /// A file.
    File(PathBuf),
    /// Memory shared by the connections of this process under this name; gone with the last of them.
    Memory(String),
}

impl Location {
    /// A fresh database in memory.
    ///
    /// # Errors
    /// When the system has no entropy source for its name.
    pub fn memory() -> io::Result<Self> {
        Ok(Self::Memory(format!("/{}", crate::crypto::hex(&crate::crypto::random::<16>()?))))
    }

    /// The folder for spool files: the database's own, so that they share its disk and its secrecy.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::File(path) => match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
                _ => PathBuf::from("."),
            },
            Self::Memory(_) => std::env::temp_dir(),
        }
    }

    /// The database's log beside it; meaningless in memory.
    pub(super) fn log_path(&self) -> PathBuf {
        self.beside("-wal")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = match self {
            Self::File(path) => path.clone().into_os_string(),
            Self::Memory(name) => name.clone().into(),
        };
        name.push(suffix);
        name.into()
    }

    /// Size of the database's files together, its log included; 0 in memory.
    pub(super) fn disk_bytes(&self) -> u64 {
        if matches!(self, Self::Memory(_)) {
            return 0;
        }
        let size = |suffix| std::fs::metadata(self.beside(suffix)).map_or(0, |metadata| metadata.len());
        ["", "-wal", "-shm"].into_iter().map(size).sum()
    }

    /// Opens a connection with the settings every connection has.
    pub(super) fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match self {
            Self::File(path) => Connection::open_with_flags(path, flags)?,
            Self::Memory(name) => Connection::open_with_flags(
                format!("file:{name}?vfs=memdb"),
                flags | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI,
            )?,
        };
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Where SQLite was built with planner statistics, binding an id would plan the statement anew each time, which
        // is half the cost of a read. This promises the same plan for every value.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.execute_batch(
            "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; \
             PRAGMA secure_delete = ON; PRAGMA synchronous = FULL;",
        )?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }
}

/// Opens the writing connection, making or migrating the database as needed.
///
/// # Errors
/// A line for the operator: not writable, not ours, newer than this program, or damaged.
pub(super) fn open(location: &Location) -> Result<Connection, StoreError> {
    if let Location::File(path) = location {
        prepare_file(path)?;
    }
    let connection = location.connect().map_err(|error| unusable(location, &error))?;
    // Damage is looked for before anything is written.
    if let Location::File(path) = location
        && std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
    {
        check(&connection, path)?;
    }
    set_up(&connection, location).map_err(|error| unusable(location, &error))?;
    Ok(connection)
}

fn unusable(location: &Location, error: &rusqlite::Error) -> StoreError {
    match location {
        Location::File(path) => StoreError::Failed(format!("cannot use the database {}: {error}", path.display())),
        Location::Memory(_) => StoreError::Failed(format!("cannot use the database in memory: {error}")),
    }
}

/// Makes folder and file where they are missing, and looks at the header where they are not.
fn prepare_file(path: &Path) -> Result<(), StoreError> {
    let refuse = |what: String| StoreError::Failed(format!("database {}: {what}", path.display()));
    let denied = |error: &io::Error| {
        refuse(format!("cannot be written by user {} ({error}); fix its owner or set FLASKPASTE_DB", user_name()))
    };
    let folder = Location::File(path.into()).folder();
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| denied(&error))?;
    // Nobody but the server's user reads the database; SQLite gives its WAL the same mode.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path).map_err(|error| denied(&error))?;
    // SQLite needs to make its WAL beside the database.
    super::unnamed_file(&folder).map_err(|error| denied(&error))?;
    let mut header = Vec::new();
    (&mut file).take(100).read_to_end(&mut header).map_err(|error| denied(&error))?;
    // After a crash in the middle of a checkpoint the pages the file lacks are in the WAL; SQLite recovers them.
    let wal = Location::File(path.into()).log_path();
    let has_wal = std::fs::metadata(wal).is_ok_and(|metadata| metadata.len() > 0);
    let file_bytes = if has_wal { u64::MAX } else { file.metadata().map_err(|error| denied(&error))?.len() };
    check_header(&header, file_bytes).map_err(refuse)
}

/// Looks at the first 100 bytes (<https://www.sqlite.org/fileformat.html>, section 1.3).
fn check_header(header: &[u8], file_bytes: u64) -> Result<(), String> {
    if header.is_empty() {
        return Ok(());
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
    let version = field(60) as usize;
    if version > MIGRATIONS.len() {
        let known = MIGRATIONS.len();
        return Err(format!(
            "has version {version}, this program knows {known}; nothing was changed. Use a newer flaskpaste"
        ));
    }
    let page_bytes = match field(16) >> 16 {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    if field(28) > 0 && u64::from(field(28)) * page_bytes > file_bytes {
        return Err(format!(
            "is cut short ({file_bytes} bytes of {}); nothing was changed. Restore a backup",
            u64::from(field(28)) * page_bytes
        ));
    }
    Ok(())
}

fn set_up(connection: &Connection, location: &Location) -> rusqlite::Result<()> {
    // Only takes effect while the database is empty, but writes to the header whenever it is said.
    if connection.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))? == 0 {
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL;")?;
    }
    if let Location::File(_) = location {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    }
    // The writer moves the log into the database when it is 16 MiB long; at SQLite's default of 4 MiB a sixth fewer
    // pastes are stored a second. After an erasure it is emptied at once all the same.
    connection.query_row("PRAGMA wal_autocheckpoint = 4000", [], |_| Ok(()))?;
    migrate(connection)
}

/// Applies the missing migrations, each in a transaction of its own.
fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (number, sql) in (1u32..).zip(MIGRATIONS).skip(version as usize) {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {sql} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
        ))?;
    }
    Ok(())
}

/// Looks for damage: all of a small database, the schema of a large one.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
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

/// The value of a setting the server keeps, made on first use.
pub(super) fn setting(
    connection: &Connection,
    name: &str,
    make: impl FnOnce() -> io::Result<Vec<u8>>,
) -> Result<Vec<u8>, StoreError> {
    let read = |connection: &Connection| {
        connection.query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0)).optional()
    };
    if let Some(value) = read(connection)? {
        return Ok(value);
    }
    // Another process may have been first: what is stored counts.
    connection
        .execute("INSERT OR IGNORE INTO setting (name, value) VALUES (?1, ?2)", rusqlite::params![name, make()?])?;
    read(connection)?.ok_or_else(|| StoreError::Failed(format!("setting {name} could not be kept")))
}

/// The name of the user this process runs as, for a message about permissions.
fn user_name() -> String {
    let uid = std::fs::metadata("/proc/self").map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata)).ok();
    let uid = uid.map(|uid| uid.to_string()).unwrap_or_default();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_older_version_migrates_and_keeps_its_rows() {
        for version in 0..=MIGRATIONS.len() {
            let connection = Connection::open_in_memory().unwrap();
            for (number, sql) in (1..).zip(MIGRATIONS).take(version) {
                connection.execute_batch(&format!("BEGIN; {sql} PRAGMA user_version = {number}; COMMIT;")).unwrap();
            }
            if version > 0 {
                connection.execute_batch("INSERT INTO setting VALUES ('kept', x'01')").unwrap();
            }
            migrate(&connection).unwrap();
            let now: usize = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
            assert_eq!(now, MIGRATIONS.len());
            let rows: usize = connection.query_row("SELECT count(*) FROM setting", [], |row| row.get(0)).unwrap();
            assert_eq!(rows, usize::from(version > 0), "from version {version}");
        }
    }

    #[test]
    fn a_setting_is_made_once() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection).unwrap();
        assert_eq!(setting(&connection, "x", || Ok(vec![1])).unwrap(), [1]);
        assert_eq!(setting(&connection, "x", || Ok(vec![2])).unwrap(), [1]);
    }

    #[test]
    fn headers_that_are_not_ours_are_refused() {
        let mut header = vec![0; 100];
        header[..16].copy_from_slice(b"SQLite format 3\0");
        header[16..18].copy_from_slice(&4096u16.to_be_bytes());
        assert!(check_header(&header, 4096).unwrap_err().contains("another program"));
        header[68..72].copy_from_slice(&APPLICATION_ID.to_be_bytes());
        assert!(check_header(&header, 4096).is_ok());
        header[28..32].copy_from_slice(&2u32.to_be_bytes());
        assert!(check_header(&header, 4096).unwrap_err().contains("cut short"));
        header[60..64].copy_from_slice(&99u32.to_be_bytes());
        assert!(check_header(&header, 8192).unwrap_err().contains("version 99"));
        assert!(check_header(&header[..99], 99).unwrap_err().contains("not an SQLite"));
        assert!(check_header(b"", 0).is_ok());
    }
}
