//! `fpaste delete`: deletes pastes with the delete token from the history, or as the owner.
//!
//! Invariant: every target is tried, and the first failure decides the exit code. A token is sent only to the server
//! that issued it.

use super::command::Link;
use super::failure::{Exit, Failure};
use super::history::Entry;
use super::link::Target;
use super::maker::by_maker;
use super::transport::{Answer, Call};
use super::ui::write_stdout;
use super::{Session, asks};
use crate::clock::unix_now;
use ureq::http::Method;

/// Deletes pastes.
///
/// # Errors
/// The first refusal; the others are printed as they occur.
pub fn run(targets: &[Link], session: &Session<'_>) -> Result<(), Failure> {
    // Parse all of them before deleting any: a typo must not leave the work half done.
    let several = targets.len() > 1;
    let numbered = |(number, link): (usize, &Link)| {
        Target::parse(&link.0).map_err(|failure| {
            let message = if several { format!("argument {number}: {}", failure.message) } else { failure.message };
            Failure { message, ..failure }
        })
    };
    let targets: Vec<Target> = (1..).zip(targets).map(numbered).collect::<Result<_, _>>()?;
    let known = session.known();
    let mut first_failure = None;
    for target in &targets {
        if let Err(failure) = delete(target, &known, session) {
            match &first_failure {
                None => first_failure = Some(failure),
                Some(_) => session.ui.failure(&failure),
            }
        }
    }
    first_failure.map_or(Ok(()), Err)
}

fn delete(target: &Target, known: &[Entry], session: &Session<'_>) -> Result<(), Failure> {
    let located = session.locate(target, known);
    let call = by_maker(Method::DELETE, &located, format!("/{}", target.id));
    let answer = session.transport.send(&call)?;
    let ask = located.entry.as_ref().filter(|entry| entry.is_ask && answer.is_not_found());
    let outcome =
        if shows_nothing(&call, session) && wants_proof(&answer) { Err(no_token(session)) } else { answer.expect(200) };
    let outcome = outcome.map_err(|failure| ask.and_then(|entry| asks::over(session, entry)).unwrap_or(failure));
    let has_ended = located.entry.as_ref().is_some_and(|entry| entry.ended_at.is_some());
    let outcome = outcome.map_err(|failure| match failure.exit {
        Exit::NotFound if has_ended => {
            failure.hint("it was already deleted or read for the last time on this machine; see fpaste status")
        }
        _ => failure,
    });
    let is_gone = matches!(&outcome, Err(failure) if failure.exit == Exit::NotFound);
    if let Some(entry) = located.entry.as_ref().filter(|_| is_gone || outcome.is_ok())
        && let Err(error) = session.history.remove(&entry.server, &entry.id)
    {
        session.ui.warning(&format!("cannot update the history: {error}"));
    }
    if let Some(entry) = located.entry.as_ref().filter(|_| outcome.is_ok()) {
        asks::end(session, entry, Some(unix_now()));
    }
    let named = |failure: Failure| Failure { message: format!("{}: {}", target.id, failure.message), ..failure };
    outcome.map_err(named)?;
    write_stdout(format!("deleted {}\n", target.id).as_bytes())
}

/// Whether the request carries no proof of ownership.
pub fn shows_nothing(call: &Call<'_>, session: &Session<'_>) -> bool {
    call.headers.is_empty() && !(call.is_ours && session.settings.says_who_we_are())
}

/// Whether the server asks for proof of ownership; it does so whether or not the paste exists.
pub fn wants_proof(answer: &Answer) -> bool {
    answer.status == 401 && answer.json().is_ok_and(|json| json.get("code").is_some_and(|code| code == "auth_required"))
}

/// The failure if this machine has no proof of ownership.
pub fn no_token(session: &Session<'_>) -> Failure {
    if !session.settings.history {
        return Failure::new(Exit::Denied, "no delete token for this paste: the history is off")
            .hint("use the owner's certificate or token, or the machine that created it");
    }
    Failure::new(Exit::Denied, "no delete token for this paste in the history")
        .hint("it was created on another machine or ended over a month ago; fpaste list --status shows this machine's")
}
