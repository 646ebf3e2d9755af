//! The gate before password hashing: slow on purpose, so it is rationed.
//!
//! Invariant: hashing never takes all cores, at most a few requests wait for it, and a paste whose password is being
//! guessed answers ever more slowly. Must never remember a password, right or wrong.

use crate::clock::UnixSeconds;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Requests that may wait for a core; more are turned away at once, so that guessers cannot hold the pool.
const MAX_WAITING: usize = 8;
/// Wrong passwords for a paste before the next try has to wait.
const FREE_TRIES: u32 = 5;
/// Longest wait between tries, in seconds: it also hits the reader who knows the password.
const MAX_WAIT_SECONDS: u64 = 60;
/// Pastes whose wrong passwords are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// Rations hashing, and remembers wrong passwords by paste.
pub struct PasswordGate {
    /// Hashes that may be computed at a time: half the cores.
    max_hashing: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    hashing: usize,
    waiting: usize,
    failures: HashMap<i64, Failures>,
}

/// Wrong passwords for one paste.
#[derive(Clone, Copy, Default)]
struct Failures {
    wrong: u32,
    /// Tries that are being checked just now: each may turn out wrong.
    pending: u32,
    next_try_at: UnixSeconds,
}

/// Why a try was not made; seconds to wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Turned {
    /// Too many wrong passwords for this paste.
    Guessing(u64),
    /// Too many hashes wait.
    Crowded(u64),
}

impl Default for PasswordGate {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { max_hashing: (cores / 2).max(1), state: Mutex::default(), freed: Condvar::new() }
    }
}

impl PasswordGate {
    /// Computes a new password's hash when a core is free.
    ///
    /// # Errors
    /// [`Turned::Crowded`], at once, when too many wait already.
    pub fn hash<T>(&self, hash: impl FnOnce() -> T) -> Result<T, Turned> {
        let _turn = self.wait_for_turn()?;
        Ok(hash())
    }

    /// Checks a password of the paste `key`; whether it is right.
    ///
    /// # Errors
    /// [`Turned`], without looking at the password.
    pub fn verify(&self, key: i64, now: UnixSeconds, check: impl FnOnce() -> bool) -> Result<bool, Turned> {
        self.begin_try(key, now)?;
        let outcome = self.wait_for_turn().map(|_turn| check());
        self.end_try(key, now, outcome.as_ref().ok().copied());
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_try(&self, key: i64, now: UnixSeconds) -> Result<(), Turned> {
        let mut state = self.lock();
        if state.failures.len() >= MAX_REMEMBERED && !state.failures.contains_key(&key) {
            state.failures.retain(|_, failures| failures.pending > 0 || failures.next_try_at + MAX_WAIT_SECONDS > now);
            if state.failures.len() >= MAX_REMEMBERED {
                return Err(Turned::Crowded(1));
            }
        }
        let failures = state.failures.entry(key).or_default();
        // Tries side by side count as wrong until they are known to be right: forty at once are not forty free ones.
        if failures.wrong + failures.pending >= FREE_TRIES && (failures.pending > 0 || now < failures.next_try_at) {
            return Err(Turned::Guessing(failures.next_try_at.saturating_sub(now).max(1)));
        }
        failures.pending += 1;
        Ok(())
    }

    /// Notes how a try ended; `None` if it was not made after all.
    fn end_try(&self, key: i64, now: UnixSeconds, right: Option<bool>) {
        let mut state = self.lock();
        let Some(failures) = state.failures.get_mut(&key) else { return };
        failures.pending = failures.pending.saturating_sub(1);
        match right {
            Some(true) => failures.wrong = 0,
            Some(false) => {
                failures.wrong = failures.wrong.saturating_add(1);
                failures.next_try_at = now + wait_seconds(failures.wrong);
            }
            None => {}
        }
        if failures.wrong == 0 && failures.pending == 0 {
            state.failures.remove(&key);
        }
    }

    fn wait_for_turn(&self) -> Result<Turn<'_>, Turned> {
        let mut state = self.lock();
        if state.hashing >= self.max_hashing {
            if state.waiting >= MAX_WAITING {
                return Err(Turned::Crowded(1));
            }
            state.waiting += 1;
            while state.hashing >= self.max_hashing {
                state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.waiting -= 1;
        }
        state.hashing += 1;
        Ok(Turn(self))
    }
}

/// A core to hash on, given back when dropped, by a panic too.
struct Turn<'a>(&'a PasswordGate);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().hashing -= 1;
        self.0.freed.notify_one();
    }
}

/// None for the first tries, then doubling from a second.
fn wait_seconds(wrong: u32) -> u64 {
    match wrong.checked_sub(FREE_TRIES) {
        None => 0,
        Some(beyond) => 1u64.checked_shl(beyond).unwrap_or(MAX_WAIT_SECONDS).min(MAX_WAIT_SECONDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn guessing_gets_slower_and_the_right_password_ends_it() {
        let gate = PasswordGate::default();
        for _ in 0..FREE_TRIES {
            assert_eq!(gate.verify(1, 100, || false), Ok(false));
        }
        assert_eq!(gate.verify(1, 100, || true), Err(Turned::Guessing(1)));
        assert_eq!(gate.verify(2, 100, || true), Ok(true), "other pastes are not concerned");
        assert_eq!(gate.verify(1, 101, || false), Ok(false));
        assert_eq!(gate.verify(1, 102, || true), Err(Turned::Guessing(1)));
        assert_eq!(gate.verify(1, 103, || true), Ok(true));
        assert_eq!(gate.verify(1, 103, || false), Ok(false), "the count begins anew");
        assert!((0..100).map(wait_seconds).all(|seconds| seconds <= MAX_WAIT_SECONDS));
    }

    #[test]
    fn guesses_side_by_side_are_not_all_free() {
        let gate = PasswordGate::default();
        let (barrier, checked) = (Barrier::new(40), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    barrier.wait();
                    let _ = gate.verify(1, 100, || {
                        checked.fetch_add(1, Ordering::SeqCst);
                        false
                    });
                });
            }
        });
        assert!(checked.load(Ordering::SeqCst) <= usize::try_from(FREE_TRIES).unwrap());
    }

    #[test]
    fn a_crowd_is_turned_away_and_never_hashes_on_all_cores() {
        let gate = PasswordGate { max_hashing: 1, ..PasswordGate::default() };
        let (at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let outcomes: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..40)
                .map(|_| {
                    scope.spawn(|| {
                        gate.hash(|| {
                            most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            std::thread::yield_now();
                            at_once.fetch_sub(1, Ordering::SeqCst);
                        })
                        .is_ok()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(most.load(Ordering::SeqCst), 1);
        assert!(outcomes.iter().filter(|served| **served).count() > MAX_WAITING / 2);
        let state = gate.lock();
        assert_eq!((state.hashing, state.waiting), (0, 0));
    }

    #[test]
    fn memory_is_bounded() {
        let gate = PasswordGate::default();
        for key in 0..i64::try_from(MAX_REMEMBERED).unwrap() {
            gate.verify(key, 100, || false).unwrap();
        }
        assert_eq!(gate.verify(-1, 100, || false), Err(Turned::Crowded(1)));
        assert_eq!(gate.verify(-1, 200, || false), Ok(false), "old failures make room");
        assert_eq!(gate.lock().failures.len(), 1);
    }
}
