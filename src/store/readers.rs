//! The reading connections, and content read piece by piece through them.
//!
//! Invariant: every query takes a connection and gives it back before anything goes to a peer. Must never write.

use super::schema::Location;
use super::{PIECE_BYTES, PIECES, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A thread is often preempted in the middle of a query; with fewer connections the others would queue behind it.
const CONNECTIONS_PER_CORE: usize = 8;

/// The reading connections. Each query takes one, briefly; none is ever held while a peer drains.
pub(super) struct Readers {
    pool: Mutex<Pool>,
    returned: Condvar,
}

struct Pool {
    idle: Vec<Connection>,
    /// Threads that wait for one; a wake-up is a system call, and nearly always nobody waits.
    waiting: usize,
}

impl Readers {
    pub(super) fn open(location: &Location) -> Result<Self, StoreError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let connect = |_| {
            let connection = location.connect()?;
            // The system caches the file; ours need only hold the inner pages of the indexes.
            connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -512")?;
            Ok(connection)
        };
        let idle = (0..cores * CONNECTIONS_PER_CORE).map(connect).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Self { pool: Mutex::new(Pool { idle, waiting: 0 }), returned: Condvar::new() })
    }

    pub(super) fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut lease = Lease { readers: self, connection: Some(self.take()) };
        match &mut lease.connection {
            Some(connection) => query(connection),
            None => Err(StoreError::Failed("no reading connection".into())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Connection {
        let mut pool = self.lock();
        loop {
            if let Some(connection) = pool.idle.pop() {
                return connection;
            }
            pool.waiting += 1;
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
            pool.waiting -= 1;
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
            let mut pool = self.readers.lock();
            pool.idle.push(connection);
            let anyone_waits = pool.waiting > 0;
            drop(pool);
            if anyone_waits {
                self.readers.returned.notify_one();
            }
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
