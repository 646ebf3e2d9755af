//! Makes connections to the first writable host, with TLS according to the address, and checks the server's durability
//! settings.
//!
//! Invariant: a returned connection goes to a primary whose commits are durable. Must never use a server that
//! acknowledges what it may lose, nor accept a certificate that the address does not allow.

use super::address::{Address, host_name};
use super::connection::Connection;
use super::fault::{Effect, Fault, describe};
use super::tls;
use super::value::Columns;
use crate::static_names;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::config::Config;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The oldest tested version of PostgreSQL, as in `server_version_num`.
const OLDEST_VERSION: u64 = 150_000;

/// The settings of every session: an abandoned statement ends soon, and a transaction whose client is gone does not
/// keep its locks. Our own deadlines come first.
const SESSION: &str = "SET statement_timeout = '10s'; SET lock_timeout = '8s'; \
                       SET idle_in_transaction_session_timeout = '15s'; SET client_min_messages = warning; SET jit = off";

/// The server settings to check.
const LOOK: &str = "SELECT current_setting('server_version_num')::bigint AS version, \
                    current_setting('server_version') AS version_text, \
                    current_setting('fsync')::boolean AS fsync, \
                    current_setting('full_page_writes')::boolean AS full_page_writes, \
                    current_setting('synchronous_commit') AS synchronous_commit, \
                    current_setting('client_min_messages') AS client_min_messages, \
                    pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS is_standby";

/// Makes connections.
pub(super) struct Connector {
    address: Address,
    tls: MakeRustlsConnect,
    /// The last known primary.
    preferred: AtomicUsize,
}

/// The time limit for one of several hosts.
const HOST_TIME: Duration = Duration::from_secs(3);

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// No host is reachable, or none is writable.
    Unreachable(String),
    /// The primary accepts no more connections.
    Crowded(String),
}

impl Connector {
    /// # Errors
    /// When the certificate authorities cannot be read.
    pub(super) fn new(address: Address) -> Result<Self, String> {
        static_names::stay_static();
        let tls = MakeRustlsConnect::new(tls::config(address.tls, address.root_certificates.as_deref())?);
        Ok(Self { address, tls, preferred: AtomicUsize::new(0) })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Connects to the primary before a deadline.
    pub(super) fn connect(&self, deadline: Instant) -> Result<Connection, NoConnection> {
        let hosts = self.address.hosts();
        let first = self.preferred.load(Ordering::Relaxed);
        let (mut reasons, mut is_crowded) = (Vec::new(), false);
        for at in (0..hosts.len()).map(|number| (first + number) % hosts.len()) {
            let Some(host) = hosts.get(at) else { continue };
            // A hanging host must not use up the time of the others.
            let host_deadline = if hosts.len() > 1 { deadline.min(Instant::now() + HOST_TIME) } else { deadline };
            match self.connect_to(host, host_deadline) {
                Ok(connection) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(refusal) => {
                    is_crowded |= refusal.is_crowded;
                    reasons.push(format!("{}: {}", host_name(host), refusal.reason));
                }
            }
        }
        // If there was no time for the others, the next attempt starts with them.
        self.preferred.store((first + 1) % hosts.len(), Ordering::Relaxed);
        let reasons = reasons.join("; ");
        Err(if is_crowded { NoConnection::Crowded(reasons) } else { NoConnection::Unreachable(reasons) })
    }

    fn connect_to(&self, host: &Config, deadline: Instant) -> Result<Connection, Refusal> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start a connection ({error})"))?;
        let connected =
            runtime.block_on(async { tokio::time::timeout_at(deadline.into(), host.connect(self.tls.clone())).await });
        let refusal = match connected {
            Ok(Ok((client, driver))) => {
                let tls = self.tls.clone();
                let mut connection = Connection::new(runtime, client, driver, tls, self.address.prepares);
                connection.set_deadline(deadline);
                look(&mut connection)?;
                connection.batch(SESSION, Effect::None).map_err(text)?;
                return Ok(connection);
            }
            Ok(Err(error)) => Refusal::of(&error),
            Err(_) => Refusal::from("no answer in time".to_owned()),
        };
        // Do not wait for pending name lookups.
        runtime.shutdown_background();
        Err(refusal)
    }

    /// Whether a deadline leaves time for another attempt.
    pub(super) fn has_time(deadline: Instant) -> bool {
        deadline.saturating_duration_since(Instant::now()) > Duration::from_millis(50)
    }
}

/// Why a host was rejected.
struct Refusal {
    reason: String,
    /// It accepts no more connections.
    is_crowded: bool,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { reason, is_crowded: false }
    }
}

impl Refusal {
    fn of(error: &tokio_postgres::Error) -> Self {
        Self { reason: describe(error), is_crowded: error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) }
    }
}

/// Checks that a server is writable and its commits are durable.
fn look(connection: &mut Connection) -> Result<(), String> {
    let rows = connection.query(LOOK, &[]).map_err(text)?;
    let row = rows.first().ok_or("it returned no settings")?;
    if row.number("version").map_err(text)? < OLDEST_VERSION {
        let version = row.text("version_text").map_err(text)?.unwrap_or_default();
        return Err(format!("PostgreSQL {version} is too old; version 15 or newer is required"));
    }
    for setting in ["fsync", "full_page_writes"] {
        if !row.flag(setting).map_err(text)? {
            return Err(format!("{setting} is off, so a crash could lose or damage pastes; turn it on"));
        }
    }
    match row.text("synchronous_commit").map_err(text)? {
        Some("on" | "remote_apply") => {}
        other => {
            return Err(format!(
                "synchronous_commit is {}, so an acknowledged paste could be lost; set it to on",
                other.unwrap_or_default()
            ));
        }
    }
    if matches!(row.text("client_min_messages").map_err(text)?, Some("error" | "fatal" | "panic")) {
        return Err("client_min_messages hides warnings that a commit is not on the standby; set it to notice".into());
    }
    if row.flag("is_standby").map_err(text)? {
        return Err("it is read-only: a standby, or by configuration".into());
    }
    Ok(())
}

fn text(fault: Fault) -> String {
    super::super::StoreError::from(fault).to_string().trim_start_matches("PostgreSQL: ").to_owned()
}
