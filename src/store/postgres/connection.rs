//! A connection, driven by the thread that uses it: each call ends by a deadline, whatever the server does.
//!
//! Invariant: a commit with a warning or without a response never counts as done. After a missed deadline or a
//! connection loss, the connection is marked unusable. Must never be shared by two threads at once, nor read from a
//! standby, which is checked when connecting.

use super::fault::{Effect, Fault};
use super::value::{Value, malformed};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::error::Severity;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Error, Row, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The protocol driver, polled while a call waits.
pub(super) type Driver = tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// The timeout for telling the server to cancel a call.
const CANCEL_TIME: Duration = Duration::from_millis(500);

/// A connection.
pub(super) struct Connection {
    client: Client,
    link: Link,
    tls: MakeRustlsConnect,
    /// The prepared statements; `None` if preparing is off.
    statements: Option<HashMap<&'static str, Statement>>,
    last_used: Instant,
}

/// Why a call has no result.
enum NoAnswer {
    /// An error of the server or the library.
    Error(Error),
    /// The deadline has passed.
    Late,
    /// The connection broke.
    Broken,
}

/// The client and the protocol driver.
struct Link {
    driver: Driver,
    /// Dropped after everything that runs on it.
    runtime: Runtime,
    /// The deadline of the calls.
    deadline: Instant,
    /// The peer has disconnected.
    is_broken: bool,
    /// A response of an abandoned call may still arrive.
    is_late: bool,
    /// Warnings of the server during the last call.
    warning: Option<String>,
}

impl Link {
    /// Waits for a call while driving the protocol. After a missed deadline the link is unusable: the response would be
    /// mistaken for that of the next call.
    fn drive<T>(&mut self, call: impl Future<Output = Result<T, Error>>) -> Result<T, NoAnswer> {
        let Self { driver, runtime, deadline, is_broken, is_late, warning } = self;
        *warning = None;
        let deadline = tokio::time::Instant::from_std(*deadline);
        let result = runtime.block_on(async {
            let mut call = pin!(tokio::time::timeout_at(deadline, call));
            poll_fn(|context| {
                while !*is_broken {
                    match driver.poll_message(context) {
                        Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                            if notice.parsed_severity() == Some(Severity::Warning) {
                                *warning = Some(notice.message().to_owned());
                            }
                        }
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(_)) | None) => *is_broken = true,
                        Poll::Pending => break,
                    }
                }
                match call.as_mut().poll(context) {
                    Poll::Ready(Ok(result)) => Poll::Ready(result.map_err(NoAnswer::Error)),
                    Poll::Ready(Err(_)) => Poll::Ready(Err(NoAnswer::Late)),
                    // The protocol driver has ended.
                    Poll::Pending if *is_broken => Poll::Ready(Err(NoAnswer::Broken)),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
        });
        *is_late |= matches!(result, Err(NoAnswer::Late));
        result
    }

    /// The result of a call with this effect.
    fn judge<T>(&self, outcome: Result<T, NoAnswer>, effect: Effect) -> Result<T, Fault> {
        match (outcome, &self.warning) {
            (Ok(_), Some(warning)) if effect == Effect::Commits => {
                Err(Fault::Unknown(format!("the commit returned a warning: {warning}")))
            }
            (Ok(value), _) => Ok(value),
            (Err(NoAnswer::Error(error)), _) => Err(Fault::of(&error, effect)),
            (Err(NoAnswer::Late), _) => Err(Fault::broken("timed out".into(), effect)),
            (Err(NoAnswer::Broken), _) => Err(Fault::broken("the connection broke".into(), effect)),
        }
    }
}

impl Connection {
    /// A connection just made by this runtime.
    pub(super) fn new(
        runtime: Runtime,
        client: Client,
        driver: Driver,
        tls: MakeRustlsConnect,
        prepares: bool,
    ) -> Self {
        let now = Instant::now();
        let link = Link { driver, runtime, deadline: now, is_broken: false, is_late: false, warning: None };
        Self { client, link, tls, statements: prepares.then(HashMap::new), last_used: now }
    }

