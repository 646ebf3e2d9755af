//! The read-only connections.
//!
//! Invariant: a query returns its connection before anything is sent to a peer. Must never write.

use super::StoreError;
use super::location::Location;
use crate::blocking;
use crate::cores;
use crate::object_pool::ObjectPool;
use rusqlite::Connection;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Threads are often preempted during a query; with fewer connections, others would queue behind them.
const CONNECTIONS_PER_CORE: usize = 8;

/// A query that takes longer has waited for the disk.
const DISK_TIME: Duration = Duration::from_millis(5);
/// For this long after it, others probably wait, too.
const DISK_MEMORY: Duration = Duration::from_millis(100);

/// The read-only connections. A query takes one briefly; none is held while sending to a peer.
pub(super) struct Readers {
    connections: ObjectPool<Connection>,
    opened_at: Instant,
    /// Until when queries are expected to wait for the disk, in milliseconds after `opened_at`.
    slow_until: AtomicU64,
}

impl Readers {
    pub(super) fn open(location: &Location) -> Result<Self, StoreError> {
        let connect = |_| {
            let connection = location.connect()?;
            // The system caches the file; this cache only needs the inner pages of the indexes.
            connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -512")?;
            Ok(connection)
        };
        let connections =
            (0..cores::count() * CONNECTIONS_PER_CORE).map(connect).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Self { connections: ObjectPool::new(connections), opened_at: Instant::now(), slow_until: AtomicU64::new(0) })
    }

    pub(super) fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // If the database is in memory, giving up the permit would cost more than the query.
        let milliseconds = |at: Instant| u64::try_from((at - self.opened_at).as_millis()).unwrap_or(u64::MAX);
        let started = Instant::now();
        if milliseconds(started) < self.slow_until.load(Ordering::Relaxed) {
            blocking::about_to_block();
        }
        let result = self.connections.with(|connection| query(connection));
        let ended = Instant::now();
        if ended - started > DISK_TIME {
            self.slow_until.store(milliseconds(ended + DISK_MEMORY), Ordering::Relaxed);
        }
        result
    }
}
