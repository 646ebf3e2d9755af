//! The names and keys of what lies at rest: everything is made from the pepper and the id, and the database has neither.
//!
//! Invariant: whoever has the database finds nothing in it without the id, and cannot search for ids without the pepper. Must
//! never show the pepper in a `Debug` output, nor keep an id.

use super::model::{Handle, Name};
use crate::at_rest::{ContentKey, Damaged};
use crate::crypto::{self, KEY_BYTES, Sha256Digest};
use crate::paste::{Fingerprint, Id};
use std::io;
use zeroize::Zeroizing;

/// The server's own secret beside the database: 32 random bytes.
#[derive(Clone)]
pub struct Pepper {
    key: Zeroizing<[u8; KEY_BYTES]>,
    /// HKDF-Extract of the pepper, from which the keys are expanded that seal content keys.
    extracted: Zeroizing<Sha256Digest>,
    /// Whether it was made just now.
    pub(super) is_new: bool,
}

impl Pepper {
    /// The pepper of these bytes.
    pub(super) fn new(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let extracted = crypto::hkdf_extract(b"flaskpaste at rest 1", key.as_slice());
        Self { key, extracted, is_new: false }
    }

    /// A new one.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub(super) fn random() -> io::Result<Self> {
        Ok(Self::new(Zeroizing::new(crypto::random()?)))
    }

    /// Its digits, for the file.
    pub(super) fn hex(&self) -> Zeroizing<String> {
        Zeroizing::new(crypto::hex(self.key.as_slice()))
    }

    /// What a database keeps to know its pepper again; nothing follows from it.
    pub(super) fn mark(&self) -> Sha256Digest {
        self.keyed("mark", b"")
    }

    /// What the row of a paste is called.
    pub(super) fn name(&self, id: &Id) -> Name {
        Name(crypto::hmac_sha256(self.key.as_slice(), id.as_str().as_bytes()))
    }

    /// What an owner is called.
    pub(super) fn owner(&self, fingerprint: &Fingerprint) -> Sha256Digest {
        self.keyed("owner", fingerprint.as_str().as_bytes())
    }

    /// What a content is called, for the duplicate throttle.
    pub(super) fn submission(&self, content: &Sha256Digest) -> Handle {
        Name(self.keyed("content", content)).handle()
    }

    /// Seals a content's key under the id of its paste.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub(super) fn seal_key(&self, id: &Id, key: &ContentKey) -> io::Result<Vec<u8>> {
        key.seal_under(&self.sealing_key(id))
    }

    /// Opens what [`Pepper::seal_key`] has sealed.
    ///
    /// # Errors
    /// [`Damaged`]
    pub(super) fn open_key(&self, id: &Id, sealed: &[u8]) -> Result<ContentKey, Damaged> {
        ContentKey::open_under(&self.sealing_key(id), sealed)
    }

    fn sealing_key(&self, id: &Id) -> Zeroizing<Sha256Digest> {
        crypto::hkdf_expand(&self.extracted, id.as_str().as_bytes())
    }

    /// A keyed hash of something that is no id: the colon keeps it apart from those.
    fn keyed(&self, what: &str, message: &[u8]) -> Sha256Digest {
        crypto::hmac_sha256(self.key.as_slice(), &[what.as_bytes(), b":", message].concat())
    }
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
    fn nothing_opens_without_both_pepper_and_id() {
        let (pepper, other) = (Pepper::random().unwrap(), Pepper::random().unwrap());
        let (id, wrong): (Id, Id) = ("0123456789ab".parse().unwrap(), "0123456789ac".parse().unwrap());
        let key = ContentKey::random().unwrap();
        let sealed = pepper.seal_key(&id, &key).unwrap();
        assert_eq!(sealed.len(), super::super::model::SEALED_KEY_BYTES);
        assert!(pepper.open_key(&id, &sealed).is_ok());
        assert!(pepper.open_key(&wrong, &sealed).is_err() && other.open_key(&id, &sealed).is_err());
        assert!(pepper.mark() != other.mark() && pepper.name(&id) != other.name(&id));
    }
}
