//! The reading connections, and content read piece by piece through them.
//!
//! Invariant: every query takes a connection and gives it back before anything goes to a peer. Must never write.

use super::schema::Location;
use super::{PIECE_BYTES, PIECES, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The reading connections. Each query takes one, briefly; none is ever held while a peer drains.
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

impl Readers {
    pub(super) fn open(location: &Location) -> Result<Self, StoreError> {
        // More than the cores only wait for each other; fewer leave a core idle while one waits for the disk.
        let count = std::thread::available_parallelism().map_or(4, |cores| cores.get() * 2);
        let connect = |_| {
            let connection = location.connect()?;
            connection.execute_batch("PRAGMA query_only = ON")?;
            Ok(connection)
        };
        let connections = (0..count).map(connect).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Self { idle: Mutex::new(connections), returned: Condvar::new() })
    }

    pub(super) fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut lease = Lease { readers: self, connection: Some(self.take()) };
        match &mut lease.connection {
            Some(connection) => query(connection),
            None => Err(StoreError::Failed("no reading connection".into())),
        }
    }

    fn take(&self) -> Connection {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = idle.pop() {
                return connection;
            }
            idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A borrowed connection, returned even when the query panics.
struct Lease<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            self.readers.returned.notify_one();
        }
    }
}

/// Content on its way out: one piece in memory, each fetched by a query of its own.
pub(super) struct PieceReader {
    readers: Arc<Readers>,
    key: i64,
    next_piece: i64,
    /// Bytes of the first piece before the wanted offset.
    skip: u64,
    piece: io::Cursor<Vec<u8>>,
}

impl PieceReader {
    /// A reader of the paste `key` from `offset` on.
    pub(super) fn new(readers: Arc<Readers>, key: i64, offset: u64) -> Self {
        let piece_bytes = PIECE_BYTES as u64;
        Self {
            readers,
            key,
            next_piece: i64::try_from(offset / piece_bytes).unwrap_or(PIECES),
            skip: offset % piece_bytes,
            piece: io::Cursor::new(Vec::new()),
        }
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(buffer)?;
        if read > 0 || buffer.is_empty() || self.next_piece >= PIECES {
            return Ok(read);
        }
        let row = self.key * PIECES + self.next_piece;
        let piece = self.readers.with(|connection| {
            let sql = "SELECT data FROM content WHERE key = ?1";
            Ok(connection.prepare_cached(sql)?.query_row([row], |row| row.get(0)).optional()?)
        });
        let piece: Option<Vec<u8>> = piece.map_err(|error| io::Error::other(error.to_string()))?;
        self.next_piece += 1;
        self.piece = io::Cursor::new(piece.unwrap_or_default());
        self.piece.set_position(std::mem::take(&mut self.skip));
        self.piece.read(buffer)
    }
}
