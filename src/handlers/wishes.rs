//! The options of a new paste, from headers, a form or a JSON body.
//!
//! Invariant: a field of the body takes precedence over its header. Must never guess: malformed options are refused, so
//! that no one relies on a protection that does not exist.

use super::json_body::JsonBody;
use crate::admission;
use crate::crypto::{self, Sha256Digest};
use crate::error::ApiError;
use crate::http::Request;
use crate::paste::parse_expiry_seconds;
use crate::store::Protection;

/// The largest read limit.
const MAX_READS: u32 = 1000;

/// Headers of a create that are not accepted when content is added to an existing paste.
pub const NOT_OF_CONTENTS: [&str; 5] =
    ["X-Expiry", "X-Burn-After-Read", "X-Reads", "X-Paste-Password", "X-Paste-Password-Base64"];

/// Headers of a create that are not accepted when only the expiry of a paste is changed.
pub const NOT_OF_EXPIRY: [&str; 6] = [
    "X-Burn-After-Read",
    "X-Reads",
    "X-Paste-Password",
    "X-Paste-Password-Base64",
    "X-Read-Proof-SHA256",
    "X-Password-Proof-SHA256",
];

/// Whether a request has one of these headers.
pub fn has_any(request: &Request<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| request.header(name).is_some())
}

/// The options of a new paste.
pub struct Wishes {
    /// The fixed expiry in seconds.
    pub expiry_seconds: Option<u64>,
    /// The read limit, if any.
    pub reads: Option<u32>,
    /// The protection against readers.
    pub lock: Lock,
}

/// What readers of a paste must present.
pub enum Lock {
    /// Nothing.
    None,
    /// This password.
    Password(String),
    /// Proofs with these hashes.
    Gate {
        /// SHA-256 of the proof of the link.
        link_proof: Sha256Digest,
        /// SHA-256 of the proof of the password.
        password_proof: Option<Sha256Digest>,
    },
}

impl Wishes {
    /// The options from the headers.
    ///
    /// # Errors
    /// `invalid_expiry`, or `bad_request` for malformed or conflicting options.
    pub fn of_headers(request: &Request<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            expiry_seconds: header_expiry(request)?,
            reads: limit(header_burn(request)?, header_reads(request)?),
            lock: lock(
                admission::password_from_headers(request)?,
                header_proof(request, LINK_PROOF)?,
                header_proof(request, PASSWORD_PROOF)?,
            )?,
        })
    }

    /// The options from a form, else from the headers.
    ///
    /// # Errors
    /// As [`Wishes::of_headers`].
    pub fn of_form(fields: FormFields, request: &Request<'_>) -> Result<Self, ApiError> {
        let FormFields { expiry, reads, burn, password } = fields;
        let burn = burn.map_or_else(
            || header_burn(request),
            |word| parse_burn(&word, "burn must be one of true, 1, yes, false, 0, no."),
        )?;
        let reads = reads.map_or_else(|| header_reads(request), |text| parse_reads(&text).map(Some))?;
        let expiry = expiry.map(|text| parse_expiry_seconds(&text).ok_or(ApiError::InvalidExpiry));
        let password = password.map(admission::not_empty).transpose()?;
        Ok(Self {
            expiry_seconds: expiry.map_or_else(|| header_expiry(request), |seconds| seconds.map(Some))?,
            reads: limit(burn, reads),
            lock: lock(
                password.map_or_else(|| admission::password_from_headers(request), |password| Ok(Some(password)))?,
                header_proof(request, LINK_PROOF)?,
                header_proof(request, PASSWORD_PROOF)?,
            )?,
        })
    }

    /// The options from a JSON body, else from the headers.
    ///
    /// # Errors
    /// As [`Wishes::of_headers`], and `invalid_json` for a field of the wrong type.
    pub fn of_json(json: &JsonBody<'_>, request: &Request<'_>) -> Result<Self, ApiError> {
        let password = match json.password()? {
            Some(password) => Some(admission::not_empty(password)?),
            None => admission::password_from_headers(request)?,
        };
        let proof = |field: Option<Result<String, ApiError>>, names| match field {
            Some(text) => parse_proof(&text?, names).map(Some),
            None => header_proof(request, names),
        };
        let reads = match json.reads() {
            Some(number) => Some(parse_reads(number)?),
            None => header_reads(request)?,
        };
        Ok(Self {
            expiry_seconds: json
                .expiry_seconds()?
                .map_or_else(|| header_expiry(request), |seconds| Ok(Some(seconds)))?,
            reads: limit(json.burn_after_read()?.map_or_else(|| header_burn(request), Ok)?, reads),
            lock: lock(
                password,
                proof(json.read_proof_sha256(), LINK_PROOF)?,
                proof(json.password_proof_sha256(), PASSWORD_PROOF)?,
            )?,
        })
    }
}

