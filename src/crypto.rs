//! Cryptographic primitives: hashes, key derivation, AES-GCM, random bytes, constant-time comparison, password hashing.
//!
//! Invariant: all random bytes come from the operating system, and secrets are compared in constant time. Must never
//! print, log or store a secret.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use ctutils::CtEq;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::io;
use zeroize::Zeroizing;

/// A SHA-256 digest (FIPS 180-4).
pub type Sha256Digest = [u8; 32];

/// The PBKDF2-HMAC-SHA256 iterations for new passwords, as recommended by OWASP in 2023. Old hashes keep their own
/// count.
pub const PBKDF2_ITERATIONS: u32 = 600_000;

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256::digest(bytes).into()
}

/// HMAC-SHA256 (RFC 2104) of a message.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Sha256Digest {
    // HMAC takes a key of any length: the error case of `new_from_slice` does not occur.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mut mac| {
        mac.update(message);
        mac.finalize().into_bytes().into()
    })
}

/// HKDF-Extract with SHA-256 (RFC 5869 section 2.2).
pub fn hkdf_extract(salt: &[u8], key: &[u8]) -> Zeroizing<Sha256Digest> {
    Zeroizing::new(hmac_sha256(salt, key))
}

/// The first 32 bytes of HKDF-Expand with SHA-256 (RFC 5869 section 2.3): one block, as one key needs.
pub fn hkdf_expand(extracted: &Sha256Digest, info: &[u8]) -> Zeroizing<Sha256Digest> {
    Zeroizing::new(hmac_sha256(extracted, &[info, &[1]].concat()))
}

/// Derives a key from a password with PBKDF2-HMAC-SHA256 (RFC 8018 section 5.2).
pub fn stretch(password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<Sha256Digest> {
    Zeroizing::new(derive(password, salt, iterations))
}

/// The size of an AES-256 key.
pub const KEY_BYTES: usize = 32;
/// The size of an AES-GCM nonce.
pub const NONCE_BYTES: usize = 12;
/// The size of an AES-GCM tag.
pub const TAG_BYTES: usize = 16;

/// Encrypts a message in place with AES-256-GCM (NIST SP 800-38D), without associated data, and appends the tag.
///
/// # Errors
/// When the message is longer than the cipher allows (64 GiB).
pub fn seal(cipher: &Aes256Gcm, nonce: [u8; NONCE_BYTES], message: &mut Vec<u8>) -> io::Result<()> {
    let tag = cipher
        .encrypt_inout_detached(&nonce.into(), &[], message.as_mut_slice().into())
        .map_err(|_| io::Error::other("the message is too long for AES-GCM"))?;
    message.extend_from_slice(&tag);
    Ok(())
}

/// Decrypts the output of [`seal`] in place and returns the length of the message. `None` if the tag does not verify;
/// nothing is changed then.
pub fn open(cipher: &Aes256Gcm, nonce: [u8; NONCE_BYTES], sealed: &mut [u8]) -> Option<usize> {
    let (ciphertext, tag) = sealed.split_last_chunk_mut::<TAG_BYTES>()?;
    let length = ciphertext.len();
    cipher.decrypt_inout_detached(&nonce.into(), &[], ciphertext.into(), &(*tag).into()).ok().map(|()| length)
}

/// Whether two secrets are equal, in a time that depends only on their lengths.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Random bytes from the operating system.
///
/// # Errors
/// When the system has no entropy source, which fails the request but not the process.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(format!("cannot get random bytes from the system: {error}")))?;
    Ok(bytes)
}

/// Lower-case hexadecimal (RFC 4648 section 8).
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Decodes hexadecimal in either case; `None` if it is invalid.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// A stored password: salted PBKDF2-HMAC-SHA256 (RFC 8018 section 5.2) with its own iteration count.
#[derive(Clone)]
pub struct PasswordHash {
    iterations: u32,
    salt: [u8; 16],
    derived: Sha256Digest,
}

