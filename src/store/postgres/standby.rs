//! Checks for a synchronous standby.
//!
//! Invariant: a check is no guarantee: if the standby disconnects afterwards, a commit waits. Must never delay a
//! database that needs no standby.

use super::connection::Connection;
use super::fault::Fault;
use crate::clock::unix_now;
use crate::crypto;

/// Only roles with access to statistics see which they are; that there are some, any role sees.
const LOOK: &str = "SELECT current_setting('synchronous_standby_names') = '' \
                    OR EXISTS (SELECT FROM pg_stat_get_wal_senders() w \
                    WHERE w.sync_state IS NULL OR w.sync_state IN ('sync', 'quorum')) AS is_there";
const CONFIRM: &str = "INSERT INTO confirmation (place, at) VALUES ($1, $2) ON CONFLICT (place) DO UPDATE SET at = $2";
/// The number of rows for confirmations, so that servers rarely wait for each other.
const PLACES: u64 = 64;

/// Checks that there is a standby, before anything irrevocable is done.
pub(super) fn expect(connection: &mut Connection) -> Result<(), Fault> {
    if connection.is_true(LOOK, &[])? {
        return Ok(());
    }
    Err(Fault::Busy("no synchronous standby is connected; nothing can be committed".into()))
}

/// Commits something meaningless: when it returns, all earlier commits are on the standby, too.
pub(super) fn confirm(connection: &mut Connection) -> Result<(), Fault> {
    let place = u64::from(crypto::random::<1>().map_or(0, |[byte]| byte)) % PLACES;
    connection.change(CONFIRM, &[place.into(), unix_now().into()]).map(|_| ())
}
