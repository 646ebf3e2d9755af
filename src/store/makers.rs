//! The operations of makers of pastes: create, replace, extend, delete, list and status; and answering an ask.
//!
//! Invariant: only the owner or the holder of the delete token may change a paste or learn its status; acknowledged
//! changes are on disk. Must never reveal to others that a paste exists whose reads are all leased.

use super::error::StoreError;
use super::model::{
    Answered, Created, Deleted, Handle, Inserted, Meta, NewPaste, NewRow, Paste, Protection, Replaced, Replacement,
    Row, RowKey,
};
use super::receipt::{End, Status, TokenMark};
use super::sealing::{open_id, seal_id};
use super::{Attempt, Store, details};
use crate::clock::UnixSeconds;
use crate::crypto::{self, Sha256Digest};
use crate::owner::Owner;
use crate::paste::Id;
use crate::spool::Content;
use std::sync::Arc;

/// Attempts to draw a free id: with eight digits and a hundred million pastes, one in forty collides.
const DRAWS: usize = 16;

/// Content that replaces another.
pub struct NewContent {
    /// Received content.
    pub content: Content,
    /// Sanitised type.
    pub mime_type: String,
    /// The new file name; `None` keeps the old one.
    pub filename: Option<String>,
    /// The new protection; `None` keeps the old one.
    pub protection: Option<Protection>,
}

/// The outcome of a change by the maker of a paste. Only [`Changed::Done`] changed anything.
pub enum Changed {
    /// The paste as it is now.
    Done(Box<Paste>),
    /// The paste no longer exists.
    Gone,
    /// The operator has blocked this content.
    Blocked,
}

/// A position in the list of an owner's pastes.
pub struct Place(RowKey);

/// An entry in the list of an owner's pastes.
pub struct OwnPaste {
    /// Its name where ids are unknown.
    pub handle: Handle,
    /// The metadata available without its id.
    pub meta: Meta,
    /// The rest, if it was created with this token.
    pub paste: Option<Paste>,
}

impl Store {
    /// Stores a paste durably and spends its attempt, if it needed one.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the quota or the disk is full, or another failure; nothing was stored.
    pub fn create(&self, new: NewPaste, attempt: Option<&Attempt>) -> Result<Created, StoreError> {
        // The quota is checked in the transaction.
        let arriving_bytes = self.arriving_bytes(new.content.spooled_bytes());
        self.expect_disk(new.content.size, arriving_bytes)?;
        let details = details::encode(&new.mime_type, new.filename.as_deref());
        let details = new.content.cipher().seal_details(details)?;
        let owner = new.owner.as_ref().map(|owner| self.pepper.owner(&owner.to_string()));
        // For protected content, the refusal of a duplicate would confirm a guess.
        let counts = self.limits.dedup_max > 0 && new.reads.is_none() && matches!(new.protection, Protection::None);
        let submission = counts.then(|| self.pepper.submission(&new.content.sha256));
        let mark = self.pepper.mark(&new.content.sha256);
        let content = Arc::new(new.content);
        let meta = |token| Meta {
            size: content.size,
            created_at: new.created_at,
            expiry: new.expiry,
            reads_left: new.reads,
            burn: new.reads == Some(1),
            protection: new.protection.clone(),
            token,
            answer_proof: new.answer_proof,
        };
        for _ in 0..DRAWS {
            let id = Id::random(self.limits.id_length)?;
            let name = self.pepper.name(&id);
            let sealed_id = match &new.owner {
                Some(Owner::Token { id_key, .. }) => Some(seal_id(id_key, &id)?),
                Some(Owner::Certificate(_)) | None => None,
            };
            let inserted = self.engine.insert(NewRow {
                name,
                meta: meta(TokenMark::bound(&new.token_hash, &id)),
                owner,
                sealed_key: self.pepper.seal_key(&id, content.key())?,
                details: details.clone(),
                sealed_id,
                content: Arc::clone(&content),
                mark,
                token: attempt.map(|attempt| attempt.token.clone()),
                submission,
                arriving_bytes,
            })?;
            match inserted {
                Inserted::Stored => return Ok(Created::Stored(id, name.handle())),
                Inserted::NameTaken => {}
                Inserted::Duplicate(duplicate) => return Ok(Created::Duplicate(duplicate)),
                Inserted::TokenSpent => return Ok(Created::TokenSpent),
                Inserted::Blocked => return Ok(Created::Blocked),
            }
        }
        Err(StoreError::Failed(format!("no free ID found in {DRAWS} attempts; raise FLASKPASTE_ID_LENGTH")))
    }

