//! Encryption at rest: content in pieces of 64 KiB, each AES-256-GCM (NIST SP 800-38D) under the paste's random key.
//!
//! Invariant: a key encrypts the pieces and details of one content, each with its own nonce; a modified or misplaced
//! piece is refused. The number of pieces is in the row. Must never show a key in `Debug` output, nor use a key for two
//! contents.

use crate::crypto::{self, KEY_BYTES, NONCE_BYTES, TAG_BYTES, seal};
use aes_gcm::{Aes256Gcm, KeyInit};
use std::io;
use zeroize::Zeroizing;

/// The size of a piece of content; the last one may be shorter.
pub const PIECE_BYTES: usize = 64 << 10;
/// The size of an encrypted piece.
pub const SEALED_PIECE_BYTES: usize = PIECE_BYTES + TAG_BYTES;

/// The random key of one paste's content and details. Wiped on drop.
#[derive(Clone)]
pub struct ContentKey(Zeroizing<[u8; KEY_BYTES]>);

/// The ciphertext was modified, or the key is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged;

impl From<Damaged> for io::Error {
    fn from(Damaged: Damaged) -> Self {
        Self::new(io::ErrorKind::InvalidData, "the stored data is damaged")
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

    /// Its cipher, usable for any number of pieces.
    pub fn cipher(&self) -> ContentCipher {
        ContentCipher(Aes256Gcm::new(&(*self.0).into()))
    }

    /// Encrypts the key under another one, which may be used for several: the nonce is random and prepended.
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

    /// Decrypts the output of [`ContentKey::seal_under`].
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
    /// Encrypts a piece in place and appends the tag.
    ///
    /// # Errors
    /// Never for pieces of at most [`PIECE_BYTES`].
    pub fn seal_piece(&self, number: u64, piece: &mut Vec<u8>) -> io::Result<()> {
        seal(&self.0, nonce(b'c', number), piece)
    }

    /// Decrypts a piece in place.
    ///
    /// # Errors
    /// [`Damaged`]; `piece` is unchanged then.
    pub fn open_piece(&self, number: u64, piece: &mut Vec<u8>) -> Result<(), Damaged> {
        open(&self.0, nonce(b'c', number), piece)
    }

    /// Encrypts the details of the content, such as its type.
    ///
    /// # Errors
    /// Never for less than 64 GiB.
    pub fn seal_details(&self, mut details: Vec<u8>) -> io::Result<Vec<u8>> {
        seal(&self.0, nonce(b'd', 0), &mut details)?;
        Ok(details)
    }

    /// Decrypts the output of [`ContentCipher::seal_details`].
    ///
    /// # Errors
    /// [`Damaged`]
    pub fn open_details(&self, mut details: Vec<u8>) -> Result<Vec<u8>, Damaged> {
        open(&self.0, nonce(b'd', 0), &mut details)?;
        Ok(details)
    }
}

/// The nonce of a message, from its kind and number.
fn nonce(kind: u8, number: u64) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[0] = kind;
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// Decrypts a message in place; on failure it is unchanged.
fn open(cipher: &Aes256Gcm, nonce: [u8; NONCE_BYTES], message: &mut Vec<u8>) -> Result<(), Damaged> {
    let length = crypto::open(cipher, nonce, message).ok_or(Damaged)?;
    message.truncate(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modified_truncated_or_misplaced_pieces_are_refused() {
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
    fn details_cannot_be_opened_as_a_piece() {
        let cipher = ContentKey::random().unwrap().cipher();
        let mut sealed = cipher.seal_details(b"text/plain".to_vec()).unwrap();
        assert_eq!(cipher.open_details(sealed.clone()).unwrap(), b"text/plain");
        assert_eq!(cipher.open_piece(0, &mut sealed), Err(Damaged));
    }

    #[test]
    fn a_sealed_key_opens_only_under_the_same_key() {
        let key = ContentKey::random().unwrap();
        let (mine, other) = ([1; KEY_BYTES], [2; KEY_BYTES]);
        let sealed = key.seal_under(&mine).unwrap();
        assert_eq!(*ContentKey::open_under(&mine, &sealed).unwrap().0, *key.0);
        assert!(ContentKey::open_under(&other, &sealed).is_err());
        assert!(ContentKey::open_under(&mine, &sealed[..59]).is_err() && ContentKey::open_under(&mine, b"").is_err());
        assert_ne!(sealed, key.seal_under(&mine).unwrap(), "each time with a fresh nonce");
    }
}
