//! Errors of the store.
//!
//! Invariant: full storage, failure and unknown outcome are distinct. Causes must never reach a peer: they are for the
//! operator.

use crate::at_rest::Damaged;
use std::fmt;
use std::io;

/// An error of the store.
#[derive(Debug, Clone)]
pub enum StoreError {
    /// The disk or the quota is full.
    Full,
    /// The database is temporarily unavailable; nothing was changed.
    Unavailable(String),
    /// It is unknown whether the change was made.
    OutcomeUnknown(String),
    /// Anything else, for the log.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk or the quota is full"),
            Self::Unavailable(cause) | Self::OutcomeUnknown(cause) | Self::Failed(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ResourceBusy => {
                Self::Unavailable("no room left: spool files of other uploads use it up".into())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<Damaged> for StoreError {
    fn from(damaged: Damaged) -> Self {
        io::Error::from(damaged).into()
    }
}
