//! `fpaste delete`: with the history's delete token, or as the owner.
//!
//! Invariant: every target is tried, and the first failure decides the exit code. A token goes to the server it came
//! from alone.

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
/// The first refusal; the others are shown as they come.
pub fn run(targets: &[Link], session: &Session<'_>) -> Result<(), Failure> {
    // All are looked at before any is deleted: a slip of the pen should not cost half of them.
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
        Exit::NotFound if has_ended => failure.hint(
            "this machine has deleted it already, or read it for the last time; fpaste status tells how it ended",
        ),
        _ => failure,
    });
    let is_gone = matches!(&outcome, Err(failure) if failure.exit == Exit::NotFound);
    if let Some(entry) = located.entry.as_ref().filter(|_| is_gone || outcome.is_ok())
        && let Err(error) = session.history.remove(&entry.server, &entry.id)
    {
        session.ui.warning(&format!("the history could not be updated: {error}"));
    }
    if let Some(entry) = located.entry.as_ref().filter(|_| outcome.is_ok()) {
        asks::end(session, entry, Some(unix_now()));
    }
    let named = |failure: Failure| Failure { message: format!("{}: {}", target.id, failure.message), ..failure };
    outcome.map_err(named)?;
    write_stdout(format!("deleted {}\n", target.id).as_bytes())
}

/// Whether nothing that goes along says whose the paste is.
pub fn shows_nothing(call: &Call<'_>, session: &Session<'_>) -> bool {
    call.headers.is_empty() && !(call.is_ours && session.settings.says_who_we_are())
}

/// Whether a server that was shown nothing asks for something; it does not tell whether there is such a paste.
pub fn wants_proof(answer: &Answer) -> bool {
    answer.status == 401 && answer.json().is_ok_and(|json| json.get("code").is_some_and(|code| code == "auth_required"))
}

/// This machine cannot say that the paste is its own.
pub fn no_token(session: &Session<'_>) -> Failure {
    if !session.settings.history {
        return Failure::new(Exit::Denied, "the history is switched off, so there is no delete token for this paste")
            .hint("use its owner's certificate or token, or the machine whose history has the token");
    }
    Failure::new(Exit::Denied, "this machine's history has no delete token for this paste")
        .hint(
            "it was made on another machine, or has been gone for more than a month; fpaste list --status shows what this one made",
        )
}
