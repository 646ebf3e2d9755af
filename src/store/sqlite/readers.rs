//! The read-only connections.
//!
//! Invariant: a query returns its connection before anything is sent to a peer. Must never write.

use super::StoreError;
use super::location::Location;
use crate::object_pool::ObjectPool;
use rusqlite::Connection;

/// Threads are often preempted during a query; with fewer connections, others would queue behind them.
const CONNECTIONS_PER_CORE: usize = 8;

/// The read-only connections. A query takes one briefly; none is held while sending to a peer.
pub(super) struct Readers(ObjectPool<Connection>);

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
        Ok(Self(ObjectPool::new(connections)))
    }

    pub(super) fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.0.with(|connection| query(connection))
    }
}
