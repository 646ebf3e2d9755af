//! Fetches a paste: its metadata, its keys, and its content, under a lease if its reads are limited.
//!
//! Invariant: proofs are derived from the link and the password and go only to the paste's own server. A read of a
//! limited paste is confirmed only after its content was delivered. Must never take a read without the key to decrypt
//! it, nor send the password of a sealed paste, whatever the server claims.

use super::asks::{self, Asked};
use super::command::{Get, PasswordSource};
use super::failure::{Exit, Failure};
use super::history::Entry;
use super::leases::{self, Held};
use super::link::Target;
use super::plaintext::pauses;
use super::transport::{Answer, Call, Content, Opened, not_flaskpaste};
use super::{Located, Session, password};
use crate::clock::{UnixSeconds, parse_http_date, unix_now};
use crate::paste::Id;
use crate::sealed::{self, ANSWER_HEAD_BYTES, Secrets};
use crate::text::human_seconds;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::io::{self, Read};
use std::time::Duration;
use ureq::http::Method;
use zeroize::Zeroizing;

/// The pauses between attempts to confirm a read.
const CONFIRMATION_PAUSES: [Duration; 3] = [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(2)];
/// The most bytes a listing fetches: the chunks of the largest manifest.
const LISTED_BYTES: usize =
    sealed::HEAD_BYTES + (sealed::MAX_MANIFEST_BYTES / sealed::CHUNK_BYTES + 1) * sealed::SEALED_CHUNK_BYTES;
/// The header of content that was deleted by this read.
pub const BURNED: &str = "X-Burn-After-Read";
/// The hint if it is unknown whether the server has taken a read.
const MAY_BE_TAKEN: &str = "the server may have counted this read, which ends by itself after about ten minutes";

/// The server's description of a paste.
#[derive(Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the server's answer")]
pub struct Facts {
    /// Whether its reads are limited.
    pub is_limited: bool,
    /// The reads left, including ours.
    pub reads: Option<u64>,
    /// The reads left after ours, once it is taken.
    pub reads_left: Option<u64>,
    /// Whether it is deleted after the first read.
    pub burns: bool,
    /// When it expires.
    pub expires_at: Option<u64>,
    is_binary: bool,
    has_gate: bool,
    has_password: bool,
    has_password_proof: bool,
    /// Its state, if it is an ask.
    ask: Option<AskState>,
}

/// How an ask is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AskState {
    /// Not answered yet.
    Asked,
    /// Answered.
    Answered,
}

/// The state of an ask; `None` for a paste.
pub fn ask_state(paste: &Value) -> Option<AskState> {
    match paste.get("state")?.as_str()? {
        "asked" => Some(AskState::Asked),
        "answered" => Some(AskState::Answered),
        _ => None,
    }
}

impl Facts {
    /// The facts of saved content that is no longer on any server.
    pub fn kept() -> Self {
        Self { is_limited: true, ..Self::default() }
    }

    /// Whether our read is the last one.
    pub fn is_last_read(&self) -> bool {
        self.burns || self.reads_left.or(self.reads.map(|reads| reads.saturating_sub(1))) == Some(0)
    }

    fn of(paste: &Value) -> Self {
        if let Some(state) = ask_state(paste) {
            let reads = Some(1);
            return Self { is_limited: true, reads, burns: true, has_gate: true, ask: Some(state), ..Self::default() };
        }
        let flag = |name: &str| paste.get(name).and_then(Value::as_bool) == Some(true);
        let number = |name: &str| paste.get(name).and_then(Value::as_u64);
        Self {
            is_limited: number("reads_left").is_some() || flag("burn_after_read"),
            reads: number("reads_left"),
            reads_left: None,
            burns: flag("burn_after_read"),
            expires_at: number("expires_at"),
            is_binary: paste.get("mime_type").and_then(Value::as_str) == Some("application/octet-stream"),
            has_gate: flag("proof_required"),
            has_password: flag("password_protected"),
            has_password_proof: flag("password_proof"),
            ask: None,
        }
    }

    /// Adds our own read to the number that the server reports as left.
    fn count(&mut self, reads_left: Option<u64>) {
        self.reads_left = reads_left;
        self.reads = self.reads.max(reads_left.map(|left| left.saturating_add(1)));
    }
}

