//! `fpaste ask`: a link for somebody who has a secret, and what they answer.
//!
//! Invariant: what reads the answer is kept before the link is shown, so that no end of this program loses it. Trouble while
//! waiting is not the end of the ask. Must never put the link, or what is kept, anywhere but where it was asked for.

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

/// The pause before the server is asked a second time; each is longer by a half.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// An ID of more characters is not shown in a message, which might take it for a key.
const MAX_SHOWN_ID_CHARS: usize = 40;
/// What to do about a server whose answers cannot be used.
const USE_ANOTHER: &str = "nobody has got the link; ask who runs the server, or use another one with -s";
/// A longer delete token is none; they are half as long.
const MAX_TOKEN_CHARS: usize = 64;

/// Asks, and waits for the answer unless that is not wanted.
///
/// # Errors
/// Every refusal, and an ask that ends without an answer.
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
        // Hours later is too late to say that there is no such folder.
        get::check_output(&reading(""), session)?;
    }
    let made = Made::ask(options, session)?;
    let id = made.asked.entry.id.clone();
    let _told = options
        .waits
        .then(|| session.interrupt.telling(format!("the ask stays open; fpaste get {} reads the answer", shown(&id))));
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
        _ => failure.add_hint(&format!("fpaste get {} tries again", shown(&id))),
    })
}

/// An ID for a message.
fn shown(id: &Id) -> &str {
    if id.as_str().len() <= MAX_SHOWN_ID_CHARS { id.as_str() } else { "ID, which fpaste list shows," }
}

/// An ask that a server has taken, and that is kept.
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
            return Err(Failure::new(Exit::Other, "this server cannot be used to ask for a secret: it may be older")
                .hint("ask who runs it, or use another server with -s"));
        }
        let answer = answer.expect(201)?;
        let created = Created::read(&answer, server)?;
        let lifetime = lifetime(&answer, &created.json);
        let entry = entry_of(&created, options, lifetime, session);
        if lifetime == 0 || !(1..=MAX_TOKEN_CHARS).contains(&entry.delete_token.len()) {
            let what = if lifetime == 0 { "when the ask ends" } else { "what deletes the ask" };
            let failure = withdraw(&entry, &format!("the server does not say {what}"), session);
            return Err(failure.hint(USE_ANOTHER));
        }
        let asked = Asked::new(entry, keys, token);
        asked.keep(session).map_err(|error| {
            let make_room = "nobody has got the link; make room in the state folder and ask again";
            withdraw(&asked.entry, &format!("what reads the answer could not be kept: {error}"), session)
                .hint(if error.kind() == io::ErrorKind::InvalidData { USE_ANOTHER } else { make_room })
        })?;
        warn_of_another_end(options, lifetime, session);
        if let Some(host) = created.other_host.as_ref().filter(|_| options.form != Form::Id) {
            session.ui.note(&format!("the link names another server: {host}"));
        }
        let fragment = Zeroizing::new(format!("#{}", ask.fragment().as_str()));
        let link = Zeroizing::new([&created.link, fragment.as_str()].concat());
        let mut json = created.json;
        if let Some(fields) = json.as_object_mut() {
            fields.remove("delete_token");
        }
        Ok(Self { asked, link, fragment, json })
    }

    /// Shows the link where the answer is going to be printed elsewhere.
    fn say_link(&self, session: &Session<'_>) {
        let text = format!("fpaste: send this link to whoever has the secret:\n{}\n", self.link.as_str());
        session.ui.print(&Zeroizing::new(text));
        let left = human_seconds(self.asked.entry.expires_at.saturating_sub(unix_now()));
        session.ui.note(&format!("waiting for the answer; Ctrl-C leaves the ask open, for {left}"));
    }

    /// Prints the link as the result it is.
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
                "send it to whoever has the secret, within {left}; fpaste get {} reads the answer",
                shown(id)
            ));
        }
        Ok(())
    }
}

/// How long it is open, by the server's two times, so that its clock may be wrong.
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

/// Deletes an ask again that nobody gets to see.
fn withdraw(entry: &Entry, why: &str, session: &Session<'_>) -> Failure {
    let call = of_entry(Method::DELETE, entry, format!("/{}", entry.id));
    let outcome = match session.transport.send(&call).and_then(|answer| answer.expect(200)) {
        Ok(_) => "the ask was deleted again".to_owned(),
        Err(failure) => format!("the ask could not be deleted ({}), and ends by itself", failure.message),
    };
    Failure::new(Exit::Other, format!("{why}; {outcome}"))
}

fn warn_of_another_end(options: &Ask, lifetime: u64, session: &Session<'_>) {
    let Some(wished) = options.expiry_seconds.filter(|wished| lifetime.abs_diff(*wished) > EXPIRY_SLACK_SECONDS) else {
        return;
    };
    let (wished, got) = (human_seconds(wished), human_seconds(lifetime));
    session.ui.warning(&format!("the ask is open for {got}, as this server has it, and not for {wished}"));
}

/// Waits until there is an answer. Trouble is said once, until it is over.
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
                session.ui.warning(&format!("{}; still waiting, and trying again", failure.message));
                is_told = true;
            }
            Err(failure) => session.ui.trace(|| failure.message),
        }
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(MAX_PAUSE);
    }
}

/// How the ask is. Only a flaskpaste server that says so means that it is gone: a proxy may answer 404 for one that is down.
fn look(target: &Target, located: &Located, session: &Session<'_>) -> Result<AskState, Failure> {
    let other = |message: &str| Failure::new(Exit::Other, message);
    let answer = session.transport.send(&metadata_call(target, located))?;
    if answer.is_not_found() {
        return Err(Failure::new(
            Exit::NotFound,
            "the ask has ended: it has expired, was deleted, or is read elsewhere",
        )
        .hint("ask again, and send the new link"));
    }
    match well_formed(answer, &target.id) {
        Ok(json) => ask_state(&json).ok_or_else(|| other("the server does not say how the ask is")),
        Err(failure) => Err(other(&failure.message)),
    }
}
