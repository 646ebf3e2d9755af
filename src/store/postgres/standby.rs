//! Whether there is a standby that commits can wait for.
//!
//! Invariant: a look is no promise: a standby that goes afterwards leaves a commit waiting. Must never hold up a database that
//! needs no standby.

use super::connection::Connection;
use super::fault::Fault;
use crate::clock::unix_now;
use crate::crypto;

/// Who may look at statistics sees which they are; that there are some, everybody.
const LOOK: &str = "SELECT current_setting('synchronous_standby_names') = '' \
                    OR EXISTS (SELECT FROM pg_stat_get_wal_senders() w \
                    WHERE w.sync_state IS NULL OR w.sync_state IN ('sync', 'quorum')) AS is_there";
const CONFIRM: &str = "INSERT INTO confirmation (place, at) VALUES ($1, $2) ON CONFLICT (place) DO UPDATE SET at = $2";
/// Places for confirmations, so that servers seldom wait for each other's.
const PLACES: u64 = 64;

/// Makes sure that a commit has somebody to wait for, before anything is done that could not be undone.
pub(super) fn expect(connection: &mut Connection) -> Result<(), Fault> {
    if connection.is_true(LOOK, &[])? {
        return Ok(());
    }
    Err(Fault::Busy("no synchronous standby is connected, so that nothing is committed".into()))
}

/// Commits something of no meaning: when it returns, all that was committed before is on the standby, too.
pub(super) fn confirm(connection: &mut Connection) -> Result<(), Fault> {
    let place = u64::from(crypto::random::<1>().map_or(0, |[byte]| byte)) % PLACES;
    connection.change(CONFIRM, &[place.into(), unix_now().into()]).map(|_| ())
}
