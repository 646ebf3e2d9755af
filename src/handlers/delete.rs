//! `DELETE /<id>`: a paste goes for good, or a lease of it ends.
//!
//! Invariant: only its owner's certificate or its delete token deletes it; who presents neither learns nothing.

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
    // Before whose it is: a proxy may vouch for a certificate in every request. Who sends the token means the paste.
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
