//! What whoever made a paste learns of it by its delete token: how often it was read, and how it ended.
//!
//! Invariant: what is kept after the end is found by nobody who lacks the token or the id, and tells neither. Must never
//! hold anything about a content.

use super::model::Meta;
use crate::clock::UnixSeconds;
use crate::crypto::{self, Sha256Digest};
use crate::paste::Id;

/// By what a delete token is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenMark {
    /// SHA-256 of the token's own SHA-256 and the id: the receipt's key, too. Neither follows from it.
    Bound(Sha256Digest),
    /// SHA-256 of the token, of pastes made before version 3. They leave no receipt.
    Plain(Sha256Digest),
}

impl TokenMark {
    /// The mark of a token, by its SHA-256, for the paste of this id.
    pub fn bound(token_hash: &Sha256Digest, id: &Id) -> Self {
        Self::Bound(crypto::sha256(&[token_hash.as_slice(), id.as_str().as_bytes()].concat()))
    }

    /// What an engine keeps of it.
    pub fn hash(&self) -> Sha256Digest {
        match self {
            Self::Bound(hash) | Self::Plain(hash) => *hash,
        }
    }

    /// Whether it is the mark of the token with this SHA-256, in constant time.
    pub fn matches(&self, token_hash: &Sha256Digest, id: &Id) -> bool {
        match (self, Self::bound(token_hash, id)) {
            (Self::Bound(mark), Self::Bound(presented)) => crypto::equal(mark, &presented),
            (Self::Plain(mark), _) => crypto::equal(mark, token_hash),
            (Self::Bound(_), Self::Plain(_)) => false,
        }
    }
}

/// Reads of a content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// How many.
    pub count: u64,
    /// The first.
    pub first_at: Option<UnixSeconds>,
    /// The last.
    pub last_at: Option<UnixSeconds>,
}

impl Reads {
    /// One read, just now.
    pub fn one(now: UnixSeconds) -> Self {
        Self { count: 1, first_at: Some(now), last_at: Some(now) }
    }

    /// These and others.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        let earlier = [self.first_at, others.first_at].into_iter().flatten().min();
        Self { count: self.count + others.count, first_at: earlier, last_at: others.last_at.max(self.last_at) }
    }
}

/// How a paste ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its reads are used up.
    Read,
    /// Its time has come.
    Expired,
    /// Whoever made it has deleted it.
    Deleted,
    /// The operator has deleted it.
    Removed,
}

impl End {
    /// How a paste ends whose time has come: all its reads may have been given out before.
    pub(super) fn by_expiry(reads_left: Option<u32>) -> Self {
        if reads_left == Some(0) { Self::Read } else { Self::Expired }
    }

    /// The number that stands for it in a database.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Read => 0,
            Self::Expired => 1,
            Self::Deleted => 2,
            Self::Removed => 3,
        }
    }

    /// The end of a number, if it has one.
    pub(super) fn of(number: u64) -> Option<Self> {
        let ends = [Self::Read, Self::Expired, Self::Deleted, Self::Removed];
        ends.into_iter().find(|end| u64::from(end.number()) == number)
    }
}

/// What is kept of a paste that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// How.
    pub end: End,
    /// When.
    pub ended_at: UnixSeconds,
    /// When it would have gone by itself.
    pub expires_at: UnixSeconds,
    /// Its reads.
    pub reads: Reads,
}

/// How a paste is, or was, for whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It is an ask without an answer.
    Asked {
        /// When it goes by itself.
        expires_at: UnixSeconds,
    },
    /// It is there.
    Alive {
        /// Its reads.
        reads: Reads,
        /// How many are left, of those with a limit.
        reads_left: Option<u32>,
        /// When it goes by itself.
        expires_at: UnixSeconds,
    },
    /// It is gone.
    Ended(Receipt),
}

impl Status {
    /// How something with this metadata is, of which an engine says so.
    pub(super) fn of(self, meta: &Meta) -> Self {
        match self {
            Self::Alive { expires_at, .. } if meta.is_unanswered() => Self::Asked { expires_at },
            status => status,
        }
    }
}
