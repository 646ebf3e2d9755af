//! One connection, driven by the thread that uses it: each call ends by a deadline, whatever the server does.
//!
//! Invariant: a commit that the server has warned about, or whose answer did not come, is never taken for done. After a
//! deadline or a loss the connection is of no use, and says so. Must never be shared by two threads at once, and never
//! read from a standby: what connects has looked.

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

/// What speaks the protocol; polled while a call waits.
pub(super) type Driver = tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// How long the server is given to hear that a call was given up.
const CANCEL_TIME: Duration = Duration::from_millis(500);

/// A connection.
pub(super) struct Connection {
    client: Client,
    link: Link,
    tls: MakeRustlsConnect,
    /// Those that are prepared; `None` where preparing is switched off.
    statements: Option<HashMap<&'static str, Statement>>,
    last_used: Instant,
}

/// Why a call has no answer.
enum NoAnswer {
    /// The server or the library says.
    Error(Error),
    /// It did not come in time.
    Late,
    /// The connection broke.
    Broken,
}

/// What carries a call out.
struct Link {
    driver: Driver,
    /// Dropped after what runs on it.
    runtime: Runtime,
    /// When the calls have to be over.
    deadline: Instant,
    /// The other end has gone.
    is_broken: bool,
    /// An answer may still come that nobody waits for.
    is_late: bool,
    /// What the server has warned of during the last call.
    warning: Option<String>,
}

impl Link {
    /// Waits for a call while the protocol runs. Without an answer at the deadline the link is of no use any more: the answer
    /// would be taken for that of the next call.
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
                    // What carries the answer has gone.
                    Poll::Pending if *is_broken => Poll::Ready(Err(NoAnswer::Broken)),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
        });
        *is_late |= matches!(result, Err(NoAnswer::Late));
        result
    }

    /// What a call came to, if it has this effect.
    fn judge<T>(&self, outcome: Result<T, NoAnswer>, effect: Effect) -> Result<T, Fault> {
        match (outcome, &self.warning) {
            (Ok(_), Some(warning)) if effect == Effect::Commits => {
                Err(Fault::Unknown(format!("the commit was only warned about: {warning}")))
            }
            (Ok(value), _) => Ok(value),
            (Err(NoAnswer::Error(error)), _) => Err(Fault::of(&error, effect)),
            (Err(NoAnswer::Late), _) => Err(Fault::broken("no answer in time".into(), effect)),
            (Err(NoAnswer::Broken), _) => Err(Fault::broken("the connection broke".into(), effect)),
        }
    }
}

impl Connection {
    /// A connection that was just made by this runtime.
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

    /// Until when the calls that follow have to be over.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.link.deadline = deadline;
        self.last_used = Instant::now();
    }

    /// Whether it is of no use any more.
    pub(super) fn is_useless(&self) -> bool {
        self.link.is_late || self.is_lost()
    }

    /// Whether its other end has gone, and those of other connections perhaps with it.
    pub(super) fn is_lost(&self) -> bool {
        self.link.is_broken || self.client.is_closed()
    }

    /// It goes to a server that is of no use any more.
    pub(super) fn give_up(&mut self) {
        self.link.is_broken = true;
    }

    /// How long nobody has used it.
    pub(super) fn idle_time(&self) -> Duration {
        self.last_used.elapsed()
    }

    /// Whether its other end is still there, as far as the kernel has heard.
    pub(super) fn is_alive(&mut self) -> bool {
        self.set_deadline(Instant::now() + CANCEL_TIME);
        // The runtime looks at its sockets when somebody yields.
        let looked = self.link.drive(async {
            tokio::task::yield_now().await;
            Ok(())
        });
        looked.is_ok() && !self.is_useless()
    }

    /// Rows of a statement that changes nothing, or nothing before a commit.
    pub(super) fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
        self.run(sql, values, Effect::None)
    }

    /// Whether a condition holds: the one column of the one row of a statement that changes nothing.
    pub(super) fn is_true(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<bool, Fault> {
        let rows = self.query(sql, values)?;
        rows.first().map_or(Ok(false), |row| row.try_get(0)).map_err(|_| malformed("of a condition"))
    }

    /// Rows of a statement that commits by itself: outside a transaction.
    pub(super) fn change(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
        self.run(sql, values, Effect::Commits)
    }

    /// Runs `work` in a transaction, which is committed if that has come to something.
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
                // A connection that cannot say so is dropped, and the server rolls back.
                if !self.is_useless() && self.batch("ROLLBACK", Effect::None).is_err() {
                    self.give_up();
                }
                outcome
            }
        }
    }

    /// Statements without values.
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

    /// The statement, prepared now if it was not yet.
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

    /// Tells the server that nobody waits any more: the call may hold locks. It may still succeed.
    fn cancel(&self) {
        let cancel = self.client.cancel_token();
        let told = async { tokio::time::timeout(CANCEL_TIME, cancel.cancel_query(self.tls.clone())).await };
        // Where it cannot be told, its own timeouts end the call.
        let _ = self.link.runtime.block_on(told);
    }
}
