//! What reads have done since it was last written to the database: the inactivity clock, and their count.
//!
//! Invariant: a read that comes while its paste is being flushed is not forgotten with it. Must never do I/O: an engine
//! flushes.

use super::model::RowKey;
use super::receipt::Reads;
use crate::clock::UnixSeconds;
use crate::paste::Expiry;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the clock of a read may stay in memory alone: what a crash may lose.
pub(in crate::store) const FLUSH_INTERVAL: Duration = Duration::from_secs(30);
/// Reads in memory after which the clock is flushed early; about 2 MiB.
const FLUSH_ENTRIES: usize = 64 << 10;
/// Room for so many is kept when a flush has emptied it.
const KEPT_ENTRIES: usize = 4096;

/// What reads have done to a paste since the last flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct Touched {
    /// Where they have moved its expiry; 0: nowhere.
    pub(in crate::store) expires_at: UnixSeconds,
    /// Those of its content, which are counted here where there is no limit to them.
    pub(in crate::store) reads: Reads,
}

/// What reads have done since the last flush, by paste key.
#[derive(Default)]
pub(in crate::store) struct InactivityClock(Mutex<HashMap<RowKey, Touched>>);

impl InactivityClock {
    fn lock(&self) -> MutexGuard<'_, HashMap<RowKey, Touched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads of a paste; one of them moves its expiry on, unless `expires_at` is 0.
    pub(in crate::store) fn touch(&self, key: RowKey, expires_at: UnixSeconds, reads: Reads) {
        let mut touched = self.lock();
        let entry = touched.entry(key).or_default();
        *entry = Touched { expires_at: expires_at.max(entry.expires_at), reads: entry.reads.and(reads) };
    }

    /// What reads of a paste have done that is not flushed yet.
    pub(in crate::store) fn unflushed(&self, key: RowKey) -> Touched {
        self.lock().get(&key).copied().unwrap_or_default()
    }

    /// The expiry of a row the database has given, as reads have moved it.
    pub(in crate::store) fn applied_to(&self, key: RowKey, expiry: Expiry) -> Expiry {
        match expiry {
            Expiry::Fixed(_) => expiry,
            Expiry::Sliding(stored) => Expiry::Sliding(self.unflushed(key).expires_at.max(stored)),
        }
    }

    /// What reads of a paste have done since the last flush, which is forgotten here.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn take(&self, key: RowKey) -> Touched {
        self.lock().remove(&key).unwrap_or_default()
    }

    /// The same of all pastes, in key order.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn take_all(&self) -> Vec<(RowKey, Touched)> {
        let mut touched: Vec<_> = std::mem::take(&mut *self.lock()).into_iter().collect();
        touched.sort_unstable_by_key(|(key, _)| *key);
        touched
    }

    /// Whether it is worth a flush before its time.
    pub(in crate::store) fn is_full(&self) -> bool {
        self.lock().len() >= FLUSH_ENTRIES
    }

    /// A copy in key order: neighbours in the table are written together.
    pub(in crate::store) fn snapshot(&self) -> Vec<(RowKey, Touched)> {
        let mut touched: Vec<_> = self.lock().iter().map(|(key, touched)| (*key, *touched)).collect();
        touched.sort_unstable_by_key(|(key, _)| *key);
        touched
    }

    /// Forgets what was flushed, but not what reads have done meanwhile.
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
