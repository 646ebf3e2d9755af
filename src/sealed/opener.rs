//! Decrypts an upload chunk by chunk, and resumes at any chunk.
//!
//! Invariant: nothing of a chunk is released before its tag was verified, and the end only after the last chunk was
//! verified to be the last: truncation, reordering and extension are detected as damage. Must never mistake a wrong key
//! for damage, nor damage for a wrong key.

use super::keys::{Secrets, nonce};
use super::{COMMITMENT_BYTES, HEAD_BYTES, MAGIC, SALT_BYTES, SEALED_CHUNK_BYTES};
use crate::crypto::{self, TAG_BYTES};
use aes_gcm::Aes256Gcm;
use std::io::{self, Read};

/// Why an upload cannot be decrypted.
#[derive(Debug)]
pub enum Damage {
    /// It does not have this format.
    NotSealed,
    /// It belongs to another link or password.
    WrongKey,
    /// It was modified or truncated.
    Damaged,
    /// It cannot be read.
    Io(io::Error),
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Decrypts the chunks of an upload.
pub struct Opener {
    cipher: Aes256Gcm,
    /// The number of the next chunk.
    next: u64,
    /// Whether the last chunk was verified.
    is_ended: bool,
}

impl Opener {
    /// Reads the head of an upload.
    ///
    /// # Errors
    /// When it is malformed, or belongs to another key.
    pub fn begin(secrets: &Secrets, upload: &mut impl Read) -> Result<Self, Damage> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        upload.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let (magic, rest) = head.split_first_chunk::<{ MAGIC.len() }>().ok_or(Damage::NotSealed)?;
        if magic != MAGIC {
            return Err(Damage::NotSealed);
        }
        let (salt, commitment) = rest.split_first_chunk::<SALT_BYTES>().ok_or(Damage::Damaged)?;
        if commitment.len() < COMMITMENT_BYTES {
            return Err(Damage::Damaged);
        }
        if !crypto::equal(commitment, &secrets.commitment(salt)) {
            return Err(Damage::WrongKey);
        }
        Ok(Self { cipher: secrets.cipher(salt), next: 0, is_ended: false })
    }

    /// The offset of the next chunk in the upload, from which a broken transfer resumes.
    pub fn offset(&self) -> u64 {
        HEAD_BYTES as u64 + self.next * SEALED_CHUNK_BYTES as u64
    }

