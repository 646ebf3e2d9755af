//! `GET /pastes`: lists an owner's pastes.
//!
//! Invariant: an owner sees only its own pastes, and an id only with the token that created the paste. Listing does not
//! extend an expiry.

use super::{mark, read};
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::error::ApiError;
use crate::http::{Reply, Request};
use crate::store::OwnPaste;
use serde_json::{Value, json};

/// The pastes per page.
const PAGE: usize = 100;

/// Answers the request.
///
/// # Errors
/// `auth_required` without certificate or token, `bad_request` for an invalid `before`, or an internal failure.
pub fn pastes(app: &App, request: &Request<'_>, now: UnixSeconds) -> Result<Reply, ApiError> {
    let owner = request.owner.as_ref().ok_or(ApiError::OwnerRequired)?;
    let unknown = ApiError::BadRequest("\"before\" must be the \"next\" of a previous response.");
    let before = match request.parameter("before") {
        Some(text) => Some(app.store().place(text).ok_or(unknown)?),
        None => None,
    };
    let (pastes, next) = app.store().owned(owner, before, PAGE, now)?;
    let pastes: Vec<Value> = pastes.iter().map(|own| describe(app, request, own)).collect();
    let mut answer = json!({ "pastes": pastes });
    mark(&mut answer, "next", next.map(Into::into));
    Ok(Reply::json(200, &answer))
}

fn describe(app: &App, request: &Request<'_>, own: &OwnPaste) -> Value {
    let mut answer = if let Some(paste) = &own.paste {
        read::describe(app, request, paste, paste.meta.expiry)
    } else {
        let mut answer = read::describe_meta(&own.meta, own.meta.expiry);
        mark(&mut answer, "owner", request.owner.as_ref().map(|owner| owner.to_string().into()));
        answer
    };
    mark(&mut answer, "handle", Some(own.handle.to_string().into()));
    answer
}
