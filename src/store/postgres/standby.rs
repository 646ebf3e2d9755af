//! Whether there is a standby that commits can wait for.
//!
//! Invariant: a look is no promise: a standby that goes afterwards leaves a commit waiting. Must never hold up a database that
//! needs no standby.

use super::connection::Connection;
use super::fault::Fault;
use super::value::Columns;

/// Who may look at statistics sees which they are; that there are some, everybody.
const LOOK: &str = "SELECT current_setting('synchronous_standby_names') = '' \
                    OR EXISTS (SELECT FROM pg_stat_get_wal_senders()) AS is_there";

/// Makes sure that a commit has somebody to wait for, before anything is done that could not be undone.
pub(super) fn expect(connection: &mut Connection) -> Result<(), Fault> {
    if connection.query(LOOK, &[])?.first().map_or(Ok(true), |row| row.flag("is_there"))? {
        return Ok(());
    }
    Err(Fault::Busy("no synchronous standby is connected, so that nothing is committed".into()))
}
