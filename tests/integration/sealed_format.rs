//! Sealed pastes and format 1, created and opened by the tests themselves.
//!
//! Invariant: written from docs/format.md alone, without the tested code. Must never share code with the programs: a
//! mistake in both would go unnoticed.

use crate::harness::{Paste, Server};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

const SALT: &[u8] = b"flaskpaste sealed 2";
pub const ASK_SALT: &[u8] = b"flaskpaste ask 1";
const CHUNK: usize = 65_536;
const SEALED_CHUNK: usize = CHUNK + 16;
pub const HEAD: usize = 56;

/// The contents of a sealed paste.
pub struct Opened {
    pub manifest: Value,
    pub files: Vec<Vec<u8>>,
    /// Bytes of the plaintext, including padding.
    pub padded: usize,
}

/// What a reader has: the key of the link and the password.
pub struct Secret {
    key: [u8; 32],
    link: [u8; 32],
    root: [u8; 32],
    has_password: bool,
}

pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

pub fn expand(key: &[u8], label: &str, salt: &[u8]) -> [u8; 32] {
    hmac(key, &[label.as_bytes(), salt, &[1]])
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

impl Secret {
    pub fn new(key: [u8; 32], password: Option<&str>) -> Self {
        let link = hmac(SALT, &[&key]);
        let root = password.map_or(link, |password| {
            let salt = &expand(&link, "password salt", b"")[..16];
            let mut stretched = [0; 32];
            pbkdf2::pbkdf2::<Hmac<Sha256>>(password.as_bytes(), salt, 600_000, &mut stretched).unwrap();
            hmac(SALT, &[&key, &stretched])
        });
        Self { key, link, root, has_password: password.is_some() }
    }

    pub fn random(password: Option<&str>) -> Self {
        Self::new(random(), password)
    }

    /// The secret of a link.
    pub fn of(link: &str, password: Option<&str>) -> Self {
        let key = URL_SAFE_NO_PAD.decode(link.split_once('#').unwrap().1).unwrap();
        Self::new(key.try_into().unwrap(), password)
    }

    pub fn fragment(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key)
    }

    pub fn link_proof(&self) -> [u8; 32] {
        expand(&self.link, "link proof", b"")
    }

    fn password_proof(&self) -> Option<[u8; 32]> {
        self.has_password.then(|| expand(&self.root, "password proof", b""))
    }

    fn cipher(&self, salt: &[u8]) -> Aes256Gcm {
        Aes256Gcm::new(&expand(&self.root, "content", salt).into())
    }

    /// An upload of this plaintext.
    pub fn seal(&self, salt: [u8; 16], plain: &[u8]) -> Vec<u8> {
        let commitment = expand(&self.root, "commitment", &salt);
        let mut upload = [&b"fpaste2\n"[..], &salt, &commitment].concat();
        let count = plain.len().div_ceil(CHUNK);
        for (index, chunk) in plain.chunks(CHUNK).enumerate() {
            upload.extend(encrypt(&self.cipher(&salt), nonce(index, index + 1 == count), chunk));
        }
        upload
    }

    /// The same for files after a manifest, padded to at least 256 bytes.
    pub fn pack(&self, manifest: &Value, contents: &[&[u8]]) -> Vec<u8> {
        let manifest = manifest.to_string();
        let mut plain = [&u32::try_from(manifest.len()).unwrap().to_be_bytes()[..], manifest.as_bytes()].concat();
        plain.extend(contents.concat());
        plain.resize(plain.len().max(256), 0);
        self.seal(random(), &plain)
    }

    /// Opens an upload; every chunk must be valid.
    #[track_caller]
    pub fn open(&self, upload: &[u8]) -> Opened {
        let (head, chunks) = upload.split_at(HEAD);
        assert_eq!(&head[..8], b"fpaste2\n");
        let salt = &head[8..24];
        assert_eq!(head[24..], expand(&self.root, "commitment", salt), "the commitment");
        let count = chunks.len().div_ceil(SEALED_CHUNK);
        let open = |(index, chunk)| decrypt(&self.cipher(salt), nonce(index, index + 1 == count), chunk);
        let plain: Vec<u8> = chunks.chunks(SEALED_CHUNK).enumerate().flat_map(open).collect();
        let length = u32::from_be_bytes(plain[..4].try_into().unwrap()) as usize;
        let manifest: Value = serde_json::from_slice(&plain[4..4 + length]).unwrap();
        let mut at = 4 + length;
        let mut take = |file: &Value| {
            let size = usize::try_from(file["size"].as_u64().unwrap()).unwrap();
            at += size;
            plain[at - size..at].to_vec()
        };
        let files = manifest["files"].as_array().unwrap().iter().map(&mut take).collect();
        assert!(plain[at..].iter().all(|byte| *byte == 0), "the padding is zeros");
        Opened { manifest, files, padded: plain.len() }
    }

    /// Posts an upload behind its gate, with these headers; the paste, and its link.
    #[track_caller]
    pub fn post(&self, server: &Server, upload: Vec<u8>, headers: &[(&str, &str)]) -> (Paste, String) {
        let hash = |proof: [u8; 32]| hex(&Sha256::digest(proof));
        let mut request = server.post(upload).header("X-Read-Proof-SHA256", hash(self.link_proof()));
        if let Some(proof) = self.password_proof() {
            request = request.header("X-Password-Proof-SHA256", hash(proof));
        }
        let paste = with_headers(request, headers).created();
        let link = format!("http://{}{}#{}", server.authority(), paste.path(), self.fragment());
        (paste, link)
    }
}