/// The option fields of a form.
#[derive(Default)]
pub struct FormFields {
    expiry: Option<String>,
    reads: Option<String>,
    burn: Option<String>,
    password: Option<String>,
}

impl FormFields {
    /// `burn_after_read` is the JSON name of `burn`.
    const NAMES: [&str; 5] = ["expiry", "reads", "burn", "burn_after_read", "password"];

    /// Whether a field of this name is one of them.
    pub fn knows(name: &str) -> bool {
        Self::NAMES.contains(&name)
    }

    /// Sets the value of one of them.
    ///
    /// # Errors
    /// `bad_request` for a duplicate: the sender may rely on a protection that only one of them has.
    pub fn set(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        let field = match name {
            "expiry" => &mut self.expiry,
            "reads" => &mut self.reads,
            "burn" | "burn_after_read" => &mut self.burn,
            _ => &mut self.password,
        };
        let before = field.replace(value);
        before.map_or(Ok(()), |_| Err(ApiError::BadRequest("The form has a duplicate field.")))
    }
}

/// The read limit from both options; burn wins.
fn limit(burn: bool, reads: Option<u32>) -> Option<u32> {
    if burn { Some(1) } else { reads }
}

/// Combines password and proofs.
fn lock(
    password: Option<String>,
    link_proof: Option<Sha256Digest>,
    password_proof: Option<Sha256Digest>,
) -> Result<Lock, ApiError> {
    match (password, link_proof, password_proof) {
        (None, None, None) => Ok(Lock::None),
        (Some(password), None, None) => Ok(Lock::Password(password)),
        (None, Some(link_proof), password_proof) => Ok(Lock::Gate { link_proof, password_proof }),
        (None, None, Some(_)) => Err(ApiError::BadRequest("A password proof needs a link proof.")),
        (Some(_), ..) => Err(ApiError::BadRequest("A server-side password cannot be combined with proofs.")),
    }
}

/// Seconds in `X-Expiry`.
///
/// # Errors
/// `invalid_expiry`
pub fn header_expiry(request: &Request<'_>) -> Result<Option<u64>, ApiError> {
    let expiry = request.header("X-Expiry");
    expiry.map(|text| parse_expiry_seconds(text).ok_or(ApiError::InvalidExpiry)).transpose()
}

/// Unknown words are refused: a typo must not silently disable burning.
fn header_burn(request: &Request<'_>) -> Result<bool, ApiError> {
    let word = request.header("X-Burn-After-Read");
    word.map_or(Ok(false), |word| parse_burn(word, "X-Burn-After-Read must be one of true, 1, yes, false, 0, no."))
}

fn parse_burn(value: &str, refusal: &'static str) -> Result<bool, ApiError> {
    let is_one_of = |words: [&str; 3]| words.iter().any(|word| value.trim().eq_ignore_ascii_case(word));
    match (is_one_of(["true", "1", "yes"]), is_one_of(["false", "0", "no"])) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(ApiError::BadRequest(refusal)),
    }
}

