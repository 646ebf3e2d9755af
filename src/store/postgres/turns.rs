//! A fair semaphore: a limited number of turns, granted in the order of arrival.
//!
//! Invariant: a released turn goes to the first waiter; no one waits past the deadline. Must never be locked while
//! waiting.

use std::collections::VecDeque;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The semaphore.
pub(super) struct Turns(Mutex<State>);

struct State {
    free: usize,
    /// The waiters, in order.
    waiting: VecDeque<SyncSender<Turn>>,
    is_closed: bool,
}

/// A turn; released when dropped.
pub(super) struct Turn(Option<Arc<Turns>>);

/// Why there was no turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// None was free by the deadline.
    Busy,
    /// The semaphore is closed.
    Closed,
}

impl Turns {
    /// Creates a semaphore with `count` turns.
    pub(super) fn of(free: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { free, waiting: VecDeque::new(), is_closed: false })))
    }

    /// Waits for a turn.
    pub(super) fn take(self: &Arc<Self>, deadline: Instant) -> Result<Turn, NoTurn> {
        let answer = {
            let mut state = self.lock();
            if state.is_closed {
                return Err(NoTurn::Closed);
            }
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn(Some(Arc::clone(self))));
            }
            let (sender, answer) = mpsc::sync_channel(1);
            state.waiting.push_back(sender);
            answer
        };
        match answer.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(turn) => Ok(turn),
            // It may have arrived at the last moment; dropped with the channel, it would be passed on.
            Err(RecvTimeoutError::Timeout) => answer.try_recv().map_err(|_| NoTurn::Busy),
            Err(RecvTimeoutError::Disconnected) => Err(NoTurn::Closed),
        }
    }

    /// Closes the semaphore.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        drop(waiting);
    }

    fn pass_on(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.waiting.pop_front();
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.try_send(Turn(Some(Arc::clone(self)))) {
                Ok(()) => return,
                // That waiter has given up; pass the turn on.
                Err(TrySendError::Full(mut turn) | TrySendError::Disconnected(mut turn)) => turn.0 = None,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn turns_are_limited_and_everyone_gets_one() {
        let (turns, at_once, done) = (Turns::of(3), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    let turn = turns.take(soon()).unwrap();
                    assert!(at_once.fetch_add(1, Ordering::SeqCst) < 3);
                    std::thread::yield_now();
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    drop(turn);
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!((done.into_inner(), turns.lock().free), (50, 3));
    }

    #[test]
    fn a_waiter_that_gives_up_loses_no_turn() {
        let turns = Turns::of(1);
        let turn = turns.take(soon()).unwrap();
        for _ in 0..10 {
            assert_eq!(turns.take(Instant::now()).err(), Some(NoTurn::Busy));
        }
        drop(turn);
        assert_eq!(turns.lock().free, 1);
        let turn = turns.take(soon()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.take(soon()).map(|_| ()));
            while turns.lock().waiting.is_empty() {
                std::thread::yield_now();
            }
            turns.close();
            assert_eq!(waiting.join().unwrap(), Err(NoTurn::Closed));
        });
        drop(turn);
        assert_eq!(turns.take(soon()).err(), Some(NoTurn::Closed));
    }

    #[test]
    fn turns_are_granted_in_order_of_arrival() {
        let turns = Turns::of(1);
        let order = Mutex::new(Vec::new());
        let first = turns.take(soon()).unwrap();
        std::thread::scope(|scope| {
            for number in 0..10 {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let turn = turns.take(soon()).unwrap();
                    order.lock().unwrap().push(number);
                    drop(turn);
                });
                while turns.lock().waiting.len() <= number {
                    std::thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap(), (0..10).collect::<Vec<_>>());
    }
}
