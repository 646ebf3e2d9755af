//! The database's clock, which all servers share.
//!
//! Invariant: nothing is purged by a clock that differs from the database's. Must never correct a clock: that is the
//! machine's job.

use super::connection::Connection;
use super::fault::Fault;
use super::value::Columns;
use crate::clock::UnixSeconds;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The maximum difference from the database's clock.
pub(super) const MOST_DIFFERENCE: Duration = Duration::from_secs(2);

const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS milliseconds, \
                     pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS is_standby";

/// The database's time, if it agrees with ours and the database is writable.
pub(super) fn agreed(connection: &mut Connection) -> Result<UnixSeconds, Fault> {
    let before = since_epoch();
    let rows = connection.query(CLOCK, &[])?;
    let after = since_epoch();
    let Some(row) = rows.first() else { return Err(Fault::Failed("the database did not return its time".into())) };
    if row.flag("is_standby")? {
        return Err(Fault::Lost("the database has become read-only".into()));
    }
    let theirs = Duration::from_millis(row.number("milliseconds")?);
    // It was read at some time between the two.
    let difference = before.saturating_sub(theirs).max(theirs.saturating_sub(after));
    if difference > MOST_DIFFERENCE {
        return Err(Fault::Refused(format!(
            "this machine's clock is {:.1} seconds off the database's; synchronize them",
            difference.as_secs_f64()
        )));
    }
    Ok(theirs.as_secs())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
