//! Rate limit of creates per client address (the generic cell rate algorithm, ITU-T I.371).
//!
//! Invariant: at most the limit in any minute beyond the burst, in any order; memory is bounded for any number of
//! addresses: the [`ADDRESSES`] that created last are remembered, 3 MiB. Must never be locked across slow operations.

use crate::network::Network;
use crate::recent::RecentMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// At most twice this many addresses are remembered; more of them in a minute raise the difficulty.
const ADDRESSES: usize = 32 << 10;
const MINUTE_US: u64 = 60_000_000;

/// A create charged to an address.
#[derive(Debug, PartialEq, Eq)]
pub struct Charge {
    network: Network,
    /// When it is paid off, in microseconds since the start; 0 if nothing was charged.
    paid_at: u64,
}

/// When each address has paid off its creates, in microseconds since the start: it may continue while that is at most
/// the burst ahead.
pub struct Rate {
    started: Instant,
    /// Creates per minute, and the burst; 0 for no limit.
    per_minute: u64,
    due: Mutex<RecentMap<Network, u64>>,
}

impl Rate {
    /// A limit of creates per minute and address; 0 for none.
    pub fn of(per_minute: u64) -> Self {
        Self { started: Instant::now(), per_minute, due: Mutex::new(RecentMap::with_half(ADDRESSES)) }
    }

    /// Charges an address for a create.
    ///
    /// # Errors
    /// The seconds until it may create again; nothing was charged.
    pub fn charge(&self, network: Network) -> Result<Charge, u64> {
        if self.per_minute == 0 {
            return Ok(Charge { network, paid_at: 0 });
        }
        let now = self.now_us();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let at = due.entry(network);
        let charged = now.max(*at) + self.cost_us();
        let ahead = charged - now;
        if ahead > MINUTE_US {
            return Err((ahead - MINUTE_US).div_ceil(1_000_000));
        }
        *at = charged;
        Ok(Charge { network, paid_at: charged })
    }

    /// Refunds a charge, as far as time has not paid it off: nothing was created. An upload aborted after a minute
    /// gains no extra credit.
    pub fn refund(&self, charge: &Charge) {
        let unpaid = charge.paid_at.saturating_sub(self.now_us()).min(self.cost_us());
        if unpaid > 0 {
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            let at = due.entry(charge.network);
            *at = at.saturating_sub(unpaid);
        }
    }

    /// The number of remembered addresses.
    pub fn addresses(&self) -> usize {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).count()
    }

    /// Rounded down, so that a burst is not one less than the limit.
    fn cost_us(&self) -> u64 {
        MINUTE_US / self.per_minute.max(1)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn v4(number: u32) -> Network {
        IpAddr::V4(Ipv4Addr::from(number)).into()
    }

    #[test]
    fn creates_beyond_the_burst_are_refused() {
        let rate = Rate::of(3);
        for _ in 0..3 {
            assert!(rate.charge(v4(1)).is_ok());
        }
        let wait = rate.charge(v4(1)).unwrap_err();
        assert!((1..=20).contains(&wait), "{wait}");
        let other = rate.charge(v4(2)).unwrap();
        rate.refund(&other);
        for _ in 0..3 {
            assert!(rate.charge(v4(2)).is_ok(), "nothing of it remained");
        }
        assert!(rate.charge(v4(2)).is_err());
    }

    #[test]
    fn time_already_paid_is_not_refunded() {
        let rate = Rate::of(1_000_000);
        let held: Vec<Charge> = (0..1000).map(|_| rate.charge(v4(1)).unwrap()).collect();
        // At a million per minute, each is paid off after 60 microseconds.
        while rate.now_us() < held.last().unwrap().paid_at {
            std::hint::spin_loop();
        }
        let before = *rate.due.lock().unwrap().entry(v4(1));
        for charge in &held {
            rate.refund(charge);
        }
        assert_eq!(*rate.due.lock().unwrap().entry(v4(1)), before);
    }

    #[test]
    fn zero_means_no_limit() {
        let rate = Rate::of(0);
        assert!((0..10_000).all(|_| rate.charge(v4(1)).is_ok()));
        assert_eq!(rate.addresses(), 0);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let rate = Rate::of(2);
        let address =
            |low: u64| -> Network { IpAddr::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(low))).into() };
        assert!(rate.charge(address(1)).is_ok() && rate.charge(address(2)).is_ok());
        assert!(rate.charge(address(3)).is_err());
    }

    #[test]
    fn memory_is_bounded_and_active_addresses_stay_limited() {
        let rate = Rate::of(1);
        assert!(rate.charge(v4(0)).is_ok());
        for number in 1..300_000 {
            assert!(rate.charge(v4(number)).is_ok());
            if number % 10_000 == 0 {
                assert!(rate.charge(v4(0)).is_err(), "{number}");
            }
            assert!(rate.addresses() <= 2 * ADDRESSES);
        }
    }
}
