//! Request ids, which connect a reply with its log line.
//!
//! Invariant: ids of one process are unique. They are not secret: they are generated without system calls and can be
//! predicted from earlier ones. Must never be used as a key or a token.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Generates ids from a counter and a random seed.
pub struct RequestIds {
    high: u64,
    low: u64,
    count: AtomicU64,
}

impl RequestIds {
    /// A generator with a random seed.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn new() -> io::Result<Self> {
        let half = || crate::crypto::random().map(u64::from_be_bytes);
        Ok(Self { high: half()?, low: half()?, count: AtomicU64::new(0) })
    }

    /// The next id, in the format of a random UUID (RFC 9562 section 5.4).
    pub fn next(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let random = u128::from(scramble(self.high.wrapping_add(count))) << 64
            | u128::from(scramble(self.low.wrapping_add(count)));
        let version = random & !(0xf << 76) | 4 << 76;
        to_text(version & !(0x3 << 62) | 2 << 62)
    }
}

/// A mixing permutation of 64-bit numbers: the output step of `SplitMix64` (Steele, Lea and Flood 2014, with the
/// constants of Stafford's mix 13).
fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn to_text(id: u128) -> String {
    let mut text = String::with_capacity(36);
    for at in (0..32u32).rev() {
        if matches!(at, 23 | 19 | 15 | 11) {
            text.push('-');
        }
        text.extend(char::from_digit(u32::try_from(id >> (4 * at) & 0xf).unwrap_or(0), 16));
    }
    text
}

/// Whether a client's request id is accepted: 1 to 128 of `A-Za-z0-9._-`.
pub fn is_request_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_uuids() {
        let ids = RequestIds::new().unwrap();
        let made: HashSet<String> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(made.len(), 10_000);
        for id in &made {
            assert_eq!((id.len(), &id[8..9], &id[13..15], &id[18..19], &id[23..24]), (36, "-", "-4", "-", "-"));
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b") && is_request_id(id));
        }
        assert_eq!(to_text(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn client_ids_are_validated() {
        assert!(is_request_id("A.b_c-1"));
        assert!(!is_request_id("") && !is_request_id("a b") && !is_request_id(&"a".repeat(129)) && !is_request_id("ü"));
    }
}