impl PasswordHash {
    /// Hashes a new password. Deliberately slow: a tenth of a second or more.
    ///
    /// # Errors
    /// When the system has no entropy source for the salt.
    pub fn new(password: &[u8], iterations: u32) -> io::Result<Self> {
        let salt = random()?;
        Ok(Self { iterations, salt, derived: derive(password, &salt, iterations) })
    }

    /// Whether this is the password. As slow as [`PasswordHash::new`].
    pub fn verify(&self, password: &[u8]) -> bool {
        equal(&derive(password, &self.salt, self.iterations), &self.derived)
    }

    /// The stored format: `pbkdf2-sha256$iterations$salt$derived`, in hex.
    pub fn encode(&self) -> String {
        format!("pbkdf2-sha256${}${}${}", self.iterations, hex(&self.salt), hex(&self.derived))
    }

    /// Parses the output of [`PasswordHash::encode`]; `None` if it is invalid.
    pub fn decode(text: &str) -> Option<Self> {
        let mut fields = text.strip_prefix("pbkdf2-sha256$")?.split('$');
        let iterations = fields.next()?.parse().ok()?;
        let salt = unhex(fields.next()?)?.try_into().ok()?;
        let derived = unhex(fields.next()?)?.try_into().ok()?;
        fields.next().is_none().then_some(Self { iterations, salt, derived })
    }
}

fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Sha256Digest {
    let mut derived = [0; 32];
    pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, iterations, &mut derived).unwrap_or_default();
    derived
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_vectors() {
        // FIPS 180-2 appendix B.1, and the empty message.
        assert_eq!(hex(&sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hex(&sha256(b"")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn hmac_vectors() {
        // RFC 4231 test cases 2 and 6.
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let mac = hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex(&mac), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn hkdf_vectors() {
        // RFC 5869 appendix A.1 and A.3; the first 32 bytes of their output.
        let bytes = |text| unhex(text).unwrap();
        let extracted = hkdf_extract(&bytes("000102030405060708090a0b0c"), &[0x0b; 22]);
        assert_eq!(hex(&*extracted), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
        let expanded = hkdf_expand(&extracted, &bytes("f0f1f2f3f4f5f6f7f8f9"));
        assert_eq!(hex(&*expanded), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
        let expanded = hkdf_expand(&hkdf_extract(b"", &[0x0b; 22]), b"");
        assert_eq!(hex(&*expanded), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    }

    #[test]
    fn pbkdf2_vectors() {
        // RFC 7914 section 11 gives PBKDF2-HMAC-SHA256; the first 32 of its 64 bytes.
        let derived = derive(b"passwd", b"salt", 1);
        assert_eq!(hex(&derived), "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
        let derived = derive(b"Password", b"NaCl", 80_000);
        assert_eq!(hex(&derived), "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
    }

    #[test]
    fn password_hashes_survive_storage_and_differ_by_salt() {
        let stored = PasswordHash::new("schlüssel".as_bytes(), 10).unwrap().encode();
        let read = PasswordHash::decode(&stored).unwrap();
        assert!(read.verify("schlüssel".as_bytes()) && !read.verify(b"schlussel") && !read.verify(b""));
        assert_ne!(stored, PasswordHash::new("schlüssel".as_bytes(), 10).unwrap().encode());
        assert!(!stored.contains("schl"));
        for damaged in ["", "pbkdf2-sha256$10$aa$bb", "pbkdf2-sha256$x", &format!("{stored}$")] {
            assert!(PasswordHash::decode(damaged).is_none(), "{damaged}");
        }
    }

    #[test]
    fn different_secrets_are_not_equal() {
        assert!(equal(b"", b"") && equal(b"same", b"same"));
        assert!(!equal(b"same", b"sama") && !equal(b"same", b"Same") && !equal(b"same", b"sam") && !equal(b"", b"x"));
    }

    #[test]
    fn hex_round_trips() {
        assert_eq!(unhex("00fFa5").unwrap(), [0, 255, 165]);
        assert_eq!(hex(&[0, 255, 165]), "00ffa5");
        assert!(unhex("0").is_none() && unhex("zz").is_none() && unhex("+1").is_none());
    }
}
