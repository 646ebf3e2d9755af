//! How much is in use, counted every few seconds and kept up in between.
//!
//! Invariant: what this server has stored since the last count is in it. What other servers have stored in those seconds is
//! not: together they may exceed the quota by that much. Must never be locked while the database counts.

use super::super::StoreError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How old a count may be.
const COUNTED: Duration = Duration::from_secs(5);
/// And how old after something was deleted.
const RECOUNTED: Duration = Duration::from_secs(1);

/// The quota, and what is used of it.
pub(super) struct Quota {
    /// 0: none.
    most_bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    count: Option<Count>,
    /// Whether somebody counts just now: the others take what is known meanwhile.
    is_counting: bool,
    /// What this server has stored since the count under way began.
    added_bytes: u64,
}

#[derive(Clone, Copy)]
struct Count {
    bytes: u64,
    at: Instant,
    good_for: Duration,
}

impl Quota {
    /// A quota of so many bytes; 0: none.
    pub(super) fn of(most_bytes: u64) -> Self {
        Self { most_bytes, state: Mutex::default() }
    }

    /// Bytes in use, by `count` if that was long ago.
    pub(super) fn used_bytes(&self, count: impl FnOnce() -> Result<u64, StoreError>) -> Result<u64, StoreError> {
        {
            let mut state = self.lock();
            if let Some(known) = state.count
                && (known.at.elapsed() < known.good_for || state.is_counting)
            {
                return Ok(known.bytes);
            }
            (state.is_counting, state.added_bytes) = (true, 0);
        }
        let at = Instant::now();
        let counted = count();
        let mut state = self.lock();
        state.is_counting = false;
        // Some of what came meanwhile may be in it already: too much is safe, and soon put right.
        let bytes = counted?.saturating_add(state.added_bytes);
        state.count = Some(Count { bytes, at, good_for: COUNTED });
        Ok(bytes)
    }

    /// Whether so many more bytes fit.
    pub(super) fn has_room(
        &self,
        bytes: u64,
        count: impl FnOnce() -> Result<u64, StoreError>,
    ) -> Result<bool, StoreError> {
        Ok(self.most_bytes == 0 || self.used_bytes(count)?.saturating_add(bytes) <= self.most_bytes)
    }

    /// Something was stored.
    pub(super) fn add(&self, bytes: u64) {
        let mut state = self.lock();
        state.added_bytes = state.added_bytes.saturating_add(bytes);
        if let Some(count) = &mut state.count {
            count.bytes = count.bytes.saturating_add(bytes);
        }
    }

    /// Something was deleted.
    pub(super) fn recount(&self) {
        if let Some(count) = &mut self.lock().count {
            count.good_for = RECOUNTED;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_good_for_seconds_and_own_pastes_are_in_it() {
        let quota = Quota::of(1000);
        assert!(quota.has_room(500, || Ok(500)).unwrap());
        quota.add(100);
        let recount = || panic!("counted again at once");
        assert!(quota.has_room(400, recount).unwrap() && !quota.has_room(401, recount).unwrap());
        assert!(Quota::of(0).has_room(u64::MAX, || panic!("there is no quota")).unwrap());
    }
}