    /// Replaces the content of a paste without a read limit. Readers get either the old content or the new, complete.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the quota or the disk is full, or another failure; the paste is unchanged.
    pub fn replace(&self, paste: Paste, new: NewContent, now: UnixSeconds) -> Result<Changed, StoreError> {
        let filename = new.filename.or(paste.filename);
        let replacement = self.replacement(&paste.id, new.content, &new.mime_type, filename.as_deref())?;
        let replacement = Replacement { protection: new.protection, ..replacement };
        let replaced = self.engine.replace(paste.key, replacement, now);
        self.cache.remove(&paste.id);
        match replaced? {
            Replaced::Done => self.changed(&paste.id, now),
            Replaced::Gone => Ok(Changed::Gone),
            Replaced::Blocked => Ok(Changed::Blocked),
        }
    }

    /// Answers an ask; exactly one of concurrent answers succeeds.
    ///
    /// # Errors
    /// As [`Store::replace`]; if the outcome is unknown, the answer may be stored.
    pub fn answer(&self, ask: &Paste, content: Content, mime_type: &str) -> Result<Answered, StoreError> {
        self.engine.answer(ask.key, self.replacement(&ask.id, content, mime_type, None)?)
    }

    /// Replacement content, sealed for the paste with this id but not stored yet.
    fn replacement(
        &self,
        id: &Id,
        content: Content,
        mime_type: &str,
        filename: Option<&str>,
    ) -> Result<Replacement, StoreError> {
        let arriving_bytes = self.arriving_bytes(content.spooled_bytes());
        self.expect_disk(content.size, arriving_bytes)?;
        Ok(Replacement {
            sealed_key: self.pepper.seal_key(id, content.key())?,
            details: content.cipher().seal_details(details::encode(mime_type, filename))?,
            mark: self.pepper.mark(&content.sha256),
            content: Arc::new(content),
            protection: None,
            arriving_bytes,
        })
    }

    /// Sets a fixed expiry.
    ///
    /// # Errors
    /// When the commit fails.
    pub fn set_expiry(&self, paste: &Paste, expires_at: UnixSeconds, now: UnixSeconds) -> Result<Changed, StoreError> {
        let is_set = self.engine.set_expiry(paste.key, expires_at);
        self.cache.remove(&paste.id);
        if is_set? { self.changed(&paste.id, now) } else { Ok(Changed::Gone) }
    }

    fn changed(&self, id: &Id, now: UnixSeconds) -> Result<Changed, StoreError> {
        Ok(self.find(id, now)?.map_or(Changed::Gone, |paste| Changed::Done(Box::new(paste))))
    }

    /// The status of a paste, for its owner or the holder of its delete token; after its end only for the latter.
    ///
    /// # Errors
    /// When the database fails.
    pub fn status(
        &self,
        id: &Id,
        owner: Option<&Owner>,
        token_hash: Option<Sha256Digest>,
        now: UnixSeconds,
    ) -> Result<Option<Status>, StoreError> {
        if let Some(row) = self.engine.find(&self.pepper.name(id))? {
            let paste = self.unseal(id, row)?;
            let has_token = token_hash.is_some_and(|hash| paste.meta.token.matches(&hash, id));
            let is_owner = owner.is_some_and(|owner| self.owns(owner, &paste)) && paste.is_alive(now);
            if !has_token && !is_owner {
                return Ok(None);
            }
            // If it has ended meanwhile, there is a receipt.
            if let Some(status) = self.engine.status(paste.key, now)? {
                return Ok(Some(status.of(&paste.meta)));
            }
        }
        let Some(hash) = token_hash else { return Ok(None) };
        let oldest_end = now.saturating_sub(self.limits.receipt_seconds);
        let receipt = self.engine.receipt(TokenMark::bound(&hash, id))?.filter(|receipt| receipt.ended_at > oldest_end);
        Ok(receipt.map(Status::Ended))
    }

