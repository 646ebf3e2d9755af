//! `GET /pastes`: what an owner has made.
//!
//! Invariant: an owner sees its own and nobody else's; an id is told to the token that made the paste alone. Looking moves
//! nothing.

use super::{mark, read};
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::error::ApiError;
use crate::http::{Reply, Request};
use crate::store::OwnPaste;
use serde_json::{Value, json};

/// Pastes in one answer.
const PAGE: usize = 100;

/// Answers the request.
///
/// # Errors
/// `auth_required` without certificate or token, `bad_request` for a `before` that no answer gave, or an internal failure.
pub fn pastes(app: &App, request: &Request<'_>, now: UnixSeconds) -> Result<Reply, ApiError> {
    let owner = request.owner.as_ref().ok_or(ApiError::OwnerRequired)?;
    let unknown = ApiError::BadRequest("\"before\" is not what the \"next\" of an answer was.");
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