/// The proofs in the headers, for an existing paste; [`Lock::None`] if there are none.
///
/// # Errors
/// `bad_request` for malformed or conflicting proofs.
pub fn header_gate(request: &Request<'_>, now: &Protection) -> Result<Lock, ApiError> {
    let gate = lock(None, header_proof(request, LINK_PROOF)?, header_proof(request, PASSWORD_PROOF)?)?;
    if matches!(gate, Lock::Gate { .. }) && matches!(now, Protection::Password(_)) {
        return Err(ApiError::BadRequest("A server-side password cannot be combined with proofs."));
    }
    Ok(gate)
}

fn header_reads(request: &Request<'_>) -> Result<Option<u32>, ApiError> {
    request.header("X-Reads").map(parse_reads).transpose()
}

fn parse_reads(text: &str) -> Result<u32, ApiError> {
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let reads = digits.and_then(|text| text.parse().ok()).filter(|reads| (1..=MAX_READS).contains(reads));
    reads.ok_or(ApiError::BadRequest("The number of reads must be a whole number from 1 to 1000."))
}

/// The header of a proof hash, and the error for a malformed one.
pub type ProofNames = (&'static str, &'static str);

/// The hash of the proof that a reader has the link.
pub const LINK_PROOF: ProofNames = ("X-Read-Proof-SHA256", "X-Read-Proof-SHA256 must be 64 hex digits.");
const PASSWORD_PROOF: ProofNames = ("X-Password-Proof-SHA256", "X-Password-Proof-SHA256 must be 64 hex digits.");

/// The hash of a proof in its header.
///
/// # Errors
/// `bad_request` if it is malformed.
pub fn header_proof(request: &Request<'_>, names: ProofNames) -> Result<Option<Sha256Digest>, ApiError> {
    request.header(names.0).map(|text| parse_proof(text, names)).transpose()
}

/// The hash of the proof that an answer must present.
pub const ANSWER_PROOF: ProofNames = ("X-Answer-Proof-SHA256", "X-Answer-Proof-SHA256 must be 64 hex digits.");

fn parse_proof(text: &str, (_, refusal): ProofNames) -> Result<Sha256Digest, ApiError> {
    crypto::unhex(text).and_then(|bytes| bytes.try_into().ok()).ok_or(ApiError::BadRequest(refusal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_limits_are_validated() {
        for (text, reads) in [("1", 1), ("1000", 1000), ("007", 7)] {
            assert_eq!(parse_reads(text).unwrap(), reads);
        }
        for bad in ["", "0", "1001", "-1", "+1", "1.0", "1e2", " 1", "one", "99999999999", "\"3\"", "true", "[1]"] {
            assert!(parse_reads(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn burn_takes_precedence_over_a_read_limit() {
        assert_eq!(
            [limit(true, Some(5)), limit(true, None), limit(false, Some(5)), limit(false, None)],
            [Some(1), Some(1), Some(5), None]
        );
    }

    #[test]
    fn conflicting_protections_are_refused() {
        let hash = Some([1; 32]);
        assert!(matches!(lock(None, None, None), Ok(Lock::None)));
        assert!(matches!(lock(Some("p".into()), None, None), Ok(Lock::Password(_))));
        assert!(matches!(lock(None, hash, None), Ok(Lock::Gate { password_proof: None, .. })));
        assert!(matches!(lock(None, hash, hash), Ok(Lock::Gate { password_proof: Some(_), .. })));
        for (password, link, proof) in
            [(None, None, hash), (Some("p".into()), hash, None), (Some("p".into()), None, hash)]
        {
            assert!(lock(password, link, proof).is_err());
        }
    }

    #[test]
    fn proof_hashes_are_64_hex_digits_in_either_case() {
        assert_eq!(parse_proof(&"aB".repeat(32), LINK_PROOF).unwrap(), [0xab; 32]);
        for bad in ["", "ab", &"ab".repeat(31), &"ab".repeat(33), &"zz".repeat(32), &format!(" {}", "ab".repeat(32))] {
            assert!(parse_proof(bad, LINK_PROOF).is_err(), "{bad}");
        }
    }
}
