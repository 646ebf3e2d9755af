//! The reading connections, and content read piece by piece through them.
//!
//! Invariant: every query takes a connection and gives it back before anything goes to a peer. Must never write.

use super::schema::Location;
use super::{PIECE_BYTES, PIECES, StoreError};
use crate::object_pool::ObjectPool;
use rusqlite::{Connection, OptionalExtension};
use std::io::{self, Read};
use std::sync::Arc;

/// A thread is often preempted in the middle of a query; with fewer connections the others would queue behind it.
const CONNECTIONS_PER_CORE: usize = 8;

/// The reading connections. Each query takes one, briefly; none is ever held while a peer drains.
pub(super) struct Readers(ObjectPool<Connection>);

impl Readers {
    pub(super) fn open(location: &Location) -> Result<Self, StoreError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let connect = |_| {
            let connection = location.connect()?;
            // The system caches the file; ours need only hold the inner pages of the indexes.
            connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -512")?;
            Ok(connection)
        };
        let connections = (0..cores * CONNECTIONS_PER_CORE).map(connect).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Self(ObjectPool::new(connections)))
    }

    pub(super) fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.0.with(|connection| query(connection))
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
