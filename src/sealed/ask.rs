//! Asks for a secret: the asker's key pair, the link to answer with, and the answer's key, agreed on by both.
//!
//! Invariant: only proofs, their hashes and public keys are meant for a server; the answer's key can be derived only
//! with a private key, the asker's or that of this one answer. Must never accept an agreement whose result the other
//! side dictates (an all-zero secret, RFC 7748 section 6.1), nor show a key in `Debug` output.

use crate::crypto::{self, KEY_BYTES, Sha256Digest};
use crate::e2e::Key;
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io;
use zeroize::Zeroizing;

/// The magic at the start of an answer.
const MAGIC: &[u8; 8] = b"fpasteA\n";
/// The salt of both extractions.
const DOMAIN: &[u8] = b"flaskpaste ask 1";
/// The length of the secret that permits answering.
const ANSWER_SECRET_BYTES: usize = 16;
/// The prefix of an ask link's fragment.
const SCHEME: &str = "ask:";
/// The length of an answer's head, which precedes the sealed upload.
pub const ANSWER_HEAD_BYTES: usize = MAGIC.len() + KEY_BYTES;
/// The maximum length of a label that is shown.
pub const MAX_LABEL_BYTES: usize = 200;

/// An X25519 public key.
type PublicKey = [u8; KEY_BYTES];

/// The other side's public key yields no secret, or the answer's head is malformed.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable;

/// An X25519 private key (RFC 7748) and its public key.
pub struct KeyPair {
    private: Zeroizing<[u8; KEY_BYTES]>,
    public: PublicKey,
}

impl KeyPair {
    /// Generates a new key pair.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn random() -> io::Result<Self> {
        let private = crypto::random().map(Zeroizing::new)?;
        Self::of(private).ok_or_else(|| io::Error::other("cannot create a key pair"))
    }

    /// The key pair of a private key.
    pub fn of(private: Zeroizing<[u8; KEY_BYTES]>) -> Option<Self> {
        let key = PrivateKey::from_private_key(&X25519, private.as_slice()).ok()?;
        let public = key.compute_public_key().ok()?.as_ref().try_into().ok()?;
        Some(Self { private, public })
    }

    /// The private key, to be saved.
    pub fn private(&self) -> &Zeroizing<[u8; KEY_BYTES]> {
        &self.private
    }

    /// Derives, as the asker, the key of the answer with this head.
    ///
    /// # Errors
    /// [`Unusable`] if it is malformed, or anyone could decrypt the answer.
    pub fn open(&self, head: &[u8; ANSWER_HEAD_BYTES]) -> Result<Key, Unusable> {
        let (magic, ephemeral) = head.split_first_chunk().ok_or(Unusable)?;
        let ephemeral = PublicKey::try_from(ephemeral).map_err(|_| Unusable)?;
        if magic != MAGIC {
            return Err(Unusable);
        }
        self.agree(&ephemeral, [ephemeral, self.public])
    }

    /// Agrees on a key; `parties` are the answerer and the asker.
    fn agree(&self, other: &PublicKey, parties: [PublicKey; 2]) -> Result<Key, Unusable> {
        let own = PrivateKey::from_private_key(&X25519, self.private.as_slice()).map_err(|_| Unusable)?;
        // This fails for an all-zero secret.
        agree(&own, UnparsedPublicKey::new(&X25519, other), Unusable, |shared| {
            let extracted = crypto::hkdf_extract(DOMAIN, shared);
            Ok(Key::of(crypto::hkdf_expand(&extracted, parties.as_flattened())))
        })
    }
}

/// The fragment of a link that asks for a secret.
pub struct Ask {
    public: PublicKey,
    answer_secret: Zeroizing<[u8; ANSWER_SECRET_BYTES]>,
    /// The asker's description of the secret, possibly hostile.
    pub label: Option<String>,
}

impl Ask {
    /// Creates an ask for these keys.
    ///
    /// # Errors
    /// When the system has no entropy source.
    pub fn new(keys: &KeyPair, label: Option<String>) -> io::Result<Self> {
        Ok(Self { public: keys.public, answer_secret: crypto::random().map(Zeroizing::new)?, label })
    }

    /// Whether a fragment is meant to be an ask.
    pub fn is_meant(fragment: &str) -> bool {
        fragment.starts_with(SCHEME)
    }

