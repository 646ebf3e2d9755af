//! An upload, and how it is sent.
//!
//! Invariant: the content was encrypted before it gets here, unless encryption is off. Must never report a paste that
//! lacks a requested property, nor hold the content in memory twice.

use super::failure::{Exit, Failure};
use super::history::Entry;
use super::items::Item;
use super::link::{ServerUrl, Target};
use super::pack::Pack;
use super::transport::{Answer, Call, Payload};
use super::{Session, challenge, password};
use crate::clock::unix_now;
use crate::crypto::{self, Sha256Digest};
use crate::e2e::Key;
use crate::paste::Id;
use crate::sealed::{Sealer, Secrets, sealed_bytes};
use crate::text::human_bytes;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use ureq::http::Method;
use zeroize::Zeroizing;

/// A smaller difference to the requested expiry is attributed to the clocks.
pub const EXPIRY_SLACK_SECONDS: u64 = 60;

/// The requested properties of a paste.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The limit of reads; 1 burns it.
    pub reads: Option<u32>,
    /// Lifetime.
    pub expiry_seconds: Option<u64>,
    /// Whether the server checks a password.
    pub password: bool,
    /// The proofs that the server requires from readers.
    pub gate: Option<Gate>,
    /// Whether the content is encrypted.
    pub encrypt: bool,
    /// MIME type of plain content.
    pub mime_type: Option<String>,
}

impl Wishes {
    /// Whether it is deleted after the first read.
    pub fn burn(&self) -> bool {
        self.reads == Some(1)
    }

    /// Whether it has a password of either kind.
    pub fn has_password(&self) -> bool {
        self.password || self.gate.as_ref().is_some_and(|gate| gate.password_proof.is_some())
    }
}

/// The hashes of the proofs that the server requires from readers. They reveal nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The hash of the link proof.
    pub link_proof: Sha256Digest,
    /// The hash of the password proof.
    pub password_proof: Option<Sha256Digest>,
}

impl Gate {
    /// The headers of a create.
    pub fn headers(&self) -> Vec<password::Header> {
        let link = ("X-Read-Proof-SHA256", text(&crypto::hex(&self.link_proof)));
        let password = self.password_proof.map(|hash| ("X-Password-Proof-SHA256", text(&crypto::hex(&hash))));
        std::iter::once(link).chain(password).collect()
    }

    /// The gate for these secrets.
    pub fn of(secrets: &Secrets) -> Self {
        let hash = |proof: Zeroizing<Sha256Digest>| crypto::sha256(proof.as_slice());
        Self { link_proof: hash(secrets.link_proof()), password_proof: secrets.password_proof().map(hash) }
    }
}

/// The content of an upload, or its source.
pub enum Stored {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file.
    File {
        /// The file.
        file: File,
        /// Where the content begins.
        offset: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// A file, not encrypted.
    Plain(Item),
    /// Files that are sealed while they are sent.
    Pack {
        /// The files.
        pack: Pack,
        /// The keys.
        secrets: Secrets,
        /// The size of the padded plaintext.
        bytes: u64,
    },
}

impl Stored {
    /// The size of the upload.
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
            Self::Plain(item) => item.size,
            Self::Pack { bytes, .. } => sealed_bytes(*bytes),
        }
    }

    /// A reader of the upload. Files are sealed with fresh keys each time: they may have changed.
    ///
    /// # Errors
    /// When the system has no entropy source, or a file was replaced.
    pub fn read(&self) -> Result<Box<dyn Read + '_>, Failure> {
        Ok(match self {
            Self::Memory(bytes) => Box::new(bytes.as_slice()),
            Self::File { file, offset, length } => Box::new(Part { file, at: *offset, left: *length }),
            Self::Plain(item) => Box::new(item.read()?),
            Self::Pack { pack, secrets, bytes } => {
                let sealer = Sealer::new(secrets).map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
                Box::new(sealer.seal(pack.read(*bytes), *bytes))
            }
        })
    }
}