/// The outcome of a confirmation.
pub enum Confirmed {
    /// The read has ended.
    Ended,
    /// It failed; the read ends by itself at this time.
    Later(UnixSeconds),
}

/// A paste to be read.
pub struct Fetch<'a> {
    session: &'a Session<'a>,
    target: &'a Target,
    located: &'a Located,
    /// Its description by the server.
    pub facts: Facts,
    /// Its keys, if the link has one.
    pub secrets: Option<Secrets>,
    headers: Vec<password::Header>,
    lease: Option<Held>,
    /// Our ask, if it is an answer to one.
    asked: Option<Asked>,
}

impl<'a> Fetch<'a> {
    /// Fetches the metadata, and asks for the password if it is one that the server never sees.
    ///
    /// # Errors
    /// When the server refuses, or a read without the key would be wasted.
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
            asked: located.entry.as_ref().and_then(|entry| asks::find(session, entry)),
        };
        let found = fetch.find_facts().and_then(|()| fetch.expect_answer());
        match found.and_then(|()| fetch.expect_key(options)).and_then(|()| fetch.unlock(options)) {
            Ok(()) => Ok(fetch),
            Err(failure) => Err(fetch.not_delivered(failure)),
        }
    }

    /// Fetches the metadata. The lease is sent only after a 404: a paste whose last read is leased to us is hidden from
    /// everyone else.
    fn find_facts(&mut self) -> Result<(), Failure> {
        let transport = &self.session.transport;
        let mut answer = transport.send(&metadata_call(self.target, self.located))?;
        if let Some(lease) = self.lease.as_ref().filter(|_| answer.status == 404) {
            let mut call = metadata_call(self.target, self.located);
            call.headers.push(("X-Lease", lease.secret.clone()));
            answer = transport.send(&call)?;
            self.forget_if_ended(&answer);
        }
        let is_gone = answer.is_not_found();
        if let Some(entry) = self.entry().filter(|entry| is_gone && entry.is_ask)
            && let Some(over) = asks::over(self.session, entry)
        {
            return Err(over);
        }
        let paste = well_formed(answer, &self.target.id).map_err(|failure| {
            match leases::elsewhere(self.session, &self.target.id).filter(|_| is_gone && self.lease.is_none()) {
                Some(server) => failure.hint(format!("you have started reading it under {server}; use that address")),
                None => failure,
            }
        })?;
        self.facts = Facts::of(&paste);
        self.lease.take_if(|_| !self.facts.is_limited);
        if self.lease.is_some() {
            self.facts.count(self.facts.reads);
            self.session.ui.note("resuming an earlier read of this paste");
        }
        Ok(())
    }

    /// Forgets a lease that the flaskpaste server no longer knows.
    fn forget_if_ended(&mut self, answer: &Answer) {
        if let Some(lease) = self.lease.take_if(|_| answer.is_not_found()) {
            lease.forget();
        }
    }

    /// Takes a lease if reads are limited and the server supports leases.
    ///
    /// # Errors
    /// Refusals.
    pub fn take(&mut self, options: &Get) -> Result<(), Failure> {
        if self.facts.is_limited && self.lease.is_none() {
            self.lease = self.take_lease(options)?;
        }
        Ok(())
    }

    /// Checks that an ask was created here and has been answered, and that nothing else claims to be one.
    fn expect_answer(&self) -> Result<(), Failure> {
        match (&self.asked, self.facts.ask) {
            (None, None) if self.target.ask.is_none() => Ok(()),
            (None, _) => Err(not_asked_here()),
            (Some(_), None) => Err(not_flaskpaste()),
            (Some(_), Some(AskState::Asked)) => {
                Err(Failure::new(Exit::NotFound, "this request has not been answered yet")
                    .hint("the link still accepts an answer; try again later"))
            }
            (Some(_), Some(AskState::Answered)) => Ok(()),
        }
    }

    /// Refuses to read encrypted content without its key.
    fn expect_key(&self, options: &Get) -> Result<(), Failure> {
        if self.target.key.is_some() || self.asked.is_some() {
            return Ok(());
        }
        let whole_link = "use the full link, including the part after the #";
        if self.facts.has_gate {
            return Err(Failure::usage("the link has no key, which this paste requires").hint(whole_link));
        }
        if self.is_ours_and_encrypted() && options.password != PasswordSource::None && !options.first_format {
            return Err(Failure::usage("this paste is encrypted, and its password must not be sent to the server")
                .hint(format!("{whole_link}; if the paste has format 1, use fpaste get --format 1 -p")));
        }
        if self.facts.is_limited && self.facts.is_binary && !options.force {
            return Err(Failure::usage("this paste is encrypted and its reads are limited, but the link has no key")
                .hint(format!("{whole_link}, or --force to read the ciphertext")));
        }
        Ok(())
    }

    /// Derives the keys, and the proofs for the server.
    fn unlock(&mut self, options: &Get) -> Result<(), Failure> {
        if let Some(asked) = &self.asked {
            // The keys depend on the header of the answer.
            self.headers.push(asked.read_proof());
            return Ok(());
        }
        let Some(key) = &self.target.key else { return Ok(()) };
        if options.first_format && self.facts.has_gate {
            return Err(Failure::usage("this paste is sealed, not of format 1").hint("leave out --format 1"));
        }
        if self.facts.has_password && !self.facts.has_gate && !self.takes_server_password(options) {
            return Err(wants_password());
        }
        let password = self.sealed_password(options)?;
        let secrets = Secrets::new(key, password.as_ref().map(|password| password.as_str()));
        if self.facts.has_gate {
            let text = |proof: &[u8]| Zeroizing::new(URL_SAFE_NO_PAD.encode(proof));
            self.headers.push(("X-Read-Proof", text(secrets.link_proof().as_slice())));
            self.headers.extend(secrets.password_proof().map(|proof| ("X-Password-Proof", text(proof.as_slice()))));
        }
        self.secrets = Some(secrets);
        Ok(())
    }

    /// Whether the password may be sent to the server. If the link has a key, only if the user or the history says so:
    /// a malicious server could claim it of any paste.
    fn takes_server_password(&self, options: &Get) -> bool {
        self.target.key.is_none() || self.is_of_first_format(options)
    }

    fn is_of_first_format(&self, options: &Get) -> bool {
        let is_known = self.located.entry.as_ref().is_some_and(|entry| entry.encrypted && entry.sealed == Some(false));
        options.first_format || is_known && !self.facts.has_gate
    }

    /// The password that the server never sees. A given one is used even if the server reports none: a proxy may have
    /// dropped the header when the paste was created.
    fn sealed_password(&self, options: &Get) -> Result<Option<Zeroizing<String>>, Failure> {
        let is_given = options.password != PasswordSource::None;
        if self.is_of_first_format(options) || !self.facts.has_password_proof && (self.facts.has_gate || !is_given) {
            return Ok(None);
        }
        if is_given {
            return password::text_for_reading(&options.password, self.session, &self.target.id);
        }
        // FPASTE_PASSWORD is not used for other servers, whatever they claim.
        if password::is_in_environment() && self.located.is_ours {
            return password::text_for_reading(&PasswordSource::Ask, self.session, &self.target.id);
        }
        if self.session.ui.is_watched() {
            return password::typed(&self.place(), self.session).map(Some);
        }
        Err(Failure::new(Exit::Denied, "this paste is protected by a password")
            .hint("use -p to enter it, or --password-file"))
    }

    /// The paste's name in a prompt; with its server if that is not ours.
    fn place(&self) -> String {
        let id = &self.target.id;
        if self.located.is_ours { format!("paste {id}") } else { format!("paste {id} of {}", self.located.server) }
    }

    /// Sends a request with the proofs. If the server requires its own password, it is taken from the environment, but
    /// for our servers only, or prompted for.
    fn ask<T>(
        &mut self,
        options: &Get,
        ask: impl Fn(&Self) -> Result<T, Failure>,
        status: impl Fn(&T) -> u16,
    ) -> Result<T, Failure> {
        let may_send = self.takes_server_password(options) && !self.facts.has_gate && self.lease.is_none();
        if self.headers.is_empty() && may_send {
            self.headers.extend(password::for_reading(&options.password, self.session, &self.target.id)?);
        }
        let answer = ask(self)?;
        if status(&answer) != 401 || options.password != PasswordSource::None || !may_send {
            return Ok(answer);
        }
        if password::is_in_environment() && self.located.is_ours {
            self.headers.extend(password::for_reading(&PasswordSource::Ask, self.session, &self.target.id)?);
        } else if self.session.ui.is_watched() {
            self.headers.push(password::typed_for_reading(&self.place(), self.session)?);
        } else {
            return Ok(answer);
        }
        drop(answer);
        ask(self)
    }

    /// Takes a lease, to be confirmed later; `None` if the server does not support leases.
    fn take_lease(&mut self, options: &Get) -> Result<Option<Held>, Failure> {
        let take = |fetch: &Self| {
            let path = format!("/{}/lease", fetch.target.id);
            fetch.session.transport.send(&fetch.call(Method::POST, path, fetch.headers.clone()))
        };
        let place = leases::Place::prepare(self.session, &self.target.id);
        let answer = self.ask(options, take, |answer| answer.status).map_err(|failure| match failure.exit {
            Exit::Network => failure.add_hint(MAY_BE_TAKEN),
            _ => failure,
        })?;
        // The paste existed a moment ago, so it is the route that is missing; else the read itself will fail.
        if matches!(answer.status, 404 | 405) && answer.json().is_ok() && self.asked.is_none() {
            return Ok(None);
        }
        if answer.status != 201 {
            return Err(self.refusal(options, &answer));
        }
        let (server_now, json) = (answer.header("Date").and_then(parse_http_date), answer.json().unwrap_or_default());
        let number = |name: &str| json.get(name).and_then(Value::as_u64);
        let lease = json.get("lease").and_then(Value::as_str).and_then(leases::as_lease);
        // Continuing without the lease would take a second read.
        let (Some(lease), Some(ends)) = (lease, number("expires_at")) else {
            return Err(Failure::new(Exit::Network, "invalid lease in the server's response").hint(MAY_BE_TAKEN));
        };
        self.facts.count(number("reads_left"));
        let ends = leases::ends_in(ends.saturating_sub(server_now.unwrap_or_else(unix_now)));
        Ok(Some(place.fill(self.session, &self.located.server, &self.target.id, lease, ends)))
    }

    /// Whether this machine created and encrypted the paste.
    pub fn is_ours_and_encrypted(&self) -> bool {
        self.located.entry.as_ref().is_some_and(|entry| entry.encrypted)
    }

    /// Its entry in the history.
    pub fn entry(&self) -> Option<&'a Entry> {
        self.located.entry.as_ref()
    }

    /// Whether the content can be fetched more than once.
    pub fn is_repeatable(&self) -> bool {
        self.lease.is_some() || !self.facts.is_limited
    }

    /// Whether a lease was taken that needs confirmation.
    pub fn is_leased(&self) -> bool {
        self.lease.is_some()
    }

    /// Opens the content and reads its header, which identifies the format. A transfer that breaks there is restarted
    /// if the content is repeatable. A listing requests no more than the largest manifest.
    ///
    /// # Errors
    /// Refusals and network failures.
    pub fn begin(&mut self, options: &Get) -> Result<(Content, Vec<u8>), Failure> {
        let lead_bytes = self.lead_bytes();
        let range = options.list.then(|| format!("bytes=0-{}", lead_bytes + LISTED_BYTES as u64 - 1));
        for pause in pauses() {
            let mut content = self.part(options, range.as_deref())?;
            if content.status == 206 && (range.is_none() || content.range().is_none_or(|(begin, _)| begin != 0)) {
                return Err(other_part());
            }
            let is_repeatable = self.is_repeatable() && content.header(BURNED).is_none();
            let mut head = Vec::new();
            match (&mut content).take(lead_bytes + sealed::HEAD_BYTES as u64).read_to_end(&mut head) {
                Ok(_) => return self.open_answer(head).map(|head| (content, head)),
                Err(_) if is_repeatable && pause.is_some() => pause.into_iter().for_each(std::thread::sleep),
                Err(error) => return Err(Failure::of(error, "the content")),
            }
        }
        Err(other_part())
    }

    /// The number of bytes before the sealed upload.
    pub fn lead_bytes(&self) -> u64 {
        if self.asked.is_some() { ANSWER_HEAD_BYTES as u64 } else { 0 }
    }

    /// Derives the keys from the header of an answer. Returns the rest. Anyone with the link may have sent anything.
    fn open_answer(&mut self, mut head: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let Some(asked) = &self.asked else { return Ok(head) };
        let (lead, upload) = head.split_first_chunk().ok_or_else(no_answer)?;
        self.secrets = Some(asked.open(lead).filter(|_| sealed::is_upload(upload)).ok_or_else(no_answer)?);
        Ok(head.split_off(ANSWER_HEAD_BYTES))
    }

    /// Opens the content or a range of it.
    fn part(&mut self, options: &Get, range: Option<&str>) -> Result<Content, Failure> {
        let read = |fetch: &Self| {
            let mut call = fetch.content_call();
            call.headers.extend(range.map(|range| ("Range", Zeroizing::new(range.to_owned()))));
            fetch.session.transport.open(&call)
        };
        let status = |opened: &Opened| match opened {
            Opened::Content(content) => content.status,
            Opened::Answer(answer) => answer.status,
        };
        match self.ask(options, read, status)? {
            Opened::Content(content) => Ok(content),
            Opened::Answer(answer) if answer.status == 404 && self.lease.is_some() && !answer.is_not_found() => {
                Err(not_flaskpaste())
            }
            Opened::Answer(answer) => {
                self.forget_if_ended(&answer);
                Err(self.refusal(options, &answer))
            }
        }
    }

    /// Reopens the content at `offset` after a broken transfer. If the server sends another range, all of it is
    /// requested once.
    ///
    /// # Errors
    /// Refusals and network failures; transient errors count as the latter.
    pub fn again(&mut self, options: &Get, offset: u64) -> Result<Box<dyn Read>, Failure> {
        let offset = offset + self.lead_bytes();
        self.session.ui.trace(|| format!("the transfer broke; resuming at byte {offset}"));
        let in_between = |failure: Failure| match failure.exit {
            Exit::Other => Failure { exit: Exit::Network, ..failure },
            _ => failure,
        };
        let mut content = self.part(options, Some(&format!("bytes={offset}-"))).map_err(in_between)?;
        if content.status == 206 {
            if content.range().is_some_and(|(begin, _)| begin == offset) {
                return Ok(Box::new(content));
            }
            content = self.part(options, None).map_err(in_between)?;
        }
        if content.status == 206 {
            return Err(other_part());
        }
        // The server or a proxy does not support ranges.
        let skipped = io::copy(&mut (&mut content).take(offset), &mut io::sink());
        skipped.map_err(|error| Failure::of(error, "the content"))?;
        Ok(Box::new(content))
    }

    /// The size limit of content that must fit in memory.
    pub fn limit_of(&self, content: &Content) -> u64 {
        self.session.transport.limit_of(content, &self.content_call())
    }

    fn content_call(&self) -> Call<'_> {
        let headers = match &self.lease {
            Some(lease) => vec![("X-Lease", lease.secret.clone())],
            None => self.headers.clone(),
        };
        self.call(Method::GET, format!("/{}/raw", self.target.id), headers)
    }

    fn call(&self, method: Method, path: String, headers: Vec<password::Header>) -> Call<'_> {
        Call { headers, ..Call::new(method, &self.located.server, path, self.located.is_ours) }
    }

    /// Confirms the lease after delivery. `None` if there is none.
    pub fn confirm(&mut self) -> Option<Confirmed> {
        let lease = self.lease.take()?;
        for pause in CONFIRMATION_PAUSES.map(Some).into_iter().chain([None]) {
            let headers = vec![("X-Lease", lease.secret.clone())];
            let outcome =
                self.session.transport.send(&self.call(Method::DELETE, format!("/{}", self.target.id), headers));
            // A lease that has already ended counts, too.
            if outcome.as_ref().is_ok_and(|answer| answer.status == 200 || answer.is_not_found()) {
                lease.forget();
                return Some(Confirmed::Ended);
            }
            self.session.ui.trace(|| match outcome {
                Ok(answer) => format!("cannot confirm the read: status {}", answer.status),
                Err(failure) => format!("cannot confirm the read: {}", failure.message),
            });
            pause.into_iter().for_each(std::thread::sleep);
        }
        Some(Confirmed::Later(lease.expires_at))
    }

    /// Whether the server still has the paste after its last read was confirmed.
    pub fn is_still_there(&self) -> bool {
        let answer = self.session.transport.send(&metadata_call(self.target, self.located));
        answer.is_ok_and(|answer| well_formed(answer, &self.target.id).is_ok())
    }

    /// Explains a refusal, with specific messages for a wrong link or password.
    fn refusal(&self, options: &Get, answer: &Answer) -> Failure {
        match answer.code().as_deref() {
            Some("proof_wrong") if self.asked.is_some() => answer.refused(),
            Some("proof_wrong") => wrong_key(),
            _ if answer.status == 401 && !self.takes_server_password(options) => wants_password(),
            _ => answer.refused(),
        }
    }

    /// Whether it is an answer to an ask of ours.
    pub fn is_answer(&self) -> bool {
        self.asked.is_some()
    }

    /// Adds to a delivery failure that the next run may resume the read.
    pub fn not_delivered(&self, failure: Failure) -> Failure {
        // The link cannot be wrong: it has no key.
        if self.asked.is_some() && failure.exit == Exit::Decryption {
            return no_answer();
        }
        match self.fate() {
            Some(fate) => failure.add_hint(&fate),
            None => failure,
        }
    }

    /// What happens to a lease that was not confirmed.
    pub fn fate(&self) -> Option<String> {
        let lease = self.lease.as_ref()?;
        let left = human_seconds(lease.expires_at.saturating_sub(unix_now()));
        if !lease.is_kept() {
            return Some(format!("the read could not be saved and expires in {left}"));
        }
        let then = match (self.is_answer(), self.facts.is_last_read()) {
            (true, _) => "the answer is gone",
            (false, true) => "the paste is gone",
            (false, false) => "the read is used up",
        };
        Some(format!("run fpaste get again within {left} to resume this read; after that, {then}"))
    }
}

