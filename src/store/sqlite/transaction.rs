//! Immediate transactions that are committed or rolled back, never left open.
//!
//! Invariant: after [`transaction`], none is open on the connection. Must never be nested.

use super::StoreError;
use rusqlite::Connection;

/// Runs `work` in a transaction and commits it.
pub(super) fn transaction<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let run = || {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let value = work(connection)?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(value)
    };
    let result = run();
    roll_back(connection);
    result
}

/// Rolls back a transaction that is still open, if any.
pub(super) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // It fails only if SQLite has already rolled back.
        let _ = connection.execute_batch("ROLLBACK");
    }
}
