//! Receipts: what the maker of a paste can learn with its delete token: its reads, and how it ended.
//!
//! Invariant: a receipt can be found only with both the token and the id, and reveals neither. Must never contain
//! anything about the content.

use super::model::Meta;
use crate::clock::UnixSeconds;
use crate::crypto::{self, Sha256Digest};
use crate::paste::Id;

/// Recognizes a delete token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenMark {
    /// SHA-256 of the token's SHA-256 and the id; also the key of the receipt. It reveals neither.
    Bound(Sha256Digest),
    /// SHA-256 of the token, for pastes created before version 3, which leave no receipt.
    Plain(Sha256Digest),
}

impl TokenMark {
    /// The mark of a token, given by its SHA-256, for the paste with this id.
    pub fn bound(token_hash: &Sha256Digest, id: &Id) -> Self {
        Self::Bound(crypto::sha256(&[token_hash.as_slice(), id.as_str().as_bytes()].concat()))
    }

    /// The hash that an engine stores.
    pub fn hash(&self) -> Sha256Digest {
        match self {
            Self::Bound(hash) | Self::Plain(hash) => *hash,
        }
    }

    /// Whether it matches the token with this SHA-256, in constant time.
    pub fn matches(&self, token_hash: &Sha256Digest, id: &Id) -> bool {
        match (self, Self::bound(token_hash, id)) {
            (Self::Bound(mark), Self::Bound(presented)) => crypto::equal(mark, &presented),
            (Self::Plain(mark), _) => crypto::equal(mark, token_hash),
            (Self::Bound(_), Self::Plain(_)) => false,
        }
    }
}

/// The reads of content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Their number.
    pub count: u64,
    /// The time of the first.
    pub first_at: Option<UnixSeconds>,
    /// The time of the last.
    pub last_at: Option<UnixSeconds>,
}

impl Reads {
    /// One read at `now`.
    pub fn one(now: UnixSeconds) -> Self {
        Self { count: 1, first_at: Some(now), last_at: Some(now) }
    }

    /// Adds other reads.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        let earlier = [self.first_at, others.first_at].into_iter().flatten().min();
        Self { count: self.count + others.count, first_at: earlier, last_at: others.last_at.max(self.last_at) }
    }
}

/// How a paste ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its last read was used.
    Read,
    /// It expired.
    Expired,
    /// Its maker deleted it.
    Deleted,
    /// The operator deleted it.
    Removed,
}

impl End {
    /// How an expiring paste ends: its reads may all be leased.
    pub(super) fn by_expiry(reads_left: Option<u32>) -> Self {
        if reads_left == Some(0) { Self::Read } else { Self::Expired }
    }

    /// Its number in a database.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Read => 0,
            Self::Expired => 1,
            Self::Deleted => 2,
            Self::Removed => 3,
        }
    }

    /// The end with this number.
    pub(super) fn of(number: u64) -> Option<Self> {
        let ends = [Self::Read, Self::Expired, Self::Deleted, Self::Removed];
        ends.into_iter().find(|end| u64::from(end.number()) == number)
    }
}

/// The receipt of a paste that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// How it ended.
    pub end: End,
    /// When it ended.
    pub ended_at: UnixSeconds,
    /// Its expiry.
    pub expires_at: UnixSeconds,
    /// Its reads.
    pub reads: Reads,
}

/// The status of a paste, for its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It is an ask without an answer.
    Asked {
        /// Its expiry.
        expires_at: UnixSeconds,
    },
    /// It exists.
    Alive {
        /// Its reads.
        reads: Reads,
        /// The remaining reads, if limited.
        reads_left: Option<u32>,
        /// Its expiry.
        expires_at: UnixSeconds,
    },
    /// It has ended.
    Ended(Receipt),
}

impl Status {
    /// The status of a stored paste. What housekeeping will do within a second counts as done.
    pub(super) fn of_stored(
        reads: Reads,
        reads_left: Option<u32>,
        expires_at: UnixSeconds,
        last_lease_end: Option<UnixSeconds>,
        now: UnixSeconds,
    ) -> Self {
        let used_up_at = last_lease_end.filter(|end| reads_left == Some(0) && *end <= now);
        let ended = |end, ended_at| Self::Ended(Receipt { end, ended_at, expires_at, reads });
        match used_up_at {
            Some(at) => ended(End::Read, at),
            None if expires_at <= now => ended(End::by_expiry(reads_left), expires_at),
            None => Self::Alive { reads, reads_left, expires_at },
        }
    }

    /// Refines the status reported by an engine with the metadata.
    pub(super) fn of(self, meta: &Meta) -> Self {
        match self {
            Self::Alive { expires_at, .. } if meta.is_unanswered() => Self::Asked { expires_at },
            status => status,
        }
    }
}
