//! The connections of this server: as many as it may have at once, first come first served.
//!
//! Invariant: nobody waits for the database longer than [`MOST_WAITING`], whatever it does; what was not done because of a lost
//! connection or of others in the way is tried again, what nobody knows the outcome of is not. Commits, which a lost standby
//! holds up, leave some connections to reads. Must never be locked while anybody waits for the database.

use super::super::StoreError;
use super::connection::Connection;
use super::connector::{Connector, NoConnection};
use super::fault::Fault;
use super::standby;
use super::turns::{NoTurn, Turn, Turns};
use crate::crypto;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections at once.
const CONNECTIONS: usize = 16;
/// How many of them may be in a commit.
const COMMITS: usize = 12;
/// How long a request may wait for the database altogether; half a second more for telling it that nobody waits any more.
pub(super) const MOST_WAITING: Duration = Duration::from_secs(9);
/// How long a call may wait all the same at the end of a request that has waited long already.
const LEAST_WAITING: Duration = Duration::from_secs(1);
/// How long all calls may take once the store is about to close.
const CLOSING_TIME: Duration = Duration::from_secs(4);
/// How long of [`MOST_WAITING`] for a connection.
const MOST_QUEUING: Duration = Duration::from_secs(5);
/// How long while no server can be reached: a short failover is waited for, a long one does not take all threads.
const MOST_WAITING_WHILE_DOWN: Duration = Duration::from_secs(2);
/// Once that has lasted, the time in which one connection is tried, and all others are told at once.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// How long a connection may be idle before it is looked at, be it for a read. For a commit it is always: one that breaks
/// off leaves its outcome unknown.
const TRUSTED: Duration = Duration::from_secs(1);
/// After so many tries the pauses grow no longer where the server grants no more connections: 80 ms at most.
const MOST_CROWDED_TRIES: u32 = 3;
/// Longest pause before something is tried again.
const MOST_PAUSE: Duration = Duration::from_millis(400);

/// The connections.
pub(super) struct Pool {
    connector: Connector,
    turns: Arc<Turns>,
    commits: Arc<Turns>,
    /// Whether the last commit had no answer: the next looks first whether there is somebody to wait for.
    is_doubtful: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    /// Since when no connection could be made, and when that was tried last.
    down: Option<(Instant, Instant)>,
    /// When everything has to be over.
    closing_at: Option<Instant>,
    is_closed: bool,
}

thread_local! {
    /// How long the request that this thread answers has waited for the database, if it answers requests. A request makes
    /// several calls, one after the other, through functions that know nothing of each other; only together do they have to
    /// end in time.
    static WAITED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// A request begins, on this thread: what it waits counts from here.
pub(super) fn begin_request() {
    WAITED.set(Some(Duration::ZERO));
}

/// When a call has to be over: by what is left to the request of this thread, or by itself where there is none.
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

    /// Runs `work`, which commits nothing that has to last, with a connection; again as long as nothing was done and there
    /// is time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where no connection was to be had in time, else what `work` returned.
    pub(super) fn read<T>(&self, work: impl FnMut(&mut Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        Ok(self.try_read(deadline(), work)?)
    }

    /// The same until a deadline, with the fault as it was.
    pub(super) fn try_read<T>(
        &self,
        deadline: Instant,
        work: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        counted(|| self.run(Instant::now(), deadline, TRUSTED, work))
    }

    /// A read that the answer of a request waits for when it is on its way already: each by itself, as long as it takes.
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
    /// As [`Pool::read`]; [`StoreError::OutcomeUnknown`] where nobody knows what was done.
    pub(super) fn change<T>(&self, work: impl FnMut(&mut Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        Ok(self.try_change(deadline(), work)?)
    }

    /// The same of work that no request waits for.
    pub(super) fn change_within<T>(
        &self,
        time: Duration,
        work: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        Ok(self.try_change(Instant::now() + time, work)?)
    }

    /// The same until a deadline, with the fault as it was.
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
            // With something of no meaning first: what waits for a standby in vain may have happened all the same.
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

    /// A deadline, or an earlier one if the store is about to close.
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
            // Whatever else it would still answer: it may be a primary no more.
            connection.give_up();
        }
        if connection.is_lost() {
            // The others go the same way, be it that the server has stopped.
            self.forget_idle();
        } else if !connection.is_useless() {
            self.keep(connection);
        }
        drop(turn);
        result
    }

    /// A turn and a connection for it, made now if need be; one that was idle for longer than it is trusted is looked at.
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
            let unreachable = |reason: &str| Fault::Busy(format!("no writable server can be reached ({reason})"));
            if self.is_down_for_long() {
                return Err(unreachable("it was just tried"));
            }
            match self.connector.connect(deadline) {
                Ok(connection) => {
                    self.set_reachable(true);
                    return Ok((turn, connection));
                }
                Err(NoConnection::Crowded(reason)) => {
                    // It is there and has no room: with the connections we have it goes on.
                    drop(turn);
                    if !pause(tries, deadline.min(started + MOST_QUEUING)) {
                        return Err(Fault::Busy(reason));
                    }
                    // Not ever longer: a connection of ours may be free at any moment.
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

    /// Keeps a connection for the next, unless the pool is closed.
    fn keep(&self, connection: Connection) {
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            return drop(connection);
        }
        state.idle.push(connection);
        // One that works says that the server is there, whatever new ones have met.
        state.down = None;
    }

    /// After a connection was lost: the others would fail one by one.
    fn forget_idle(&self) {
        let idle = std::mem::take(&mut self.lock().idle);
        drop(idle);
    }

    /// The store is about to close: what is asked of the database from now on ends soon.
    pub(super) fn hurry(&self) {
        let closing_at = Instant::now() + CLOSING_TIME;
        self.lock().closing_at.get_or_insert(closing_at);
    }

    /// No connection is to be had any more; those that are used are closed when they come back.
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

    /// Whether nobody was to be reached for long, and somebody has just tried. Who gets a no tries himself.
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
    turns.take(deadline).map_err(|reason| match reason {
        NoTurn::Busy => Fault::Busy("all connections to it are in use".into()),
        NoTurn::Closed => Fault::Busy("the store is closed".into()),
    })
}

/// Counts what a call waits to the request of this thread, if it answers one.
fn counted<T>(call: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = call();
    WAITED.set(WAITED.get().map(|waited| waited + started.elapsed()));
    result
}

/// Waits a little before another try, each time longer and never as long as others; false if there is no time for it.
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