    /// Decrypts the next chunk of an upload of `size` bytes, which starts at [`Opener::offset`]; `None` after the last
    /// one.
    ///
    /// # Errors
    /// Damage, or a read error, after which the same chunk can be retried.
    pub fn next_chunk(&mut self, upload: &mut impl Read, size: u64) -> Result<Option<Vec<u8>>, Damage> {
        if self.is_ended {
            return Ok(None);
        }
        let left = size.saturating_sub(self.offset());
        let is_last = left <= SEALED_CHUNK_BYTES as u64;
        let length = left.min(SEALED_CHUNK_BYTES as u64);
        if length <= TAG_BYTES as u64 {
            return Err(Damage::Damaged);
        }
        let mut chunk = Vec::with_capacity(SEALED_CHUNK_BYTES);
        upload.take(length).read_to_end(&mut chunk)?;
        if (chunk.len() as u64) < length {
            return Err(Damage::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        let plaintext = crypto::open(&self.cipher, nonce(self.next, is_last), &mut chunk).ok_or(Damage::Damaged)?;
        chunk.truncate(plaintext);
        self.next += 1;
        self.is_ended = is_last;
        Ok(Some(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::{secrets, text, vectors};
    use super::super::{CHUNK_BYTES, Manifest, Sealer};
    use super::*;
    use crate::crypto::{hex, sha256, unhex};
    use crate::e2e::Key;

    fn open(secrets: &Secrets, upload: &[u8]) -> Result<Vec<u8>, Damage> {
        let mut reader = upload;
        let mut opener = Opener::begin(secrets, &mut reader)?;
        let mut plaintext = Vec::new();
        while let Some(chunk) = opener.next_chunk(&mut reader, upload.len() as u64)? {
            plaintext.extend_from_slice(&chunk);
        }
        Ok(plaintext)
    }

    fn seal(secrets: &Secrets, plaintext: &[u8]) -> Vec<u8> {
        let mut upload = Vec::new();
        Sealer::new(secrets).unwrap().seal(plaintext, plaintext.len() as u64).read_to_end(&mut upload).unwrap();
        upload
    }

    #[test]
    fn uploads_of_an_independent_implementation_are_opened() {
        let mut opened = 0;
        for case in vectors() {
            let Some(upload) = text(&case, "upload_hex") else { continue };
            let plaintext = open(&secrets(&case), &unhex(upload).unwrap()).unwrap();
            assert_eq!(hex(&sha256(&plaintext)), text(&case, "plaintext_sha256").unwrap());
            let length = usize::try_from(u32::from_be_bytes(plaintext[..4].try_into().unwrap())).unwrap();
            let manifest = Manifest::parse(&plaintext[4..4 + length]).unwrap();
            let mut at = 4 + length;
            for (file, digest) in manifest.files.iter().zip(case["files_sha256"].as_array().unwrap()) {
                let size = usize::try_from(file.size).unwrap();
                assert_eq!(hex(&sha256(&plaintext[at..at + size])), digest.as_str().unwrap());
                at += size;
            }
            opened += 1;
        }
        assert!(opened >= 4);
    }

    #[test]
    fn every_length_round_trips() {
        let secrets = Secrets::new(&Key::random().unwrap(), None);
        for length in [1, 255, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 200_001] {
            let plaintext: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            assert_eq!(open(&secrets, &seal(&secrets, &plaintext)).unwrap(), plaintext, "{length}");
        }
    }

    #[test]
    fn truncation_extension_reordering_and_changes_are_damage() {
        let secrets = Secrets::new(&Key::random().unwrap(), None);
        let upload = seal(&secrets, &vec![7; 3 * CHUNK_BYTES]);
        let is_damage = |upload: &[u8]| matches!(open(&secrets, upload), Err(Damage::Damaged));
        let (head, chunks) = upload.split_at(HEAD_BYTES);
        let chunk = |number: usize| &chunks[number * SEALED_CHUNK_BYTES..(number + 1) * SEALED_CHUNK_BYTES];
        assert!(is_damage(&[head, chunk(1), chunk(0), chunk(2)].concat()), "reordered");
        assert!(is_damage(&[head, chunk(0), chunk(1)].concat()), "truncated between chunks");
        assert!(is_damage(&[head, chunk(0), chunk(2)].concat()), "a missing chunk");
        assert!(is_damage(&[head, chunks, chunk(2)].concat()), "extended");
        for length in [56, 57, 72, 80, SEALED_CHUNK_BYTES + 56, upload.len() - 1] {
            assert!(is_damage(&upload[..length]), "{length} bytes");
        }
        for at in (HEAD_BYTES..upload.len()).step_by(7777) {
            let mut changed = upload.clone();
            changed[at] ^= 1;
            assert!(is_damage(&changed), "{at}");
        }
    }

    #[test]
    fn a_wrong_key_is_not_damage() {
        let (key, other) = (Key::random().unwrap(), Key::random().unwrap());
        let upload = seal(&Secrets::new(&key, Some("word")), b"plaintext");
        for wrong in [Secrets::new(&key, None), Secrets::new(&key, Some("Word")), Secrets::new(&other, Some("word"))] {
            assert!(matches!(open(&wrong, &upload), Err(Damage::WrongKey)));
        }
        assert!(matches!(open(&Secrets::new(&key, None), b"fpaste1\n"), Err(Damage::NotSealed)));
        assert!(matches!(open(&Secrets::new(&key, None), b""), Err(Damage::NotSealed)));
        assert!(matches!(open(&Secrets::new(&key, None), &upload[..20]), Err(Damage::Damaged)));
    }

    #[test]
    fn a_truncated_chunk_can_be_retried() {
        let secrets = Secrets::new(&Key::random().unwrap(), None);
        let upload = seal(&secrets, &vec![7; CHUNK_BYTES + 10]);
        let size = upload.len() as u64;
        let mut opener = Opener::begin(&secrets, &mut upload.as_slice()).unwrap();
        let broken = opener.next_chunk(&mut &upload[HEAD_BYTES..1000], size);
        assert!(matches!(broken, Err(Damage::Io(_))));
        for length in [CHUNK_BYTES, 10] {
            let at = usize::try_from(opener.offset()).unwrap();
            assert_eq!(opener.next_chunk(&mut &upload[at..], size).unwrap().unwrap().len(), length);
        }
        assert!(opener.next_chunk(&mut [].as_slice(), size).unwrap().is_none());
    }
}
