//! The types exchanged between the store and its engines.
//!
//! Invariant: an engine sees names, keyed hashes and sealed bytes; only the store sees ids, types and content. Must
//! never do I/O.

use super::receipt::TokenMark;
use crate::at_rest::{ContentKey, PIECE_BYTES};
use crate::clock::UnixSeconds;
use crate::crypto::{KEY_BYTES, NONCE_BYTES, PasswordHash, Sha256Digest, TAG_BYTES};
use crate::owner::Owner;
use crate::paste::{Expiry, Id};
use crate::spool::Content;
use std::fs::File;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The maximum number of pieces of a paste: engines number them with 16 bits.
pub const MAX_PIECES: u64 = 1 << 16;
/// The maximum size of a paste.
pub const MAX_PASTE_BYTES: u64 = MAX_PIECES * PIECE_BYTES as u64;
/// The length of a sealed key.
pub const SEALED_KEY_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/// How long reads in progress may continue after the content was replaced; it is erased within ten seconds.
pub const OUTDATED_SECONDS: u64 = 4;
/// The maximum number and size of replaced contents kept for their readers: a flood of replacements uses no more of the
/// disk, but cuts its own readers short.
pub const MAX_OUTDATED: u64 = 64;
/// Likewise, in bytes.
pub const MAX_OUTDATED_BYTES: u64 = 64 << 20;

/// The name of a row at rest: HMAC-SHA256(pepper, id).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name(pub Sha256Digest);

impl Name {
    /// Its first 64 bits, with which engines look up rows and operators name pastes.
    pub fn handle(&self) -> Handle {
        let (first, _) = self.0.split_at(8);
        Handle(first.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// The first 64 bits of a [`Name`]; shown as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle(pub u64);

impl Handle {
    /// Parses 16 hex digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let number = u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16)?;
        // `from_str_radix` also accepts a sign.
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(Self(number))
    }
}

impl std::fmt::Display for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// An engine's key of a row, never reused and opaque to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey(pub(super) i64);

/// The metadata of a paste, available without its link.
#[derive(Clone)]
pub struct Meta {
    /// Content length in bytes.
    pub size: u64,
    /// The time of creation.
    pub created_at: UnixSeconds,
    /// Its expiry, including the effects of reads so far.
    pub expiry: Expiry,
    /// The remaining reads; `None` if unlimited.
    pub reads_left: Option<u32>,
    /// Whether it was created to burn after the first read.
    pub burn: bool,
    /// What is required to read the content.
    pub protection: Protection,
    /// Recognizes the delete token.
    pub token: TokenMark,
    /// For an ask: SHA-256 of the proof required to answer.
    pub answer_proof: Option<Sha256Digest>,
}

impl Meta {
    /// Whether it is an unanswered ask. Other content is never empty.
    pub fn is_unanswered(&self) -> bool {
        self.answer_proof.is_some() && self.size == 0
    }

    /// Whether anyone may read it any number of times.
    pub fn is_open(&self) -> bool {
        self.reads_left.is_none() && matches!(self.protection, Protection::None)
    }

    /// Whether it has a password, checked by the server or the client.
    pub fn has_password(&self) -> bool {
        matches!(self.protection, Protection::Password(_) | Protection::Gate { password_proof: Some(_), .. })
    }
}

/// What is required to read content, in addition to its id.
#[derive(Clone)]
pub enum Protection {
    /// Nothing.
    None,
    /// A password that is sent to the server.
    Password(PasswordHash),
    /// Proofs that the reader knows the whole link and the password, if any; neither is sent to the server.
    Gate {
        /// SHA-256 of the proof of the link.
        link_proof: Sha256Digest,
        /// SHA-256 of the proof of the password.
        password_proof: Option<Sha256Digest>,
    },
}

/// A read that has to be confirmed.
pub struct Lease {
    /// 32 hex digits that, with the id, permit reading the content.
    pub secret: Zeroizing<String>,
    /// Its expiry.
    pub expires_at: UnixSeconds,
    /// The reads left for others.
    pub reads_left: u32,
}

/// Everything about a paste except its content.
#[derive(Clone)]
pub struct Paste {
    /// The engine's key of its row.
    pub key: RowKey,
    /// Its id.
    pub id: Id,
    /// The stored type; [`crate::mime::served`] decides what is sent.
    pub mime_type: String,
    /// Its file name, if any.
    pub filename: Option<String>,
    /// The rest.
    pub meta: Meta,
    pub(super) owner: Option<Sha256Digest>,
    pub(super) pieces: RowKey,
    pub(super) content_key: ContentKey,
}

/// A paste to create.
pub struct NewPaste {
    /// Received content; its length is that of the paste.
    pub content: Content,
    /// Sanitised type.
    pub mime_type: String,
    /// Its file name, if any.
    pub filename: Option<String>,
    /// The time of creation.
    pub created_at: UnixSeconds,
    /// Its expiry.
    pub expiry: Expiry,
    /// The read limit, if any.
    pub reads: Option<u32>,
    /// What is required to read it.
    pub protection: Protection,
    /// SHA-256 of the delete token.
    pub token_hash: Sha256Digest,
    /// Its owner, if any.
    pub owner: Option<Owner>,
    /// For an ask, whose content is empty: SHA-256 of the proof required to answer.
    pub answer_proof: Option<Sha256Digest>,
}

/// The outcome of a create. Only [`Created::Stored`] changed anything.
pub enum Created {
    /// Stored.
    Stored(Id, Handle),
    /// The content was submitted too often.
    Duplicate(Duplicate),
    /// The proof-of-work token was already spent.
    TokenSpent,
    /// The operator refuses this content.
    Blocked,
}

/// A content that was submitted too often.
pub struct Duplicate {
    /// The submissions in the window, including this one.
    pub count: u64,
    /// Seconds until one leaves the window.
    pub retry_after_seconds: u64,
}

/// The outcome of a delete.
#[derive(Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Deleted.
    Done,
    /// Neither the owner nor the token matches.
    Denied,
    /// There was no such paste.
    NotFound,
}

/// Statistics about the database.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Pastes that have not expired.
    pub pastes: u64,
    /// The total size of their content.
    pub content_bytes: u64,
    /// Those that burn after reading.
    pub burn: u64,
    /// Those with a password.
    pub password_protected: u64,
    /// Those with an owner.
    pub owned: u64,
    /// The time of creation of the oldest one.
    pub oldest_created_at: Option<UnixSeconds>,
    /// Expired ones not purged yet.
    pub expired: u64,
    /// The size of the database file in bytes, including free pages.
    pub database_bytes: u64,
    /// The total size of the database's files, including its log; 0 in memory.
    pub disk_bytes: u64,
    /// Bytes of the database in use, which the quota counts.
    pub used_bytes: u64,
}

