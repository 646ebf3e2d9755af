//! `PATCH /<id>` and `PUT /<id>/raw`: the owner changes the expiry or replaces the content; an ask is answered instead.
//!
//! Invariant: only the owner or the delete token can change a paste; without them nothing is revealed. Neither is a
//! create: no proof of work, rate limit or duplicate check. The content of a paste with a read limit cannot be
//! replaced.

use super::ask;
use super::create::{checked_type, header_filename, protection};
use super::read;
use super::upload::{Upload, expect_body, new_spool};
use super::wishes::{Lock, NOT_OF_CONTENTS, NOT_OF_EXPIRY, has_any, header_expiry, header_gate};
use super::{claimed, maker, own};
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::error::ApiError;
use crate::http::{Reply, Request};
use crate::paste::Id;
use crate::store::{Changed, NewContent};

/// Answers `PATCH /<id>`.
///
/// # Errors
/// `bad_request` without `X-Expiry` or with another option, `invalid_expiry`, `auth_required`, `permission_denied`,
/// `not_found`, or an internal failure.
pub fn patch(app: &App, request: &Request<'_>, id: &Id, now: UnixSeconds) -> Result<Reply, ApiError> {
    let paste = own(app, request, id, now)?;
    // Refused, because ignoring them would pretend a protection that does not exist.
    if has_any(request, &NOT_OF_EXPIRY) {
        return Err(ApiError::BadRequest("PATCH changes the expiry alone, neither password, proofs nor read limit."));
    }
    let seconds = header_expiry(request)?.ok_or(ApiError::BadRequest("Nothing to change: send X-Expiry."))?;
    let expires_at = now + seconds.min(app.config().max_expiry_seconds);
    changed(app, request, app.store().set_expiry(&paste, expires_at, now)?)
}

/// Answers `PUT /<id>/raw`.
///
/// # Errors
/// As [`patch`] and [`ask::answer`], those of a body, `limited`, `blocked` and `entropy_too_low`.
pub fn replace(app: &App, request: &mut Request<'_>, id: &Id, now: UnixSeconds) -> Result<Reply, ApiError> {
    let found = app.store().find(id, now)?;
    // For a missing ask, an answer gets a 404 instead of `auth_required`.
    if found.is_none() && request.filled_header("X-Answer-Proof").is_some() {
        return Err(ApiError::NotFound);
    }
    if let Some(ask) = &found
        && let Some(proof) = &ask.meta.answer_proof
    {
        return ask::answer(app, request, ask, proof, now);
    }
    let paste = claimed(app, &maker(request)?, found)?;
    if paste.meta.reads_left.is_some() {
        return Err(ApiError::Limited);
    }
    // Refused, because ignoring them would pretend a protection that does not exist.
    if has_any(request, &NOT_OF_CONTENTS) {
        return Err(ApiError::BadRequest(
            "Replacing the content cannot change expiry, password or read limit; use PATCH for X-Expiry.",
        ));
    }
    expect_body(app, request)?;
    let filename = header_filename(request)?;
    let gate = header_gate(request, &paste.meta.protection)?;
    let sent_type = request.header("Content-Type").map(str::to_owned);
    let content = Upload::begin(app, request, None)?.into_content(new_spool(app, true)?)?;
    let mime_type = checked_type(app, &content, sent_type.as_deref())?;
    let protection = match gate {
        Lock::None => None,
        gate => Some(protection(app, request, gate)?),
    };
    let new = NewContent { content, mime_type, filename, protection };
    changed(app, request, app.store().replace(paste, new, now)?)
}

fn changed(app: &App, request: &Request<'_>, change: Changed) -> Result<Reply, ApiError> {
    match change {
        Changed::Done(paste) => {
            app.metrics().changes.count();
            Ok(Reply::json(200, &read::describe(app, request, &paste, paste.meta.expiry)))
        }
        Changed::Gone => Err(ApiError::NotFound),
        Changed::Blocked => Err(ApiError::Blocked),
    }
}