/// Reads a part of a file without moving its position.
struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read_at(buffer.get_mut(..length).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// A paste to be created.
pub struct Upload {
    /// Its properties.
    pub wishes: Wishes,
    /// The key, for the link only.
    pub key: Option<Key>,
    /// The content as uploaded.
    pub content: Stored,
    /// The local name of the content, for the history only.
    pub name: Option<String>,
    /// The size of the original content; `None` if unknown.
    pub size: Option<u64>,
}

impl Upload {
    /// Solves the proof of work if required, and uploads.
    ///
    /// # Errors
    /// When the server refuses, or the paste lacks a requested property.
    pub fn send(&self, password: Option<password::Header>, session: &Session<'_>) -> Result<Created, Failure> {
        let wishes = &self.wishes;
        let mut headers = vec![("Accept", text("application/json"))];
        headers.extend(password);
        headers.push(("Content-Type", text(wishes.mime_type.as_deref().unwrap_or("application/octet-stream"))));
        headers.extend(match wishes.reads {
            Some(1) => Some(("X-Burn-After-Read", text("true"))),
            reads => reads.map(|reads| ("X-Reads", text(&reads.to_string()))),
        });
        headers.extend(wishes.gate.iter().flat_map(Gate::headers));
        if let Some(seconds) = wishes.expiry_seconds {
            headers.push(("X-Expiry", text(&seconds.to_string())));
        }
        headers.extend(challenge::pay(session)?);
        let server = &session.settings.server;
        let open = || self.content.read();
        let body = Payload::Stream { length: self.content.length(), open: &open };
        let call = Call { headers, body, ..Call::new(Method::POST, server, "/", true) };
        let answer = session.transport.send(&call)?.expect(201)?;
        let paste = Created::read(&answer, server)?;
        self.withdraw_unless_as_asked(session, &paste)?;
        Ok(paste)
    }

    /// Deletes a paste that lacks a requested property: a proxy may drop headers and an old server may ignore them, and
    /// the user must not get a link that only seems to burn.
    fn withdraw_unless_as_asked(&self, session: &Session<'_>, paste: &Created) -> Result<(), Failure> {
        let missing = self.missing(paste);
        if missing.is_empty() {
            if self.wishes.gate.is_some() && !paste.is("proof_required") {
                // The content still needs the key in the link.
                session.ui.warning(
                    "the server does not require a proof of the link: anyone with the ID can fetch the ciphertext",
                );
            }
            return Ok(());
        }
        let token = paste.json.get("delete_token").and_then(Value::as_str).unwrap_or_default();
        let mut call = Call::new(Method::DELETE, &session.settings.server, format!("/{}", paste.id), true);
        call.headers.push(("X-Delete-Token", text(token)));
        let outcome = match session.transport.send(&call).and_then(|answer| answer.expect(200)) {
            Ok(_) => "the paste was deleted".to_owned(),
            Err(failure) => {
                self.remember(session, paste);
                format!(
                    "the paste could not be deleted ({}); try again with fpaste delete {}",
                    failure.message, paste.id
                )
            }
        };
        Err(Failure::new(Exit::Other, format!("the server did not apply {}; {outcome}", missing.join(" and ")))
            .hint("contact the server's operator: a proxy may drop headers that begin with X-"))
    }

    /// The requested properties that are missing.
    fn missing(&self, paste: &Created) -> Vec<&'static str> {
        let wishes = &self.wishes;
        let reads = paste.json.get("reads_left").and_then(Value::as_u64);
        // Without a required proof, the password could be guessed without limit.
        let has_password = match wishes.gate {
            Some(_) => paste.is("proof_required") && paste.is("password_proof"),
            None => paste.is("password_protected"),
        };
        let is_later = |asked: u64| paste.lifetime() > asked.saturating_add(EXPIRY_SLACK_SECONDS);
        let slides = paste.is("sliding");
        [
            (wishes.burn() && !paste.is("burn_after_read"), "burn after reading"),
            (!wishes.burn() && wishes.reads.map(u64::from) != reads, "the read limit"),
            (wishes.has_password() && !has_password, "the password"),
            (wishes.expiry_seconds.is_some() && slides, "the fixed expiry"),
            (wishes.expiry_seconds.is_some_and(is_later) && !slides, "the expiry"),
        ]
        .into_iter()
        .filter_map(|(is_missing, name)| is_missing.then_some(name))
        .collect()
    }

    /// Records the paste in the history.
    pub fn remember(&self, session: &Session<'_>, paste: &Created) {
        let Some(delete_token) = paste.delete_token() else { return };
        let (wishes, now) = (&self.wishes, unix_now());
        let entry = Entry {
            id: paste.id.clone(),
            server: session.settings.server.clone(),
            url: paste.link.clone(),
            delete_token,
            // By the local clock, to which they are compared.
            created_at: now,
            expires_at: now.saturating_add(paste.lifetime()),
            name: self.name.clone(),
            size: self.size,
            slides: wishes.expiry_seconds.is_none(),
            burn: wishes.burn(),
            reads: wishes.reads,
            ended_at: None,
            is_ask: false,
            password: paste.is("password_protected"),
            encrypted: wishes.encrypt,
            sealed: Some(wishes.gate.is_some()),
        };
        if let Err(error) = session.history.add(&entry, now) {
            session
                .ui
                .warning(&format!("cannot record the paste in the history, so this machine cannot delete it: {error}"));
        }
    }

    /// `#KEY`, or empty.
    pub fn fragment(&self) -> Zeroizing<String> {
        self.key.as_ref().map_or_else(Zeroizing::default, |key| Zeroizing::new(format!("#{}", key.fragment().as_str())))
    }
}

