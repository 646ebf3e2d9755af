//! Access control of reads: a lease, the proofs of the link, or the password.
//!
//! Invariant: no read is counted or taken before all required proofs are verified; guesses by clients without the link
//! never count against those who have it, and guesses of a server-side password never lock out a reader who retries
//! after `Retry-After`. Secrets are compared in constant time. Must never reveal why a lease is invalid.

use crate::admission::{self, Crowded, Purpose};
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::crypto::{self, PasswordHash, Sha256Digest};
use crate::error::ApiError;
use crate::http::{Peer, Request};
use crate::store::{Paste, Protection};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Whether the request has a valid lease; pastes without a read limit ignore leases.
///
/// # Errors
/// `not_found` for an invalid lease, or without a lease if no reads are left.
pub fn holds_lease(app: &App, request: &Request<'_>, paste: &Paste, now: UnixSeconds) -> Result<bool, ApiError> {
    match request.header("X-Lease") {
        _ if paste.meta.reads_left.is_none() => Ok(false),
        Some(lease) if app.store().is_leased(paste, lease, now)? => Ok(true),
        Some(_) => Err(ApiError::NotFound),
        None if paste.is_given_out() => Err(ApiError::NotFound),
        None => Ok(false),
    }
}

/// Checks the proofs or password of a reader without a lease, in the order of docs/api.md.
///
/// # Errors
/// For the first missing or wrong one, or `throttled`.
pub fn check(app: &App, request: &Request<'_>, paste: &Paste, now: UnixSeconds) -> Result<(), ApiError> {
    match &paste.meta.protection {
        Protection::None => Ok(()),
        Protection::Password(stored) => check_password(app, request, paste, stored, now),
        Protection::Gate { link_proof, password_proof } => {
            let link = request.filled_header("X-Read-Proof").ok_or(ApiError::ProofRequired)?;
            if !is_proof(link, link_proof) {
                return Err(ApiError::ProofWrong);
            }
            match password_proof {
                None => Ok(()),
                Some(expected) => check_password_proof(app, request, paste, expected, now),
            }
        }
    }
}

/// Whether this is the base64url of the proof with this hash.
pub fn is_proof(text: &str, hash: &Sha256Digest) -> bool {
    let mut proof = [0; 32];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut proof);
    length == Ok(proof.len()) && crypto::equal(&crypto::sha256(&proof), hash)
}

fn check_password_proof(
    app: &App,
    request: &Request<'_>,
    paste: &Paste,
    expected: &Sha256Digest,
    now: UnixSeconds,
) -> Result<(), ApiError> {
    let presented = request.filled_header("X-Password-Proof").ok_or(ApiError::PasswordProofRequired)?;
    let client = admission::client(app.config(), request);
    charged(app, client, paste, now, || Ok(is_proof(presented, expected)))
}

fn check_password(
    app: &App,
    request: &Request<'_>,
    paste: &Paste,
    stored: &PasswordHash,
    now: UnixSeconds,
) -> Result<(), ApiError> {
    let presented = admission::presented_password(request)?.ok_or(ApiError::PasswordRequired)?;
    let client = admission::client(app.config(), request);
    let purpose = Purpose::Read(paste.number());
    charged(app, client, paste, now, || {
        app.hashing().run(purpose, client.network(), || stored.verify(presented.as_bytes()))
    })
}

/// Counts an attempt of the client, then checks it. Successful attempts, and those that could not be checked, are not
/// counted in the end.
fn charged(
    app: &App,
    client: Peer,
    paste: &Paste,
    now: UnixSeconds,
    is_right: impl FnOnce() -> Result<bool, Crowded>,
) -> Result<(), ApiError> {
    let network = client.network();
    app.store().charge_try(paste, network, now)?.map_err(ApiError::Throttled)?;
    match is_right() {
        Ok(true) => Ok(app.store().forgive_tries(paste, network)?),
        Ok(false) => Err(ApiError::PasswordWrong),
        Err(Crowded) => {
            app.store().refund_try(paste, network, now)?;
            Err(ApiError::Busy(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_43_characters_of_base64url() {
        let hash = crypto::sha256(&[7; 32]);
        let proof = URL_SAFE_NO_PAD.encode([7; 32]);
        assert!(is_proof(&proof, &hash));
        let other = URL_SAFE_NO_PAD.encode([8; 32]);
        for bad in ["", "x", &proof[..42], &format!("{proof}="), &format!("{proof}A"), &format!(" {proof}"), &other] {
            assert!(!is_proof(bad, &hash), "{bad}");
        }
    }
}
