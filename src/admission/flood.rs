//! The global rate of creates, and how much it raises the difficulty of the proof of work.
//!
//! Invariant: constant memory: one count for each of the last 60 seconds. Must never lower the difficulty below the
//! operator's.

use crate::clock::UnixSeconds;
use std::sync::{Mutex, PoisonError};

/// The window in seconds.
const WINDOW_SECONDS: usize = 60;
/// The maximum number of extra bits.
const MAX_BITS: u8 = 8;

/// The creates of the last minute.
#[derive(Default)]
pub struct Flood(Mutex<Counts>);

struct Counts {
    /// The count of each second, at its number modulo the window.
    seconds: [(UnixSeconds, u64); WINDOW_SECONDS],
}

impl Default for Counts {
    fn default() -> Self {
        Self { seconds: [(0, 0); WINDOW_SECONDS] }
    }
}

impl Flood {
    /// Counts a create.
    pub fn count(&self, now: UnixSeconds) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = usize::try_from(now % WINDOW_SECONDS as u64).unwrap_or(0);
        if let Some(second) = counts.seconds.get_mut(place) {
            let before = if second.0 == now { second.1 } else { 0 };
            *second = (now, before + 1);
        }
    }

    /// Creates of the last minute.
    pub fn last_minute(&self, now: UnixSeconds) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: UnixSeconds| at + WINDOW_SECONDS as u64 > now;
        counts.seconds.iter().filter(|(at, _)| is_recent(*at)).map(|(_, count)| count).sum()
    }

    /// The extra bits of new challenges: one for each doubling past `per_minute` creates; none if that is 0.
    pub fn elevated_bits(&self, per_minute: u64, now: UnixSeconds) -> u8 {
        let doublings = self.last_minute(now).checked_div(per_minute).and_then(u64::checked_ilog2).unwrap_or(0);
        u8::try_from(doublings).unwrap_or(MAX_BITS).min(MAX_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_doubling_adds_a_bit_up_to_eight() {
        let flood = Flood::default();
        for (creates, bits) in [(9, 0), (19, 0), (20, 1), (39, 1), (40, 2), (2559, 7), (2560, 8), (10_000, 8)] {
            while flood.last_minute(1000) < creates {
                flood.count(1000);
            }
            assert_eq!(flood.elevated_bits(10, 1000), bits, "{creates}");
        }
        assert_eq!(flood.elevated_bits(0, 1000), 0);
    }

    #[test]
    fn creates_are_forgotten_after_a_minute() {
        let flood = Flood::default();
        for second in 1000..1060 {
            flood.count(second);
        }
        assert_eq!((flood.last_minute(1059), flood.last_minute(1060), flood.last_minute(1118)), (60, 59, 1));
        assert_eq!(flood.last_minute(1119), 0);
        flood.count(1120);
        assert_eq!(flood.last_minute(1120), 1, "the second that used this slot before is forgotten");
    }
}
