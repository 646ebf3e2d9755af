//! The connection pool of this server, first come first served.
//!
//! Invariant: no request waits for the database longer than [`MOST_WAITING`]; calls that failed because of a lost
//! connection or a conflict are retried, those of unknown outcome are not. Commits, which a lost standby delays, leave
//! some connections to reads. Must never be locked while waiting for the database.

use super::super::StoreError;
use super::connection::Connection;
use super::connector::{Connector, NoConnection};
use super::fault::Fault;
use super::standby;
use super::turns::{NoTurn, Turn, Turns};
use crate::blocking;
use crate::crypto;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The maximum number of connections.
const CONNECTIONS: usize = 16;
/// How many of them may be committing.
const COMMITS: usize = 12;
/// How long a request may wait for the database in total; half a second more for cancelling a call.
pub(super) const MOST_WAITING: Duration = Duration::from_secs(9);
/// The minimum time for a call, even at the end of a request that has already waited long.
const LEAST_WAITING: Duration = Duration::from_secs(1);
/// The time limit of all calls once the store is closing.
const CLOSING_TIME: Duration = Duration::from_secs(4);
/// The part of [`MOST_WAITING`] for getting a connection.
const MOST_QUEUING: Duration = Duration::from_secs(5);
/// The same while no server is reachable: a short failover is waited for, a long one does not block all threads.
const MOST_WAITING_WHILE_DOWN: Duration = Duration::from_secs(2);
/// After that, the interval at which one connection attempt is made while all others fail at once.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// How long a connection may be idle before it is checked for a read. For a commit it is always checked: a broken one
/// would leave the outcome unknown.
const TRUSTED: Duration = Duration::from_secs(1);
/// The number of attempts after which pauses stop growing, at 80 ms, while the server accepts no more connections.
const MOST_CROWDED_TRIES: u32 = 3;
/// The maximum pause before a retry.
const MOST_PAUSE: Duration = Duration::from_millis(400);

/// The connections.
pub(super) struct Pool {
    connector: Connector,
    turns: Arc<Turns>,
    commits: Arc<Turns>,
    /// Whether the last commit got no response: the next one first checks for a standby.
    is_doubtful: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    /// Since when connecting has failed, and the time of the last attempt.
    down: Option<(Instant, Instant)>,
    /// The deadline for everything.
    closing_at: Option<Instant>,
    is_closed: bool,
}

