//! Limits how many threads run at a time: each needs a permit, which it gives to another before it blocks.
//!
//! With a running thread for each connection, every request meets a cold stack and heap: at 200 connections it costs
//! 1.6 times the CPU time (docs/architecture.md). Invariant: a thread holds at most one permit; there are more than the
//! given number only after no holder had asked for a request for a while. Must never be the only limit of anything: a
//! thread that was blocked goes on without a permit.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// How often it is checked that a thread is there for the next request: while one is, and while none is.
const CALM_INTERVAL: Duration = Duration::from_millis(100);
const BUSY_INTERVAL: Duration = Duration::from_millis(10);

/// The permits.
pub struct Permits {
    state: Mutex<State>,
    /// Permits beyond the given number ([`Permits::watch`]).
    extra: AtomicUsize,
    /// How often threads began to wait for a request, and how often one came.
    begun: AtomicU64,
    ended: AtomicU64,
}

struct State {
    free: usize,
    /// The threads that wait, the latest last. That one is next: its stack and heap are still in the caches, and the
    /// order does not matter: any thread can serve any request.
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
        Arc::new(Self {
            state: Mutex::new(State { free: count, waiting: Vec::new() }),
            extra: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        })
    }

    /// Waits for a permit for this thread, unless it still holds one.
    pub fn take(self: &Arc<Self>) {
        if HELD.with_borrow(Option::is_some) {
            if !self.is_one_too_many() {
                return;
            }
            HELD.set(None);
        }
        if let Some(waiting) = self.enter() {
            while !waiting.has_permit.load(Ordering::Acquire) {
                thread::park();
            }
        }
        HELD.set(Some(Arc::clone(self)));
    }

    /// Runs `request`, which waits for a request, and records that a thread waits.
    pub fn wait_for<T>(&self, request: impl FnOnce() -> T) -> T {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let request = request();
        self.ended.fetch_add(1, Ordering::SeqCst);
        request
    }

    /// Gives out another permit whenever all threads that hold one are blocked without having given it up: a stalled
    /// disk or a bug in one request must not stop the others. Never returns.
    pub fn watch(&self) {
        let mut last = None;
        loop {
            let begun = self.begun.load(Ordering::SeqCst);
            let is_stalled = !self.anyone_waits();
            if is_stalled && last == Some(begun) {
                self.add_one();
            }
            last = is_stalled.then_some(begun);
            thread::sleep(if is_stalled { BUSY_INTERVAL } else { CALM_INTERVAL });
        }
    }

    /// Whether a thread waits for a request.
    fn anyone_waits(&self) -> bool {
        let ended = self.ended.load(Ordering::SeqCst);
        self.begun.load(Ordering::SeqCst) > ended
    }

    fn add_one(&self) {
        let next = self.lock().waiting.pop();
        if let Some(next) = next {
            self.extra.fetch_add(1, Ordering::SeqCst);
            next.call();
        }
    }

    /// Whether this thread's permit is beyond the given number and another thread waits for requests. It is then no
    /// longer counted.
    fn is_one_too_many(&self) -> bool {
        let less = |extra: usize| extra.checked_sub(1);
        self.extra.load(Ordering::Relaxed) > 0
            && self.anyone_waits()
            && self.extra.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
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
        if self.is_one_too_many() {
            return;
        }
        let mut state = self.lock();
        let Some(next) = state.waiting.pop() else {
            state.free += 1;
            return;
        };
        drop(state);
        next.call();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Wakes the thread with a permit.
    fn call(&self) {
        self.has_permit.store(true, Ordering::Release);
        self.thread.unpark();
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
    fn threads_that_block_without_giving_up_their_permits_are_replaced() {
        let (permits, running) = (Permits::new(2), AtomicUsize::new(0));
        let watcher = Arc::clone(&permits);
        thread::spawn(move || watcher.watch());
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    permits.take();
                    // Blocked without a word, until the fourth is there.
                    if running.fetch_add(1, Ordering::SeqCst) < 3 {
                        let _ = gate.lock().unwrap().recv();
                    }
                    about_to_block();
                });
            }
            while running.load(Ordering::SeqCst) < 4 {
                thread::yield_now();
            }
            drop(release);
        });
        // All are given back, the two extra ones, too, which go when somebody waits.
        assert_eq!((permits.lock().free, permits.extra.load(Ordering::SeqCst)), (4, 2));
        permits.wait_for(|| {
            for _ in 0..3 {
                permits.take();
            }
        });
        about_to_block();
        assert_eq!((permits.lock().free, permits.extra.load(Ordering::SeqCst)), (2, 0));
    }

    #[test]
    fn a_thread_that_blocks_lets_another_run() {
        let (permits, running) = (Permits::new(2), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        permits.take();
                        permits.take();
                        assert!(running.fetch_add(1, Ordering::SeqCst) < 2);
                        thread::yield_now();
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
