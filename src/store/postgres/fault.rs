//! What a statement's failure means: what may be tried again, what was not done, and what nobody knows.
//!
//! Invariant: a change whose answer was lost, or that was only warned about, is never taken for made nor for not made. Must
//! never show a value that was sent: messages of the server name them in their details alone, which stay out.

use super::super::StoreError;
use std::error::Error as _;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why a statement came to nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// A row is there already; the constraint that says so.
    Taken(String),
    /// The database's disk is full.
    Full,
    /// Others were in the way; nothing was changed, and the same may succeed at once.
    Conflict(String),
    /// The connection is of no use any more, and nothing was changed.
    Lost(String),
    /// The server refused for now; nothing was changed.
    Busy(String),
    /// Nobody knows whether the change was made.
    Unknown(String),
    /// Anything else that the server says, for the log; nothing was changed.
    Failed(String),
    /// We do not go on; nothing was changed.
    Refused(String),
}

/// What a statement does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that lasts, unless it is committed later.
    None,
    /// It commits.
    Commits,
}

impl Fault {
    /// What an error of the library means for a statement with this effect.
    pub(super) fn of(error: &Error, effect: Effect) -> Self {
        let text = describe(error);
        let Some(database) = error.as_db_error() else {
            // A value that cannot be read as the type asked for, or sent as the one named, is our own mistake.
            let is_mistake = error.source().is_some() && !error.is_closed() && !is_io(error);
            return if is_mistake { Self::Failed(text) } else { Self::broken(text, effect) };
        };
        let code = database.code();
        match code.code() {
            _ if *code == SqlState::UNIQUE_VIOLATION => {
                Self::Taken(database.constraint().unwrap_or_default().to_owned())
            }
            _ if *code == SqlState::DISK_FULL => Self::Full,
            _ if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED => {
                Self::Conflict(text)
            }
            "25006" => Self::Lost(format!("{text}: it has become read-only")),
            "40003" => Self::broken(text, effect),
            // Cancelled by a timeout, no lock, no memory, too many connections.
            "57014" | "55P03" | "53200" | "53300" => Self::Busy(text),
            // What pgbouncer says of its servers comes as 08P01.
            code if code.starts_with("08") || code.starts_with("57P") || code == "25P03" => Self::broken(text, effect),
            // A pooler has given the statement to another server than the one that knows it.
            "26000" | "42P05" => Self::Failed(format!("{text}; add prepare=off to FLASKPASTE_DB")),
            _ => Self::Failed(text),
        }
    }

    /// The connection broke in the middle of a statement with this effect.
    pub(super) fn broken(text: String, effect: Effect) -> Self {
        match effect {
            Effect::None => Self::Lost(text),
            Effect::Commits => Self::Unknown(text),
        }
    }
}

/// What went wrong in our own code between two statements.
impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        match StoreError::from(error) {
            StoreError::Full => Self::Full,
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => Self::Full,
            Fault::Taken(constraint) => Self::Failed(format!("PostgreSQL: {constraint} is violated")),
            Fault::Conflict(text) | Fault::Lost(text) | Fault::Busy(text) => {
                Self::Unavailable(format!("PostgreSQL: {text}"))
            }
            Fault::Unknown(text) => Self::OutcomeUnknown(format!(
                "PostgreSQL: {text}; it may have been done all the same, look before trying again"
            )),
            Fault::Refused(text) => Self::Failed(text),
            Fault::Failed(text) => Self::Failed(format!("PostgreSQL: {text}")),
        }
    }
}

/// One line about an error: the server's message without its details, which may quote values, else the cause.
pub(super) fn describe(error: &Error) -> String {
    if let Some(database) = error.as_db_error() {
        return format!("{} ({})", database.message(), database.code().code());
    }
    match error.source().map(ToString::to_string) {
        Some(cause) if cause == "password missing" => {
            "it asks for a password: set PGPASSWORD, or PGPASSFILE with a line for it".into()
        }
        Some(cause) if cause.contains("UnknownIssuer") => {
            format!("{error}: {cause}; name its authority in sslrootcert")
        }
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn is_io(error: &Error) -> bool {
    error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}