/// The failure for content above the server's limit.
pub fn too_large(limit: u64, is_encrypted: bool) -> Failure {
    let allowed = human_bytes(limit);
    let with = if is_encrypted { ", including the overhead of encryption" } else { "" };
    Failure::new(Exit::Limit, format!("the content exceeds the server's limit of {allowed}{with}"))
        .hint("compress or split it; a client certificate may allow more (fpaste info)")
}

fn text(value: &str) -> Zeroizing<String> {
    Zeroizing::new(value.to_owned())
}

/// A new paste, as the server describes it.
pub struct Created {
    /// Its ID.
    pub id: Id,
    /// The link without a key.
    pub link: String,
    /// The host in the link, if it differs from the contacted one.
    pub other_host: Option<String>,
    /// The complete response.
    pub json: Value,
}

impl Created {
    /// Parses the server's response.
    ///
    /// # Errors
    /// When it has no valid ID.
    pub fn read(answer: &Answer, server: &ServerUrl) -> Result<Self, Failure> {
        let json = answer.json()?;
        let field = |name: &str| json.get(name).and_then(Value::as_str);
        let id: Id = field("id")
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| Failure::new(Exit::Other, "the server's response lacks the ID of the new paste"))?;
        // The server's own URL if it sends one, else the one it was reached by.
        let absolute = field("url").filter(|url| url.contains("://")).and_then(|url| Target::parse(url).ok());
        let base = absolute.and_then(|target| target.server.filter(|_| target.id == id));
        let base = base.as_ref().unwrap_or(server);
        let other_host = (base.host() != server.host()).then(|| base.host().to_owned());
        Ok(Self { link: base.join(&format!("/{id}")), other_host, id, json })
    }

    /// Whether this field is true.
    pub fn is(&self, name: &str) -> bool {
        self.json.get(name).and_then(Value::as_bool) == Some(true)
    }

    /// Its delete token, without characters that are not allowed in a header.
    pub fn delete_token(&self) -> Option<String> {
        let token = self.json.get("delete_token").and_then(Value::as_str);
        token.map(|token| token.chars().filter(char::is_ascii_graphic).collect())
    }

    /// Its lifetime in seconds, unless a read extends it; from the server's own timestamps, so that its clock may be
    /// off.
    pub fn lifetime(&self) -> u64 {
        let number = |name: &str| self.json.get(name).and_then(Value::as_u64).unwrap_or(0);
        number("expires_at").saturating_sub(number("created_at"))
    }
}