    /// Whether this owner created the paste.
    pub fn owns(&self, owner: &Owner, paste: &Paste) -> bool {
        paste.owner.is_some_and(|kept| crypto::equal(&kept, &self.pepper.owner(&owner.to_string())))
    }

    /// Finds a paste for its owner or the holder of its delete token.
    ///
    /// # Errors
    /// Why access is denied.
    pub fn claim(
        &self,
        found: Option<Paste>,
        owner: Option<&Owner>,
        token_hash: Option<Sha256Digest>,
    ) -> Result<Paste, Deleted> {
        let paste = found.ok_or(Deleted::NotFound)?;
        let is_owner = owner.is_some_and(|owner| self.owns(owner, &paste));
        let has_token = token_hash.is_some_and(|hash| paste.meta.token.matches(&hash, &paste.id));
        if is_owner || has_token {
            return Ok(paste);
        }
        // For everyone else it is gone once its last read is leased.
        Err(if paste.is_given_out() { Deleted::NotFound } else { Deleted::Denied })
    }

    /// Deletes a paste for its owner or the holder of its delete token.
    ///
    /// # Errors
    /// When the commit fails.
    pub fn delete(
        &self,
        id: &Id,
        owner: Option<&Owner>,
        token_hash: Option<Sha256Digest>,
        now: UnixSeconds,
    ) -> Result<Deleted, StoreError> {
        let paste = match self.claim(self.find(id, now)?, owner, token_hash) {
            Ok(paste) => paste,
            Err(refusal) => return Ok(refusal),
        };
        let deleted = self.engine.delete(paste.key, End::Deleted, now);
        self.cache.remove(id);
        Ok(if deleted? { Deleted::Done } else { Deleted::NotFound })
    }

    /// Up to `most` pastes of an owner, newest first, after the place returned by an earlier call; and the place where
    /// the rest begins, if there may be more.
    ///
    /// # Errors
    /// When the database fails.
    pub fn owned(
        &self,
        owner: &Owner,
        before: Option<Place>,
        most: usize,
        now: UnixSeconds,
    ) -> Result<(Vec<OwnPaste>, Option<String>), StoreError> {
        let before = before.map(|Place(key)| key);
        let rows = self.engine.owned(&self.pepper.owner(&owner.to_string()), before, most)?;
        let last = rows.last().filter(|_| rows.len() == most);
        let next = last.map(|last| self.pepper.hide(last.row.key)).transpose()?;
        let mut pastes = Vec::new();
        for owned in rows {
            let id = match owner {
                Owner::Token { id_key, .. } => owned.sealed_id.as_deref().and_then(|sealed| open_id(id_key, sealed)),
                Owner::Certificate(_) => None,
            };
            pastes.push(self.own_paste(owned.handle, owned.row, id)?);
        }
        pastes.retain(|own| own.meta.expiry.at() > now);
        Ok((pastes, next))
    }

    /// Parses a place in a list from an earlier response.
    pub fn place(&self, text: &str) -> Option<Place> {
        self.pepper.reveal(text).map(Place)
    }

    fn own_paste(&self, handle: Handle, row: Row, id: Option<Id>) -> Result<OwnPaste, StoreError> {
        let meta = row.meta.clone();
        let paste = id.map(|id| self.unseal(&id, row)).transpose()?;
        Ok(OwnPaste { handle, meta, paste })
    }
}
