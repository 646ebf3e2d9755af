//! `fpaste extend`: changes the expiry of a paste that the user created.
//!
//! Invariant: a token is sent only to the server that issued it. Must never report a later expiry than the server does.

use super::command::Link;
use super::delete::{no_token, shows_nothing, wants_proof};
use super::failure::Failure;
use super::history::Entry;
use super::link::Target;
use super::maker::by_maker;
use super::transport::Call;
use super::ui::write_stdout;
use super::{Located, Session, asks};
use crate::clock::{rfc3339, unix_now};
use crate::text::human_seconds;
use serde_json::Value;
use ureq::http::Method;
use zeroize::Zeroizing;

/// Changes the expiry of a paste.
///
/// # Errors
/// When the server refuses, or this machine has no proof of ownership.
pub fn run(link: &Link, seconds: u64, session: &Session<'_>) -> Result<(), Failure> {
    let target = Target::parse(&link.0)?;
    let located = session.locate(&target, &session.known());
    let mut call = by_maker(Method::PATCH, &located, format!("/{}", target.id));
    call.headers.push(("X-Expiry", Zeroizing::new(seconds.to_string())));
    let answer = session.transport.send(&call)?;
    let is_stranger = located.entry.is_none() && !(call.is_ours && session.settings.says_who_we_are());
    if is_stranger && wants_proof(&answer) {
        return Err(no_token(session));
    }
    let json = answer.expect(200)?.json()?;
    let number = |name: &str| json.get(name).and_then(Value::as_u64);
    let expires_at = number("expires_at").unwrap_or(0);
    // By the local clock, as in the history: the server's may differ.
    let lifetime = expires_at.saturating_sub(unix_now());
    note(&located, session, |entry| (entry.expires_at, entry.slides) = (unix_now().saturating_add(lifetime), false));
    if lifetime.saturating_add(60) < seconds {
        let (asked, got) = (human_seconds(seconds), human_seconds(lifetime));
        session.ui.warning(&format!("it expires in {got}, the maximum of this server, instead of {asked}"));
    }
    write_stdout(format!("{} expires at {}\n", target.id, rfc3339(expires_at)).as_bytes())
}

/// Updates the history entry of a paste, if there is one.
pub fn note(located: &Located, session: &Session<'_>, change: impl Fn(&mut Entry)) {
    let Some(entry) = &located.entry else { return };
    let noted = asks::change(session, entry, &change);
    if let Err(error) = noted.and_then(|()| session.history.change(&entry.server, &entry.id, change)) {
        session.ui.warning(&format!("cannot update the history: {error}"));
    }
}

/// Refuses, before anything is read or sent, a request without proof of ownership.
///
/// # Errors
/// When this machine has no token for the paste.
pub fn expect_maker(call: &Call<'_>, session: &Session<'_>) -> Result<(), Failure> {
    if shows_nothing(call, session) { Err(no_token(session)) } else { Ok(()) }
}
