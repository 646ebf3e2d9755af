//! End-to-end encryption format 1: AES-256-GCM (NIST SP 800-38D); and the key in the link's fragment, for all formats.
//!
//! Invariant: an upload is a 12-byte random nonce, the ciphertext and a 16-byte tag, without associated data; every
//! key encrypts one message. Must never release plaintext before the tag was verified, nor show a key in `Debug`
//! output.

use crate::crypto::{self, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io;
use zeroize::Zeroizing;

/// The overhead of encryption.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// The key of one paste. Wiped on drop.
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

/// The upload is too short, was modified, or the key is wrong; these cannot be told apart.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAuthentic;

impl Key {
    /// A new random key.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn random() -> io::Result<Self> {
        crypto::random().map(Zeroizing::new).map(Self)
    }

    /// These bytes as a key, for formats that derive it.
    #[cfg(feature = "client")]
    pub(crate) fn of(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// Decodes a link's fragment: 43 characters of base64url without padding (RFC 4648 section 5).
    pub fn from_fragment(fragment: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        // The engine is strict: other alphabets, padding and stray bits are refused.
        let length = URL_SAFE_NO_PAD.decode_slice(fragment, key.as_mut_slice()).ok()?;
        (length == KEY_BYTES).then_some(Self(key))
    }

    /// The fragment that carries the key, without the `#`.
    pub fn fragment(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// The bytes, for other formats with the same link.
    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*self.0).into())
    }
}

/// Encrypts a message in place with a random nonce, making it the upload.
///
/// # Errors
/// When the system has no entropy source, or the message is longer than the cipher allows (64 GiB).
pub fn seal(key: &Key, message: &mut Vec<u8>) -> io::Result<()> {
    seal_with(key, crypto::random()?, message)
}

fn seal_with(key: &Key, nonce: [u8; NONCE_BYTES], message: &mut Vec<u8>) -> io::Result<()> {
    message.reserve_exact(OVERHEAD_BYTES);
    crypto::seal(&key.cipher(), nonce, message)?;
    message.splice(0..0, nonce);
    Ok(())
}

/// Decrypts an upload in place, making it the message. On failure it is unchanged.
///
/// # Errors
/// [`NotAuthentic`], when the tag does not verify.
pub fn open(key: &Key, upload: &mut Vec<u8>) -> Result<(), NotAuthentic> {
    let (nonce, sealed) = upload.split_first_chunk_mut::<NONCE_BYTES>().ok_or(NotAuthentic)?;
    let length = crypto::open(&key.cipher(), *nonce, sealed).ok_or(NotAuthentic)?;
    upload.truncate(NONCE_BYTES + length);
    upload.drain(..NONCE_BYTES);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case of tests/vectors.json, made with an independent implementation (Python's cryptography).
    struct Vector {
        key: Key,
        nonce: [u8; NONCE_BYTES],
        plaintext: Vec<u8>,
        upload_sha256: String,
    }

    fn vectors() -> Vec<Vector> {
        let all: serde_json::Value = serde_json::from_str(include_str!("../tests/vectors.json")).unwrap();
        let cases = all["encryption"].as_array().unwrap();
        let text = |case: &serde_json::Value, name: &str| case[name].as_str().map(str::to_owned);
        let vectors: Vec<Vector> = cases
            .iter()
            .map(|case| {
                let key = Key::from_fragment(&text(case, "fragment").unwrap()).unwrap();
                assert_eq!(crypto::hex(key.0.as_slice()), text(case, "key_hex").unwrap());
                assert_eq!(*key.fragment(), text(case, "fragment").unwrap());
                Vector {
                    key,
                    nonce: crypto::unhex(&text(case, "nonce_hex").unwrap()).unwrap().try_into().unwrap(),
                    // The long one is described in words: "61 repeated 100000 times".
                    plaintext: crypto::unhex(&text(case, "plaintext_hex").unwrap())
                        .unwrap_or_else(|| vec![0x61; 100_000]),
                    upload_sha256: text(case, "upload_sha256").unwrap(),
                }
            })
            .collect();
        assert!(vectors.len() >= 5);
        vectors
    }

    #[test]
    fn test_vectors_pass() {
        for vector in vectors() {
            let mut bytes = vector.plaintext.clone();
            seal_with(&vector.key, vector.nonce, &mut bytes).unwrap();
            assert_eq!(crypto::hex(&crypto::sha256(&bytes)), vector.upload_sha256);
            open(&vector.key, &mut bytes).unwrap();
            assert_eq!(bytes, vector.plaintext);
        }
    }

    #[test]
    fn modified_and_truncated_uploads_are_refused() {
        let key = Key::random().unwrap();
        let mut upload = b"a secret".to_vec();
        seal(&key, &mut upload).unwrap();
        for bit in 0..upload.len() * 8 {
            let mut changed = upload.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let before = changed.clone();
            assert_eq!(open(&key, &mut changed), Err(NotAuthentic), "bit {bit}");
            assert_eq!(changed, before, "bit {bit}");
        }
        for length in 0..upload.len() {
            assert_eq!(open(&key, &mut upload[..length].to_vec()), Err(NotAuthentic), "{length} bytes");
        }
        assert_eq!(open(&Key::random().unwrap(), &mut upload), Err(NotAuthentic));
    }

    #[test]
    fn nonces_and_keys_do_not_repeat() {
        let key = Key::random().unwrap();
        let sealed = || {
            let mut upload = b"the same".to_vec();
            seal(&key, &mut upload).unwrap();
            upload
        };
        assert_ne!(sealed(), sealed());
        assert_ne!(*Key::random().unwrap().fragment(), *key.fragment());
    }

    #[test]
    fn a_fragment_is_43_characters_of_base64url() {
        let good = "qBlAjOUBDKLgnvWaw9ifX_hZXQK1JOYb-K-olKldWU8";
        assert!(Key::from_fragment(good).is_some());
        let cut = &good[..42];
        for bad in ["", cut, &format!("{good}="), &format!("{good}A"), &good.replace('_', "/"), &format!("{cut}9")] {
            assert!(Key::from_fragment(bad).is_none(), "{bad}");
        }
    }
}
