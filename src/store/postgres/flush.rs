//! Flushes the effects of reads to the database: in batches, or at once if other servers could see a paste as expired.
//!
//! Invariant: each read is flushed once, and the expiry that it extended is visible on this server from then on; rows
//! are locked in key order. Reads of a paste that ended meanwhile go into its receipt. Must never bring back a paste.

use super::super::inactivity::{InactivityClock, Touched};
use super::super::model::RowKey;
use super::super::receipt::Reads;
use super::connection::Connection;
use super::fault::Fault;
use super::value::{Value, signed};
use crate::clock::UnixSeconds;
use crate::paste::Expiry;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

const FLUSH: &str = "\
    WITH touched AS (SELECT * FROM unnest($1, $2, $3, $4, $5) AS t (key, expires_at, reads, first_at, last_at)), \
    alive AS (SELECT t.* FROM touched t JOIN paste p ON p.key = t.key ORDER BY t.key), \
    noted AS (INSERT INTO seen AS s (key, expires_at, reads, first_read_at, last_read_at) SELECT * FROM alive \
        ON CONFLICT (key) DO UPDATE SET expires_at = greatest(s.expires_at, excluded.expires_at), \
        reads = s.reads + excluded.reads, first_read_at = least(s.first_read_at, excluded.first_read_at), \
        last_read_at = greatest(s.last_read_at, excluded.last_read_at)) \
    UPDATE receipt r SET reads = r.reads + t.reads, first_read_at = least(r.first_read_at, t.first_at), \
        last_read_at = greatest(r.last_read_at, t.last_at) \
    FROM touched t WHERE r.key = t.key AND t.reads > 0 AND NOT EXISTS (SELECT FROM alive a WHERE a.key = t.key)";
/// For pastes that ended during a flush: it saw them alive, and their end did not see its reads.
const MOVE_ORPHANS: &str = "\
    WITH orphan AS (DELETE FROM seen s WHERE s.key = ANY($1) AND NOT EXISTS (SELECT FROM paste p WHERE p.key = s.key) \
        RETURNING s.*) \
    UPDATE receipt r SET reads = r.reads + o.reads, first_read_at = least(r.first_read_at, o.first_read_at), \
        last_read_at = greatest(r.last_read_at, o.last_read_at) \
    FROM orphan o WHERE r.key = o.key AND o.reads > 0";

/// The outcome of a part of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Arrived,
    /// Unknown. Rather one read too few is counted than one too many; an expiry may be extended twice.
    Unknown,
    Failed,
}

/// The effects of reads that are not in the database yet.
#[derive(Default)]
pub(super) struct Clock {
    waiting: InactivityClock,
    /// Expiries taken to be written since the last flush but one. They are kept that long because a row may have been
    /// read before they were written; reads only ever move an expiry on.
    taken: Mutex<[HashMap<RowKey, UnixSeconds>; 2]>,
}

impl Clock {
    /// Records reads of a paste, which extend its expiry unless `expires_at` is 0.
    pub(super) fn touch(&self, key: RowKey, expires_at: UnixSeconds, reads: Reads) {
        self.waiting.touch(key, expires_at, reads);
    }

    /// The expiry of a row from the database, as extended by reads.
    pub(super) fn applied_to(&self, key: RowKey, expiry: Expiry) -> Expiry {
        let Expiry::Sliding(expires_at) = self.waiting.applied_to(key, expiry) else { return expiry };
        // After the other: an expiry that is taken in between is found here.
        let taken = self.taken();
        let taken = taken.iter().filter_map(|taken| taken.get(&key).copied());
        Expiry::Sliding(taken.fold(expires_at, UnixSeconds::max))
    }

    fn taken(&self) -> MutexGuard<'_, [HashMap<RowKey, UnixSeconds>; 2]> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The part of a paste that no flush has taken yet.
    pub(super) fn waiting(&self, key: RowKey) -> Touched {
        self.waiting.unflushed(key)
    }

    /// Takes that part; the caller writes it or gives it back.
    pub(super) fn take(&self, key: RowKey) -> Touched {
        let [recent, _] = &mut *self.taken();
        let touched = self.waiting.take(key);
        keep(recent, key, touched);
        touched
    }

    /// Handles a part that was not written, or of unknown outcome.
    pub(super) fn give_back(&self, key: RowKey, touched: Touched, arrival: Arrival) {
        let touched = match arrival {
            Arrival::Arrived => return,
            Arrival::Unknown => Touched { reads: Reads::default(), ..touched },
            Arrival::Failed => touched,
        };
        if touched != Touched::default() {
            self.waiting.touch(key, touched.expires_at, touched.reads);
        }
    }

    /// Whether it is large enough for an early flush.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.is_full()
    }

    /// Takes everything for a flush. There is one flush at a time.
    pub(super) fn begin_flush(&self) -> Vec<(RowKey, Touched)> {
        let [recent, earlier] = &mut *self.taken();
        *earlier = std::mem::take(recent);
        let touched = self.waiting.take_all();
        for (key, touched) in &touched {
            keep(recent, *key, *touched);
        }
        touched
    }

    /// Completes or returns a part of a flush.
    pub(super) fn end_flush(&self, touched: &[(RowKey, Touched)], arrival: Arrival) {
        for (key, touched) in touched {
            self.give_back(*key, *touched, arrival);
        }
    }
}

