//! The handlers: one short function a route.
//!
//! Invariant: a handler gets a request and the app, and returns a reply or a refusal. Must never name tiny_http or
//! rusqlite, and never answer an error by hand.

use crate::app::App;
use crate::clock::UnixSeconds;
use crate::crypto::{self, Sha256Digest};
use crate::error::ApiError;
use crate::http::Request;
use crate::owner::Owner;
use crate::paste::Id;
use crate::store::{Deleted, Paste, Protection};
use serde_json::{Value, json};

pub mod ask;
pub mod change;
pub mod create;
pub mod delete;
mod form;
mod gate;
pub mod json_body;
pub mod lease;
pub mod multipart;
pub mod pastes;
pub mod read;
pub mod service;
pub mod status;
mod upload;
mod wishes;

/// Who made a paste, as a request shows it: the sender, the hash of a delete token, or both.
type Maker = (Option<Owner>, Option<Sha256Digest>);

/// What the request shows of having made a paste: who sends it, the hash of a delete token, or both.
///
/// # Errors
/// `auth_required` when it shows neither.
fn maker(request: &Request<'_>) -> Result<Maker, ApiError> {
    let owner = request.owner.clone();
    let token_hash = request.filled_header("X-Delete-Token").map(|token| crypto::sha256(token.as_bytes()));
    if owner.is_none() && token_hash.is_none() { Err(ApiError::AuthRequired) } else { Ok((owner, token_hash)) }
}

/// The paste, for whoever made it.
///
/// # Errors
/// `auth_required`, `not_found`, `permission_denied`, or an internal failure.
fn own(app: &App, request: &Request<'_>, id: &Id, now: UnixSeconds) -> Result<Paste, ApiError> {
    let maker = maker(request)?;
    claimed(app, &maker, app.store().find(id, now)?)
}

/// The paste that was found, for whoever made it.
///
/// # Errors
/// `not_found` and `permission_denied`.
fn claimed(app: &App, (owner, token_hash): &Maker, found: Option<Paste>) -> Result<Paste, ApiError> {
    app.store().claim(found, owner.as_ref(), *token_hash).map_err(|refusal| match refusal {
        Deleted::Denied => ApiError::PermissionDenied,
        Deleted::Done | Deleted::NotFound => ApiError::NotFound,
    })
}

/// Adds to a JSON object what it takes to read a paste, and how often it can be.
fn mark_access(answer: &mut Value, reads_left: Option<u32>, burn: bool, protection: &Protection) {
    let (gate, password_proof) = match protection {
        Protection::None | Protection::Password(_) => (false, false),
        Protection::Gate { password_proof, .. } => (true, password_proof.is_some()),
    };
    let password = password_proof || matches!(protection, Protection::Password(_));
    let marks = [
        ("burn_after_read", burn),
        ("password_protected", password),
        ("proof_required", gate),
        ("password_proof", password_proof),
    ];
    mark(answer, "reads_left", reads_left.map(Into::into));
    for (name, is_so) in marks {
        mark(answer, name, is_so.then_some(json!(true)));
    }
}

/// Adds a field to a JSON object, if there is a value for it.
fn mark(answer: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (answer.as_object_mut(), value) {
        fields.insert(name.into(), value);
    }
}
