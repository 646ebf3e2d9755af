//! `POST /<id>/lease`, and `DELETE /<id>` with a lease: a read that is taken now and confirmed later.
//!
//! Invariant: a lease uses one of the paste's reads and needs the same proofs as a read. Must never return a lease
//! twice.

use super::gate;
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::error::ApiError;
use crate::http::{Framing, Reply, Request};
use crate::paste::Id;
use serde_json::json;

/// Answers `POST /<id>/lease`.
///
/// # Errors
/// `bad_request` for a request with a body, `not_found`, `not_answered`, those of the gate and password,
/// `no_lease_needed`, or an internal failure.
pub fn take(app: &App, request: &Request<'_>, id: &Id, now: UnixSeconds) -> Result<Reply, ApiError> {
    // A truncated or malformed body would waste a read.
    if !matches!(request.framing, Framing::None | Framing::Length(0)) {
        return Err(ApiError::BadRequest("A lease request takes no body."));
    }
    let paste = app.store().find(id, now)?.filter(|paste| !paste.is_given_out()).ok_or(ApiError::NotFound)?;
    if paste.meta.is_unanswered() {
        return Err(ApiError::NotAnswered);
    }
    gate::check(app, request, &paste, now)?;
    if paste.meta.reads_left.is_none() {
        return Err(ApiError::NoLeaseNeeded);
    }
    let lease = app.store().lease(&paste, now)?.ok_or(ApiError::NotFound)?;
    app.metrics().leases.count();
    Ok(Reply::json(
        201,
        &json!({
            "lease": lease.secret.as_str(),
            "expires_at": lease.expires_at,
            "size": paste.meta.size,
            "mime_type": paste.mime_type,
            "reads_left": lease.reads_left,
        }),
    ))
}

/// Ends a lease, for `DELETE /<id>` with one; `None` if the paste has no read limit and ignores it.
///
/// # Errors
/// `not_found` for an invalid lease, or an internal failure.
pub fn end(app: &App, lease: &str, id: &Id, now: UnixSeconds) -> Result<Option<Reply>, ApiError> {
    let paste = app.store().find(id, now)?.ok_or(ApiError::NotFound)?;
    if paste.meta.reads_left.is_none() {
        return Ok(None);
    }
    if !app.store().end_lease(&paste, lease, now)? {
        return Err(ApiError::NotFound);
    }
    Ok(Some(Reply::json(200, &json!({ "message": "Lease ended", "id": id.as_str() }))))
}
