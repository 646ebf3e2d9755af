//! The types for moving data from one engine to another, still sealed.
//!
//! Invariant: both use the same pepper, otherwise the moved data could not be decrypted. Must never decrypt it.

use super::model::{Meta, Name, RowKey, TokenRecord};
use super::receipt::{Reads, Receipt};
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;

/// A paste, without its pieces.
pub(super) struct MovedRow {
    /// Its key in the source.
    pub(super) key: RowKey,
    /// The key of its pieces in the source.
    pub(super) pieces: RowKey,
    pub(super) name: Name,
    pub(super) meta: Meta,
    pub(super) owner: Option<Sha256Digest>,
    pub(super) sealed_key: Vec<u8>,
    pub(super) details: Vec<u8>,
    pub(super) sealed_id: Option<Vec<u8>>,
    pub(super) reads: Reads,
    /// Leases and their expiries.
    pub(super) leases: Vec<(Sha256Digest, UnixSeconds)>,
}

/// A token and its hash.
pub(super) struct MovedToken {
    pub(super) hash: Sha256Digest,
    pub(super) record: TokenRecord,
}

/// A receipt and its mark.
pub(super) struct MovedReceipt {
    pub(super) token: Sha256Digest,
    pub(super) receipt: Receipt,
}

/// The result of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Imported pastes.
    pub pastes: u64,
    /// The total size of their content.
    pub content_bytes: u64,
    /// Pastes already present.
    pub known: u64,
    /// Expired pastes.
    pub expired: u64,
    /// Tokens.
    pub tokens: u64,
    /// Receipts.
    pub receipts: u64,
    /// Blocked contents.
    pub blocked: u64,
    /// Lines of the operators' log.
    pub actions: u64,
}
