//! The effects of reads not yet written to the database: extended expiries and read counts.
//!
//! Invariant: a read during a flush of its paste is not lost. Must never do I/O: the engines flush.

use super::model::RowKey;
use super::receipt::Reads;
use crate::clock::UnixSeconds;
use crate::paste::Expiry;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long reads may be in memory only: a crash may lose this much.
pub(in crate::store) const FLUSH_INTERVAL: Duration = Duration::from_secs(30);
/// The number of entries, about 2 MiB, that triggers an early flush.
const FLUSH_ENTRIES: usize = 64 << 10;
/// The capacity kept after a flush.
const KEPT_ENTRIES: usize = 4096;

/// The effects of reads of a paste since the last flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct Touched {
    /// The new expiry; 0 if unchanged.
    pub(in crate::store) expires_at: UnixSeconds,
    /// The reads of its content, counted here if there is no read limit.
    pub(in crate::store) reads: Reads,
}

/// The effects of reads since the last flush, by paste key.
#[derive(Default)]
pub(in crate::store) struct InactivityClock(Mutex<HashMap<RowKey, Touched>>);

impl InactivityClock {
    fn lock(&self) -> MutexGuard<'_, HashMap<RowKey, Touched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records reads of a paste, which extend its expiry unless `expires_at` is 0.
    pub(in crate::store) fn touch(&self, key: RowKey, expires_at: UnixSeconds, reads: Reads) {
        let mut touched = self.lock();
        let entry = touched.entry(key).or_default();
        *entry = Touched { expires_at: expires_at.max(entry.expires_at), reads: entry.reads.and(reads) };
    }

    /// The unflushed effects of reads of a paste.
    pub(in crate::store) fn unflushed(&self, key: RowKey) -> Touched {
        self.lock().get(&key).copied().unwrap_or_default()
    }

    /// The expiry of a row from the database, as extended by reads.
    pub(in crate::store) fn applied_to(&self, key: RowKey, expiry: Expiry) -> Expiry {
        match expiry {
            Expiry::Fixed(_) => expiry,
            Expiry::Sliding(stored) => Expiry::Sliding(self.unflushed(key).expires_at.max(stored)),
        }
    }

    /// Removes and returns the unflushed effects of reads of a paste.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn take(&self, key: RowKey) -> Touched {
        self.lock().remove(&key).unwrap_or_default()
    }

    /// Likewise for all pastes, in key order.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn take_all(&self) -> Vec<(RowKey, Touched)> {
        let mut touched: Vec<_> = std::mem::take(&mut *self.lock()).into_iter().collect();
        touched.sort_unstable_by_key(|(key, _)| *key);
        touched
    }

    /// Whether it is large enough for an early flush.
    pub(in crate::store) fn is_full(&self) -> bool {
        self.lock().len() >= FLUSH_ENTRIES
    }

    /// A copy in key order, so that neighbours in the table are written together.
    pub(in crate::store) fn snapshot(&self) -> Vec<(RowKey, Touched)> {
        let mut touched: Vec<_> = self.lock().iter().map(|(key, touched)| (*key, *touched)).collect();
        touched.sort_unstable_by_key(|(key, _)| *key);
        touched
    }

    /// Removes what was flushed, but not the effects of later reads.
    pub(in crate::store) fn forget(&self, flushed: &[(RowKey, Touched)]) {
        let mut touched = self.lock();
        for (key, flushed) in flushed {
            if let Entry::Occupied(mut entry) = touched.entry(*key) {
                let now = entry.get_mut();
                now.reads.count -= flushed.reads.count;
                if now.reads.count == 0 && now.expires_at == flushed.expires_at {
                    entry.remove();
                }
            }
        }
        touched.shrink_to(KEPT_ENTRIES);
    }
}
