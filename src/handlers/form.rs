//! A create out of a form: `file` or `content`, and `expiry`, `reads`, `burn` and `password`.
//!
//! Invariant: a field wins over the header of the same meaning, wherever it stands. Must never guess: a field that stands twice,
//! is malformed, or makes it unclear what is the content, is refused.

use super::create::Received;
use super::multipart::{Malformed, Part, Parts};
use super::upload::{self, Upload, new_spool};
use super::wishes::{FormFields, Wishes};
use crate::app::App;
use crate::error::ApiError;
use crate::filename;
use crate::http::Request;
use crate::spool::Content;
use crate::store::Attempt;
use std::cell::RefCell;

/// Most bytes of a field that is not the content.
const MAX_FIELD: usize = 4 << 10;

impl From<Malformed> for ApiError {
    fn from(Malformed(fault): Malformed) -> Self {
        Self::BadRequest(fault)
    }
}

/// What a part of the form is.
enum Role {
    /// The content, from a file.
    File,
    /// The content, as a text.
    Text,
    /// A file that nobody chose.
    NoFile,
    /// A wish.
    Field,
    /// What is a header of a form: ignored, the sender would believe in a gate that is not there.
    Proof,
    /// Nothing we know.
    Unknown,
}

/// Reads the body of a request whose parts this boundary separates.
///
/// # Errors
/// What [`Upload`] refuses, and `bad_request` for what is malformed or unclear.
pub fn receive(
    app: &App,
    request: &mut Request<'_>,
    boundary: &str,
    attempt: Option<&Attempt>,
) -> Result<Received, ApiError> {
    let mut fields = FormFields::default();
    let mut found = None;
    // Read and pushed to in turn, never both at a time.
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
            Role::NoFile => parts.content(|_| Err(ApiError::BadRequest("A file of the form has no name.")))?,
            Role::Field => {
                let mut value = Vec::new();
                parts.content(|piece| {
                    value.extend_from_slice(piece);
                    let is_short = value.len() <= MAX_FIELD;
                    is_short.then_some(()).ok_or(ApiError::BadRequest("A field of the form is too long."))
                })?;
                let value = String::from_utf8(value);
                let value = value.map_err(|_| ApiError::BadRequest("A field of the form is not UTF-8."))?;
                fields.set(&part.name, value)?;
            }
            Role::Proof => {
                return Err(ApiError::BadRequest(
                    "A form has its proofs in the headers X-Read-Proof-SHA256 and X-Password-Proof-SHA256.",
                ));
            }
            Role::Unknown => parts.content(|_| Ok(()))?,
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
        // What browsers send where nobody has chosen a file.
        (_, Some("")) => Role::NoFile,
        ("file", _) | (_, Some(_)) => Role::File,
        ("content", None) => Role::Text,
        (name, None) if FormFields::knows(name) => Role::Field,
        ("read_proof_sha256" | "password_proof_sha256", None) => Role::Proof,
        _ => Role::Unknown,
    }
}
