//! A create from a form: `file` or `content`, and `expiry`, `reads`, `burn` and `password`.
//!
//! Invariant: a field takes precedence over its header, whatever its position. Must never guess: duplicate, malformed
//! and ambiguous fields are refused.

use super::multipart::{Malformed, Part, Parts};
use super::option_names::check_unknown;
use super::upload::{self, Received, Upload, new_spool};
use super::wishes::{FormFields, Wishes};
use crate::app::App;
use crate::error::ApiError;
use crate::filename;
use crate::http::Request;
use crate::spool::Content;
use crate::store::Attempt;
use std::cell::RefCell;

/// The size limit of a field other than the content.
const MAX_FIELD: usize = 4 << 10;

impl From<Malformed> for ApiError {
    fn from(Malformed(fault): Malformed) -> Self {
        Self::BadRequest(fault)
    }
}

/// The role of a part of the form.
enum Role {
    /// The content, from a file.
    File,
    /// The content, as text.
    Text,
    /// A file input without a chosen file.
    NoFile,
    /// An option.
    Field,
    /// A proof hash, which must be a header; ignoring it would pretend a gate that does not exist.
    Proof,
    /// An unknown field.
    Unknown,
}

/// Reads a form with this boundary.
///
/// # Errors
/// Those of [`Upload`], and `bad_request` for a malformed or ambiguous form.
pub fn receive(
    app: &App,
    request: &mut Request<'_>,
    boundary: &str,
    attempt: Option<&Attempt>,
) -> Result<Received, ApiError> {
    let mut fields = FormFields::default();
    let mut found = None;
    // Borrowed alternately for reading and pushing, never both at once.
    let upload = RefCell::new(Upload::begin(app, request, attempt)?);
    let mut parts = Parts::new(boundary, |buffer: &mut [u8]| upload.borrow_mut().read(buffer));
    while let Some(part) = parts.next_part()? {
        match role(&part) {
            Role::File | Role::Text if found.is_some() => return Err(ApiError::SeveralFiles),
            Role::File | Role::Text => {
                let mut spool = new_spool(app, true)?;
                parts.content(|piece| upload.borrow_mut().push(&mut spool, piece))?;
                found = Some((part, spool.finish().map_err(upload::failure)?));
            }
            Role::NoFile => parts.content(|_| Err(ApiError::BadRequest("A file in the form has no name.")))?,
            Role::Field => {
                let mut value = Vec::new();
                parts.content(|piece| {
                    value.extend_from_slice(piece);
                    let is_short = value.len() <= MAX_FIELD;
                    is_short.then_some(()).ok_or(ApiError::BadRequest("A field in the form is too long."))
                })?;
                let value = String::from_utf8(value);
                let value = value.map_err(|_| ApiError::BadRequest("A field in the form is not UTF-8."))?;
                fields.set(&part.name, value)?;
            }
            Role::Proof => {
                return Err(ApiError::BadRequest(
                    "With a form, send proof hashes in the headers X-Read-Proof-SHA256 and X-Password-Proof-SHA256.",
                ));
            }
            Role::Unknown => {
                check_unknown(&part.name)?;
                parts.content(|_| Ok(()))?;
            }
        }
    }
    drop(parts);
    let _ = upload.into_inner();
    let (part, content): (Part, Content) = found.ok_or(ApiError::NoContent)?;
    let wishes = Wishes::of_form(fields, request)?;
    let filename = part.filename.as_deref().and_then(filename::sanitise);
    Ok(Received { content, sent_type: part.content_type, filename, wishes })
}

fn role(part: &Part) -> Role {
    match (part.name.as_str(), part.filename.as_deref()) {
        // Browsers send this if no file was chosen.
        (_, Some("")) => Role::NoFile,
        ("file", _) | (_, Some(_)) => Role::File,
        ("content", None) => Role::Text,
        (name, None) if FormFields::knows(name) => Role::Field,
        ("read_proof_sha256" | "password_proof_sha256", None) => Role::Proof,
        _ => Role::Unknown,
    }
}
