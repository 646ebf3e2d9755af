//! `GET /ask`, `POST /ask`, and `PUT /<id>/raw` of an ask: asking for a secret and answering.
//!
//! Invariant: an ask is answered once, by someone with its link, and its answer is read once, by the asker. Must never
//! return content before there is an answer, nor accept an answer without the proof.

use super::create::{at_its_rate, checked_type, expiry, for_a_proof, keep, new_delete_token};
use super::gate::is_proof;
use super::upload::{Upload, expect_body, failure, new_spool};
use super::wishes::{ANSWER_PROOF, LINK_PROOF, NOT_OF_CONTENTS, has_any, header_expiry, header_proof};
use super::{mark, service};
use crate::admission;
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::crypto::{self, Sha256Digest};
use crate::error::ApiError;
use crate::http::{Framing, Reply, Request};
use crate::paste::Expiry;
use crate::store::{Answered, Attempt, Meta, NewPaste, Paste, Protection};
use serde_json::{Value, json};

/// The type of an ask without an answer.
const MIME_TYPE: &str = "application/octet-stream";
/// Headers of a create that an ask does not accept: it is answered once and read once.
const NOT_OF_ASKS: [&str; 6] = [
    "X-Burn-After-Read",
    "X-Reads",
    "X-Paste-Password",
    "X-Paste-Password-Base64",
    "X-Password-Proof-SHA256",
    "X-Filename",
];
/// `GET /ask`: the server's limits, and how to ask.
pub fn about(app: &App, request: &Request<'_>, now: UnixSeconds) -> Reply {
    let url = admission::base_url(app.config(), request);
    let mut answer = service::about(app, request, now);
    mark(&mut answer, "ask", Some(format!("fpaste ask -s {url} 'what you ask for'").into()));
    Reply::json(200, &answer)
}

/// `POST /ask`
///
/// # Errors
/// Those of a create, except for its content, and `bad_request` for missing or malformed proof hashes.
pub fn post(app: &App, request: &mut Request<'_>, now: UnixSeconds) -> Result<Reply, ApiError> {
    admission::may_create(app.config(), request)?;
    let ask = Ask::of(request)?;
    at_its_rate(app, request, |request| {
        for_a_proof(app, request, now, |request, attempt| store(app, request, &ask, attempt, now))
    })
}

/// The parsed headers of an ask.
struct Ask {
    expiry_seconds: Option<u64>,
    link_proof: Sha256Digest,
    answer_proof: Sha256Digest,
}

impl Ask {
    fn of(request: &Request<'_>) -> Result<Self, ApiError> {
        if !matches!(request.framing, Framing::None | Framing::Length(0)) {
            return Err(ApiError::BadRequest("A request for a secret takes no body."));
        }
        if has_any(request, &NOT_OF_ASKS) {
            return Err(ApiError::BadRequest("A request for a secret takes no read limit, password or file name."));
        }
        let missing =
            || ApiError::BadRequest("A request for a secret needs X-Read-Proof-SHA256 and X-Answer-Proof-SHA256.");
        Ok(Self {
            expiry_seconds: header_expiry(request)?,
            link_proof: header_proof(request, LINK_PROOF)?.ok_or_else(missing)?,
            answer_proof: header_proof(request, ANSWER_PROOF)?.ok_or_else(missing)?,
        })
    }
}

fn store(
    app: &App,
    request: &Request<'_>,
    ask: &Ask,
    attempt: Option<&Attempt>,
    now: UnixSeconds,
) -> Result<Reply, ApiError> {
    let expiry = expiry(app, ask.expiry_seconds, now);
    let delete_token = new_delete_token()?;
    let owner = request.owner.clone();
    let mut answer = json!({
        "state": "asked", "created_at": now, "expires_at": expiry.at(), "sliding": matches!(expiry, Expiry::Sliding(_)),
        "max_size": admission::max_body_bytes(app.config(), request), "delete_token": delete_token,
    });
    mark(&mut answer, "owner", owner.as_ref().map(|owner| owner.to_string().into()));
    let new = NewPaste {
        content: new_spool(app, false)?.finish().map_err(failure)?,
        mime_type: MIME_TYPE.into(),
        filename: None,
        created_at: now,
        expiry,
        reads: Some(1),
        protection: Protection::Gate { link_proof: ask.link_proof, password_proof: None },
        token_hash: crypto::sha256(delete_token.as_bytes()),
        owner,
        answer_proof: Some(ask.answer_proof),
    };
    keep(app, request, new, answer, request.prefers_text(), attempt)
}

/// The state of an ask.
pub fn state(meta: &Meta) -> &'static str {
    if meta.is_unanswered() { "asked" } else { "answered" }
}

/// The metadata of an ask with this expiry.
pub fn describe(app: &App, request: &Request<'_>, paste: &Paste, expiry: Expiry) -> Value {
    let meta = &paste.meta;
    let mut answer = json!({
        "id": paste.id.as_str(),
        "state": state(meta),
        "created_at": meta.created_at,
        "expires_at": expiry.at(),
        "max_size": admission::max_body_bytes(app.config(), request),
    });
    mark(&mut answer, "size", (!meta.is_unanswered()).then(|| meta.size.into()));
    answer
}

/// Answers `PUT /<id>/raw` of an ask whose proof has this hash.
///
/// # Errors
/// `not_found`, `proof_required`, `proof_wrong`, `already_answered`, `bad_request`, those of a body, `blocked` and
/// `entropy_too_low`.
pub fn answer(
    app: &App,
    request: &mut Request<'_>,
    ask: &Paste,
    proof_hash: &Sha256Digest,
    now: UnixSeconds,
) -> Result<Reply, ApiError> {
    if ask.is_given_out() {
        return Err(ApiError::NotFound);
    }
    let proof = request.filled_header("X-Answer-Proof").ok_or(ApiError::AnswerProofRequired)?;
    if !is_proof(proof, proof_hash) {
        return Err(ApiError::AnswerProofWrong);
    }
    if !ask.meta.is_unanswered() {
        return Err(ApiError::AlreadyAnswered);
    }
    if has_any(request, &NOT_OF_CONTENTS) || request.header("X-Filename").is_some() {
        return Err(ApiError::BadRequest("An answer takes no expiry, read limit, password or file name."));
    }
    expect_body(app, request)?;
    let sent_type = request.header("Content-Type").map(str::to_owned);
    let content = Upload::begin(app, request, None)?.into_content(new_spool(app, true)?)?;
    let mime_type = checked_type(app, &content, sent_type.as_deref())?;
    let size = content.size;
    match app.store().answer(ask, content, &mime_type)? {
        Answered::Done => {
            app.metrics().answers.count();
            // An answer extends a sliding expiry, like a read.
            let mut answer = describe(app, request, ask, app.store().touch(ask, now));
            mark(&mut answer, "state", Some("answered".into()));
            mark(&mut answer, "size", Some(size.into()));
            Ok(Reply::json(201, &answer))
        }
        Answered::Already => Err(ApiError::AlreadyAnswered),
        Answered::Gone => Err(ApiError::NotFound),
        Answered::Blocked => Err(ApiError::Blocked),
    }
}
