//! The names and keys of data at rest, derived from the pepper and the id; the database contains neither.
//!
//! Invariant: with the database, nothing can be decrypted without the id, and ids cannot be guessed without the pepper.
//! Must never show the pepper in `Debug` output, nor keep an id.

use super::model::{Handle, Name, RowKey};
use crate::at_rest::{ContentKey, Damaged};
use crate::crypto::{self, KEY_BYTES, NONCE_BYTES, Sha256Digest};
use crate::paste::Id;
use aes_gcm::{Aes256Gcm, KeyInit};
use std::io;
use zeroize::Zeroizing;

/// The server's secret outside the database: 32 random bytes.
#[derive(Clone)]
pub struct Pepper {
    key: Zeroizing<[u8; KEY_BYTES]>,
    /// HKDF-Extract of the pepper, from which the keys that seal content keys are expanded.
    extracted: Zeroizing<Sha256Digest>,
    /// Whether it was created just now.
    pub(super) is_new: bool,
}

impl Pepper {
    /// Creates a pepper from these bytes.
    pub(super) fn new(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let extracted = crypto::hkdf_extract(b"flaskpaste at rest 1", key.as_slice());
        Self { key, extracted, is_new: false }
    }

    /// Generates a random pepper.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub(super) fn random() -> io::Result<Self> {
        Ok(Self::new(Zeroizing::new(crypto::random()?)))
    }

    /// Its hex digits, for the file.
    pub(super) fn hex(&self) -> Zeroizing<String> {
        Zeroizing::new(crypto::hex(self.key.as_slice()))
    }

    /// The mark by which a database recognizes its pepper; it reveals nothing.
    pub(super) fn own_mark(&self) -> Sha256Digest {
        self.keyed("mark", b"")
    }

    /// The name of a paste's row.
    pub(super) fn name(&self, id: &Id) -> Name {
        Name(crypto::hmac_sha256(self.key.as_slice(), id.as_str().as_bytes()))
    }

    /// The keyed hash of an owner's public name.
    pub(super) fn owner(&self, owner: &str) -> Sha256Digest {
        self.keyed("owner", owner.as_bytes())
    }

    /// The keyed hash of content, for blocking.
    pub(super) fn mark(&self, content: &Sha256Digest) -> Sha256Digest {
        self.keyed("blocked", content)
    }

    /// The keyed hash of content, for the duplicate throttle.
    pub(super) fn submission(&self, content: &Sha256Digest) -> Handle {
        Name(self.keyed("content", content)).handle()
    }

    /// The key for hashing clients that guess passwords, for a database.
    #[cfg(feature = "postgres")]
    pub(super) fn guess_key(&self) -> Sha256Digest {
        self.keyed("guess", b"")
    }

    /// Encrypts the key of a row for a client, so that it does not reveal the number of pastes.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub(super) fn hide(&self, key: RowKey) -> io::Result<String> {
        let nonce = crypto::random::<8>()?;
        let hidden = key.0 ^ self.mask(&nonce);
        Ok(crypto::hex(&[nonce, hidden.to_be_bytes()].concat()))
    }

    /// Decrypts the result of [`Pepper::hide`]; any other text of that length gives an arbitrary key.
    pub(super) fn reveal(&self, text: &str) -> Option<RowKey> {
        let bytes: [u8; 16] = crypto::unhex(text)?.try_into().ok()?;
        let (nonce, hidden) = bytes.split_at(8);
        Some(RowKey(i64::from_be_bytes(hidden.try_into().ok()?) ^ self.mask(nonce)))
    }

    fn mask(&self, nonce: &[u8]) -> i64 {
        let digest = self.keyed("row", nonce);
        digest.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
    }

    /// Seals a content's key with the id of its paste.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub(super) fn seal_key(&self, id: &Id, key: &ContentKey) -> io::Result<Vec<u8>> {
        key.seal_under(&self.sealing_key(id))
    }

    /// Opens a key sealed by [`Pepper::seal_key`].
    ///
    /// # Errors
    /// [`Damaged`]
    pub(super) fn open_key(&self, id: &Id, sealed: &[u8]) -> Result<ContentKey, Damaged> {
        ContentKey::open_under(&self.sealing_key(id), sealed)
    }

    fn sealing_key(&self, id: &Id) -> Zeroizing<Sha256Digest> {
        crypto::hkdf_expand(&self.extracted, id.as_str().as_bytes())
    }

    /// A keyed hash of something other than an id; the colon separates the domains.
    fn keyed(&self, what: &str, message: &[u8]) -> Sha256Digest {
        crypto::hmac_sha256(self.key.as_slice(), &[what.as_bytes(), b":", message].concat())
    }
}

