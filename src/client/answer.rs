//! `fpaste answer`: sends the secret that a link asks for.
//!
//! Invariant: the answer is encrypted for the asker alone, and no input is read before the ask is known to be open.
//! Must never report success when the accepted answer may be someone else's, nor print more of the link than its label.

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

/// Answers an ask.
///
/// # Errors
/// When the input cannot be read or the server refuses.
pub fn run(link: &Link, with: &Create, session: &Session<'_>) -> Result<(), Failure> {
    let mut target = Target::parse(&link.0)?;
    let Some(ask) = target.ask.take() else {
        return Err(Failure::usage("this link does not ask for a secret")
            .hint("use the full link, including the part after the #"));
    };
    let located = session.locate(&target, &[]);
    let failed = |error: std::io::Error| Failure::new(Exit::Other, error.to_string());
    let ephemeral = KeyPair::random().map_err(failed)?;
    // Before reading any input: a pipe cannot be read twice.
    let (key, head) = ask.seal(&ephemeral).map_err(|_| {
        Failure::usage("the key in the link is weak: anyone could read the answer; nothing was sent")
            .hint("the link was made or altered in bad faith: tell the person who sent it")
    })?;
    let source = Source::open(with, session)?;
    let facts = look(&target, &located, session)?;
    if facts.state == AskState::Answered {
        return Err(already_answered());
    }
    if let Some(label) = &ask.label {
        session.ui.note(&format!("requested: {label}"));
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
        Input::Stdin => failure.add_hint("the input from the pipe was not saved"),
        Input::Files(_) => failure,
    })?;
    session.ui.print("fpaste: answer delivered; only the person who asked can read it\n");
    Ok(())
}

/// The server's description of an ask.
struct Facts {
    state: AskState,
    /// The size limit of the answer.
    max_size: u64,
    /// The size of the answer already given.
    size: Option<u64>,
}

fn look(target: &Target, located: &Located, session: &Session<'_>) -> Result<Facts, Failure> {
    let answer = session.transport.send(&metadata_call(target, located))?;
    if answer.is_not_found() {
        return Err(Failure::new(Exit::NotFound, "this request no longer exists").hint("ask for a new link"));
    }
    let json = well_formed(answer, &target.id)?;
    let number = |name: &str| json.get(name).and_then(Value::as_u64);
    let state = ask_state(&json).ok_or_else(|| {
        Failure::usage("this link is a paste, not a request for a secret")
            .hint("check the link; to read a paste use fpaste get")
    })?;
    Ok(Facts { state, max_size: number("max_size").unwrap_or(u64::MAX), size: number("size") })
}

/// An answer being sent. An ask accepts exactly one answer, so sending the same one again is safe.
struct Sending<'a> {
    target: &'a Target,
    located: &'a Located,
    /// Its size in bytes.
    length: u64,
    session: &'a Session<'a>,
}

impl Sending<'_> {
    /// Sends it, and retries a few times if the connection breaks before the server has replied.
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
                None if is_repeated => return Err(failure.add_hint("the answer may have been accepted anyway")),
                None => return Err(failure),
            }
            self.session.ui.trace(|| format!("{}; sending the answer again", failure.message));
            is_repeated = true;
        }
        Err(already_answered())
    }

    /// The ask has an answer, or it was already read, and our first attempt got no reply.
    fn perhaps_ours(&self) -> Failure {
        let size = look(self.target, self.located, self.session).ok().and_then(|facts| facts.size);
        if size.is_some_and(|size| size != self.length) {
            return already_answered();
        }
        Failure::new(
            Exit::Network,
            "the connection broke while sending, and the request now has an answer: it may be this one or someone else's",
        )
        .hint("check with the person who asked")
    }
}

/// Whether the ask no longer accepts an answer.
fn takes_none(answer: &Answer) -> bool {
    answer.is_not_found() || answer.code().as_deref() == Some("already_answered")
}

fn refusal(answer: &Answer) -> Failure {
    match answer.code().as_deref() {
        Some("already_answered") => already_answered(),
        Some("proof_wrong" | "proof_required") => {
            Failure::new(Exit::Denied, "the link does not belong to this request")
                .hint("copy the full link again, including the part after the #")
        }
        _ => answer.refused(),
    }
}

/// An ask accepts exactly one answer.
fn already_answered() -> Failure {
    Failure::new(Exit::Other, "this request has already been answered")
        .hint("if it was not you, tell the person who asked and ask for a new link")
}
