//! The operators' commands: manage tokens, inspect and remove pastes, and block content.
//!
//! Invariant: every change adds a log line, without an id or a content hash that could confirm a guess. Inspecting a
//! paste neither counts as a read nor extends anything.

use super::Store;
use super::error::StoreError;
use super::model::{Action, Handle, Listed, Meta, Paste, RowKey, TokenRecord};
use super::receipt::Status;
use crate::clock::UnixSeconds;
use crate::crypto::{self, Sha256Digest};
use crate::owner::{Owner, Token, TokenName};
use crate::paste::Id;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// The number of pastes fetched at a time.
const PAGE: usize = 1000;
/// Bytes hashed at a time.
const READ_BYTES: usize = 64 << 10;
/// Hex digits that identify blocked content in the log.
const MARK_DIGITS: usize = 16;

/// A paste named by an operator.
pub struct Found {
    /// Its name where ids are unknown.
    pub handle: Handle,
    /// The metadata available without its id.
    pub meta: Meta,
    /// The rest, if the operator gave the id.
    pub paste: Option<Paste>,
    key: RowKey,
    owner: Option<Sha256Digest>,
}

impl Store {
    /// The owner that a token authenticates; `None` if it is invalid or has expired.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find_token(&self, token: &Token, now: UnixSeconds) -> Result<Option<Owner>, StoreError> {
        let name = self.engine.find_token(&token.hash(), now)?.and_then(|name| name.parse().ok());
        Ok(name.map(|name| Owner::Token { name, id_key: token.id_key() }))
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.engine.tokens()
    }

    /// Creates a token, to be shown once; `None` if the name is taken.
    ///
    /// # Errors
    /// When the commit fails.
    pub fn add_token(
        &self,
        name: &TokenName,
        expires_at: Option<UnixSeconds>,
        who: &str,
        now: UnixSeconds,
    ) -> Result<Option<Token>, StoreError> {
        let token = Token::random()?;
        let record = TokenRecord { name: name.to_string(), created_at: now, expires_at };
        let added = self.engine.add_token(token.hash(), record, action(now, who, format!("token add {name}")))?;
        Ok(added.then_some(token))
    }

    /// Removes a token. Returns whether it existed.
    ///
    /// # Errors
    /// When the commit fails.
    pub fn remove_token(&self, name: &TokenName, who: &str, now: UnixSeconds) -> Result<bool, StoreError> {
        self.engine.remove_token(name.to_string(), action(now, who, format!("token remove {name}")))
    }

    /// Calls `each` with every paste that has not expired, newest first.
    ///
    /// # Errors
    /// When the database fails, or what `each` returned.
    pub fn for_each_listed<E: From<StoreError>>(
        &self,
        now: UnixSeconds,
        mut each: impl FnMut(&Listed) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut before = None;
        loop {
            let page = self.engine.list(before, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            before = Some(last.key);
            page.iter().filter(|listed| listed.meta.expiry.at() > now).try_for_each(&mut each)?;
        }
    }

    /// Finds a paste by its id or handle.
    ///
    /// # Errors
    /// When the database fails.
    pub fn locate(&self, id: &Id, now: UnixSeconds) -> Result<Option<Found>, StoreError> {
        let name = self.pepper.name(id);
        let found = if let Some(row) = self.engine.find(&name)? {
            let (key, owner, meta) = (row.key, row.owner, row.meta.clone());
            let paste = self.unseal(id, row)?;
            Some(Found { handle: name.handle(), meta, paste: Some(paste), key, owner })
        } else if let Some(handle) = Handle::parse(id.as_str()) {
            let row = self.engine.find_by_handle(handle)?;
            row.map(|row| Found { handle, meta: row.meta, paste: None, key: row.key, owner: row.owner })
        } else {
            None
        };
        Ok(found.filter(|found| found.meta.expiry.at() > now))
    }

    /// The status of a paste.
    ///
    /// # Errors
    /// When the database fails.
    pub fn state(&self, found: &Found, now: UnixSeconds) -> Result<Option<Status>, StoreError> {
        Ok(self.engine.status(found.key, now)?.map(|status| status.of(&found.meta)))
    }

    /// Who created a paste, as far as known: the name of a token, or that it was a certificate, whose fingerprint is
    /// not stored.
    ///
    /// # Errors
    /// When the database fails.
    pub fn maker(&self, found: &Found) -> Result<Option<String>, StoreError> {
        let Some(owner) = found.owner else { return Ok(None) };
        let mut names = self.engine.tokens()?.into_iter().map(|token| format!("token:{}", token.name));
        let name = names.find(|name| crypto::equal(&self.pepper.owner(name), &owner));
        Ok(Some(name.unwrap_or_else(|| "a certificate or a removed token".into())))
    }

    /// SHA-256 of a paste's content.
    ///
    /// # Errors
    /// When the content cannot be read because it was deleted meanwhile or is damaged.
    pub fn content_sha256(&self, paste: &Paste) -> Result<Sha256Digest, StoreError> {
        let (mut hash, mut buffer, mut size) = (Sha256::new(), vec![0; READ_BYTES], 0);
        let mut content = self.content(paste, 0);
        loop {
            let read = content.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            hash.update(bytes);
            size += read as u64;
        }
        if size < paste.meta.size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(hash.finalize().into())
    }

    /// Removes a paste. Returns whether it still existed.
    ///
    /// # Errors
    /// When the commit fails.
    pub fn remove(&self, found: &Found, who: &str, now: UnixSeconds) -> Result<bool, StoreError> {
        self.engine.remove(found.key, None, action(now, who, format!("delete {}", found.handle)))
    }

    /// Removes a paste and blocks the content with this hash. Returns whether the paste still existed.
    ///
    /// # Errors
    /// When the commit fails.
    pub fn block(
        &self,
        found: &Found,
        content: &Sha256Digest,
        who: &str,
        now: UnixSeconds,
    ) -> Result<bool, StoreError> {
        let mark = self.pepper.mark(content);
        let what = format!("block {}, content {}", found.handle, short(&mark));
        self.engine.remove(found.key, Some(mark), action(now, who, what))
    }

    /// Unblocks the content with this hash. Returns whether it was blocked.
    ///
    /// # Errors
    /// When the commit fails.
    pub fn unblock(&self, content: &Sha256Digest, who: &str, now: UnixSeconds) -> Result<bool, StoreError> {
        let mark = self.pepper.mark(content);
        self.engine.unblock(mark, action(now, who, format!("unblock content {}", short(&mark))))
    }

    /// Logs that an operator decrypted a paste.
    ///
    /// # Errors
    /// When the commit fails.
    pub fn note_decryption(&self, found: &Found, who: &str, now: UnixSeconds) -> Result<(), StoreError> {
        self.engine.note(action(now, who, format!("show --decrypt {}", found.handle)))
    }

    /// The operators' log, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn actions(&self) -> Result<Vec<Action>, StoreError> {
        self.engine.actions()
    }
}

fn action(at: UnixSeconds, who: &str, what: String) -> Action {
    Action { at, who: who.to_owned(), what }
}

/// The log's name for content: it cannot confirm a guess without the pepper.
fn short(mark: &Sha256Digest) -> String {
    let mut digits = crypto::hex(mark);
    digits.truncate(MARK_DIGITS);
    digits
}
