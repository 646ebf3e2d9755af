//! `fpaste delete`: with the history's delete token, or as the owner.
//!
//! Invariant: every target is tried, and the first failure decides the exit code. A token goes to the server it came
//! from alone.

use super::Session;
use super::command::Link;
use super::failure::{Exit, Failure};
use super::history::Entry;
use super::link::Target;
use super::transport::Call;
use super::ui::write_stdout;
use ureq::http::Method;
use zeroize::Zeroizing;

/// Deletes pastes.
///
/// # Errors
/// The first refusal; the others are shown as they come.
pub fn run(targets: &[Link], session: &Session<'_>) -> Result<(), Failure> {
    // All are looked at before any is deleted: a slip of the pen should not cost half of them.
    let targets: Vec<Target> = targets.iter().map(|link| Target::parse(&link.0)).collect::<Result<_, _>>()?;
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
    // A link may name another server than the one that made the paste, whichever that server said: it does not get the token.
    let (server, is_ours) =
        located.entry.as_ref().map_or((&located.server, located.is_ours), |entry| (&entry.server, true));
    let mut call = Call::new(Method::DELETE, server, format!("/{}", target.id), is_ours);
    if let Some(entry) = &located.entry {
        call.headers.push(("X-Delete-Token", Zeroizing::new(entry.delete_token.clone())));
    }
    let outcome = session.transport.send(&call)?.expect(200);
    let is_gone = matches!(&outcome, Err(failure) if failure.exit == Exit::NotFound);
    if let Some(entry) = located.entry.as_ref().filter(|_| is_gone || outcome.is_ok())
        && let Err(error) = session.history.remove(&entry.server, &entry.id)
    {
        session.ui.warning(&format!("the history could not be updated: {error}"));
    }
    let named = |failure: Failure| Failure { message: format!("{}: {}", target.id, failure.message), ..failure };
    outcome.map_err(named)?;
    write_stdout(format!("deleted {}\n", target.id).as_bytes())
}
