//! An upload: what is to be stored, as the server will see it, and how it gets there.
//!
//! Invariant: the content is sealed, unless that was not wanted, before it comes here. Must never hand out a paste that
//! lacks what was asked for, nor hold the content twice.

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

/// A later end than was asked for by less than this is the clocks' doing.
pub const EXPIRY_SLACK_SECONDS: u64 = 60;

/// How something is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// How often it can be read; 1 burns it.
    pub reads: Option<u32>,
    /// Lifetime.
    pub expiry_seconds: Option<u64>,
    /// Whether there is a password for the server.
    pub password: bool,
    /// What the server asks its readers for.
    pub gate: Option<Gate>,
    /// Whether the content is encrypted.
    pub encrypt: bool,
    /// MIME type of plain content.
    pub mime_type: Option<String>,
}

impl Wishes {
    /// Whether the first read is the last.
    pub fn burn(&self) -> bool {
        self.reads == Some(1)
    }

    /// Whether there is a password, whoever checks it.
    pub fn has_password(&self) -> bool {
        self.password || self.gate.as_ref().is_some_and(|gate| gate.password_proof.is_some())
    }
}

/// The hashes of the proofs that the server asks readers for; nothing follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// That of the link.
    pub link_proof: Sha256Digest,
    /// That of the password.
    pub password_proof: Option<Sha256Digest>,
}

impl Gate {
    /// The headers that tell them.
    pub fn headers(&self) -> Vec<password::Header> {
        let link = ("X-Read-Proof-SHA256", text(&crypto::hex(&self.link_proof)));
        let password = self.password_proof.map(|hash| ("X-Password-Proof-SHA256", text(&crypto::hex(&hash))));
        std::iter::once(link).chain(password).collect()
    }

    /// The gate of these secrets.
    pub fn of(secrets: &Secrets) -> Self {
        let hash = |proof: Zeroizing<Sha256Digest>| crypto::sha256(proof.as_slice());
        Self { link_proof: hash(secrets.link_proof()), password_proof: secrets.password_proof().map(hash) }
    }
}

/// An upload, or what it is made from.
pub enum Stored {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file.
    File {
        /// Which.
        file: File,
        /// Where it begins there.
        offset: u64,
        /// Bytes of it.
        length: u64,
    },
    /// A file, as it is.
    Plain(Item),
    /// Files, which are sealed while they are sent.
    Pack {
        /// Which.
        pack: Pack,
        /// With what.
        secrets: Secrets,
        /// Bytes of the padded plaintext.
        bytes: u64,
    },
}

impl Stored {
    /// Bytes of the upload.
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
            Self::Plain(item) => item.size,
            Self::Pack { bytes, .. } => sealed_bytes(*bytes),
        }
    }

    /// The upload. Files are sealed anew each time, under other keys: they may have changed.
    ///
    /// # Errors
    /// When the system has no entropy source, or a file is another one now.
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

/// Part of a file, whatever others read of it.
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

/// What is to be stored.
pub struct Upload {
    /// How.
    pub wishes: Wishes,
    /// The key, for the link alone.
    pub key: Option<Key>,
    /// What the server gets.
    pub content: Stored,
    /// What the content is called here; the server does not learn it.
    pub name: Option<String>,
    /// Bytes of the content, before anything was done with it; `None`: nobody knows any more.
    pub size: Option<u64>,
}

impl Upload {
    /// Pays if that is asked for, and uploads.
    ///
    /// # Errors
    /// Every refusal, and a paste that is not as it should be.
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

    /// Deletes a paste again that lacks what was asked for: a proxy may drop headers, an old server not know them, and a
    /// link that is thought to burn must not be handed out.
    fn withdraw_unless_as_asked(&self, session: &Session<'_>, paste: &Created) -> Result<(), Failure> {
        let missing = self.missing(paste);
        if missing.is_empty() {
            if self.wishes.gate.is_some() && !paste.is("proof_required") {
                // What it holds needs the link all the same.
                session.ui.warning(
                    "the server asks no reader for a proof of the link: whoever has the ID can fetch what is sealed",
                );
            }
            return Ok(());
        }
        let token = paste.json.get("delete_token").and_then(Value::as_str).unwrap_or_default();
        let mut call = Call::new(Method::DELETE, &session.settings.server, format!("/{}", paste.id), true);
        call.headers.push(("X-Delete-Token", text(token)));
        let outcome = match session.transport.send(&call).and_then(|answer| answer.expect(200)) {
            Ok(_) => "the paste was deleted again".to_owned(),
            Err(failure) => {
                self.remember(session, paste);
                format!("the paste could not be deleted ({}), fpaste delete {} tries again", failure.message, paste.id)
            }
        };
        Err(Failure::new(Exit::Other, format!("the server did not take {}; {outcome}", missing.join(" and ")))
            .hint("the server may be older, or a proxy may drop headers that begin with X-; ask who runs it"))
    }

