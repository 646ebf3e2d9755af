//! The keys of a sealed paste: everything follows from the link's key and the password.
//!
//! Invariant: proofs tell nothing of the content's key, nor of the password to who has no link (RFC 5869: keys expanded for
//! different purposes are independent). Must never keep a password.

use super::{COMMITMENT_BYTES, SALT_BYTES};
use crate::crypto::{self, KEY_BYTES, NONCE_BYTES, PBKDF2_ITERATIONS, Sha256Digest};
use crate::e2e::Key;
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

/// Salt of both extractions.
const DOMAIN: &[u8] = b"flaskpaste sealed 2";
/// Bytes of the salt of a password.
const PASSWORD_SALT_BYTES: usize = 16;

/// What a link and a password open.
pub struct Secrets {
    link: Zeroizing<Sha256Digest>,
    root: Zeroizing<Sha256Digest>,
    has_password: bool,
}

impl Secrets {
    /// Those of a link alone, or of a link and a password; the latter take a tenth of a second or more, on purpose.
    pub fn new(key: &Key, password: Option<&str>) -> Self {
        let link = crypto::hkdf_extract(DOMAIN, key.bytes());
        let root = match password {
            None => link.clone(),
            Some(password) => {
                let salt = crypto::hkdf_expand(&link, b"password salt");
                let (salt, _) = salt.split_at(PASSWORD_SALT_BYTES);
                let stretched = crypto::stretch(password.as_bytes(), salt, PBKDF2_ITERATIONS);
                let both = Zeroizing::new([key.bytes().as_slice(), stretched.as_slice()].concat());
                crypto::hkdf_extract(DOMAIN, &both)
            }
        };
        Self { link, root, has_password: password.is_some() }
    }

    /// Whether a password is among them.
    pub fn has_password(&self) -> bool {
        self.has_password
    }

    /// What proves to the server that one has the link.
    pub fn link_proof(&self) -> Zeroizing<Sha256Digest> {
        crypto::hkdf_expand(&self.link, b"link proof")
    }

    /// What proves to the server that one has the password, where there is one.
    pub fn password_proof(&self) -> Option<Zeroizing<Sha256Digest>> {
        self.has_password.then(|| crypto::hkdf_expand(&self.root, b"password proof"))
    }

    /// The cipher of the upload with this salt.
    pub(super) fn cipher(&self, salt: &[u8; SALT_BYTES]) -> Aes256Gcm {
        let key: Zeroizing<[u8; KEY_BYTES]> = crypto::hkdf_expand(&self.root, &[b"content".as_slice(), salt].concat());
        Aes256Gcm::new(&(*key).into())
    }

    /// What the upload with this salt says about its keys.
    pub(super) fn commitment(&self, salt: &[u8; SALT_BYTES]) -> [u8; COMMITMENT_BYTES] {
        *crypto::hkdf_expand(&self.root, &[b"commitment".as_slice(), salt].concat())
    }
}

/// The nonce of a chunk: its number, and whether it is the last.
pub(super) fn nonce(number: u64, is_last: bool) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(is_last);
    nonce
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::Value;

    /// The cases of tests/vectors-sealed.json, made by an implementation that shares no code with this one.
    pub fn vectors() -> Vec<Value> {
        let all: Value = serde_json::from_str(include_str!("../../tests/vectors-sealed.json")).unwrap();
        let cases = all["sealed"].as_array().unwrap().clone();
        assert!(cases.len() >= 6);
        cases
    }

    pub fn text<'a>(case: &'a Value, name: &str) -> Option<&'a str> {
        case[name].as_str()
    }

    pub fn secrets(case: &Value) -> Secrets {
        Secrets::new(&Key::from_fragment(text(case, "fragment").unwrap()).unwrap(), text(case, "password"))
    }

    pub fn salt(case: &Value) -> [u8; SALT_BYTES] {
        crypto::unhex(text(case, "salt_hex").unwrap()).unwrap().try_into().unwrap()
    }

    #[test]
    fn keys_and_proofs_of_an_independent_implementation() {
        use base64::Engine;
        let base64url = |proof: &Sha256Digest| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(proof);
        for case in vectors() {
            let secrets = secrets(&case);
            let proof = secrets.link_proof();
            assert_eq!(base64url(&proof), text(&case, "link_proof").unwrap());
            assert_eq!(crypto::hex(&crypto::sha256(proof.as_slice())), text(&case, "link_proof_sha256").unwrap());
            let password_proof = secrets.password_proof().map(|proof| base64url(&proof));
            assert_eq!(password_proof.as_deref(), text(&case, "password_proof"));
            assert_eq!(crypto::hex(&secrets.commitment(&salt(&case))), text(&case, "commitment_hex").unwrap());
        }
    }

    #[test]
    fn a_nonce_is_a_number_and_a_flag() {
        assert_eq!(nonce(0, false), [0; 12]);
        assert_eq!(nonce(0x0102, true), [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1]);
    }
}
