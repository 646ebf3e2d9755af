//! The share of the pool that may wait for peers to send: half. Whoever sends slowly competes with others who do, and
//! never with those who read or whose request has come whole.
//!
//! Invariant: at most that many workers wait for the rest of a head or a body, but for those just being ended. A full
//! share takes a newcomer only in the place of its slowest by rate. Must never wait.

use super::guard::patience;
use super::worker::{Cut, Phase, Served, Worker};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The share.
pub(super) struct Share {
    most: usize,
    taken: AtomicUsize,
}

/// A place in the share, given back when dropped.
pub(super) struct Seat<'a> {
    share: &'a Share,
    worker: &'a Worker,
}

impl Share {
    /// The share of a pool of so many workers.
    pub(super) fn of(workers: usize) -> Self {
        Self { most: workers.div_ceil(2), taken: AtomicUsize::new(0) }
    }

    /// Gives a worker that has to wait for its peer a seat; `None` when all are taken by peers that are not slow.
    pub(super) fn enter<'a>(&'a self, worker: &'a Worker, workers: &[Worker], now: Instant) -> Option<Seat<'a>> {
        let is_full = self.taken.fetch_add(1, Ordering::Relaxed) >= self.most;
        // From here on the count is given back, however this ends.
        let seat = Seat { share: self, worker };
        if is_full && !end_slowest(workers, now) {
            return None;
        }
        worker.set_receiving(Some(now));
        Some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.worker.set_receiving(None);
        self.share.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends the peer that sends most slowly of those that are waited for just now; whether there was one. A worker that is
/// busy with what has come does not count: that is no matter of its peer's.
fn end_slowest(workers: &[Worker], now: Instant) -> bool {
    let mut rates: Vec<(u64, u64, &Worker)> = workers
        .iter()
        .filter_map(|worker| worker.change(|served| Some((rate_of(served, now)?, served.serial, worker))).flatten())
        .collect();
    rates.sort_unstable_by_key(|(rate, ..)| *rate);
    rates.iter().any(|(_, serial, worker)| {
        let end = |served: &mut Served| {
            served.serial == *serial && served.phase == Phase::Receiving && served.end(Cut::Crowded)
        };
        worker.change(end).unwrap_or(false)
    })
}

/// How fast the peer of a connection sends, in bytes a second; `None` while that cannot be said yet.
fn rate_of(served: &Served, now: Instant) -> Option<u64> {
    let (since, before) = served.receiving.filter(|_| served.phase == Phase::Receiving)?;
    rate(served.received - before, now.saturating_duration_since(since), patience(served))
}

/// Bytes a second over a time; `None` for a time shorter than the peer's patience.
fn rate(bytes: u64, elapsed: Duration, patience: Duration) -> Option<u64> {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    (elapsed >= patience).then(|| bytes.saturating_mul(1000) / milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;

    #[test]
    fn a_full_share_takes_a_newcomer_in_the_place_of_its_slowest() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let workers: Vec<Worker> = (0..4).map(|_| Worker::default()).collect();
        let share = Share::of(workers.len());
        let start = Instant::now();
        let enter = |number: usize, now| {
            workers[number].begin(&connect(), false);
            let seat = share.enter(&workers[number], &workers, now);
            workers[number].set_phase(Phase::Receiving);
            seat
        };
        let (first, second) = (enter(0, start).unwrap(), enter(1, start).unwrap());
        workers[0].count_received(9000);
        workers[1].count_received(1000);
        assert!(enter(2, start + Duration::from_millis(100)).is_none(), "both are too new to be called slow");
        let later = start + Duration::from_secs(2);
        let set_phases = |phase| workers.iter().take(2).for_each(|worker| worker.set_phase(phase));
        set_phases(Phase::Working);
        assert!(enter(2, later).is_none(), "nobody is waited for");
        set_phases(Phase::Receiving);
        let third = enter(2, later).unwrap();
        assert_eq!((workers[0].cut(), workers[1].cut()), (None, Some(Cut::Crowded)));
        drop(second);
        assert!(enter(3, later).is_some_and(|seat| workers[0].cut() == Some(Cut::Crowded) && seat.share.most == 2));
        drop((first, third));
        assert_eq!(share.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn rates() {
        let second = Duration::from_secs(1);
        assert_eq!(rate(1000, second, second), Some(1000));
        assert_eq!(rate(1000, 4 * second, second), Some(250));
        assert_eq!(rate(1000, second / 2, second), None);
    }
}
