//! What moves from one engine to another: rows as they lie, sealed as they are.
//!
//! Invariant: both have the same pepper, or nothing that moves could be opened. Must never open what it carries.

use super::model::{Meta, Name, RowKey, TokenRecord};
use super::receipt::{Reads, Receipt};
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;

/// A paste, without its pieces.
pub(super) struct MovedRow {
    /// Its key where it comes from.
    pub(super) key: RowKey,
    /// The key of its pieces there.
    pub(super) pieces: RowKey,
    pub(super) name: Name,
    pub(super) meta: Meta,
    pub(super) owner: Option<Sha256Digest>,
    pub(super) sealed_key: Vec<u8>,
    pub(super) details: Vec<u8>,
    pub(super) sealed_id: Option<Vec<u8>>,
    pub(super) reads: Reads,
    /// Leases, with their ends.
    pub(super) leases: Vec<(Sha256Digest, UnixSeconds)>,
}

/// A token, with the hash by which it is found.
pub(super) struct MovedToken {
    pub(super) hash: Sha256Digest,
    pub(super) record: TokenRecord,
}

/// How a paste ended, with the mark by which that is found.
pub(super) struct MovedReceipt {
    pub(super) token: Sha256Digest,
    pub(super) receipt: Receipt,
}

/// What an import has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Pastes that were moved.
    pub pastes: u64,
    /// Bytes of their contents.
    pub content_bytes: u64,
    /// Pastes that were there already.
    pub known: u64,
    /// Pastes whose time had come.
    pub expired: u64,
    /// Tokens of operators.
    pub tokens: u64,
    /// Receipts.
    pub receipts: u64,
    /// Contents that are refused.
    pub blocked: u64,
    /// Lines of the operators' log.
    pub actions: u64,
}
