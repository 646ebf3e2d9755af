//! What the store and its engines tell each other.
//!
//! Invariant: an engine sees names, keyed hashes and sealed bytes; the store alone sees ids, types and content. Must
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

/// Pieces a paste may have: engines number them with 16 bits.
pub const MAX_PIECES: u64 = 1 << 16;
/// Largest paste.
pub const MAX_PASTE_BYTES: u64 = MAX_PIECES * PIECE_BYTES as u64;
/// Bytes of a sealed key.
pub const SEALED_KEY_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

const _: () = assert!(MAX_PASTE_BYTES == 4 << 30, "the table of settings and the documents say 4 GiB");

/// What a row is called at rest: HMAC-SHA256(pepper, id).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name(pub Sha256Digest);

impl Name {
    /// Its first 64 bits, by which engines look rows up, and operators name pastes whose ids nobody knows.
    pub fn handle(&self) -> Handle {
        let (first, _) = self.0.split_at(8);
        Handle(first.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// The first 64 bits of a [`Name`]; shown as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle(pub u64);

impl Handle {
    /// The handle with these 16 hex digits, if they are that many.
    pub fn parse(digits: &str) -> Option<Self> {
        let number = u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16)?;
        // A sign would be a digit less.
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(Self(number))
    }
}

impl std::fmt::Display for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// An engine's own key of a row, never used twice; nobody else looks into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey(pub(super) i64);

/// What is known of a paste without its link.
#[derive(Clone)]
pub struct Meta {
    /// Content length in bytes.
    pub size: u64,
    /// Creation.
    pub created_at: UnixSeconds,
    /// When it goes, reads so far included.
    pub expiry: Expiry,
    /// How often the content still leaves; `None`: as often as asked.
    pub reads_left: Option<u32>,
    /// Whether the first read of the content was meant to be the last.
    pub burn: bool,
    /// What reading the content takes.
    pub protection: Protection,
    /// By what the delete token is recognised.
    pub token: TokenMark,
    /// Of an ask: SHA-256 of the proof that its answer comes with.
    pub answer_proof: Option<Sha256Digest>,
}

impl Meta {
    /// Whether it is an ask that has no answer yet. No content is empty otherwise.
    pub fn is_unanswered(&self) -> bool {
        self.answer_proof.is_some() && self.size == 0
    }

    /// Whether anybody may read it as often as they like.
    pub fn is_open(&self) -> bool {
        self.reads_left.is_none() && matches!(self.protection, Protection::None)
    }

    /// Whether a password belongs to it, whoever checks it.
    pub fn has_password(&self) -> bool {
        matches!(self.protection, Protection::Password(_) | Protection::Gate { password_proof: Some(_), .. })
    }
}

/// What reading a content takes, beside its id.
#[derive(Clone)]
pub enum Protection {
    /// Nothing.
    None,
    /// A password, which the server is sent.
    Password(PasswordHash),
    /// Proofs that the reader has the whole link, and the password if there is one; the server is sent neither.
    Gate {
        /// SHA-256 of the proof of the link.
        link_proof: Sha256Digest,
        /// SHA-256 of the proof of the password.
        password_proof: Option<Sha256Digest>,
    },
}

/// A read that was given out and is to be confirmed.
pub struct Lease {
    /// 32 hex digits that open the content to whoever knows the id.
    pub secret: Zeroizing<String>,
    /// Its end.
    pub expires_at: UnixSeconds,
    /// Reads left to others.
    pub reads_left: u32,
}

/// Everything about a paste but its content.
#[derive(Clone)]
pub struct Paste {
    /// The engine's key of its row.
    pub key: RowKey,
    /// Public name.
    pub id: Id,
    /// Stored type; [`crate::mime::served`] says what is sent.
    pub mime_type: String,
    /// What its file is called, if its maker said so.
    pub filename: Option<String>,
    /// The rest.
    pub meta: Meta,
    pub(super) owner: Option<Sha256Digest>,
    pub(super) pieces: RowKey,
    pub(super) content_key: ContentKey,
}

/// A paste to be.
pub struct NewPaste {
    /// Received content; its length is that of the paste.
    pub content: Content,
    /// Sanitised type.
    pub mime_type: String,
    /// What its file is called, if that was said.
    pub filename: Option<String>,
    /// Creation.
    pub created_at: UnixSeconds,
    /// When it goes.
    pub expiry: Expiry,
    /// How often the content leaves; `None`: as often as asked.
    pub reads: Option<u32>,
    /// What reading it takes.
    pub protection: Protection,
    /// SHA-256 of the delete token.
    pub token_hash: Sha256Digest,
    /// Who makes it, if that is known.
    pub owner: Option<Owner>,
    /// Of an ask, whose content is empty: SHA-256 of the proof that its answer comes with.
    pub answer_proof: Option<Sha256Digest>,
}

/// How a create ended. Only [`Created::Stored`] changed anything.
pub enum Created {
    /// Stored.
    Stored(Id, Handle),
    /// The content was submitted too often.
    Duplicate(Duplicate),
    /// The proof-of-work token has already bought a paste.
    TokenSpent,
    /// The operator refuses this content.
    Blocked,
}

/// A content that was submitted too often.
pub struct Duplicate {
    /// Submissions in the window, this one included.
    pub count: u64,
    /// Seconds until one leaves the window.
    pub retry_after_seconds: u64,
}

/// How a delete ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Gone.
    Done,
    /// Neither owner nor token match.
    Denied,
    /// There was nothing.
    NotFound,
}

/// Figures about the database.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Pastes that have not expired.
    pub pastes: u64,
    /// Bytes of their content.
    pub content_bytes: u64,
    /// Those that burn after reading.
    pub burn: u64,
    /// Those with a password.
    pub password_protected: u64,
    /// Those with an owner.
    pub owned: u64,
    /// Creation of the oldest, if there is one.
    pub oldest_created_at: Option<UnixSeconds>,
    /// Expired ones that wait for the purge.
    pub expired: u64,
    /// Size of the database file in bytes, free pages included.
    pub database_bytes: u64,
    /// Size of the database's files together, its log included; 0 in memory.
    pub disk_bytes: u64,
    /// Bytes of the database in use, which the quota counts.
    pub used_bytes: u64,
}

