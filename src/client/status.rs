//! `fpaste status`: whether a paste was read, and how it ended, as its server tells whoever made it.
//!
//! Invariant: a token goes to the server it came from alone. Must never show one.

use super::Session;
use super::command::Link;
use super::delete::{no_token, shows_nothing, wants_proof};
use super::failure::Failure;
use super::fetch::well_formed;
use super::history::Entry;
use super::link::Target;
use super::maker::of_entry;
use super::transport::{Answer, Call};
use super::ui::{write_json, write_table};
use crate::clock::rfc3339;
use serde_json::Value;
use ureq::http::Method;

/// Shows how a paste is, or was.
///
/// # Errors
/// Refusals; when this machine has not made the paste.
pub fn run(link: &Link, json: bool, session: &Session<'_>) -> Result<(), Failure> {
    let target = Target::parse(&link.0)?;
    let located = session.locate(&target, &session.known());
    // A link may name another server than the one that made the paste: that does not get the token.
    let status = if let Some(entry) = &located.entry {
        ask(entry, session)?
    } else {
        let call = Call::new(Method::GET, &located.server, format!("/{}/status", target.id), located.is_ours);
        let answer = session.transport.send(&call)?;
        if shows_nothing(&call, session) && wants_proof(&answer) {
            return Err(no_token(session));
        }
        answer.expect(200)?.json()?
    };
    if json {
        return write_json(&status);
    }
    let is_ask = located.entry.as_ref().is_some_and(|entry| entry.is_ask);
    let number = |name: &str| status.get(name).and_then(Value::as_u64);
    let mut lines = vec![("id", target.id.to_string()), ("state", state(&status, is_ask).to_owned())];
    lines.extend(number("reads").map(|reads| ("reads", reads.to_string())));
    lines.extend(number("reads_left").map(|left| ("left", left.to_string())));
    for (name, label) in
        [("first_read_at", "first"), ("last_read_at", "last"), ("expires_at", "expires"), ("ended_at", "ended")]
    {
        lines.extend(number(name).map(|at| (label, rfc3339(at))));
    }
    write_table(&lines)
}

/// What the server that made a paste says of it.
///
/// # Errors
/// Refusals.
pub fn ask(entry: &Entry, session: &Session<'_>) -> Result<Value, Failure> {
    send(entry, session)?.expect(200)?.json()
}

fn send(entry: &Entry, session: &Session<'_>) -> Result<Answer, Failure> {
    session.transport.send(&of_entry(Method::GET, entry, format!("/{}/status", entry.id)))
}

/// The word for how it ended, `gone` if its server knows nothing of it; `None` if it is there, or a flaskpaste server cannot be
/// asked.
pub fn ending(entry: &Entry, session: &Session<'_>) -> Option<&'static str> {
    let answer = send(entry, session).ok()?;
    if answer.is_not_found() {
        return Some("gone");
    }
    let state = state(&well_formed(answer, &entry.id).ok()?, entry.is_ask);
    ["read", "expired", "deleted", "removed"].into_iter().find(|ending| *ending == state)
}

/// The one word for it, of those there are. What is unread of an ask is its answer.
pub fn state(status: &Value, is_ask: bool) -> &'static str {
    let told = status.get("state").and_then(Value::as_str).unwrap_or_default();
    let known = ["asked", "unread", "read", "leased", "expired", "deleted", "removed"];
    match known.into_iter().find(|state| *state == told) {
        Some("unread") if is_ask => "answered",
        state => state.unwrap_or("unknown"),
    }
}
