//! An upload: what is to be stored, as the server will see it, and how it gets there.
//!
//! Invariant: the content is sealed, unless that was not wanted, before it comes here. Must never hand out a paste that
//! lacks what was asked for, nor hold the content twice.

use super::failure::{Exit, Failure};
use super::history::Entry;
use super::link::{ServerUrl, Target};
use super::text::clean;
use super::transport::{Answer, Call};
use super::{Session, challenge, password};
use crate::clock::unix_now;
use crate::e2e::{Key, OVERHEAD_BYTES};
use crate::paste::Id;
use serde_json::Value;
use ureq::http::Method;
use zeroize::Zeroizing;

/// How something is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// Burn after reading.
    pub burn: bool,
    /// Lifetime.
    pub expiry_seconds: Option<u64>,
    /// Whether there is a password.
    pub password: bool,
    /// Whether the content is sealed.
    pub encrypt: bool,
    /// MIME type of plain content.
    pub mime_type: Option<String>,
}

/// What is to be stored.
pub struct Upload {
    /// How.
    pub wishes: Wishes,
    /// The key, for the link alone.
    pub key: Option<Key>,
    /// What the server gets.
    pub content: Vec<u8>,
    /// What the content is called here; the server does not learn it.
    pub name: Option<String>,
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
        if wishes.burn {
            headers.push(("X-Burn-After-Read", text("true")));
        }
        if let Some(seconds) = wishes.expiry_seconds {
            headers.push(("X-Expiry", text(&seconds.to_string())));
        }
        headers.extend(challenge::pay(session)?);
        let server = &session.settings.server;
        let call = Call { headers, body: &self.content, ..Call::new(Method::POST, server, "/", true) };
        let answer = session.transport.send(&call)?.expect(201)?;
        let paste = Created::read(&answer, server)?;
        self.withdraw_unless_as_asked(session, &paste)?;
        Ok(paste)
    }

    /// Deletes a paste again that lacks what was asked for: a proxy may drop headers, an old server not know them, and a
    /// link that is thought to burn must not be handed out.
    fn withdraw_unless_as_asked(&self, session: &Session<'_>, paste: &Created) -> Result<(), Failure> {
        let wishes = &self.wishes;
        let is = |name: &str| paste.json.get(name).and_then(Value::as_bool) == Some(true);
        let missing: Vec<&str> = [
            (wishes.burn && !is("burn_after_read"), "burning after the first read"),
            (wishes.password && !is("password_protected"), "the password"),
            (wishes.expiry_seconds.is_some() && is("sliding"), "the fixed expiry"),
        ]
        .into_iter()
        .filter_map(|(is_missing, name)| is_missing.then_some(name))
        .collect();
        if missing.is_empty() {
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
            .hint("a proxy may drop the headers X-Burn-After-Read, X-Expiry and X-Paste-Password; ask who runs it"))
    }

    /// Notes the paste in the history.
    pub fn remember(&self, session: &Session<'_>, paste: &Created) {
        let Some(token) = paste.json.get("delete_token").and_then(Value::as_str) else { return };
        let (wishes, now) = (&self.wishes, unix_now());
        let overhead = if self.key.is_some() { OVERHEAD_BYTES } else { 0 };
        let entry = Entry {
            id: paste.id.clone(),
            server: session.settings.server.clone(),
            url: paste.link.clone(),
            delete_token: clean(token),
            // By our own clock, which is what they are held against.
            created_at: now,
            expires_at: now.saturating_add(paste.lifetime()),
            name: self.name.clone(),
            size: Some(self.content.len().saturating_sub(overhead) as u64),
            slides: wishes.expiry_seconds.is_none(),
            burn: wishes.burn,
            password: paste.json.get("password_protected").and_then(Value::as_bool) == Some(true),
            encrypted: wishes.encrypt,
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

fn text(value: &str) -> Zeroizing<String> {
    Zeroizing::new(value.to_owned())
}

/// A new paste, as the server describes it.
pub struct Created {
    /// Its ID.
    pub id: Id,
    /// Without a key.
    pub link: String,
    /// All of the answer.
    pub json: Value,
}

impl Created {
    /// Reads the server's answer.
    ///
    /// # Errors
    /// When it names no paste.
    fn read(answer: &Answer, server: &ServerUrl) -> Result<Self, Failure> {
        let json = answer.json()?;
        let field = |name: &str| json.get(name).and_then(Value::as_str);
        let id: Id = field("id").and_then(|id| id.parse().ok()).ok_or_else(|| {
            Failure::new(Exit::Other, "the server answered 201 without an ID: nobody can tell where the paste is")
        })?;
        // The server's own address when it knows it; else the one it was reached by.
        let absolute = field("url").filter(|url| url.contains("://")).and_then(|url| Target::parse(url).ok());
        let base = absolute.and_then(|target| target.server.filter(|_| target.id == id));
        let link = base.as_ref().unwrap_or(server).join(&format!("/{id}"));
        Ok(Self { id, link, json })
    }

    /// How long it lives in seconds, unless a read moves that on; the server's two times, so that its clock may be wrong.
    pub fn lifetime(&self) -> u64 {
        let number = |name: &str| self.json.get(name).and_then(Value::as_u64).unwrap_or(0);
        number("expires_at").saturating_sub(number("created_at"))
    }
}