/// Keeps the expiry that reads have extended, if they have.
fn keep(taken: &mut HashMap<RowKey, UnixSeconds>, key: RowKey, touched: Touched) {
    if touched.expires_at > 0 {
        let expires_at = taken.entry(key).or_default();
        *expires_at = touched.expires_at.max(*expires_at);
    }
}

/// Writes the effects of reads of some pastes, which are in key order.
pub(super) fn write(connection: &mut Connection, touched: &[(RowKey, Touched)]) -> Result<(), Fault> {
    let column = |value: fn(&(RowKey, Touched)) -> i64| touched.iter().map(value).collect::<Vec<_>>();
    let optional = |value: fn(&(RowKey, Touched)) -> Option<i64>| touched.iter().map(value).collect::<Vec<_>>();
    let keys = column(|(key, _)| key.0);
    let ends = column(|(_, touched)| signed(touched.expires_at));
    let reads = column(|(_, touched)| signed(touched.reads.count));
    let first = optional(|(_, touched)| touched.reads.first_at.map(signed));
    let last = optional(|(_, touched)| touched.reads.last_at.map(signed));
    let values = [
        Value::Ints(&keys),
        Value::Ints(&ends),
        Value::Ints(&reads),
        Value::OptionalInts(&first),
        Value::OptionalInts(&last),
    ];
    connection.change(FLUSH, &values).map(|_| ())
}

/// Moves read counts written for ended pastes into their receipts. The keys are those written some time ago, so that no
/// earlier end is still in progress.
pub(super) fn move_orphans(connection: &mut Connection, keys: &[i64]) -> Result<(), Fault> {
    connection.change(MOVE_ORPHANS, &[Value::Ints(keys)]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_read_is_flushed_once_and_always_visible() {
        let (clock, key, expiry) = (Clock::default(), RowKey(1), Expiry::Sliding(1000));
        clock.touch(key, 2000, Reads::one(900));
        let first = clock.begin_flush();
        assert_eq!(first, [(key, Touched { expires_at: 2000, reads: Reads::one(900) })]);
        assert!(clock.begin_flush().is_empty() && clock.take(key) == Touched::default());
        assert_eq!(clock.applied_to(key, expiry), Expiry::Sliding(2000), "it has not arrived yet");
        clock.touch(key, 2100, Reads::one(1000));
        // It was not written: both are flushed together the next time.
        clock.end_flush(&first, Arrival::Failed);
        let second = clock.begin_flush();
        let reads = Reads { count: 2, first_at: Some(900), last_at: Some(1000) };
        assert_eq!((second[0].1.expires_at, second[0].1.reads.count), (2100, reads.count));
        clock.end_flush(&second, Arrival::Unknown);
        assert_eq!(clock.applied_to(key, expiry), Expiry::Sliding(2100), "an end may be moved on twice");
        let third = clock.begin_flush();
        assert_eq!(third[0].1.reads.count, 0, "a read is counted once");
        clock.end_flush(&third, Arrival::Arrived);
        assert_eq!(clock.applied_to(key, expiry), Expiry::Sliding(2100), "the row may have been read before");
        assert!(clock.begin_flush().is_empty() && clock.begin_flush().is_empty());
        assert_eq!(clock.applied_to(key, expiry), expiry);
    }

    #[test]
    fn an_expiry_is_visible_while_a_change_or_a_flush_takes_it() {
        let (clock, key, expiry) = (Clock::default(), RowKey(1), Expiry::Sliding(1000));
        clock.touch(key, 2000, Reads::one(900));
        std::thread::scope(|scope| {
            let take = scope.spawn(|| {
                for round in 0..20_000 {
                    if round % 2 == 0 {
                        let taken = clock.take(key);
                        clock.give_back(key, taken, Arrival::Failed);
                    } else {
                        let taken = clock.begin_flush();
                        clock.end_flush(&taken, Arrival::Failed);
                    }
                }
            });
            while !take.is_finished() {
                assert_eq!(clock.applied_to(key, expiry), Expiry::Sliding(2000));
            }
        });
    }

    #[test]
    fn counts_survive_concurrent_flushes_and_ends() {
        let (clock, key) = (Clock::default(), RowKey(1));
        let counted = std::thread::scope(|scope| {
            let toucher = scope.spawn(|| (0..20_000).for_each(|at| clock.touch(key, at, Reads::one(at))));
            let flush = scope.spawn(|| {
                let mut counted = 0;
                for round in 0..2000 {
                    let taken = clock.begin_flush();
                    let has_arrived = round % 3 > 0;
                    counted += if has_arrived { taken.iter().map(|(_, touched)| touched.reads.count).sum() } else { 0 };
                    clock.end_flush(&taken, if has_arrived { Arrival::Arrived } else { Arrival::Failed });
                }
                counted
            });
            let end = scope.spawn(|| {
                let mut counted = 0;
                for round in 0..2000 {
                    let taken = clock.take(key);
                    if round % 2 == 0 {
                        counted += taken.reads.count;
                    } else {
                        clock.give_back(key, taken, Arrival::Failed);
                    }
                }
                counted
            });
            toucher.join().unwrap();
            flush.join().unwrap() + end.join().unwrap()
        });
        assert_eq!(counted + clock.waiting(key).reads.count, 20_000);
    }
}