fn with_headers<'a>(
    mut request: crate::http_client::Request<'a>,
    headers: &[(&str, &str)],
) -> crate::http_client::Request<'a> {
    request = request.header("Content-Type", "application/octet-stream");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request
}

fn encrypt(cipher: &Aes256Gcm, nonce: [u8; 12], plain: &[u8]) -> Vec<u8> {
    let mut sealed = plain.to_vec();
    let tag = cipher.encrypt_inout_detached(&nonce.into(), &[], sealed.as_mut_slice().into()).unwrap();
    sealed.extend_from_slice(&tag);
    sealed
}

#[track_caller]
fn decrypt(cipher: &Aes256Gcm, nonce: [u8; 12], sealed: &[u8]) -> Vec<u8> {
    let (ciphertext, tag) = sealed.split_last_chunk::<16>().expect("a chunk has a tag");
    let mut plain = ciphertext.to_vec();
    let opened = cipher.decrypt_inout_detached(&nonce.into(), &[], plain.as_mut_slice().into(), &(*tag).into());
    opened.expect("the tag of a chunk verifies");
    plain
}

fn nonce(index: usize, is_last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&(index as u64).to_be_bytes());
    nonce[11] = u8::from(is_last);
    nonce
}

/// Posts a sealed paste with one text in it, without a password; the paste, and its link.
#[track_caller]
pub fn post_text(server: &Server, text: &[u8], headers: &[(&str, &str)]) -> (Paste, String) {
    let secret = Secret::random(None);
    let manifest = serde_json::json!({ "files": [{ "type": "text/plain; charset=utf-8", "size": text.len() }] });
    let upload = secret.pack(&manifest, &[text]);
    secret.post(server, upload, headers)
}

/// Reads what a link leads to, as a reader with the password.
#[track_caller]
pub fn read(server: &Server, link: &str, password: Option<&str>) -> Opened {
    let secret = Secret::of(link, password);
    let path = link.split('#').next().unwrap().split_once("//").unwrap().1.split_once('/').unwrap().1;
    let mut request = server.request("GET", &format!("/{path}/raw"));
    request = request.header("X-Read-Proof", URL_SAFE_NO_PAD.encode(secret.link_proof()));
    if let Some(proof) = secret.password_proof() {
        request = request.header("X-Password-Proof", URL_SAFE_NO_PAD.encode(proof));
    }
    secret.open(&request.send().expect_status(200).body)
}

/// The one file a link leads to.
#[track_caller]
pub fn read_one(server: &Server, link: &str) -> Vec<u8> {
    let opened = read(server, link, None);
    assert_eq!(opened.files.len(), 1, "{}", opened.manifest);
    opened.files.into_iter().next().unwrap()
}

/// Posts a paste in format 1; the paste, and its link.
#[track_caller]
pub fn post_first_edition(server: &Server, plain: &[u8], headers: &[(&str, &str)]) -> (Paste, String) {
    let (key, nonce): ([u8; 32], [u8; 12]) = (random(), random());
    let sealed = encrypt(&Aes256Gcm::new(&key.into()), nonce, plain);
    let paste = with_headers(server.post([&nonce[..], &sealed].concat()), headers).created();
    let link = format!("http://{}{}#{}", server.authority(), paste.path(), URL_SAFE_NO_PAD.encode(key));
    (paste, link)
}

const DOCUMENT: &str = include_str!("../../docs/format.md");

/// A value of the document's worked examples.
fn value(name: &str) -> String {
    let line = DOCUMENT.lines().find(|line| line.starts_with(&format!("{name:<25}")));
    line.unwrap_or_else(|| panic!("no {name}"))[25..].to_owned()
}