    /// Parses a link's fragment. A malformed or overlong label is dropped, the rest stays valid.
    pub fn from_fragment(fragment: &str) -> Option<Self> {
        let rest = fragment.strip_prefix(SCHEME)?;
        let (keys, label) = rest.split_once(':').map_or((rest, None), |(keys, label)| (keys, Some(label)));
        let mut bytes = Zeroizing::new([0; KEY_BYTES + ANSWER_SECRET_BYTES]);
        // The engine is strict: it rejects other alphabets, padding and stray bits.
        let length = URL_SAFE_NO_PAD.decode_slice(keys, bytes.as_mut_slice()).ok()?;
        let (public, secret) = bytes.get(..length)?.split_first_chunk()?;
        let answer_secret = Zeroizing::new(secret.try_into().ok()?);
        let label = label.and_then(|label| String::from_utf8(URL_SAFE_NO_PAD.decode(label).ok()?).ok());
        let label = label.filter(|label| (1..=MAX_LABEL_BYTES).contains(&label.len()));
        Some(Self { public: *public, answer_secret, label })
    }

    /// The fragment, without the `#`.
    pub fn fragment(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([self.public.as_slice(), self.answer_secret.as_slice()].concat());
        let keys = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        let label = self.label.as_ref().map_or_else(String::new, |label| format!(":{}", URL_SAFE_NO_PAD.encode(label)));
        Zeroizing::new([SCHEME, keys.as_str(), &label].concat())
    }

    /// Proves knowledge of the link to the server, which permits answering.
    pub fn answer_proof(&self) -> Zeroizing<Sha256Digest> {
        crypto::hkdf_expand(&crypto::hkdf_extract(DOMAIN, self.answer_secret.as_slice()), b"answer proof")
    }

    /// The key of a new answer, and its head.
    ///
    /// # Errors
    /// [`Unusable`] if the link's key would let anyone decrypt the answer.
    pub fn seal(&self, ephemeral: &KeyPair) -> Result<(Key, [u8; ANSWER_HEAD_BYTES]), Unusable> {
        let key = ephemeral.agree(&self.public, [ephemeral.public, self.public])?;
        let mut head = [0; ANSWER_HEAD_BYTES];
        let (magic, public) = head.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        public.copy_from_slice(&ephemeral.public);
        Ok((key, head))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, Opener, Sealer, Secrets};
    use super::*;
    use crate::crypto::{hex, sha256, unhex};
    use serde_json::Value;
    use std::io::Read;

    /// The case of tests/vectors-sealed.json, generated by an implementation that shares no code with this one.
    fn vector() -> Value {
        let all: Value = serde_json::from_str(include_str!("../../tests/vectors-sealed.json")).unwrap();
        all["ask"][0].clone()
    }

    fn bytes(case: &Value, name: &str) -> Vec<u8> {
        unhex(case[name].as_str().unwrap()).unwrap()
    }

    fn pair(case: &Value, name: &str) -> KeyPair {
        KeyPair::of(Zeroizing::new(bytes(case, name).try_into().unwrap())).unwrap()
    }

