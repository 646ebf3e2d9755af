//! A paste on its way here: what is known of it, what opens it, and its content, under a lease where reads are limited.
//!
//! Invariant: what the server checks is derived from the link and the password, and goes to the paste's own server alone.
//! A read of a limited paste is confirmed only once its content has been delivered. Must never take a read that cannot be
//! used: without the key that opens it.

use super::command::{Get, PasswordSource};
use super::failure::{Exit, Failure};
use super::leases::{Held, NewLease};
use super::link::Target;
use super::text::human_seconds;
use super::transport::{Answer, Call, Content, Opened};
use super::{Located, Session, password};
use crate::clock::{parse_http_date, unix_now};
use crate::sealed::Secrets;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::io::{self, Read};
use ureq::http::Method;
use zeroize::Zeroizing;

/// What the server says of a paste.
#[derive(Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the server's answer")]
pub struct Facts {
    /// Whether its reads are limited.
    pub is_limited: bool,
    /// Whether the first read was meant to be the last.
    pub burns: bool,
    /// When it goes.
    pub expires_at: Option<u64>,
    is_binary: bool,
    has_gate: bool,
    has_password_proof: bool,
}

impl Facts {
    /// Of what is no more on any server.
    pub fn kept() -> Self {
        Self { is_limited: true, ..Self::default() }
    }

    fn of(paste: &Value) -> Self {
        let flag = |name: &str| paste.get(name).and_then(Value::as_bool) == Some(true);
        let number = |name: &str| paste.get(name).and_then(Value::as_u64);
        Self {
            is_limited: number("reads_left").is_some() || flag("burn_after_read"),
            burns: flag("burn_after_read"),
            expires_at: number("expires_at"),
            is_binary: paste.get("mime_type").and_then(Value::as_str) == Some("application/octet-stream"),
            has_gate: flag("proof_required"),
            has_password_proof: flag("password_proof"),
        }
    }
}

/// A paste that may be read.
pub struct Fetch<'a> {
    session: &'a Session<'a>,
    target: &'a Target,
    located: &'a Located,
    /// What the server says of it; nothing where an earlier run holds its last read.
    pub facts: Facts,
    /// What opens it, where the link has a key.
    pub secrets: Option<Secrets>,
    headers: Vec<password::Header>,
    lease: Option<Held>,
}

impl<'a> Fetch<'a> {
    /// Asks what is known of the paste, and for the password where there is one that the server never sees.
    ///
    /// # Errors
    /// Refusals, and what must not be taken without a key.
    pub fn look(
        options: &Get,
        session: &'a Session<'a>,
        target: &'a Target,
        located: &'a Located,
    ) -> Result<Self, Failure> {
        let mut fetch = Self {
            session,
            target,
            located,
            facts: Facts::default(),
            secrets: None,
            headers: Vec::new(),
            lease: Held::find(session, &located.server, &target.id),
        };
        if let Some(lease) = &fetch.lease {
            session.ui.note("an earlier run has begun to read this paste; going on with that");
            fetch.facts = Facts {
                is_limited: true,
                burns: lease.burns,
                has_password_proof: lease.has_password,
                ..Facts::default()
            };
        } else {
            let answer = session.transport.send(&metadata_call(target, located))?;
            if matches!(answer.status, 404 | 429 | 500..) {
                return Err(refusal(&answer));
            }
            // Other refusals are the content's to explain.
            let paste = answer.expect(200).and_then(|answer| answer.json()).unwrap_or_default();
            fetch.facts = Facts::of(&paste);
            fetch.expect_key(options)?;
        }
        fetch.unlock(options)?;
        Ok(fetch)
    }

    /// Takes a read where they are limited, and the server knows leases.
    ///
    /// # Errors
    /// Refusals.
    pub fn take(&mut self, options: &Get) -> Result<(), Failure> {
        if self.facts.is_limited && self.lease.is_none() {
            self.lease = self.take_lease(options)?;
        }
        Ok(())
    }

    /// Without its key, what is encrypted is of no use to anybody.
    fn expect_key(&self, options: &Get) -> Result<(), Failure> {
        if self.target.key.is_some() {
            return Ok(());
        }
        let whole_link = "use the whole link, with what follows the #";
        if self.facts.has_gate {
            return Err(Failure::usage("the link has no key, and the server gives this paste only to who has it")
                .hint(whole_link));
        }
        if self.facts.is_limited && self.facts.is_binary && !options.force {
            return Err(Failure::usage("this paste is encrypted, its reads are counted, and the link has no key")
                .hint(format!("{whole_link}; --force takes the paste as it is")));
        }
        Ok(())
    }

