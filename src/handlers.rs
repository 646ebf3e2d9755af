//! The handlers: one short function per route.
//!
//! Invariant: a handler takes a request and the app, and returns a reply or an [`ApiError`]. Must never use tiny_http
//! or rusqlite, nor build an error reply itself.

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
mod option_names;
pub mod pastes;
pub mod read;
pub mod service;
pub mod status;
mod upload;
mod wishes;

/// Proof of ownership in a request: the sender, the hash of a delete token, or both.
type Maker = (Option<Owner>, Option<Sha256Digest>);

/// The request's proof of ownership.
///
/// # Errors
/// `auth_required` if there is none.
fn maker(request: &Request<'_>) -> Result<Maker, ApiError> {
    let owner = request.owner.clone();
    let token_hash = request.filled_header("X-Delete-Token").map(|token| crypto::sha256(token.as_bytes()));
    if owner.is_none() && token_hash.is_none() { Err(ApiError::AuthRequired) } else { Ok((owner, token_hash)) }
}

/// Finds a paste for its owner.
///
/// # Errors
/// `auth_required`, `not_found`, `permission_denied`, or an internal failure.
fn own(app: &App, request: &Request<'_>, id: &Id, now: UnixSeconds) -> Result<Paste, ApiError> {
    let maker = maker(request)?;
    claimed(app, &maker, app.store().find(id, now)?)
}

/// Checks that the request owns the paste.
///
/// # Errors
/// `not_found` and `permission_denied`.
fn claimed(app: &App, (owner, token_hash): &Maker, found: Option<Paste>) -> Result<Paste, ApiError> {
    app.store().claim(found, owner.as_ref(), *token_hash).map_err(|refusal| match refusal {
        Deleted::Denied => ApiError::PermissionDenied,
        Deleted::Done | Deleted::NotFound => ApiError::NotFound,
    })
}

/// Adds the access requirements and read limit of a paste to a JSON object.
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

/// Adds a field to a JSON object, if there is a value.
fn mark(answer: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (answer.as_object_mut(), value) {
        fields.insert(name.into(), value);
    }
}
