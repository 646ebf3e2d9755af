//! The connections of this server: as many as it may have at once, first come first served.
//!
//! Invariant: nobody waits for the database longer than [`MOST_WAITING`], whatever it does; what was not done because of a lost
//! connection or of others in the way is tried again, what nobody knows the outcome of is not. Must never be locked while
//! anybody waits for the database.

use super::super::StoreError;
use super::connection::Connection;
use super::connector::Connector;
use super::fault::Fault;
use crate::crypto;
use std::collections::VecDeque;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections at once.
pub(super) const CONNECTIONS: usize = 16;
/// How long a request may wait for the database altogether; half a second more for telling it that nobody waits any more.
pub(super) const MOST_WAITING: Duration = Duration::from_secs(9);
/// How long of it for a connection.
const MOST_QUEUING: Duration = Duration::from_secs(5);
/// How long while no server can be reached: a short failover is waited for, a long one does not take all threads.
const MOST_WAITING_WHILE_DOWN: Duration = Duration::from_secs(2);
/// Once that has lasted, the time in which one connection is tried, and all others are told at once.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// How long a connection may be idle before it is looked at.
const TRUSTED: Duration = Duration::from_secs(1);
/// Longest pause before something is tried again.
const MOST_PAUSE: Duration = Duration::from_millis(400);

/// The connections.
pub(super) struct Pool {
    connector: Connector,
    places: Arc<Places>,
}

/// Who may have a connection.
struct Places(Mutex<State>);

struct State {
    idle: Vec<Connection>,
    /// Connections that may still be made.
    free: usize,
    /// Those that wait for one, in their order.
    waiting: VecDeque<SyncSender<Place>>,
    /// Since when none could be made, and when that was tried last.
    down: Option<(Instant, Instant)>,
    is_closed: bool,
}

/// One of the places, with its connection if that was made already. It goes to the next in the queue when dropped.
struct Place {
    /// `None` once it was given up without being passed on.
    places: Option<Arc<Places>>,
    connection: Option<Connection>,
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        let state =
            State { idle: Vec::new(), free: CONNECTIONS, waiting: VecDeque::new(), down: None, is_closed: false };
        Self { connector, places: Arc::new(Places(Mutex::new(state))) }
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Runs `work` with a connection, again as long as nothing was done and there is time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where no connection was to be had in time, [`StoreError::OutcomeUnknown`] where nobody
    /// knows what was done, else what `work` returned.
    pub(super) fn with<T>(&self, work: impl FnMut(&mut Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        Ok(self.try_with(Instant::now() + MOST_WAITING, work)?)
    }

    /// The same until a deadline, with the fault as it was.
    pub(super) fn try_with<T>(
        &self,
        deadline: Instant,
        mut work: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let started = Instant::now();
        for tries in 0u32.. {
            let (place, mut connection) = self.connection(started, deadline)?;
            connection.set_deadline(deadline);
            let result = work(&mut connection);
            let is_broken = connection.is_broken();
            place.give_back(connection);
            if is_broken {
                // The others go the same way, be it that the server has stopped.
                self.places.forget_idle();
            }
            match result {
                Err(Fault::Conflict(_) | Fault::Lost(_)) if pause(tries, deadline) => {}
                result => return result,
            }
        }
        Err(Fault::Busy("no answer after many tries".into()))
    }

    /// A place and its connection, made now if need be.
    fn connection(&self, started: Instant, deadline: Instant) -> Result<(Place, Connection), Fault> {
        for tries in 0u32.. {
            let mut place = Places::take(&self.places, deadline.min(started + MOST_QUEUING))?;
            if let Some(mut connection) = place.connection.take()
                && (connection.idle_time() < TRUSTED || connection.is_alive())
            {
                return Ok((place, connection));
            }
            let unreachable = |reason: &str| Fault::Busy(format!("no writable server can be reached ({reason})"));
            if self.places.is_down_for_long() {
                return Err(unreachable("it was just tried"));
            }
            match self.connector.connect(deadline) {
                Ok(connection) => {
                    self.places.set_reachable(true);
                    return Ok((place, connection));
                }
                Err(reason) => {
                    self.places.set_reachable(false);
                    drop(place);
                    if !pause(tries, deadline.min(started + MOST_WAITING_WHILE_DOWN)) {
                        return Err(unreachable(&reason.0));
                    }
                }
            }
        }
        Err(Fault::Busy("no connection after many tries".into()))
    }

    /// No connection is to be had any more; those that are used are closed when they come back.
    pub(super) fn close(&self) {
        let idle = {
            let mut state = self.places.lock();
            state.is_closed = true;
            state.waiting.clear();
            std::mem::take(&mut state.idle)
        };
        drop(idle);
    }
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, as soon as it is one's turn.
    fn take(places: &Arc<Self>, deadline: Instant) -> Result<Place, Fault> {
        let closed = || Fault::Busy("the store is closed".into());
        let turn = {
            let mut state = places.lock();
            if state.is_closed {
                return Err(closed());
            }
            if state.waiting.is_empty() && (!state.idle.is_empty() || state.free > 0) {
                let connection = state.idle.pop();
                if connection.is_none() {
                    state.free -= 1;
                }
                return Ok(Place { places: Some(Arc::clone(places)), connection });
            }
            let (sender, turn) = mpsc::sync_channel(1);
            state.waiting.push_back(sender);
            turn
        };
        match turn.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(place) => Ok(place),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // It may have come at the last moment; dropped with the channel, it would go on to the next.
                turn.try_recv().map_err(|_| Fault::Busy("all connections to it are in use".into()))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(closed()),
        }
    }

    /// Gives a place to the next in the queue that still waits, or keeps it.
    fn pass_on(places: &Arc<Self>, connection: Option<Connection>) {
        let mut connection = connection;
        loop {
            let next = {
                let mut state = places.lock();
                let next = if state.is_closed { None } else { state.waiting.pop_front() };
                if next.is_none() {
                    match connection.take() {
                        Some(connection) if !state.is_closed => state.idle.push(connection),
                        unneeded => {
                            state.free += 1;
                            drop(state);
                            drop(unneeded);
                        }
                    }
                    return;
                }
                next
            };
            let Some(next) = next else { return };
            let place = Place { places: Some(Arc::clone(places)), connection: connection.take() };
            match next.try_send(place) {
                Ok(()) => return,
                // That one has given up. Its place must not pass itself on.
                Err(TrySendError::Full(place) | TrySendError::Disconnected(place)) => connection = place.dissolve(),
            }
        }
    }

    /// After a connection was lost: the others would fail one by one.
    fn forget_idle(&self) {
        let idle = {
            let mut state = self.lock();
            state.free += state.idle.len();
            std::mem::take(&mut state.idle)
        };
        drop(idle);
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
}

impl Place {
    /// Ends the use of a connection.
    fn give_back(mut self, connection: Connection) {
        if !connection.is_broken() {
            self.connection = Some(connection);
        }
    }

    /// Its connection; the place itself stays with the caller, and is passed on to nobody.
    fn dissolve(mut self) -> Option<Connection> {
        self.places = None;
        self.connection.take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(places) = self.places.take() {
            Places::pass_on(&places, self.connection.take());
        }
    }
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