    /// What was asked for and is not there.
    fn missing(&self, paste: &Created) -> Vec<&'static str> {
        let wishes = &self.wishes;
        let reads = paste.json.get("reads_left").and_then(Value::as_u64);
        // Where nobody is asked for the proof of a password, it can be guessed without end.
        let has_password = match wishes.gate {
            Some(_) => paste.is("proof_required") && paste.is("password_proof"),
            None => paste.is("password_protected"),
        };
        let is_later = |asked: u64| paste.lifetime() > asked.saturating_add(EXPIRY_SLACK_SECONDS);
        let slides = paste.is("sliding");
        [
            (wishes.burn() && !paste.is("burn_after_read"), "burning after the first read"),
            (!wishes.burn() && wishes.reads.map(u64::from) != reads, "the limit of reads"),
            (wishes.has_password() && !has_password, "the password"),
            (wishes.expiry_seconds.is_some() && slides, "the fixed expiry"),
            (wishes.expiry_seconds.is_some_and(is_later) && !slides, "the expiry"),
        ]
        .into_iter()
        .filter_map(|(is_missing, name)| is_missing.then_some(name))
        .collect()
    }

    /// Notes the paste in the history.
    pub fn remember(&self, session: &Session<'_>, paste: &Created) {
        let Some(delete_token) = paste.delete_token() else { return };
        let (wishes, now) = (&self.wishes, unix_now());
        let entry = Entry {
            id: paste.id.clone(),
            server: session.settings.server.clone(),
            url: paste.link.clone(),
            delete_token,
            // By our own clock, which is what they are held against.
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
            session.ui.warning(&format!(
                "the paste could not be noted in the history, so this machine cannot delete it: {error}"
            ));
        }
    }

    /// `#KEY`, or nothing.
    pub fn fragment(&self) -> Zeroizing<String> {
        self.key.as_ref().map_or_else(Zeroizing::default, |key| Zeroizing::new(format!("#{}", key.fragment().as_str())))
    }
}

/// What is larger than the server takes from us.
pub fn too_large(limit: u64, is_encrypted: bool) -> Failure {
    let allowed = human_bytes(limit);
    let with = if is_encrypted { " with what encryption adds" } else { "" };
    Failure::new(Exit::Limit, format!("this is larger than the server allows, {allowed}{with}"))
        .hint("compress or split it; a client certificate may allow more (fpaste info)")
}

fn text(value: &str) -> Zeroizing<String> {
    Zeroizing::new(value.to_owned())
}

/// A new paste, as the server describes it.
pub struct Created {
    /// Its ID.
    pub id: Id,
    /// Without a key.
    pub link: String,
    /// The host that the link names, if it is another than the one that was asked.
    pub other_host: Option<String>,
    /// All of the answer.
    pub json: Value,
}

impl Created {
    /// Reads the server's answer.
    ///
    /// # Errors
    /// When it names no paste.
    pub fn read(answer: &Answer, server: &ServerUrl) -> Result<Self, Failure> {
        let json = answer.json()?;
        let field = |name: &str| json.get(name).and_then(Value::as_str);
        let id: Id = field("id").and_then(|id| id.parse().ok()).ok_or_else(|| {
            Failure::new(Exit::Other, "the server answered 201 without an ID: nobody can tell where the paste is")
        })?;
        // The server's own address when it knows it; else the one it was reached by.
        let absolute = field("url").filter(|url| url.contains("://")).and_then(|url| Target::parse(url).ok());
        let base = absolute.and_then(|target| target.server.filter(|_| target.id == id));
        let base = base.as_ref().unwrap_or(server);
        let other_host = (base.host() != server.host()).then(|| base.host().to_owned());
        Ok(Self { link: base.join(&format!("/{id}")), other_host, id, json })
    }

    /// Whether the server says so.
    pub fn is(&self, name: &str) -> bool {
        self.json.get(name).and_then(Value::as_bool) == Some(true)
    }

    /// Its delete token, of which what goes into no header is left out.
    pub fn delete_token(&self) -> Option<String> {
        let token = self.json.get("delete_token").and_then(Value::as_str);
        token.map(|token| token.chars().filter(char::is_ascii_graphic).collect())
    }

    /// How long it lives in seconds, unless a read moves that on; the server's two times, so that its clock may be wrong.
    pub fn lifetime(&self) -> u64 {
        let number = |name: &str| self.json.get(name).and_then(Value::as_u64).unwrap_or(0);
        number("expires_at").saturating_sub(number("created_at"))
    }
}
