//! Limits how many connections may wait for the rest of a request: half of the pool. Slow senders compete only with
//! each other, never with readers or complete requests.
//!
//! Invariant: at most that many wait for the rest of a head or body, except for those just being closed. When
//! the share is full, a newcomer replaces only the slowest sender. Must never wait.

use super::guard::patience;
use super::slot::{Cut, Phase, Served, Slot};
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
    slot: &'a Slot,
}

impl Share {
    /// The share of a pool with this many slots.
    pub(super) fn of(slots: usize) -> Self {
        Self { most: slots.div_ceil(2), taken: AtomicUsize::new(0) }
    }

    /// Gives a seat to a connection that must wait for its peer; `None` if all are taken by peers that are not slow.
    pub(super) fn enter<'a>(&'a self, slot: &'a Slot, slots: &[Slot], now: Instant) -> Option<Seat<'a>> {
        let is_full = self.taken.fetch_add(1, Ordering::Relaxed) >= self.most;
        // From here on, dropping the seat releases the count.
        let seat = Seat { share: self, slot };
        if is_full && !end_slowest(slots, now) {
            return None;
        }
        slot.set_receiving(Some(now));
        Some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.slot.set_receiving(None);
        self.share.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Closes the slowest of the senders being waited for. Returns whether there was one. Slots busy with received data
/// do not count: that is not the peer's fault.
fn end_slowest(slots: &[Slot], now: Instant) -> bool {
    let mut rates: Vec<(u64, u64, &Slot)> = slots
        .iter()
        .filter_map(|slot| slot.change(|served| Some((rate_of(served, now)?, served.serial, slot))).flatten())
        .collect();
    rates.sort_unstable_by_key(|(rate, ..)| *rate);
    rates.iter().any(|(_, serial, slot)| {
        let end = |served: &mut Served| {
            served.serial == *serial && served.phase_now() == Phase::Receiving && served.end(Cut::Crowded)
        };
        slot.change(end).unwrap_or(false)
    })
}

/// The sending rate of a peer in bytes per second; `None` if it cannot be judged yet.
fn rate_of(served: &Served, now: Instant) -> Option<u64> {
    let (since, before) = served.receiving.filter(|_| served.phase_now() == Phase::Receiving)?;
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
    use crate::http::Peer;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;

    #[test]
    fn in_a_full_share_a_newcomer_replaces_the_slowest() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let slots: Vec<Slot> = (0..4).map(|_| Slot::default()).collect();
        let share = Share::of(slots.len());
        let start = Instant::now();
        let enter = |number: usize, now| {
            slots[number].begin(&connect(), Peer::Unix);
            let seat = share.enter(&slots[number], &slots, now);
            slots[number].set_phase(Phase::Receiving);
            seat
        };
        let (first, second) = (enter(0, start).unwrap(), enter(1, start).unwrap());
        slots[0].count_received(9000);
        slots[1].count_received(1000);
        assert!(enter(2, start + Duration::from_millis(100)).is_none(), "both are too new to be judged");
        let later = start + Duration::from_secs(2);
        let set_phases = |phase| slots.iter().take(2).for_each(|slot| slot.set_phase(phase));
        set_phases(Phase::Working);
        assert!(enter(2, later).is_none(), "no peer is being waited for");
        set_phases(Phase::Receiving);
        let third = enter(2, later).unwrap();
        assert_eq!((slots[0].cut(), slots[1].cut()), (None, Some(Cut::Crowded)));
        drop(second);
        assert!(enter(3, later).is_some_and(|seat| slots[0].cut() == Some(Cut::Crowded) && seat.share.most == 2));
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
