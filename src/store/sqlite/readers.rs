//! The read-only connections.
//!
//! Invariant: a query returns its connection before anything is sent to a peer. Must never write.

use super::StoreError;
use super::location::Location;
use crate::blocking;
use crate::object_pool::ObjectPool;
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Threads are often preempted during a query; with fewer connections, others would queue behind them.
const CONNECTIONS_PER_CORE: usize = 8;

/// A query that takes longer has waited for the disk.
const DISK_TIME: Duration = Duration::from_millis(2);

/// The read-only connections. A query takes one briefly; none is held while sending to a peer.
pub(super) struct Readers {
    connections: ObjectPool<Connection>,
    /// Whether the last query waited for the disk.
    is_slow: AtomicBool,
}

impl Readers {
    pub(super) fn open(location: &Location) -> Result<Self, StoreError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let connect = |_| {
            let connection = location.connect()?;
            // The system caches the file; this cache only needs the inner pages of the indexes.
            connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -512")?;
            Ok(connection)
        };
        let connections = (0..cores * CONNECTIONS_PER_CORE).map(connect).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Self { connections: ObjectPool::new(connections), is_slow: AtomicBool::new(false) })
    }

    pub(super) fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // The next one probably does, too; if the database is in memory, giving up the permit would be the larger cost.
        if self.is_slow.load(Ordering::Relaxed) {
            blocking::about_to_block();
        }
        let started = Instant::now();
        let result = self.connections.with(|connection| query(connection));
        self.is_slow.store(started.elapsed() > DISK_TIME, Ordering::Relaxed);
        result
    }
}
