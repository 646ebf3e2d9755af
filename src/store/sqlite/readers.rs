//! The reading connections.
//!
//! Invariant: every query takes a connection and gives it back before anything goes to a peer. Must never write.

use super::StoreError;
use super::location::Location;
use crate::object_pool::ObjectPool;
use rusqlite::Connection;

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