thread_local! {
    /// How long the current request of this thread has waited for the database. A request makes several consecutive
    /// calls, through functions that do not know of each other; the limit is for their total.
    static WAITED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Begins a request on this thread: its waiting time counts from here.
pub(super) fn begin_request() {
    WAITED.set(Some(Duration::ZERO));
}

/// The deadline of a call: what is left of this thread's request, or its own limit outside a request.
pub(super) fn deadline() -> Instant {
    Instant::now() + MOST_WAITING.saturating_sub(WAITED.get().unwrap_or_default()).max(LEAST_WAITING)
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        let (turns, commits) = (Turns::of(CONNECTIONS), Turns::of(COMMITS));
        Self { connector, turns, commits, is_doubtful: AtomicBool::new(false), state: Mutex::default() }
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Runs `work`, which commits nothing durable, with a connection; retries while nothing was done and there is time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there was no connection in time, or the error of `work`.
    pub(super) fn read<T>(&self, work: impl FnMut(&mut Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        Ok(self.try_read(deadline(), work)?)
    }

    /// Likewise with a deadline, returning the raw fault.
    pub(super) fn try_read<T>(
        &self,
        deadline: Instant,
        work: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        counted(|| self.run(Instant::now(), deadline, TRUSTED, work))
    }

    /// A read during a response in progress: each has its own time limit.
    ///
    /// # Errors
    /// As [`Pool::read`].
    pub(super) fn fetch<T>(&self, work: impl FnMut(&mut Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        let started = Instant::now();
        Ok(self.run(started, started + MOST_WAITING, TRUSTED, work)?)
    }

    /// Runs `work`, which commits.
    ///
    /// # Errors
    /// As [`Pool::read`]; [`StoreError::OutcomeUnknown`] if it is unknown what was done.
    pub(super) fn change<T>(&self, work: impl FnMut(&mut Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        Ok(self.try_change(deadline(), work)?)
    }

    /// Likewise for work that no request waits for.
    pub(super) fn change_within<T>(
        &self,
        time: Duration,
        work: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        Ok(self.try_change(Instant::now() + time, work)?)
    }

    /// Likewise with a deadline, returning the raw fault.
    pub(super) fn try_change<T>(
        &self,
        deadline: Instant,
        work: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        counted(|| self.commit(deadline, work))
    }

    fn commit<T>(&self, deadline: Instant, work: impl FnMut(&mut Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let started = Instant::now();
        let _turn = take(&self.commits, self.closing(deadline).min(started + MOST_QUEUING))?;
        if self.is_doubtful.load(Ordering::Relaxed) {
            // First commit something meaningless: a commit that waits for a missing standby may still have happened.
            self.run(started, deadline, Duration::ZERO, |connection| {
                standby::expect(connection)?;
                standby::confirm(connection)
            })?;
        }
        let result = self.run(started, deadline, Duration::ZERO, work);
        match &result {
            Ok(_) => self.is_doubtful.store(false, Ordering::Relaxed),
            Err(Fault::Unknown(_)) => self.is_doubtful.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
        result
    }

    /// A deadline, or an earlier one if the store is closing.
    fn closing(&self, deadline: Instant) -> Instant {
        self.lock().closing_at.map_or(deadline, |closing_at| closing_at.min(deadline))
    }

    fn run<T>(
        &self,
        started: Instant,
        deadline: Instant,
        trusted: Duration,
        mut work: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let deadline = self.closing(deadline);
        let mut tries = 0;
        loop {
            match self.run_once(started, deadline, trusted, &mut work) {
                Err(Fault::Conflict(_) | Fault::Lost(_)) if pause(tries, deadline) => tries += 1,
                result => return result,
            }
        }
    }

    fn run_once<T>(
        &self,
        started: Instant,
        deadline: Instant,
        trusted: Duration,
        work: &mut impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (turn, mut connection) = self.connection(started, deadline, trusted)?;
        connection.set_deadline(deadline);
        let result = work(&mut connection);
        if matches!(result, Err(Fault::Lost(_))) && !connection.is_useless() {
            // Even if it still responds, it may no longer be a primary.
            connection.give_up();
        }
        if connection.is_lost() {
            // The others are lost, too, for example if the server has stopped.
            self.forget_idle();
        } else if !connection.is_useless() {
            self.keep(connection);
        }
        drop(turn);
        result
    }

    /// A turn and a connection for it, made now if necessary and checked if it was idle for long.
    fn connection(&self, started: Instant, deadline: Instant, trusted: Duration) -> Result<(Turn, Connection), Fault> {
        let mut tries = 0;
        loop {
            let turn = take(&self.turns, deadline.min(started + MOST_QUEUING))?;
            let idle = self.lock().idle.pop();
            if let Some(mut connection) = idle
                && (connection.idle_time() < trusted || connection.is_alive())
            {
                return Ok((turn, connection));
            }
            let unreachable = |reason: &str| Fault::Busy(format!("no writable server is reachable ({reason})"));
            if self.is_down_for_long() {
                return Err(unreachable("tried just now"));
            }
            match self.connector.connect(deadline) {
                Ok(connection) => {
                    self.set_reachable(true);
                    return Ok((turn, connection));
                }
                Err(NoConnection::Crowded(reason)) => {
                    // The server is up but full: continue with the connections we have.
                    drop(turn);
                    if !pause(tries, deadline.min(started + MOST_QUEUING)) {
                        return Err(Fault::Busy(reason));
                    }
                    // Pauses are bounded: one of our connections may become free at any time.
                    tries = (tries + 1).min(MOST_CROWDED_TRIES);
                }
                Err(NoConnection::Unreachable(reason)) => {
                    self.set_reachable(false);
                    drop(turn);
                    if !pause(tries, deadline.min(started + MOST_WAITING_WHILE_DOWN)) {
                        return Err(unreachable(&reason));
                    }
                    tries += 1;
                }
            }
        }
    }

    /// Returns a connection to the pool, unless the pool is closed.
    fn keep(&self, connection: Connection) {
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            return drop(connection);
        }
        state.idle.push(connection);
        // A working connection proves that the server is up, even if new ones failed.
        state.down = None;
    }

    /// Drops idle connections after one was lost: they would fail one by one.
    fn forget_idle(&self) {
        let idle = std::mem::take(&mut self.lock().idle);
        drop(idle);
    }

    /// Prepares for closing the store: calls from now on must finish soon.
    pub(super) fn hurry(&self) {
        let closing_at = Instant::now() + CLOSING_TIME;
        self.lock().closing_at.get_or_insert(closing_at);
    }

    /// Closes the pool; connections in use are closed when returned.
    pub(super) fn close(&self) {
        self.turns.close();
        self.commits.close();
        self.lock().is_closed = true;
        self.forget_idle();
    }

    fn set_reachable(&self, is_reachable: bool) {
        let now = Instant::now();
        let mut state = self.lock();
        state.down = match state.down {
            _ if is_reachable => None,
            Some((since, _)) => Some((since, now)),
            None => Some((now, now)),
        };
    }

    /// Whether the server has been unreachable for long and was just tried. If not, the caller should try.
    fn is_down_for_long(&self) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let Some((since, tried)) = &mut state.down else { return false };
        if now < *since + MOST_WAITING_WHILE_DOWN {
            return false;
        }
        let was_just_tried = now < *tried + PROBE_INTERVAL;
        if !was_just_tried {
            *tried = now;
        }
        was_just_tried
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(turns: &Arc<Turns>, deadline: Instant) -> Result<Turn, Fault> {
    blocking::about_to_block();
    turns.take(deadline).map_err(|reason| match reason {
        NoTurn::Busy => Fault::Busy("all connections are in use".into()),
        NoTurn::Closed => Fault::Busy("the store is closed".into()),
    })
}

/// Adds the time of a call to this thread's request, if any.
fn counted<T>(call: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = call();
    WAITED.set(WAITED.get().map(|waited| waited + started.elapsed()));
    result
}

/// Pauses before a retry, with growing and randomized length. False if there is no time left.
fn pause(tries: u32, deadline: Instant) -> bool {
    let random = crypto::random::<1>().map_or(128, |[byte]| u32::from(byte));
    let longest = Duration::from_millis(10).saturating_mul(1 << tries.min(6)).min(MOST_PAUSE);
    let pause = longest * (64 + random) / 320;
    if !Connector::has_time(deadline) || deadline.saturating_duration_since(Instant::now()) < pause {
        return false;
    }
    std::thread::sleep(pause);
    true
}
