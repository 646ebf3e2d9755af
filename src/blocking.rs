//! Limits how many threads run at a time: each needs a permit, which it gives to another before it blocks.
//!
//! With a running thread for each connection, every request meets a cold stack and heap: at 200 connections it costs
//! 1.6 times the CPU time (docs/architecture.md). Invariant: a thread holds at most one permit, and there are never
//! more than the given number. Must never be the only limit of anything: a thread that was blocked goes on without a
//! permit.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

/// The permits.
pub struct Permits(Mutex<State>);

struct State {
    free: usize,
    /// The threads that wait, the latest last. That one is next: its stack and heap are still in the caches, and no
    /// thread is owed a turn.
    waiting: Vec<Arc<Waiting>>,
}

struct Waiting {
    thread: Thread,
    /// Whether it was given a permit.
    has_permit: AtomicBool,
}

thread_local! {
    /// Where the permit of this thread is from; `None` if it holds none.
    static HELD: RefCell<Option<Arc<Permits>>> = const { RefCell::new(None) };
}

impl Permits {
    /// This many permits.
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { free: count, waiting: Vec::new() })))
    }

    /// Waits for a permit for this thread, unless it still holds one.
    pub fn take(self: &Arc<Self>) {
        if HELD.with_borrow(Option::is_some) {
            return;
        }
        if let Some(waiting) = self.enter() {
            while !waiting.has_permit.load(Ordering::Acquire) {
                thread::park();
            }
        }
        HELD.set(Some(Arc::clone(self)));
    }

    /// Takes a free permit, or a place among those that wait.
    fn enter(&self) -> Option<Arc<Waiting>> {
        let mut state = self.lock();
        if state.free > 0 {
            state.free -= 1;
            return None;
        }
        let waiting = Arc::new(Waiting { thread: thread::current(), has_permit: AtomicBool::new(false) });
        state.waiting.push(Arc::clone(&waiting));
        Some(waiting)
    }

    fn give_back(&self) {
        let mut state = self.lock();
        let Some(next) = state.waiting.pop() else {
            state.free += 1;
            return;
        };
        drop(state);
        next.has_permit.store(true, Ordering::Release);
        next.thread.unpark();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives this thread's permit to another thread, if it holds one: to be called before anything that may take long, such
/// as waiting for a peer, a commit or another process, or hashing a password.
pub fn about_to_block() {
    if let Some(permits) = HELD.take() {
        permits.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_thread_that_blocks_lets_another_run() {
        let (permits, running) = (Permits::new(2), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        permits.take();
                        permits.take();
                        assert!(running.fetch_add(1, Ordering::SeqCst) < 2);
                        std::thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        about_to_block();
                        about_to_block();
                    }
                });
            }
        });
        assert_eq!(permits.lock().free, 2);
    }
}
