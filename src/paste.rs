//! Ids, certificate fingerprints and expiries.
//!
//! Invariant: every [`Id`] and [`Fingerprint`] is well-formed and lower-case. Must never do I/O, nor know HTTP or SQL.

use crate::clock::UnixSeconds;
use crate::crypto;
use std::fmt;
use std::io;
use std::str::FromStr;

/// The shortest id accepted in a URL; new ids have at least 8 digits.
const MIN_ID_DIGITS: usize = 4;
/// The longest id in hex digits.
const MAX_ID_DIGITS: usize = 64;

/// A paste's id: 4 to 64 lower-case hex digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// A new random id of this many hex digits.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn random(digits: usize) -> io::Result<Self> {
        let mut hex = crypto::hex(&crypto::random::<{ MAX_ID_DIGITS / 2 }>()?);
        hex.truncate(digits);
        Ok(Self(hex))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Id {
    type Err = ();

    /// Case-insensitive: people read ids aloud.
    fn from_str(text: &str) -> Result<Self, ()> {
        let well_formed =
            (MIN_ID_DIGITS..=MAX_ID_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if well_formed { Ok(Self(text.to_ascii_lowercase())) } else { Err(()) }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-1 fingerprint of a client certificate: 40 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = ();

    /// Case-insensitive, with or without colons, as tools print fingerprints differently.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
        let well_formed = digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if well_formed { Ok(Self(digits)) } else { Err(()) }
    }
}

/// When a paste expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// At this time.
    Fixed(UnixSeconds),
    /// At this time, unless a read extends it.
    Sliding(UnixSeconds),
}

impl Expiry {
    /// The current expiry time.
    pub fn at(self) -> UnixSeconds {
        match self {
            Self::Fixed(at) | Self::Sliding(at) => at,
        }
    }
}

/// Parses a custom expiry in seconds: a positive whole number of any size. `None` for zero, signs, fractions and
/// anything else.
pub fn parse_expiry_seconds(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // A number that overflows is still valid; the caller clamps it.
    match text.parse().unwrap_or(u64::MAX) {
        0 => None,
        seconds => Some(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_validated_and_lower_cased() {
        assert_eq!("AbCd".parse::<Id>().unwrap().as_str(), "abcd");
        for bad in ["", "abc", &"a".repeat(65), "abcg", "ab cd", "абвг", "+abc"] {
            assert!(bad.parse::<Id>().is_err(), "{bad}");
        }
        assert_eq!(Id::random(12).unwrap().as_str().len(), 12);
        assert_ne!(Id::random(64).unwrap(), Id::random(64).unwrap());
    }

    #[test]
    fn fingerprints_are_normalized() {
        let plain = "a".repeat(40);
        let colons = vec!["AA"; 20].join(":");
        assert_eq!(colons.parse::<Fingerprint>().unwrap().as_str(), plain);
        for bad in ["", &"a".repeat(39), &"a".repeat(41), &"g".repeat(40), &"ä".repeat(20)] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn expiries_are_positive_whole_numbers() {
        assert_eq!(parse_expiry_seconds("60"), Some(60));
        assert_eq!(parse_expiry_seconds("99999999999999999999999"), Some(u64::MAX));
        for bad in ["", "0", "00", "-1", "+1", "1.5", "1e3", "abc", " 1", "１"] {
            assert!(parse_expiry_seconds(bad).is_none(), "{bad}");
        }
    }
}
