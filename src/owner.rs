//! Owners of pastes: holders of a client certificate, or of a token issued by the operator.
//!
//! Invariant: an owner was authenticated by a trusted proxy or by the store. Must never show a token in `Debug` output,
//! nor store one: only its hash is stored.

use crate::crypto::{self, KEY_BYTES, Sha256Digest};
use crate::paste::Fingerprint;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::io;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The prefix of every token, which lets secret scanners recognize them.
const PREFIX: &str = "fpt_";
/// The random bytes of a token: 43 characters of base64url.
const TOKEN_BYTES: usize = 32;
/// The longest name of a token.
const MAX_NAME: usize = 64;

/// An authenticated owner.
#[derive(Clone)]
pub enum Owner {
    /// The holder of a certificate.
    Certificate(Fingerprint),
    /// The holder of a token.
    Token {
        /// The token's name.
        name: TokenName,
        /// Encrypts the ids of its pastes, so that only the token can list them.
        id_key: Zeroizing<[u8; KEY_BYTES]>,
    },
}

/// As in responses: the certificate's fingerprint, or `token:NAME`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(fingerprint) => f.write_str(fingerprint.as_str()),
            Self::Token { name, .. } => write!(f, "token:{name}"),
        }
    }
}

/// The name of a token: 1 to 64 letters, digits, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenName(String);

impl TokenName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let is_name = (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_plain);
        if is_name { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token: `fpt_` and 43 characters of base64url.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A new random token.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn random() -> io::Result<Self> {
        let bytes = Zeroizing::new(crypto::random::<TOKEN_BYTES>()?);
        Ok(Self(Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice())))))
    }

    /// The text, which is shown only once.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The stored hash. The token is random, so a fast hash is sufficient.
    pub fn hash(&self) -> Sha256Digest {
        crypto::sha256(self.0.as_bytes())
    }

    /// The key that encrypts the ids of its pastes.
    pub fn id_key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        crypto::hkdf_expand(&crypto::hkdf_extract(b"flaskpaste token 1", self.0.as_bytes()), b"id")
    }
}

/// Does not show the token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        let length = text.strip_prefix(PREFIX).and_then(|rest| URL_SAFE_NO_PAD.decode_slice(rest, &mut *bytes).ok());
        if length == Some(TOKEN_BYTES) { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_prefix_and_43_characters() {
        let token = Token::random().unwrap();
        assert_eq!(token.as_str().len(), 47);
        let again: Token = token.as_str().parse().unwrap();
        assert_eq!((again.hash(), again.id_key()), (token.hash(), token.id_key()));
        let text = token.as_str();
        for bad in ["", "fpt_", &text[4..], &text[..46], &format!("{text}A"), &format!("{text}="), &text.to_uppercase()]
        {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }

    #[test]
    fn token_names_are_validated() {
        for good in ["ci", "alice.laptop", "a_b-c", &"x".repeat(64)] {
            assert!(good.parse::<TokenName>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a:b", "a/b", "ä", &"x".repeat(65), "a\n"] {
            assert!(bad.parse::<TokenName>().is_err(), "{bad:?}");
        }
    }
}
