//! `DELETE /<id>`: deletes a paste, or ends a lease of it.
//!
//! Invariant: only its owner, by token or certificate, or its delete token can delete it; without them nothing is
//! revealed.

use super::{lease, maker};
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::error::ApiError;
use crate::http::{Reply, Request};
use crate::paste::Id;
use crate::store::Deleted;
use serde_json::json;

/// Answers the request.
///
/// # Errors
/// `auth_required`, `permission_denied`, `not_found`, or an internal failure.
pub fn delete(app: &App, request: &Request<'_>, id: &Id, now: UnixSeconds) -> Result<Reply, ApiError> {
    // Checked before ownership, as a proxy may add a certificate to every request. With a delete token, the paste is
    // meant.
    if let Some(lease) = request.filled_header("X-Lease").filter(|_| request.filled_header("X-Delete-Token").is_none())
        && let Some(reply) = lease::end(app, lease, id, now)?
    {
        return Ok(reply);
    }
    let (owner, token_hash) = maker(request)?;
    match app.store().delete(id, owner.as_ref(), token_hash, now)? {
        Deleted::Done => {
            app.metrics().deletes.count();
            Ok(Reply::json(200, &json!({ "message": "Paste deleted", "id": id.as_str() })))
        }
        Deleted::Denied => Err(ApiError::PermissionDenied),
        Deleted::NotFound => Err(ApiError::NotFound),
    }
}