/// A row an engine keeps.
pub struct Row {
    pub(super) key: RowKey,
    /// Under what the engine finds the pieces of its content: another one once that was replaced.
    pub(super) pieces: RowKey,
    pub(super) meta: Meta,
    pub(super) owner: Option<Sha256Digest>,
    /// The content's key, sealed under the id and the pepper.
    pub(super) sealed_key: Vec<u8>,
    /// The type, sealed under the content's key.
    pub(super) details: Vec<u8>,
}

/// A row to be.
pub struct NewRow {
    pub(super) name: Name,
    pub(super) meta: Meta,
    pub(super) owner: Option<Sha256Digest>,
    pub(super) sealed_key: Vec<u8>,
    pub(super) details: Vec<u8>,
    /// The id, sealed under the token that makes the paste.
    pub(super) sealed_id: Option<Vec<u8>>,
    pub(super) content: Arc<Content>,
    /// Keyed hash of the content, by which it may be refused.
    pub(super) mark: Sha256Digest,
    /// Proof-of-work token it is bought with ([`crate::pow::Challenge::spent_key`]).
    pub(super) token: Option<Vec<u8>>,
    /// Keyed hash of the content, where duplicates count.
    pub(super) submission: Option<Handle>,
    /// Bytes that others are uploading, which the quota counts too.
    pub(super) arriving_bytes: u64,
}

/// How the insertion of a row ended. Only [`Inserted::Stored`] changed anything.
pub enum Inserted {
    /// Stored.
    Stored,
    /// There is a row of this name.
    NameTaken,
    /// The content was submitted too often.
    Duplicate(Duplicate),
    /// The proof-of-work token has already bought a paste.
    TokenSpent,
    /// The operator refuses this content.
    Blocked,
}

/// A content to be, in the place of another, or of none yet.
pub struct Replacement {
    pub(super) sealed_key: Vec<u8>,
    pub(super) details: Vec<u8>,
    pub(super) content: Arc<Content>,
    /// Keyed hash of the content, by which it may be refused.
    pub(super) mark: Sha256Digest,
    /// What reading it takes from now on; `None`: the same as before, as always with an answer.
    pub(super) protection: Option<Protection>,
    /// Bytes that others are uploading, which the quota counts too.
    pub(super) arriving_bytes: u64,
}

/// How the replacement of a content ended. Only [`Replaced::Done`] changed anything.
#[derive(Debug, PartialEq, Eq)]
pub enum Replaced {
    /// There is the new one.
    Done,
    /// There is no such paste.
    Gone,
    /// The operator refuses this content.
    Blocked,
}

/// How the answer to an ask ended. Only [`Answered::Done`] changed anything.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is the answer.
    Done,
    /// Another was there first.
    Already,
    /// There is no such ask.
    Gone,
    /// The operator refuses this content.
    Blocked,
}

/// A paste, as its operator sees it.
pub struct Listed {
    pub(super) key: RowKey,
    /// What it is called.
    pub handle: Handle,
    /// What is known of it.
    pub meta: Meta,
    /// Whether it has an owner.
    pub is_owned: bool,
}

/// A row of an owner.
pub struct OwnedRow {
    pub(super) handle: Handle,
    pub(super) row: Row,
    /// The id, sealed under the token that made it.
    pub(super) sealed_id: Option<Vec<u8>>,
}

/// What the operator knows of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its name.
    pub name: String,
    /// When it was given out.
    pub created_at: UnixSeconds,
    /// When it ends, if it does.
    pub expires_at: Option<UnixSeconds>,
}

/// What an operator does, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// When.
    pub at: UnixSeconds,
    /// A user of the machine.
    pub who: String,
    /// What, without an id.
    pub what: String,
}

/// Sealed pieces, one behind the other, of a row that is gone.
pub enum SealedContent {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file without a name.
    File(File),
}