/// A stored row.
pub struct Row {
    pub(super) key: RowKey,
    /// The key of its content's pieces; it changes when the content is replaced.
    pub(super) pieces: RowKey,
    pub(super) meta: Meta,
    pub(super) owner: Option<Sha256Digest>,
    /// The content's key, sealed with the id and the pepper.
    pub(super) sealed_key: Vec<u8>,
    /// The type and the file name, sealed with the content's key.
    pub(super) details: Vec<u8>,
}

/// A row to insert.
pub struct NewRow {
    pub(super) name: Name,
    pub(super) meta: Meta,
    pub(super) owner: Option<Sha256Digest>,
    pub(super) sealed_key: Vec<u8>,
    pub(super) details: Vec<u8>,
    /// The id, sealed with the token that creates the paste.
    pub(super) sealed_id: Option<Vec<u8>>,
    pub(super) content: Arc<Content>,
    /// The keyed hash of the content, for blocking.
    pub(super) mark: Sha256Digest,
    /// The proof-of-work token to spend ([`crate::pow::Challenge::spent_key`]).
    pub(super) token: Option<Vec<u8>>,
    /// The keyed hash of the content, if duplicates are counted.
    pub(super) submission: Option<Handle>,
    /// Bytes of concurrent uploads, which count towards the quota.
    pub(super) arriving_bytes: u64,
}

/// The outcome of inserting a row. Only [`Inserted::Stored`] changed anything.
pub enum Inserted {
    /// Stored.
    Stored,
    /// The name is in use.
    NameTaken,
    /// The content was submitted too often.
    Duplicate(Duplicate),
    /// The proof-of-work token was already spent.
    TokenSpent,
    /// The operator refuses this content.
    Blocked,
}

/// Content that replaces another, or answers an ask.
pub struct Replacement {
    pub(super) sealed_key: Vec<u8>,
    pub(super) details: Vec<u8>,
    pub(super) content: Arc<Content>,
    /// The keyed hash of the content, for blocking.
    pub(super) mark: Sha256Digest,
    /// The new protection; `None` keeps the old one, as answers always do.
    pub(super) protection: Option<Protection>,
    /// Bytes of concurrent uploads, which count towards the quota.
    pub(super) arriving_bytes: u64,
}

/// The outcome of replacing content. Only [`Replaced::Done`] changed anything.
#[derive(Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It was replaced.
    Done,
    /// There is no such paste.
    Gone,
    /// The operator refuses this content.
    Blocked,
}

/// The outcome of answering an ask. Only [`Answered::Done`] changed anything.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// The answer was stored.
    Done,
    /// There already was an answer.
    Already,
    /// There is no such ask.
    Gone,
    /// The operator refuses this content.
    Blocked,
}

/// A paste as listed for the operator.
pub struct Listed {
    pub(super) key: RowKey,
    /// Its handle.
    pub handle: Handle,
    /// Its metadata.
    pub meta: Meta,
    /// Whether it has an owner.
    pub is_owned: bool,
}

/// A row of an owner's list.
pub struct OwnedRow {
    pub(super) handle: Handle,
    pub(super) row: Row,
    /// The id, sealed with the token that created it.
    pub(super) sealed_id: Option<Vec<u8>>,
}

/// A token as listed for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its name.
    pub name: String,
    /// The time of creation.
    pub created_at: UnixSeconds,
    /// Its expiry, if any.
    pub expires_at: Option<UnixSeconds>,
}

/// A line of the operators' log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The time.
    pub at: UnixSeconds,
    /// A user of this machine.
    pub who: String,
    /// The action, without ids.
    pub what: String,
}

/// The concatenated sealed pieces of a deleted row.
pub enum SealedContent {
    /// In memory.
    Memory(Vec<u8>),
    /// In an unlinked file.
    File(File),
}
