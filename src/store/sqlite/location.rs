//! The location of the database, and opening connections to it.
//!
//! Invariant: every connection has the same settings. Must never inspect the database: that is the schema's job.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How long a connection waits for another process's lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The location of the database.
#[derive(Clone)]
pub enum Location {
    /// A file.
    File(PathBuf),
    /// Memory shared under this name by the connections of this process, until the last one closes.
    Memory(String),
}

impl Location {
    /// A new in-memory database.
    ///
    /// # Errors
    /// When the system has no entropy source for its name.
    pub fn memory() -> io::Result<Self> {
        Ok(Self::Memory(format!("/{}", crate::crypto::hex(&crate::crypto::random::<16>()?))))
    }

    /// The folder for spool files: the database's, so that they share its disk and permissions.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::File(path) => match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
                _ => PathBuf::from("."),
            },
            Self::Memory(_) => std::env::temp_dir(),
        }
    }

    /// The database's WAL; meaningless in memory.
    pub(super) fn wal_path(&self) -> PathBuf {
        self.beside("-wal")
    }

    /// The database's path with a suffix.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = match self {
            Self::File(path) => path.clone().into_os_string(),
            Self::Memory(name) => name.clone().into(),
        };
        name.push(suffix);
        name.into()
    }

    /// The total size of the database's files, including its WAL; 0 in memory.
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
        // If SQLite was built with planner statistics, binding an id would replan the statement each time, which is
        // half the cost of a read. This setting keeps one plan for all values.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.execute_batch(
            "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; \
             PRAGMA secure_delete = ON; PRAGMA synchronous = FULL;",
        )?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }
}
