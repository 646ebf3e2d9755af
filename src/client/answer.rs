//! `fpaste answer`: sends a secret to whoever asked for it by a link.
//!
//! Invariant: what leaves is sealed for the asker alone, and nothing is read before the ask is known to take an answer. Must
//! never call an answer taken that may be somebody else's, nor show of the link more than its label.

use super::command::{Create, Input, Link};
use super::create::{Source, seal};
use super::failure::{Exit, Failure};
use super::fetch::{AskState, ask_state, metadata_call, well_formed};
use super::link::Target;
use super::plaintext::pauses;
use super::transport::{Answer, Call, Payload};
use super::{Located, Session};
use crate::sealed::{ANSWER_HEAD_BYTES, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::io::{Cursor, Read};
use ureq::http::Method;
use zeroize::Zeroizing;

/// Answers.
///
/// # Errors
/// Unreadable input, and every refusal.
pub fn run(link: &Link, with: &Create, session: &Session<'_>) -> Result<(), Failure> {
    let mut target = Target::parse(&link.0)?;
    let Some(ask) = target.ask.take() else {
        return Err(Failure::usage("this link does not ask for a secret")
            .hint("use the whole link, with what stands behind the #; fpaste get reads the link of a paste"));
    };
    let located = session.locate(&target, &[]);
    let failed = |error: std::io::Error| Failure::new(Exit::Other, error.to_string());
    let ephemeral = KeyPair::random().map_err(failed)?;
    // Before anything is read: what was piped in cannot be read again.
    let (key, head) = ask.seal(&ephemeral).map_err(|_| {
        Failure::usage("the key in the link is one that lets anybody read the answer; nothing was sent")
            .hint("whoever sent the link wants that, or was deceived: tell them")
    })?;
    let source = Source::open(with, session)?;
    let facts = look(&target, &located, session)?;
    if facts.state == AskState::Answered {
        return Err(already_answered());
    }
    if let Some(label) = &ask.label {
        session.ui.note(&format!("asked for: {label}"));
    }
    let limit = facts.max_size.saturating_sub(ANSWER_HEAD_BYTES as u64);
    let upload = seal(with, source, key, None, limit, session)?;
    let open = || Ok(Box::new(Cursor::new(head).chain(upload.content.read()?)) as Box<dyn Read>);
    let length = ANSWER_HEAD_BYTES as u64 + upload.content.length();
    let call = Call {
        headers: vec![
            ("X-Answer-Proof", Zeroizing::new(URL_SAFE_NO_PAD.encode(ask.answer_proof().as_slice()))),
            ("Content-Type", Zeroizing::new("application/octet-stream".to_owned())),
        ],
        body: Payload::Stream { length, open: &open },
        ..Call::new(Method::PUT, &located.server, format!("/{}/raw", target.id), located.is_ours)
    };
    let sending = Sending { target: &target, located: &located, length, session };
    sending.send(&call).map_err(|failure| match with.input {
        Input::Stdin => failure.add_hint("what was piped in is not kept"),
        Input::Files(_) => failure,
    })?;
    session.ui.print("fpaste: answer delivered; only the person who asked can read it\n");
    Ok(())
}

/// What the server says of an ask.
struct Facts {
    state: AskState,
    /// The largest answer.
    max_size: u64,
    /// Bytes of the answer there is.
    size: Option<u64>,
}

fn look(target: &Target, located: &Located, session: &Session<'_>) -> Result<Facts, Failure> {
    let answer = session.transport.send(&metadata_call(target, located))?;
    if answer.is_not_found() {
        return Err(Failure::new(Exit::NotFound, "nobody asks under this link any more")
            .hint("the ask has expired, was deleted, or its answer was read; ask for a new link"));
    }
    let json = well_formed(answer, &target.id)?;
    let number = |name: &str| json.get(name).and_then(Value::as_u64);
    let state = ask_state(&json).ok_or_else(|| {
        Failure::usage("what the server has under this link is a paste, and takes no answer")
            .hint("check the link; fpaste get reads the link of a paste")
    })?;
    Ok(Facts { state, max_size: number("max_size").unwrap_or(u64::MAX), size: number("size") })
}

/// An answer on its way. An ask takes one: to send the same again does no harm.
struct Sending<'a> {
    target: &'a Target,
    located: &'a Located,
    /// Bytes of it.
    length: u64,
    session: &'a Session<'a>,
}

impl Sending<'_> {
    /// Sends it; again, a few times, where the connection breaks before the server has said what became of it.
    fn send(&self, call: &Call<'_>) -> Result<(), Failure> {
        let mut is_repeated = false;
        for pause in pauses() {
            let failure = match self.session.transport.send(call) {
                Ok(answer) if answer.status == 201 => return Ok(()),
                Ok(answer) if is_repeated && takes_none(&answer) => return Err(self.perhaps_ours()),
                Ok(answer) => return Err(refusal(&answer)),
                Err(failure) => failure,
            };
            match pause.filter(|_| failure.exit == Exit::Network) {
                Some(pause) => std::thread::sleep(pause),
                None if is_repeated => return Err(failure.add_hint("it may have been taken all the same")),
                None => return Err(failure),
            }
            self.session.ui.trace(|| format!("{}; sending the answer again", failure.message));
            is_repeated = true;
        }
        Err(already_answered())
    }

    /// The ask has an answer, or it is read already, and ours was sent before without our hearing of it.
    fn perhaps_ours(&self) -> Failure {
        let size = look(self.target, self.located, self.session).ok().and_then(|facts| facts.size);
        if size.is_some_and(|size| size != self.length) {
            return already_answered();
        }
        Failure::new(
            Exit::Network,
            "the connection broke while the answer was sent, and now none is taken: there may be this one, or somebody else's",
        )
        .hint("ask the person who asked whether they got yours")
    }
}

/// Whether the ask takes no answer any more.
fn takes_none(answer: &Answer) -> bool {
    answer.is_not_found() || answer.code().as_deref() == Some("already_answered")
}

fn refusal(answer: &Answer) -> Failure {
    match answer.code().as_deref() {
        Some("already_answered") => already_answered(),
        Some("proof_wrong" | "proof_required") => Failure::new(Exit::Denied, "the link does not belong to this ask")
            .hint("copy the whole link again, with what stands behind the #"),
        _ => answer.refused(),
    }
}

/// One answer is taken, and no other.
fn already_answered() -> Failure {
    Failure::new(Exit::Other, "somebody has answered already, and one answer is taken")
        .hint("if it was not you, tell whoever asked, and ask for a new link")
}
