//! Limits how many workers may wait for peers to send: half of the pool. Slow senders compete only with each other,
//! never with readers or complete requests.
//!
//! Invariant: at most that many workers wait for the rest of a head or body, except for those just being closed. When
//! the share is full, a newcomer replaces only the slowest sender. Must never wait.

use super::guard::patience;
use super::worker::{Cut, Phase, Served, Worker};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The share.
pub(super) struct Share {
    most: usize,
    taken: AtomicUsize,
}

/// A seat in the share, released on drop.
pub(super) struct Seat<'a> {
    share: &'a Share,
    worker: &'a Worker,
}

impl Share {
    /// The share of a pool with this many workers.
    pub(super) fn of(workers: usize) -> Self {
        Self { most: workers.div_ceil(2), taken: AtomicUsize::new(0) }
    }

    /// Gives a seat to a worker that must wait for its peer; `None` if all are taken by peers that are not slow.
    pub(super) fn enter<'a>(&'a self, worker: &'a Worker, workers: &[Worker], now: Instant) -> Option<Seat<'a>> {
        let is_full = self.taken.fetch_add(1, Ordering::Relaxed) >= self.most;
        // From here on, dropping the seat releases the count.
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

/// Closes the slowest of the senders being waited for. Returns whether there was one. Workers busy with received data
/// do not count: that is not the peer's fault.
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

/// The sending rate of a peer in bytes per second; `None` if it cannot be judged yet.
fn rate_of(served: &Served, now: Instant) -> Option<u64> {
    let (since, before) = served.receiving.filter(|_| served.phase == Phase::Receiving)?;
    rate(served.received - before, now.saturating_duration_since(since), patience(served))
}

/// Bytes per second; `None` if the time is shorter than the peer's patience.
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
    fn in_a_full_share_a_newcomer_replaces_the_slowest() {
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
        assert!(enter(2, start + Duration::from_millis(100)).is_none(), "both are too new to be judged");
        let later = start + Duration::from_secs(2);
        let set_phases = |phase| workers.iter().take(2).for_each(|worker| worker.set_phase(phase));
        set_phases(Phase::Working);
        assert!(enter(2, later).is_none(), "no peer is being waited for");
        set_phases(Phase::Receiving);
        let third = enter(2, later).unwrap();
        assert_eq!((workers[0].cut(), workers[1].cut()), (None, Some(Cut::Crowded)));
        drop(second);
        assert!(enter(3, later).is_some_and(|seat| workers[0].cut() == Some(Cut::Crowded) && seat.share.most == 2));
        drop((first, third));
        assert_eq!(share.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn rates_are_computed_after_the_patience() {
        let second = Duration::from_secs(1);
        assert_eq!(rate(1000, second, second), Some(1000));
        assert_eq!(rate(1000, 4 * second, second), Some(250));
        assert_eq!(rate(1000, second / 2, second), None);
    }
}