/// Seals an id with the key of the token that creates its paste.
///
/// # Errors
/// When the system has no entropy source.
pub(super) fn seal_id(id_key: &[u8; KEY_BYTES], id: &Id) -> io::Result<Vec<u8>> {
    let nonce = crypto::random::<NONCE_BYTES>()?;
    let mut sealed = id.as_str().as_bytes().to_vec();
    crypto::seal(&Aes256Gcm::new(&(*id_key).into()), nonce, &mut sealed)?;
    sealed.splice(0..0, nonce);
    Ok(sealed)
}

/// Opens an id sealed by [`seal_id`]; `None` if it belongs to another token.
pub(super) fn open_id(id_key: &[u8; KEY_BYTES], sealed: &[u8]) -> Option<Id> {
    let (nonce, sealed) = sealed.split_first_chunk()?;
    let mut id = sealed.to_vec();
    let length = crypto::open(&Aes256Gcm::new(&(*id_key).into()), *nonce, &mut id)?;
    std::str::from_utf8(id.get(..length)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_documented_hmac() {
        // Computed with Python: hmac.new(bytes(range(32)), b"0123456789ab", "sha256").hexdigest()
        let pepper = Pepper::new(Zeroizing::new(std::array::from_fn(|at| u8::try_from(at).unwrap())));
        let name = pepper.name(&"0123456789ab".parse().unwrap());
        assert_eq!(crypto::hex(&name.0), "7153a603b2afb687a251b7aadc9deffde08ac7eab3f4ede0651ca9d3eb385072");
        assert_eq!(name.handle().to_string(), crypto::hex(&name.0)[..16]);
    }

    #[test]
    fn opening_needs_both_pepper_and_id() {
        let (pepper, other) = (Pepper::random().unwrap(), Pepper::random().unwrap());
        let (id, wrong): (Id, Id) = ("0123456789ab".parse().unwrap(), "0123456789ac".parse().unwrap());
        let key = ContentKey::random().unwrap();
        let sealed = pepper.seal_key(&id, &key).unwrap();
        assert_eq!(sealed.len(), super::super::model::SEALED_KEY_BYTES);
        assert!(pepper.open_key(&id, &sealed).is_ok());
        assert!(pepper.open_key(&wrong, &sealed).is_err() && other.open_key(&id, &sealed).is_err());
        assert!(pepper.own_mark() != other.own_mark() && pepper.name(&id) != other.name(&id));
    }
    #[test]
    fn hidden_row_keys_round_trip_and_look_random() {
        let pepper = Pepper::random().unwrap();
        let (one, two) = (pepper.hide(RowKey(7)).unwrap(), pepper.hide(RowKey(7)).unwrap());
        assert!(one != two && pepper.reveal(&one) == Some(RowKey(7)) && pepper.reveal(&two) == Some(RowKey(7)));
        assert!(["", "7", &one[2..], "zz"].iter().all(|text| pepper.reveal(text).is_none()));
    }

    #[test]
    fn only_its_token_opens_an_id() {
        let id: Id = "0123456789ab".parse().unwrap();
        let sealed = seal_id(&[1; KEY_BYTES], &id).unwrap();
        assert_eq!(open_id(&[1; KEY_BYTES], &sealed), Some(id));
        assert_eq!(open_id(&[2; KEY_BYTES], &sealed), None);
        assert_eq!(open_id(&[1; KEY_BYTES], &sealed[..20]), None);
    }
}
