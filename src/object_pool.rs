//! A pool of a fixed number of objects shared by threads.
//!
//! Invariant: an object has one user at a time; [`ObjectPool::with`] returns it even after a panic. Must never create
//! another object.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The objects.
pub struct ObjectPool<T> {
    state: Mutex<State<T>>,
    returned: Condvar,
}

struct State<T> {
    idle: Vec<T>,
    /// The number of waiting threads, to avoid needless wake-ups, which are system calls.
    waiting: usize,
}

impl<T> ObjectPool<T> {
    /// A pool of these objects.
    pub fn new(objects: Vec<T>) -> Self {
        Self { state: Mutex::new(State { idle: objects, waiting: 0 }), returned: Condvar::new() }
    }

    /// Uses an object, waiting until one is free.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut object = self.take();
        let result = catch_unwind(AssertUnwindSafe(|| work(&mut object)));
        self.give_back(object);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Takes an object, waiting until one is free.
    pub fn take(&self) -> T {
        let mut state = self.lock();
        loop {
            if let Some(object) = state.idle.pop() {
                return object;
            }
            state.waiting += 1;
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Returns an object.
    pub fn give_back(&self, object: T) {
        let mut state = self.lock();
        state.idle.push(object);
        let anyone_waits = state.waiting > 0;
        drop(state);
        if anyone_waits {
            self.returned.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn each_object_has_one_user_at_a_time_and_survives_a_panic() {
        let pool = ObjectPool::new(vec![AtomicU32::new(0), AtomicU32::new(0)]);
        std::thread::scope(|scope| {
            for number in 0..40 {
                let pool = &pool;
                scope.spawn(move || {
                    let use_it = || {
                        pool.with(|users| {
                            assert_eq!(users.fetch_add(1, Ordering::SeqCst), 0);
                            std::thread::yield_now();
                            users.fetch_sub(1, Ordering::SeqCst);
                            assert!(number % 8 > 0, "a bug in the user");
                        });
                    };
                    let has_panicked = catch_unwind(AssertUnwindSafe(use_it)).is_err();
                    assert_eq!(has_panicked, number % 8 == 0);
                });
            }
        });
        assert_eq!(pool.lock().idle.len(), 2);
    }
}