    /// Sets the deadline of the following calls.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.link.deadline = deadline;
        self.last_used = Instant::now();
    }

    /// Whether it is unusable.
    pub(super) fn is_useless(&self) -> bool {
        self.link.is_late || self.is_lost()
    }

    /// Whether its peer has disconnected; other connections may be affected, too.
    pub(super) fn is_lost(&self) -> bool {
        self.link.is_broken || self.client.is_closed()
    }

    /// Marks it unusable because of its server.
    pub(super) fn give_up(&mut self) {
        self.link.is_broken = true;
    }

    /// How long it has been idle.
    pub(super) fn idle_time(&self) -> Duration {
        self.last_used.elapsed()
    }

    /// Whether it is still open as far as the kernel knows.
    pub(super) fn is_alive(&mut self) -> bool {
        self.set_deadline(Instant::now() + CANCEL_TIME);
        // The runtime polls its sockets when a task yields.
        let looked = self.link.drive(async {
            tokio::task::yield_now().await;
            Ok(())
        });
        looked.is_ok() && !self.is_useless()
    }

    /// The rows of a statement that changes nothing, or nothing before a commit.
    pub(super) fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
        self.run(sql, values, Effect::None)
    }

    /// The boolean in the only row and column of a statement that changes nothing.
    pub(super) fn is_true(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<bool, Fault> {
        let rows = self.query(sql, values)?;
        rows.first().map_or(Ok(false), |row| row.try_get(0)).map_err(|_| malformed("of a condition"))
    }

    /// The rows of a statement outside a transaction, which commits by itself.
    pub(super) fn change(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
        self.run(sql, values, Effect::Commits)
    }

    /// Runs `work` in a transaction, which is committed if it succeeds.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<Option<T>, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.batch("BEGIN", Effect::None)?;
        match work(self) {
            Ok(Some(value)) => {
                self.batch("COMMIT", Effect::Commits)?;
                Ok(Some(value))
            }
            outcome => {
                // If this fails, the connection is dropped and the server rolls back.
                if !self.is_useless() && self.batch("ROLLBACK", Effect::None).is_err() {
                    self.give_up();
                }
                outcome
            }
        }
    }

    /// Runs statements without values.
    pub(super) fn batch(&mut self, sql: &str, effect: Effect) -> Result<(), Fault> {
        let outcome = self.link.drive(self.client.batch_execute(sql));
        self.settle(outcome, effect)
    }

    fn run(&mut self, sql: &'static str, values: &[Value<'_>], effect: Effect) -> Result<Vec<Row>, Fault> {
        let outcome = if self.statements.is_some() {
            let statement = self.prepared(sql, values)?;
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
            self.link.drive(self.client.query(&statement, &values))
        } else {
            let values: Vec<(&(dyn ToSql + Sync), Type)> =
                values.iter().map(|value| (value as _, value.sql_type())).collect();
            self.link.drive(self.client.query_typed(sql, &values))
        };
        self.settle(outcome, effect)
    }

    /// The prepared statement, prepared now if necessary.
    fn prepared(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.as_ref().and_then(|known| known.get(sql)) {
            return Ok(statement.clone());
        }
        let types: Vec<Type> = values.iter().map(Value::sql_type).collect();
        let outcome = self.link.drive(self.client.prepare_typed(sql, &types));
        let statement = self.settle(outcome, Effect::None)?;
        if let Some(known) = &mut self.statements {
            known.insert(sql, statement.clone());
        }
        Ok(statement)
    }

    fn settle<T>(&mut self, outcome: Result<T, NoAnswer>, effect: Effect) -> Result<T, Fault> {
        if matches!(outcome, Err(NoAnswer::Late)) {
            self.cancel();
        }
        self.link.judge(outcome, effect)
    }

    /// Asks the server to cancel an abandoned call, which may hold locks. The call may still succeed.
    fn cancel(&self) {
        let cancel = self.client.cancel_token();
        let told = async { tokio::time::timeout(CANCEL_TIME, cancel.cancel_query(self.tls.clone())).await };
        // If that fails, the server's timeouts end the call.
        let _ = self.link.runtime.block_on(told);
    }
}
