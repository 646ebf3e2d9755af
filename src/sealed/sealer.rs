//! Encrypts a plaintext chunk by chunk.
//!
//! Invariant: each upload has its own salt and therefore its own keys: a restarted upload, whose content may have
//! changed, gets a new one. Must never seal two chunks with the same nonce.

use super::keys::{Secrets, nonce};
use super::{CHUNK_BYTES, HEAD_BYTES, MAGIC, SALT_BYTES, SEALED_CHUNK_BYTES};
use crate::crypto;
use aes_gcm::Aes256Gcm;
use std::io::{self, ErrorKind, Read};
use zeroize::Zeroizing;

/// The cipher of one upload.
pub struct Sealer {
    cipher: Aes256Gcm,
    head: [u8; HEAD_BYTES],
}

impl Sealer {
    /// Creates a cipher with a new random salt.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn new(secrets: &Secrets) -> io::Result<Self> {
        Ok(Self::with_salt(secrets, crypto::random()?))
    }

    pub(super) fn with_salt(secrets: &Secrets, salt: [u8; SALT_BYTES]) -> Self {
        let mut head = [0; HEAD_BYTES];
        let parts = [MAGIC.as_slice(), &salt, &secrets.commitment(&salt)].concat();
        head.copy_from_slice(&parts);
        Self { cipher: secrets.cipher(&salt), head }
    }

    /// The head of the upload.
    pub fn head(&self) -> &[u8; HEAD_BYTES] {
        &self.head
    }

    /// Seals a chunk in place and appends the tag. Each number may be used only once.
    ///
    /// # Errors
    /// Never for at most [`CHUNK_BYTES`].
    pub fn seal_chunk(&self, number: u64, is_last: bool, chunk: &mut Vec<u8>) -> io::Result<()> {
        crypto::seal(&self.cipher, nonce(number, is_last), chunk)
    }

    /// The whole upload of a plaintext of `bytes` bytes, sealed on demand. A plaintext of another length is an error.
    pub fn seal<R: Read>(self, plaintext: R, bytes: u64) -> SealedReader<R> {
        let ready = self.head.to_vec();
        SealedReader { sealer: self, plaintext, left: bytes, number: 0, ready, given: 0 }
    }
}

/// An upload that is sealed while it is read.
pub struct SealedReader<R> {
    sealer: Sealer,
    plaintext: R,
    left: u64,
    number: u64,
    /// Sealed bytes, and how many of them were returned.
    ready: Vec<u8>,
    given: usize,
}

impl<R: Read> SealedReader<R> {
    fn seal_next(&mut self) -> io::Result<()> {
        let length = usize::try_from(self.left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let mut chunk = Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_BYTES));
        (&mut self.plaintext).take(length as u64).read_to_end(&mut chunk)?;
        if chunk.len() < length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= length as u64;
        self.sealer.seal_chunk(self.number, self.left == 0, &mut chunk)?;
        self.number += 1;
        self.ready = std::mem::take(&mut *chunk);
        self.given = 0;
        Ok(())
    }
}

impl<R: Read> Read for SealedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() && self.left > 0 {
            self.seal_next()?;
        }
        let rest = self.ready.get(self.given..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        let (Some(from), Some(to)) = (rest.get(..length), buffer.get_mut(..length)) else { return Ok(0) };
        to.copy_from_slice(from);
        self.given += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::{salt, secrets, text, vectors};
    use super::*;
    use crate::crypto::{hex, sha256};

    /// The plaintext of a case: its manifest, its files as described in its comment, and zeros.
    pub fn plaintext(case: &serde_json::Value) -> Option<Vec<u8>> {
        let manifest = text(case, "manifest").unwrap().as_bytes();
        let mut plaintext = u32::try_from(manifest.len()).unwrap().to_be_bytes().to_vec();
        plaintext.extend_from_slice(manifest);
        plaintext.resize(usize::try_from(case["plaintext_length"].as_u64().unwrap()).unwrap(), 0);
        (hex(&sha256(&plaintext)) == text(case, "plaintext_sha256").unwrap()).then_some(plaintext)
    }

    #[test]
    fn uploads_match_an_independent_implementation() {
        let mut compared = 0;
        for case in vectors() {
            let Some(plaintext) = plaintext(&case) else { continue };
            let sealer = Sealer::with_salt(&secrets(&case), salt(&case));
            let mut upload = Vec::new();
            sealer.seal(plaintext.as_slice(), plaintext.len() as u64).read_to_end(&mut upload).unwrap();
            assert_eq!(hex(&sha256(&upload)), text(&case, "upload_sha256").unwrap(), "{}", case["case"]);
            compared += 1;
        }
        assert!(compared >= 1, "no case has files of zeros");
    }

    #[test]
    fn a_plaintext_of_another_length_is_an_error() {
        let secrets = secrets(&vectors()[0]);
        let seal = |bytes| {
            let mut upload = Vec::new();
            Sealer::new(&secrets)
                .unwrap()
                .seal([7; 100].as_slice(), bytes)
                .read_to_end(&mut upload)
                .map(|_| upload.len())
        };
        assert_eq!(seal(101).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(seal(100).unwrap(), HEAD_BYTES + 100 + 16);
    }

    #[test]
    fn each_upload_has_its_own_salt() {
        let secrets = secrets(&vectors()[0]);
        assert_ne!(Sealer::new(&secrets).unwrap().head(), Sealer::new(&secrets).unwrap().head());
    }
}