    /// Derives what opens the paste, and what proves it to the server.
    fn unlock(&mut self, options: &Get) -> Result<(), Failure> {
        let Some(key) = &self.target.key else { return Ok(()) };
        let may_have_one = password::is_in_environment() || self.session.ui.is_watched();
        let password = if self.facts.has_password_proof {
            if options.password == PasswordSource::None && !may_have_one {
                return Err(Failure::new(Exit::Denied, "this paste is protected by a password")
                    .hint("use -p to be asked for it, or --password-file"));
            }
            let source = match &options.password {
                PasswordSource::None => &PasswordSource::Ask,
                given => given,
            };
            password::text_for_reading(source, self.session, &self.target.id)?
        } else {
            None
        };
        let secrets = Secrets::new(key, password.as_ref().map(|password| password.as_str()));
        if self.facts.has_gate {
            let text = |proof: &[u8]| Zeroizing::new(URL_SAFE_NO_PAD.encode(proof));
            self.headers.push(("X-Read-Proof", text(secrets.link_proof().as_slice())));
            self.headers.extend(secrets.password_proof().map(|proof| ("X-Password-Proof", text(proof.as_slice()))));
        }
        self.secrets = Some(secrets);
        Ok(())
    }

    /// Asks with what opens the paste; a password that the server checks, and that turns out to be needed, is taken from the
    /// environment, or asked for if somebody is there. A server that is not ours does not get the environment's by saying so.
    fn ask<T>(
        &mut self,
        options: &Get,
        ask: impl Fn(&Self) -> Result<T, Failure>,
        status: impl Fn(&T) -> u16,
    ) -> Result<T, Failure> {
        if self.headers.is_empty() && self.lease.is_none() {
            self.headers.extend(password::for_reading(&options.password, self.session, &self.target.id)?);
        }
        let answer = ask(self)?;
        if status(&answer) != 401 || options.password != PasswordSource::None {
            return Ok(answer);
        }
        let from_environment = password::is_in_environment() && self.located.is_ours;
        if from_environment {
            self.headers.extend(password::for_reading(&PasswordSource::Ask, self.session, &self.target.id)?);
        } else if self.session.ui.is_watched() {
            let place = format!("paste {} of {}", self.target.id, self.located.server);
            self.headers.push(password::typed_for_reading(&place, self.session)?);
        } else {
            return Ok(answer);
        }
        drop(answer);
        ask(self)
    }

    /// Takes one of the paste's reads, to be confirmed; `None` from a server that knows no leases.
    fn take_lease(&mut self, options: &Get) -> Result<Option<Held>, Failure> {
        let take = |fetch: &Self| {
            let path = format!("/{}/lease", fetch.target.id);
            fetch.session.transport.send(&fetch.call(Method::POST, path, fetch.headers.clone()))
        };
        let answer = self.ask(options, take, |answer| answer.status)?;
        // The paste was there just now: it is the route that is not. If not, the read itself will say so.
        if matches!(answer.status, 404 | 405) {
            return Ok(None);
        }
        if answer.status != 201 {
            return Err(refusal(&answer));
        }
        let (server_now, json) = (answer.header("Date").and_then(parse_http_date), answer.json()?);
        let lease = json.get("lease").and_then(Value::as_str);
        let ends = json.get("expires_at").and_then(Value::as_u64);
        let (Some(lease), Some(ends)) = (lease, ends) else { return Ok(None) };
        let now = unix_now();
        let new = NewLease {
            secret: lease,
            expires_at: now + ends.saturating_sub(server_now.unwrap_or(now)),
            burns: self.facts.burns,
            has_password: self.facts.has_password_proof,
        };
        Ok(Some(Held::keep(self.session, &self.located.server, &self.target.id, &new)))
    }

    /// Whether this machine made the paste and encrypted it.
    pub fn is_ours_and_encrypted(&self) -> bool {
        self.located.entry.as_ref().is_some_and(|entry| entry.encrypted)
    }

    /// Whether the content can be fetched more than once.
    pub fn is_repeatable(&self) -> bool {
        self.lease.is_some() || !self.facts.is_limited
    }

    /// Whether a read was taken that is to be confirmed.
    pub fn is_leased(&self) -> bool {
        self.lease.is_some()
    }