    /// Points of small order (RFC 7748 section 7, cr.yp.to/ecdh.html), each in every 32-byte encoding.
    fn small_order_points() -> Vec<PublicKey> {
        let point = |text: &str| -> PublicKey { unhex(text).unwrap().try_into().unwrap() };
        let mut points = vec![
            [0; 32],
            point("0100000000000000000000000000000000000000000000000000000000000000"),
            point("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            point("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
            point("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
            point("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
            point("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ];
        for at in 0..points.len() {
            let mut other = points[at];
            other[31] |= 0x80;
            points.push(other);
        }
        points
    }

    fn head(ephemeral: &PublicKey) -> [u8; ANSWER_HEAD_BYTES] {
        [MAGIC.as_slice(), ephemeral].concat().try_into().unwrap()
    }

    #[test]
    fn the_answer_of_an_independent_implementation_is_opened() {
        let case = vector();
        let asker = pair(&case, "private_key_hex");
        assert_eq!(URL_SAFE_NO_PAD.encode(asker.public), case["public_key"].as_str().unwrap());
        let upload = bytes(&case, "upload_hex");
        let (head, inner) = upload.split_first_chunk().unwrap();
        let secrets = Secrets::new(&asker.open(head).unwrap(), None);
        let mut reader = inner;
        let mut opener = Opener::begin(&secrets, &mut reader).unwrap();
        let plaintext = opener.next_chunk(&mut reader, inner.len() as u64).unwrap().unwrap();
        let length = usize::try_from(u32::from_be_bytes(plaintext[..4].try_into().unwrap())).unwrap();
        let manifest = Manifest::parse(&plaintext[4..4 + length]).unwrap();
        let content = &plaintext[4 + length..][..usize::try_from(manifest.files[0].size).unwrap()];
        assert_eq!(content, case["content"].as_str().unwrap().as_bytes());
        // Reproduced with its keys and its salt.
        let link = Ask { public: asker.public, answer_secret: Zeroizing::default(), label: None };
        let (key, new_head) = link.seal(&pair(&case, "ephemeral_private_hex")).unwrap();
        let sealer = Sealer::with_salt(&Secrets::new(&key, None), bytes(&case, "salt_hex").try_into().unwrap());
        let mut again = new_head.to_vec();
        sealer.seal(plaintext.as_slice(), plaintext.len() as u64).read_to_end(&mut again).unwrap();
        assert_eq!(hex(&sha256(&again)), hex(&sha256(&upload)));
    }

    #[test]
    fn low_order_keys_are_refused_on_both_sides() {
        let asker = KeyPair::random().unwrap();
        let answers = |public| Ask { public, answer_secret: Zeroizing::default(), label: None }.seal(&asker).is_ok();
        for point in small_order_points() {
            assert!(!answers(point), "{}", hex(&point));
            assert!(asker.open(&head(&point)).is_err(), "{}", hex(&point));
        }
        let other = KeyPair::random().unwrap().public;
        assert!(answers(other) && asker.open(&head(&other)).is_ok());
        let mut unmarked = head(&other);
        unmarked[6] = b'B';
        assert!(asker.open(&unmarked).is_err(), "the magic is wrong");
    }

    #[test]
    fn each_answer_has_its_own_key() {
        let asker = KeyPair::random().unwrap();
        let link = Ask::new(&asker, None).unwrap();
        let [(first, head), (second, _)] = [(); 2].map(|()| link.seal(&KeyPair::random().unwrap()).unwrap());
        assert_ne!(first.fragment(), second.fragment());
        assert_eq!(asker.open(&head).unwrap().fragment(), first.fragment());
        assert_ne!(KeyPair::random().unwrap().open(&head).unwrap().fragment(), first.fragment());
    }

    #[test]
    fn fragments_round_trip() {
        let asker = KeyPair::random().unwrap();
        for label in [None, Some("the staging database’s password".to_owned()), Some("é".repeat(100))] {
            let link = Ask::new(&asker, label.clone()).unwrap();
            let read = Ask::from_fragment(&link.fragment()).unwrap();
            assert_eq!((read.public, read.label.as_ref()), (asker.public, label.as_ref()));
            assert_eq!(read.answer_proof(), link.answer_proof());
        }
        let [one, other] = [(); 2].map(|()| Ask::new(&asker, None).unwrap().answer_proof());
        assert_ne!(one, other);
    }

    #[test]
    fn the_proof_is_derived_as_specified() {
        // Computed with Python: hmac.digest(hmac.digest(b"flaskpaste ask 1", bytes(range(16)), "sha256"), b"answer
        // proof\x01", …).
        let secret = Zeroizing::new(std::array::from_fn(|at| u8::try_from(at).unwrap()));
        let link = Ask { public: [0; 32], answer_secret: secret, label: None };
        assert_eq!(
            hex(link.answer_proof().as_slice()),
            "cc245224089eb3014063ed6a3803acb83f3eb0d124dc5b251d45578320a2f573"
        );
    }

    #[test]
    fn a_malformed_label_leaves_a_valid_link() {
        let good = Ask::new(&KeyPair::random().unwrap(), None).unwrap().fragment();
        let long = URL_SAFE_NO_PAD.encode("x".repeat(MAX_LABEL_BYTES + 1));
        for label in ["", "!", "YQ==", "YR", "_w", "YQ:YQ", &long] {
            assert_eq!(Ask::from_fragment(&format!("{}:{label}", *good)).unwrap().label, None, "{label}");
        }
        assert_eq!(Ask::from_fragment(&format!("{}:YQ", *good)).unwrap().label.as_deref(), Some("a"));
    }

    #[test]
    fn damaged_links_are_rejected() {
        let good = Ask::new(&KeyPair::random().unwrap(), None).unwrap().fragment();
        assert_eq!(good.len(), 4 + 64);
        let keys = &good[4..];
        for bad in [
            "",
            "ask:",
            keys,
            &good[..67],
            &format!("{}A", *good),
            &format!("{}=", *good),
            &format!("Ask:{keys}"),
            &format!("ask::{keys}"),
            &format!("ask:{}!", &keys[1..]),
            &format!("ask: {}", &keys[1..]),
        ] {
            assert!(Ask::from_fragment(bad).is_none(), "{bad}");
        }
    }
}
