//! How content lies at rest: in pieces of 64 KiB, each AES-256-GCM (NIST SP 800-38D) under the paste's own random key.
//!
//! Invariant: a key seals the pieces of one content and its details, each under a nonce of its own; a piece comes back
//! unchanged, in its place, or not at all. How many there are, the row says. Must never show a key in a `Debug` output, nor seal two contents with one key.

use crate::crypto::{self, KEY_BYTES, NONCE_BYTES, TAG_BYTES, seal};
use aes_gcm::{Aes256Gcm, KeyInit};
use std::io;
use zeroize::Zeroizing;

/// Bytes of content in one piece; the last may be shorter.
pub const PIECE_BYTES: usize = 64 << 10;
/// Bytes of a piece as it lies at rest.
pub const SEALED_PIECE_BYTES: usize = PIECE_BYTES + TAG_BYTES;

/// The random key of one paste's content and details. Wiped on drop.
#[derive(Clone)]
pub struct ContentKey(Zeroizing<[u8; KEY_BYTES]>);

/// What lies at rest was changed, or belongs to another key.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged;

impl From<Damaged> for io::Error {
    fn from(Damaged: Damaged) -> Self {
        Self::new(io::ErrorKind::InvalidData, "what lies at rest is damaged")
    }
}

impl ContentKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn random() -> io::Result<Self> {
        crypto::random().map(Zeroizing::new).map(Self)
    }

    /// Its cipher, ready for any number of pieces.
    pub fn cipher(&self) -> ContentCipher {
        ContentCipher(Aes256Gcm::new(&(*self.0).into()))
    }

    /// Seals the key under another one, which may have sealed others: the nonce in front is random.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn seal_under(&self, sealing_key: &[u8; KEY_BYTES]) -> io::Result<Vec<u8>> {
        let nonce = crypto::random::<NONCE_BYTES>()?;
        let mut sealed = self.0.to_vec();
        seal(&Aes256Gcm::new(&(*sealing_key).into()), nonce, &mut sealed)?;
        sealed.splice(0..0, nonce);
        Ok(sealed)
    }

    /// Opens what [`ContentKey::seal_under`] has sealed.
    ///
    /// # Errors
    /// [`Damaged`]
    pub fn open_under(sealing_key: &[u8; KEY_BYTES], sealed: &[u8]) -> Result<Self, Damaged> {
        let (nonce, sealed) = sealed.split_first_chunk().ok_or(Damaged)?;
        let mut key = Zeroizing::new(sealed.to_vec());
        open(&Aes256Gcm::new(&(*sealing_key).into()), *nonce, &mut key)?;
        let key: [u8; KEY_BYTES] = key.as_slice().try_into().map_err(|_| Damaged)?;
        Ok(Self(Zeroizing::new(key)))
    }
}

/// The cipher of one paste.
pub struct ContentCipher(Aes256Gcm);

impl ContentCipher {
    /// Seals a piece of content in place; the tag comes behind it.
    ///
    /// # Errors
    /// Never for pieces of at most [`PIECE_BYTES`].
    pub fn seal_piece(&self, number: u64, piece: &mut Vec<u8>) -> io::Result<()> {
        seal(&self.0, nonce(b'c', number), piece)
    }

    /// Opens a piece in place.
    ///
    /// # Errors
    /// [`Damaged`]; `piece` is what it was then.
    pub fn open_piece(&self, number: u64, piece: &mut Vec<u8>) -> Result<(), Damaged> {
        open(&self.0, nonce(b'c', number), piece)
    }

    /// Seals what is said about the content, such as its type.
    ///
    /// # Errors
    /// Never for less than 64 GiB.
    pub fn seal_details(&self, mut details: Vec<u8>) -> io::Result<Vec<u8>> {
        seal(&self.0, nonce(b'd', 0), &mut details)?;
        Ok(details)
    }

    /// Opens what [`ContentCipher::seal_details`] has sealed.
    ///
    /// # Errors
    /// [`Damaged`]
    pub fn open_details(&self, mut details: Vec<u8>) -> Result<Vec<u8>, Damaged> {
        open(&self.0, nonce(b'd', 0), &mut details)?;
        Ok(details)
    }
}

/// The nonce of a message: what it is, and its number.
fn nonce(kind: u8, number: u64) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[0] = kind;
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// Opens a message in place; on failure it is what it was.
fn open(cipher: &Aes256Gcm, nonce: [u8; NONCE_BYTES], message: &mut Vec<u8>) -> Result<(), Damaged> {
    let length = crypto::open(cipher, nonce, message).ok_or(Damaged)?;
    message.truncate(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_comes_back_only_whole_unchanged_and_in_its_place() {
        let cipher = ContentKey::random().unwrap().cipher();
        let mut sealed = b"content".to_vec();
        cipher.seal_piece(7, &mut sealed).unwrap();
        assert_eq!(sealed.len(), 7 + TAG_BYTES);
        let open =
            |cipher: &ContentCipher, number, mut piece: Vec<u8>| cipher.open_piece(number, &mut piece).map(|()| piece);
        assert_eq!(open(&cipher, 7, sealed.clone()).unwrap(), b"content");
        assert_eq!(open(&cipher, 8, sealed.clone()), Err(Damaged));
        assert_eq!(open(&ContentKey::random().unwrap().cipher(), 7, sealed.clone()), Err(Damaged));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&cipher, 7, changed), Err(Damaged), "{at}");
            assert_eq!(open(&cipher, 7, sealed[..at].to_vec()), Err(Damaged), "{at}");
        }
    }

    #[test]
    fn details_are_no_piece() {
        let cipher = ContentKey::random().unwrap().cipher();
        let mut sealed = cipher.seal_details(b"text/plain".to_vec()).unwrap();
        assert_eq!(cipher.open_details(sealed.clone()).unwrap(), b"text/plain");
        assert_eq!(cipher.open_piece(0, &mut sealed), Err(Damaged));
    }

    #[test]
    fn a_key_is_opened_by_the_key_it_was_sealed_under() {
        let key = ContentKey::random().unwrap();
        let (mine, other) = ([1; KEY_BYTES], [2; KEY_BYTES]);
        let sealed = key.seal_under(&mine).unwrap();
        assert_eq!(*ContentKey::open_under(&mine, &sealed).unwrap().0, *key.0);
        assert!(ContentKey::open_under(&other, &sealed).is_err());
        assert!(ContentKey::open_under(&mine, &sealed[..59]).is_err() && ContentKey::open_under(&mine, b"").is_err());
        assert_ne!(sealed, key.seal_under(&mine).unwrap(), "each time under a nonce of its own");
    }
}