/// The upload that begins so, whose first lines are labelled.
fn dumped(magic: &[u8]) -> String {
    let dump = DOCUMENT.split("```\n").find(|block| block.starts_with(&hex(magic))).unwrap();
    dump.lines().map(|line| line.split(' ').next().unwrap()).collect()
}

#[test]
fn the_worked_example_for_sealed_pastes_is_correct() {
    let key: [u8; 32] = unhex(&value("K")).try_into().unwrap();
    let secret = Secret::new(key, Some("hąsło z ogonkami"));
    let stretched = unhex(&value("PBKDF2"));
    let salt: [u8; 16] = unhex(&value("S")).try_into().unwrap();
    let proofs = [secret.link_proof(), secret.password_proof().unwrap()];
    for (name, expected) in [
        ("fragment", secret.fragment()),
        ("link", hex(&secret.link)),
        ("password salt", hex(&expand(&secret.link, "password salt", b"")[..16])),
        ("root", hex(&hmac(SALT, &[&key, &stretched]))),
        ("root", hex(&secret.root)),
        ("X-Read-Proof", URL_SAFE_NO_PAD.encode(proofs[0])),
        ("X-Read-Proof-SHA256", hex(&Sha256::digest(proofs[0]))),
        ("X-Password-Proof", URL_SAFE_NO_PAD.encode(proofs[1])),
        ("X-Password-Proof-SHA256", hex(&Sha256::digest(proofs[1]))),
        ("content key", hex(&expand(&secret.root, "content", &salt))),
        ("commitment", hex(&expand(&secret.root, "commitment", &salt))),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    let manifest = "{\"files\":[{\"name\":\"id_ed25519\",\"size\":10}]}";
    assert!(DOCUMENT.contains(&format!("0000002b {manifest} -----BEGIN 000000")));
    let mut plain = [&[0, 0, 0, 43], manifest.as_bytes(), b"-----BEGIN"].concat();
    plain.resize(256, 0);
    let upload = secret.seal(salt, &plain);
    assert!(DOCUMENT.contains(&hex(&Sha256::digest(&upload))));
    assert_eq!(dumped(b"fpaste2"), hex(&upload));
}

#[test]
fn the_worked_example_for_asks_is_correct() {
    use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
    let bytes = |name| unhex(&value(name));
    let (asker, secret, ephemeral) =
        (bytes("asker's public key"), bytes("answer secret"), bytes("ephemeral public key"));
    let private = |name| PrivateKey::from_private_key(&X25519, &bytes(name)).unwrap();
    let (own, once) = (private("asker's private key"), private("ephemeral private key"));
    assert_eq!(own.compute_public_key().unwrap().as_ref(), asker);
    assert_eq!(once.compute_public_key().unwrap().as_ref(), ephemeral);
    let shared = agree(&own, UnparsedPublicKey::new(&X25519, &ephemeral), (), |shared| Ok(shared.to_vec())).unwrap();
    assert_eq!(hex(&shared), value("X25519"));
    let proof = expand(&hmac(ASK_SALT, &[&secret]), "answer proof", b"");
    assert_eq!(URL_SAFE_NO_PAD.encode(proof), value("X-Answer-Proof"));
    assert_eq!(hex(&Sha256::digest(proof)), value("X-Answer-Proof-SHA256"));
    let (keys, label) = (URL_SAFE_NO_PAD.encode([&asker[..], &secret].concat()), "the staging password");
    assert_eq!(format!("ask:{keys}:{}", URL_SAFE_NO_PAD.encode(label)), value("fragment of the link"));
    let key = expand(&hmac(ASK_SALT, &[&shared]), "", &[&ephemeral[..], &asker].concat());
    assert_eq!(hex(&key), value("K of the answer"));
    let (sealed, salt) = (Secret::new(key, None), bytes("S of the answer"));
    assert_eq!(hex(&expand(&sealed.root, "content", &salt)), value("content key of it"));
    let upload = unhex(&dumped(b"fpasteA"));
    assert_eq!(upload[8..40], ephemeral);
    assert_eq!(upload[48..64], salt);
    let opened = sealed.open(&upload[40..]);
    assert_eq!((opened.files, opened.padded), (vec![b"s3cr3t\n".to_vec()], 256));
    assert!(
        DOCUMENT.contains(
            r#"0000004c {"files":[{"name":"token.txt","type":"text/plain; charset=utf-8","size":7}]} s3cr3t"#
        )
    );
}
