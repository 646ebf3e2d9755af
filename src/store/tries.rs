//! Throttles password guessing per paste and client. This is the rule, and the counts of one process; a shared engine
//! keeps the counts in its database.
//!
//! Invariant: an attempt is charged before it is made, so that concurrent attempts are not all free. This throttle
//! admits a client that waits as told, whatever others do; who is then hashed first is decided in `admission::hashing`.
//! Memory is bounded: 20,000 clients, 20,000 pastes. Must never store a password.

use super::model::RowKey;
use crate::clock::UnixSeconds;
use crate::network::Network;
use crate::recent::RecentMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Attempts of a client on a paste before the next has to wait.
const FREE_TRIES: u32 = 5;
/// The maximum wait between attempts of a client, in seconds.
const MAX_WAIT_SECONDS: u64 = 60;
/// Attempts on a paste by all clients in [`WINDOW_SECONDS`] past which every client has to wait for its turn.
const CEILING: u64 = 100;
/// The window for counting attempts on a paste, in seconds.
const WINDOW_SECONDS: u64 = 600;
/// Half of the number of clients and of pastes that are remembered.
const REMEMBERED: usize = 10_000;

/// The attempts of the last minutes.
pub(super) struct Tries(Mutex<State>);

struct State {
    clients: RecentMap<(RowKey, Network), Client>,
    pastes: RecentMap<RowKey, Window>,
}

/// The attempts of a client on a paste.
#[derive(Clone, Copy, Default)]
pub(super) struct Client {
    pub(super) tries: u32,
    pub(super) next_try_at: UnixSeconds,
}

/// All attempts on a paste in a window.
#[derive(Clone, Copy, Default)]
pub(super) struct Window {
    pub(super) since: UnixSeconds,
    pub(super) tries: u64,
}

/// Charges a client for an attempt on a paste; an error is the number of seconds to wait.
pub(super) fn charge(
    client: Client,
    window: Window,
    key: RowKey,
    network: Network,
    now: UnixSeconds,
) -> Result<(Client, Window), u64> {
    let window = if now >= window.since + WINDOW_SECONDS { Window { since: now, tries: 0 } } else { window };
    let spacing = spacing_seconds(window.tries);
    if now < client.next_try_at {
        // Bounded even if the clock was set back.
        return Err((client.next_try_at - now).min(MAX_WAIT_SECONDS));
    }
    let turn = seconds_to_turn(key, network, spacing, now);
    if turn > 0 {
        return Err(turn);
    }
    let tries = client.tries.saturating_add(1);
    let next_try_at = now + wait_seconds(tries).max(spacing / 2);
    Ok((Client { tries, next_try_at }, Window { tries: window.tries + 1, ..window }))
}

impl Client {
    /// The state after a refund: the next attempt has to wait a second, as the client is told.
    pub(super) fn refunded(self, now: UnixSeconds) -> Self {
        Self { tries: self.tries.saturating_sub(1), next_try_at: now + 1 }
    }
}

impl Default for Tries {
    fn default() -> Self {
        Self(Mutex::new(State { clients: RecentMap::with_half(REMEMBERED), pastes: RecentMap::with_half(REMEMBERED) }))
    }
}

impl Tries {
    /// Charges a client for an attempt; an error is the number of seconds to wait.
    pub(super) fn charge(&self, key: RowKey, network: Network, now: UnixSeconds) -> Result<(), u64> {
        let mut state = self.lock();
        let (client, window) = (*state.clients.entry((key, network)), *state.pastes.entry(key));
        let (client, window) = charge(client, window, key, network, now)?;
        *state.clients.entry((key, network)) = client;
        *state.pastes.entry(key) = window;
        Ok(())
    }

    /// Refunds a charge: the attempt was not made. The next one has to wait a second, as the client is told.
    pub(super) fn refund(&self, key: RowKey, network: Network, now: UnixSeconds) {
        let mut state = self.lock();
        let client = state.clients.entry((key, network));
        *client = client.refunded(now);
        let window = state.pastes.entry(key);
        window.tries = window.tries.saturating_sub(1);
    }