    /// The content from `offset` on.
    ///
    /// # Errors
    /// Refusals and network failures.
    pub fn content(&mut self, options: &Get, offset: u64) -> Result<Content, Failure> {
        let read = |fetch: &Self| fetch.session.transport.open(&fetch.content_call(offset));
        let status = |opened: &Opened| match opened {
            Opened::Content(_) => 200,
            Opened::Answer(answer) => answer.status,
        };
        match self.ask(options, read, status)? {
            Opened::Content(content) => Ok(content),
            Opened::Answer(answer) => {
                // The lease has ended, and with it the read.
                if let Some(lease) = self.lease.take_if(|_| answer.status == 404) {
                    lease.forget();
                }
                Err(refusal(&answer))
            }
        }
    }

    /// The content from `offset` on, after its transfer broke.
    ///
    /// # Errors
    /// As [`Fetch::content`].
    pub fn again(&mut self, options: &Get, offset: u64) -> Result<Box<dyn Read>, Failure> {
        self.session.ui.trace(|| format!("the transfer broke; going on at byte {offset}"));
        let mut content = self.content(options, offset)?;
        let begins_there =
            content.header("Content-Range").is_some_and(|range| range.starts_with(&format!("bytes {offset}-")));
        if offset > 0 && !begins_there {
            // A server or proxy without ranges.
            io::copy(&mut (&mut content).take(offset), &mut io::sink())
                .map_err(|error| Failure::of(error, "the content"))?;
        }
        Ok(Box::new(content))
    }

    /// The most that this content may have, where it has to be in memory.
    pub fn limit_of(&self, content: &Content) -> u64 {
        self.session.transport.limit_of(content, &self.content_call(0))
    }

    fn content_call(&self, offset: u64) -> Call<'_> {
        let mut headers = match &self.lease {
            Some(lease) => vec![("X-Lease", lease.secret.clone())],
            None => self.headers.clone(),
        };
        if offset > 0 {
            headers.push(("Range", Zeroizing::new(format!("bytes={offset}-"))));
        }
        self.call(Method::GET, format!("/{}/raw", self.target.id), headers)
    }

    fn call(&self, method: Method, path: String, headers: Vec<password::Header>) -> Call<'_> {
        Call { headers, ..Call::new(method, &self.located.server, path, self.located.is_ours) }
    }

    /// Confirms the read: its content has been delivered. A confirmation that gets lost happens by itself when the lease
    /// ends.
    pub fn confirm(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let headers = vec![("X-Lease", lease.secret.clone())];
        let path = format!("/{}", self.target.id);
        let outcome = self.session.transport.send(&self.call(Method::DELETE, path, headers));
        self.session.ui.trace(|| match outcome.map(|answer| answer.status) {
            Ok(status) => format!("the read was confirmed: {status}"),
            Err(failure) => format!("the read could not be confirmed: {}", failure.message),
        });
        lease.forget();
    }

    /// A failure to deliver a read that was taken, and that the next run may deliver.
    pub fn not_delivered(&self, failure: Failure) -> Failure {
        match self.fate() {
            Some(fate) => failure.add_hint(&fate),
            None => failure,
        }
    }

    /// What becomes of a read that was taken and is not confirmed.
    pub fn fate(&self) -> Option<String> {
        let lease = self.lease.as_ref()?;
        let left = human_seconds(lease.expires_at.saturating_sub(unix_now()));
        Some(if lease.is_kept() {
            format!("the read is yours for {left} more: fpaste get again goes on with it")
        } else {
            format!("the read could not be noted, and is lost in {left}")
        })
    }
}

/// The request for what is known of a paste.
pub fn metadata_call<'a>(target: &Target, located: &'a Located) -> Call<'a> {
    Call {
        headers: vec![("Accept", Zeroizing::new("application/json".into()))],
        ..Call::new(Method::GET, &located.server, format!("/{}", target.id), located.is_ours)
    }
}

/// A refusal, told in this program's words where the link is at fault.
fn refusal(answer: &Answer) -> Failure {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if json.get("code").and_then(Value::as_str) == Some("proof_wrong") {
        return wrong_key();
    }
    answer.refused()
}

/// The link is not that of the paste.
pub fn wrong_key() -> Failure {
    Failure::new(Exit::Decryption, "the key in the link does not belong to this paste")
        .hint("check that the link is complete; nothing was read")
}
