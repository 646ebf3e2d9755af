//! Classifies failures of statements: retryable, not done, or of unknown outcome.
//!
//! Invariant: a change whose response was lost, or that got a warning, counts neither as made nor as not made. Must
//! never show a value that was sent: the server's messages contain them only in their details, which are omitted.

use super::super::StoreError;
use std::error::Error as _;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The row already exists; the violated constraint.
    Taken(String),
    /// The database's disk is full.
    Full,
    /// A conflict with others; nothing was changed, and an immediate retry may succeed.
    Conflict(String),
    /// The connection is unusable, and nothing was changed.
    Lost(String),
    /// The server is temporarily unable; nothing was changed.
    Busy(String),
    /// It is unknown whether the change was made.
    Unknown(String),
    /// Any other error of the server, for the log; nothing was changed.
    Failed(String),
    /// We abort; nothing was changed.
    Refused(String),
}

/// The effect of a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing durable, unless it is committed later.
    None,
    /// It commits.
    Commits,
}

impl Fault {
    /// Classifies an error of the library for a statement with this effect.
    pub(super) fn of(error: &Error, effect: Effect) -> Self {
        let text = describe(error);
        let Some(database) = error.as_db_error() else {
            // A value that cannot be converted to or from its declared type is our own bug.
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
            // pgbouncer reports errors of its servers as 08P01.
            code if code.starts_with("08") || code.starts_with("57P") || code == "25P03" => Self::broken(text, effect),
            // A pooler sent the statement to a server that has not prepared it.
            "26000" | "42P05" => Self::Failed(format!("{text}; add prepare=off to FLASKPASTE_DB")),
            _ => Self::Failed(text),
        }
    }

    /// The fault when the connection broke during a statement with this effect.
    pub(super) fn broken(text: String, effect: Effect) -> Self {
        match effect {
            Effect::None => Self::Lost(text),
            Effect::Commits => Self::Unknown(text),
        }
    }
}

/// An error in our own code between two statements.
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
                "PostgreSQL: {text}; the change may have been made; check before retrying"
            )),
            Fault::Refused(text) => Self::Failed(text),
            Fault::Failed(text) => Self::Failed(format!("PostgreSQL: {text}")),
        }
    }
}

/// One line for an error: the server's message without details, which may quote values, or else the cause.
pub(super) fn describe(error: &Error) -> String {
    if let Some(database) = error.as_db_error() {
        return format!("{} ({})", database.message(), database.code().code());
    }
    match error.source().map(ToString::to_string) {
        Some(cause) if cause == "password missing" => {
            "it requires a password: set PGPASSWORD, or add a line to PGPASSFILE".into()
        }
        Some(cause) if cause.contains("UnknownIssuer") => {
            format!("{error}: {cause}; set sslrootcert to its authority")
        }
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn is_io(error: &Error) -> bool {
    error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}