    /// Clears a client's charges: the password was correct.
    pub(super) fn forgive(&self, key: RowKey, network: Network) {
        let mut state = self.lock();
        state.clients.remove(&(key, network));
        let window = state.pastes.entry(key);
        window.tries = window.tries.saturating_sub(1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Zero for a client's first attempts, then doubling from one second.
fn wait_seconds(tries: u32) -> u64 {
    match tries.checked_sub(FREE_TRIES) {
        None => 0,
        Some(beyond) => 1u64.checked_shl(beyond).unwrap_or(MAX_WAIT_SECONDS).min(MAX_WAIT_SECONDS),
    }
}

/// The interval between a client's turns on a paste with so many attempts: zero up to the ceiling, then growing.
fn spacing_seconds(tries: u64) -> u64 {
    if tries < CEILING { 0 } else { (tries / CEILING * 4).min(MAX_WAIT_SECONDS) }
}

/// The seconds until a client's turn. Turns need no memory: each client has its own half of every `spacing` seconds,
/// which others cannot take away, and a client that comes when told is in time.
fn seconds_to_turn(key: RowKey, network: Network, spacing: u64, now: UnixSeconds) -> u64 {
    if spacing == 0 {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    (key, network).hash(&mut hasher);
    let phase = (now + hasher.finish() % spacing) % spacing;
    if phase < spacing / 2 { 0 } else { spacing - phase }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASTE: RowKey = RowKey(1);

    fn client(number: u32) -> Network {
        Network::V4(number.into())
    }

    #[test]
    fn only_the_guesser_is_slowed_down() {
        let tries = Tries::default();
        for _ in 0..FREE_TRIES {
            assert_eq!(tries.charge(PASTE, client(1), 100), Ok(()));
        }
        assert_eq!(tries.charge(PASTE, client(1), 100), Err(1));
        assert_eq!(tries.charge(PASTE, client(2), 100), Ok(()), "another client");
        assert_eq!(tries.charge(RowKey(2), client(1), 100), Ok(()), "another paste");
        assert_eq!(tries.charge(PASTE, client(1), 101), Ok(()));
        assert_eq!(tries.charge(PASTE, client(1), 102), Err(1));
        assert_eq!(tries.charge(PASTE, client(1), 103), Ok(()));
        tries.forgive(PASTE, client(1));
        assert_eq!(tries.charge(PASTE, client(1), 103), Ok(()), "the count starts afresh");
        assert!((0..100).map(wait_seconds).all(|seconds| seconds <= MAX_WAIT_SECONDS));
    }

    #[test]
    fn refunded_attempts_cost_nothing() {
        let tries = Tries::default();
        for now in 100..200 {
            assert_eq!(tries.charge(PASTE, client(1), now), Ok(()));
            tries.refund(PASTE, client(1), now);
            assert_eq!(tries.charge(PASTE, client(1), now), Err(1));
        }
    }

    #[test]
    fn many_guessers_slow_down_a_paste_but_never_lock_it() {
        let tries = Tries::default();
        let guessers: Vec<Network> = (0..50_000).map(client).collect();
        let (mut made, mut reads) = (0, 0);
        let reader = Network::V6([1, 2, 3, 4]);
        let mut reader_comes_at = 1000;
        for now in 1000..1000 + 2 * WINDOW_SECONDS {
            for guesser in guessers.iter().skip(usize::try_from(now % 10).unwrap()).step_by(500) {
                made += u32::from(tries.charge(PASTE, *guesser, now).is_ok());
            }
            if now == reader_comes_at {
                match tries.charge(PASTE, reader, now) {
                    Ok(()) => {
                        reads += 1;
                        tries.forgive(PASTE, reader);
                        reader_comes_at = now + 1;
                    }
                    Err(wait) => {
                        assert!(wait <= MAX_WAIT_SECONDS);
                        reader_comes_at = now + wait;
                        // Half a second late is still in time.
                        assert_eq!(tries.charge(PASTE, reader, now + wait), Ok(()), "told to wait {wait} at {now}");
                        tries.forgive(PASTE, reader);
                    }
                }
            }
        }
        assert!(reads > 100, "{reads} reads");
        assert!(made < 30_000, "{made} guesses of 120,000");
    }

    #[test]
    fn a_client_gets_one_turn_per_round() {
        let tries = Tries::default();
        for number in 0..2000 {
            let _ = tries.charge(PASTE, client(number), 1000);
        }
        let made = (1000..1000 + WINDOW_SECONDS).filter(|now| tries.charge(PASTE, client(1), *now).is_ok()).count();
        assert!(made < 100, "{made} tries of one client in ten minutes");
    }
}
