//! `fpaste ask`: makes a link that asks someone for a secret, and waits for the answer.
//!
//! Invariant: the keys to the answer are on disk before the link is shown, so a crash cannot lose them. A network error
//! while waiting does not end the ask. Must never write the link or the keys anywhere else.

use super::asks::{self, Asked};
use super::command::{Ask, Form, Get, Link, PasswordSource};
use super::failure::{Exit, Failure};
use super::fetch::{AskState, ask_state, metadata_call, well_formed};
use super::history::Entry;
use super::link::Target;
use super::maker::of_entry;
use super::transport::{Answer, Call};
use super::ui::{json_text, write_line};
use super::upload::{Created, EXPIRY_SLACK_SECONDS};
use super::{Located, Session, challenge, get, share};
use crate::clock::{parse_http_date, unix_now};
use crate::crypto;
use crate::paste::Id;
use crate::sealed::{self, KeyPair};
use crate::text::human_seconds;
use serde_json::Value;
use std::io;
use std::thread;
use std::time::Duration;
use ureq::http::Method;
use zeroize::Zeroizing;

/// The first pause between polls; each one is 1.5 times as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Longer IDs are not shown in messages: they might be mistaken for keys.
const MAX_SHOWN_ID_CHARS: usize = 40;
/// The hint for a server whose responses cannot be used.
const USE_ANOTHER: &str = "the link was not shown; use another server with -s";
/// Longer delete tokens are invalid; real ones are half as long.
const MAX_TOKEN_CHARS: usize = 64;

/// Creates an ask and waits for the answer, unless told not to wait.
///
/// # Errors
/// When the server refuses, or the ask ends without an answer.
pub fn run(options: &Ask, session: &Session<'_>) -> Result<(), Failure> {
    asks::prepare(session)?;
    let reading = |id: &str| Get {
        target: Link(Zeroizing::new(id.to_owned())),
        from: None,
        force: options.force,
        list: false,
        meta: false,
        json: false,
        first_format: false,
        output: options.output.clone(),
        password: PasswordSource::None,
    };
    if options.waits {
        // A missing output folder must be reported now, not when the answer comes.
        get::check_output(&reading(""), session)?;
    }
    let made = Made::ask(options, session)?;
    let id = made.asked.entry.id.clone();
    let _told = options.waits.then(|| {
        session.interrupt.telling(format!("the request stays open; read the answer with fpaste get {}", shown(&id)))
    });
    if options.waits {
        made.say_link(session);
    } else {
        made.print_link(options, session)?;
    }
    if options.qr {
        share::draw_qr(session, &made.link);
    }
    if options.clipboard {
        share::copy(session, &made.link);
    }
    if !options.waits {
        return Ok(());
    }
    wait(&made.asked.entry, session)?;
    get::run(&reading(id.as_str()), session).map_err(|failure| match failure.exit {
        Exit::NotFound | Exit::Decryption => failure,
        // A read that was taken says itself how to resume it.
        _ if failure.hint.as_ref().is_some_and(|hint| hint.contains("fpaste get")) => failure,
        _ => failure.add_hint(&format!("try again with fpaste get {}", shown(&id))),
    })
}

/// An ID as shown in messages.
fn shown(id: &Id) -> &str {
    if id.as_str().len() <= MAX_SHOWN_ID_CHARS { id.as_str() } else { "ID (see fpaste list)" }
}

/// An ask that the server has accepted and that is saved here.
struct Made {
    asked: Asked,
    link: Zeroizing<String>,
    fragment: Zeroizing<String>,
    /// The server's answer, without the delete token.
    json: Value,
}

