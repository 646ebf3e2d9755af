//! `fpaste status`: whether a paste was read, and how it ended.
//!
//! Invariant: a token is sent only to the server that issued it. Must never print one.

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

/// Shows the status of a paste.
///
/// # Errors
/// When the server refuses, or this machine has no proof of ownership.
pub fn run(link: &Link, json: bool, session: &Session<'_>) -> Result<(), Failure> {
    let target = Target::parse(&link.0)?;
    let located = session.locate(&target, &session.known());
    // The token goes to the server in the history, even if the link names another one.
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

/// Requests the status of a paste from its server.
///
/// # Errors
/// Refusals.
pub fn ask(entry: &Entry, session: &Session<'_>) -> Result<Value, Failure> {
    send(entry, session)?.expect(200)?.json()
}

fn send(entry: &Entry, session: &Session<'_>) -> Result<Answer, Failure> {
    session.transport.send(&of_entry(Method::GET, entry, format!("/{}/status", entry.id)))
}

/// How a paste ended, `gone` if its server does not know; `None` if it still exists, or no flaskpaste server responds.
pub fn ending(entry: &Entry, session: &Session<'_>) -> Option<&'static str> {
    let answer = send(entry, session).ok()?;
    if answer.is_not_found() {
        return Some("gone");
    }
    let state = state(&well_formed(answer, &entry.id).ok()?, entry.is_ask);
    ["read", "expired", "deleted", "removed"].into_iter().find(|ending| *ending == state)
}

/// The state as one of the known words. An unread ask is `answered`.
pub fn state(status: &Value, is_ask: bool) -> &'static str {
    let told = status.get("state").and_then(Value::as_str).unwrap_or_default();
    let known = ["asked", "unread", "read", "leased", "expired", "deleted", "removed"];
    match known.into_iter().find(|state| *state == told) {
        Some("unread") if is_ask => "answered",
        state => state.unwrap_or("unknown"),
    }
}