/// The request for a paste's metadata.
pub fn metadata_call<'a>(target: &Target, located: &'a Located) -> Call<'a> {
    Call {
        headers: vec![("Accept", Zeroizing::new("application/json".into()))],
        ..Call::new(Method::GET, &located.server, format!("/{}", target.id), located.is_ours)
    }
}

/// The metadata from a flaskpaste server. Anything else is an error: a proxy's page must not hide that reads are
/// limited.
pub fn well_formed(answer: Answer, id: &Id) -> Result<Value, Failure> {
    let paste = answer.expect(200)?.json()?;
    let named = paste.get("id").and_then(Value::as_str).and_then(|named| named.parse::<Id>().ok());
    if named.as_ref() == Some(id) { Ok(paste) } else { Err(not_flaskpaste()) }
}

/// The server asks for a password that it must never see.
fn wants_password() -> Failure {
    Failure::new(Exit::Denied, "the server asks for the password, but must never see that of a sealed paste")
        .hint("if the paste has format 1, use fpaste get --format 1 -p")
}

/// The failure for an ask that was not created here.
pub fn not_asked_here() -> Failure {
    Failure::usage(
        "this link asks for a secret; its answer can only be read on the machine that created it, and only once",
    )
    .hint("to answer it, use fpaste answer 'LINK' FILE")
}

/// The answer was not encrypted for this ask.
fn no_answer() -> Failure {
    Failure::new(Exit::Decryption, "cannot decrypt the answer: it was not encrypted for this request, or is damaged")
        .hint("ask again, and send the new link")
}

/// The server sent the wrong range.
fn other_part() -> Failure {
    Failure::new(Exit::Network, "the server sent the wrong range").hint("try again")
}

/// The link has the wrong key.
pub fn wrong_key() -> Failure {
    Failure::new(Exit::Decryption, "wrong key: the link does not match this paste")
        .hint("check that the link is complete; nothing was read")
}

/// The password or the key is wrong: the two cannot be told apart.
pub fn wrong_password() -> Failure {
    Failure::new(Exit::Denied, "wrong password")
        .hint("check the password and that the link is complete; nothing was written")
}