impl Made {
    fn ask(options: &Ask, session: &Session<'_>) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new(Exit::Other, error.to_string());
        let keys = KeyPair::random().map_err(failed)?;
        let ask = sealed::Ask::new(&keys, options.label.clone()).map_err(failed)?;
        let token = crypto::random().map(Zeroizing::new).map_err(failed)?;
        let hash = |proof: &[u8]| Zeroizing::new(crypto::hex(&crypto::sha256(proof)));
        let mut headers = vec![
            ("Accept", Zeroizing::new("application/json".to_owned())),
            ("X-Read-Proof-SHA256", hash(token.as_slice())),
            ("X-Answer-Proof-SHA256", hash(ask.answer_proof().as_slice())),
        ];
        headers.extend(options.expiry_seconds.map(|seconds| ("X-Expiry", Zeroizing::new(seconds.to_string()))));
        headers.extend(challenge::pay(session)?);
        let server = &session.settings.server;
        let call = Call { headers, ..Call::new(Method::POST, server, "/ask", true) };
        let answer = session.transport.send(&call)?;
        if matches!(answer.code().as_deref(), Some("not_found" | "method_not_allowed" | "invalid_id")) {
            return Err(Failure::new(Exit::Other, "this server does not support asking for secrets")
                .hint("use another server with -s"));
        }
        let answer = answer.expect(201)?;
        let created = Created::read(&answer, server)?;
        let lifetime = lifetime(&answer, &created.json);
        let entry = entry_of(&created, options, lifetime, session);
        if lifetime == 0 || !(1..=MAX_TOKEN_CHARS).contains(&entry.delete_token.len()) {
            let what = if lifetime == 0 { "expires_at" } else { "a valid delete_token" };
            let failure = withdraw(&entry, &format!("the server's response lacks {what}"), session);
            return Err(failure.hint(USE_ANOTHER));
        }
        let asked = Asked::new(entry, keys, token);
        asked.keep(session).map_err(|error| {
            let make_room = "the link was not shown; free some space for the state folder and ask again";
            withdraw(&asked.entry, &format!("cannot save the keys to the answer: {error}"), session)
                .hint(if error.kind() == io::ErrorKind::InvalidData { USE_ANOTHER } else { make_room })
        })?;
        warn_of_another_end(options, lifetime, session);
        if let Some(host) = created.other_host.as_ref().filter(|_| options.form != Form::Id) {
            session.ui.note(&format!("the link points to another server: {host}"));
        }
        let fragment = Zeroizing::new(format!("#{}", ask.fragment().as_str()));
        let link = Zeroizing::new([&created.link, fragment.as_str()].concat());
        let mut json = created.json;
        if let Some(fields) = json.as_object_mut() {
            fields.remove("delete_token");
        }
        Ok(Self { asked, link, fragment, json })
    }

    /// Prints the link to stderr: stdout is for the answer.
    fn say_link(&self, session: &Session<'_>) {
        let text = format!("fpaste: send this link to the person who has the secret:\n{}\n", self.link.as_str());
        session.ui.print(&Zeroizing::new(text));
        let left = human_seconds(self.asked.entry.expires_at.saturating_sub(unix_now()));
        session.ui.note(&format!("waiting for the answer; Ctrl-C stops waiting, the request stays open for {left}"));
    }

    /// Prints the link to stdout.
    fn print_link(&self, options: &Ask, session: &Session<'_>) -> Result<(), Failure> {
        let id = &self.asked.entry.id;
        let text = match options.form {
            Form::Id => Zeroizing::new([id.as_str(), self.fragment.as_str()].concat()),
            Form::Json => {
                let mut json = self.json.clone();
                if let Some(fields) = json.as_object_mut() {
                    fields.insert("link".into(), self.link.as_str().into());
                }
                json_text(&json)
            }
            Form::Link | Form::Raw => self.link.clone(),
        };
        write_line(&text)?;
        if options.form != Form::Id {
            let left = human_seconds(self.asked.entry.expires_at.saturating_sub(unix_now()));
            session.ui.note(&format!(
                "send it to the person who has the secret; it expires in {left}; read the answer with fpaste get {}",
                shown(id)
            ));
        }
        Ok(())
    }
}

