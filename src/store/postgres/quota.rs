//! The bytes in use, counted every few seconds and updated in between.
//!
//! Invariant: includes what this server has stored since the last count, but not what other servers have: together they
//! may exceed the quota by that much. Must never be locked while the database counts.

use super::super::StoreError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The maximum age of a count.
const COUNTED: Duration = Duration::from_secs(5);
/// The maximum age after a delete.
const RECOUNTED: Duration = Duration::from_secs(1);

/// The quota and its usage.
pub(super) struct Quota {
    /// 0 for no quota.
    most_bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    count: Option<Count>,
    /// Whether a count is in progress: others use the old one meanwhile.
    is_counting: bool,
    /// Bytes this server has stored since the current count began.
    added_bytes: u64,
}

#[derive(Clone, Copy)]
struct Count {
    bytes: u64,
    at: Instant,
    good_for: Duration,
}

impl Quota {
    /// A quota in bytes; 0 for none.
    pub(super) fn of(most_bytes: u64) -> Self {
        Self { most_bytes, state: Mutex::default() }
    }

    /// The bytes in use, recounted with `count` if outdated.
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
        // Some of it may be counted twice: too much is safe, and soon corrected.
        let bytes = counted?.saturating_add(state.added_bytes);
        state.count = Some(Count { bytes, at, good_for: COUNTED });
        Ok(bytes)
    }

    /// Whether `bytes` more fit.
    pub(super) fn has_room(
        &self,
        bytes: u64,
        count: impl FnOnce() -> Result<u64, StoreError>,
    ) -> Result<bool, StoreError> {
        Ok(self.most_bytes == 0 || self.used_bytes(count)?.saturating_add(bytes) <= self.most_bytes)
    }

    /// Counts stored bytes.
    pub(super) fn add(&self, bytes: u64) {
        let mut state = self.lock();
        state.added_bytes = state.added_bytes.saturating_add(bytes);
        if let Some(count) = &mut state.count {
            count.bytes = count.bytes.saturating_add(bytes);
        }
    }

    /// Notes a delete.
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
    fn a_count_lasts_seconds_and_includes_own_pastes() {
        let quota = Quota::of(1000);
        assert!(quota.has_room(500, || Ok(500)).unwrap());
        quota.add(100);
        let recount = || panic!("counted again at once");
        assert!(quota.has_room(400, recount).unwrap() && !quota.has_room(401, recount).unwrap());
        assert!(Quota::of(0).has_room(u64::MAX, || panic!("there is no quota")).unwrap());
    }
}
