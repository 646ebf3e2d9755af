//! Names of unknown fields in JSON and forms that look like options.
//!
//! Invariant: a misspelled option is refused, so that no one relies on a protection that does not exist; other unknown
//! fields are ignored. Must never repeat the name, which may be a secret.

use crate::error::ApiError;

/// What an unknown name must not contain, and the refusal.
const SIMILAR: [(&str, &str); 6] = [
    ("burn", "An unknown field looks like \"burn_after_read\". Correct its name."),
    ("reads", "An unknown field looks like \"reads\". Correct its name."),
    ("passw", "An unknown field looks like \"password\". Correct its name."),
    ("pasw", "An unknown field looks like \"password\". Correct its name."),
    ("expir", "An unknown field looks like \"expiry\". Correct its name."),
    ("proof", "An unknown field looks like a proof hash. Correct its name."),
];

/// Checks the name of an unknown field.
///
/// # Errors
/// `bad_request` if it looks like an option.
pub fn check_unknown(name: &str) -> Result<(), ApiError> {
    let name = name.to_ascii_lowercase();
    let similar = SIMILAR.iter().find(|(part, _)| name.contains(part));
    similar.map_or(Ok(()), |(_, refusal)| Err(ApiError::BadRequest(refusal)))
}