/// The ask's lifetime from the server's own timestamps, so that its clock may be off.
fn lifetime(answer: &Answer, json: &Value) -> u64 {
    let number = |name: &str| json.get(name).and_then(Value::as_u64);
    let server_now = answer.header("Date").and_then(parse_http_date).unwrap_or_else(unix_now);
    number("expires_at").unwrap_or(0).saturating_sub(number("created_at").unwrap_or(server_now))
}

fn entry_of(created: &Created, options: &Ask, lifetime: u64, session: &Session<'_>) -> Entry {
    let now = unix_now();
    Entry {
        id: created.id.clone(),
        server: session.settings.server.clone(),
        url: created.link.clone(),
        delete_token: created.delete_token().unwrap_or_default(),
        created_at: now,
        expires_at: now.saturating_add(lifetime),
        name: options.label.clone(),
        size: None,
        slides: created.is("sliding"),
        burn: false,
        reads: None,
        ended_at: None,
        password: false,
        encrypted: true,
        sealed: Some(true),
        is_ask: true,
    }
}

/// Deletes an ask whose link was not shown.
fn withdraw(entry: &Entry, why: &str, session: &Session<'_>) -> Failure {
    let call = of_entry(Method::DELETE, entry, format!("/{}", entry.id));
    let outcome = match session.transport.send(&call).and_then(|answer| answer.expect(200)) {
        Ok(_) => "the request was deleted".to_owned(),
        Err(failure) => format!("the request could not be deleted ({}) and will expire", failure.message),
    };
    Failure::new(Exit::Other, format!("{why}; {outcome}"))
}

fn warn_of_another_end(options: &Ask, lifetime: u64, session: &Session<'_>) {
    let Some(wished) = options.expiry_seconds.filter(|wished| lifetime.abs_diff(*wished) > EXPIRY_SLACK_SECONDS) else {
        return;
    };
    let (wished, got) = (human_seconds(wished), human_seconds(lifetime));
    session.ui.warning(&format!("the server changed the expiry to {got} (requested: {wished})"));
}

/// Waits for the answer. An error is reported once until a poll succeeds again.
fn wait(entry: &Entry, session: &Session<'_>) -> Result<(), Failure> {
    let target = Target { server: None, id: entry.id.clone(), key: None, ask: None };
    let located = Located { server: entry.server.clone(), is_ours: true, entry: None };
    let (mut pause, mut is_told) = (FIRST_PAUSE, false);
    loop {
        match look(&target, &located, session) {
            Ok(AskState::Answered) => return Ok(()),
            Ok(AskState::Asked) => is_told = false,
            Err(failure) if failure.exit == Exit::NotFound => {
                return Err(asks::over(session, entry).unwrap_or(failure));
            }
            Err(failure) if failure.exit == Exit::Usage => return Err(failure),
            Err(failure) if !is_told => {
                session.ui.warning(&format!("{}; still waiting, will retry", failure.message));
                is_told = true;
            }
            Err(failure) => session.ui.trace(|| failure.message),
        }
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(MAX_PAUSE);
    }
}

/// The state of the ask. A 404 counts only from a flaskpaste server: a proxy may send one while the server is down.
fn look(target: &Target, located: &Located, session: &Session<'_>) -> Result<AskState, Failure> {
    let other = |message: &str| Failure::new(Exit::Other, message);
    let answer = session.transport.send(&metadata_call(target, located))?;
    if answer.is_not_found() {
        return Err(Failure::new(
            Exit::NotFound,
            "the request has ended: it expired, was deleted, or its answer was read elsewhere",
        )
        .hint("ask again, and send the new link"));
    }
    match well_formed(answer, &target.id) {
        Ok(json) => ask_state(&json).ok_or_else(|| other("the server's response lacks the state of the request")),
        Err(failure) => Err(other(&failure.message)),
    }
}
