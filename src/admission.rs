//! Admission: who you are and whether you may.
//!
//! Invariant: what a header claims about the client counts only from a proxy we trust; secrets are compared in
//! constant time. Must never remember anything about a client but wrong passwords, and those only for minutes.

mod passwords;

pub use passwords::{PasswordGate, Turned};

use crate::base64;
use crate::clock::UnixSeconds;
use crate::config::{Config, Mode};
use crate::crypto;
use crate::error::ApiError;
use crate::http::{Peer, Request};
use crate::paste::Fingerprint;
use crate::pow;

/// Whether this request comes from the proxy: it knows the secret, or, where there is none, it comes from this machine.
pub fn is_trusted_proxy(config: &Config, request: &Request<'_>) -> bool {
    if config.proxy_secret.is_empty() {
        return request.peer.is_local();
    }
    let presented = request.header("X-Proxy-Secret").unwrap_or_default();
    // Digests have one length: the comparison does not even tell that of the secret.
    crypto::equal(&crypto::sha256(presented.as_bytes()), &crypto::sha256(config.proxy_secret.as_bytes()))
}

/// The client's certificate, if a trusted proxy vouches for one.
pub fn owner(config: &Config, request: &Request<'_>) -> Option<Fingerprint> {
    let fingerprint = request.header("X-SSL-Client-SHA1")?.parse().ok()?;
    is_trusted_proxy(config, request).then_some(fingerprint)
}

/// The largest paste this client may upload, in bytes.
pub fn max_bytes(config: &Config, owner: Option<&Fingerprint>) -> u64 {
    if owner.is_some() { config.max_auth_bytes } else { config.max_anon_bytes }
}

/// Whether this request has to bring a proof of work. Only in development a direct client on this machine need not.
pub fn needs_proof_of_work(config: &Config, request: &Request<'_>) -> bool {
    let forwarded = ["X-Forwarded-For", "X-Real-IP", "Forwarded"].iter().any(|name| request.header(name).is_some());
    let direct_and_local = matches!(request.peer, Peer::Ip(_)) && request.peer.is_local() && !forwarded;
    config.pow_difficulty > 0 && !(config.mode == Mode::Development && direct_and_local)
}

/// Checks the proof of work a create brings; the key of the token to be spent with it.
///
/// # Errors
/// When it is missing though needed, or present and wrong.
pub fn proof_of_work(
    config: &Config,
    secret: &[u8],
    request: &Request<'_>,
    now: UnixSeconds,
) -> Result<Option<Vec<u8>>, ApiError> {
    let difficulty = config.pow_difficulty;
    let required = || ApiError::PowRequired { difficulty };
    if difficulty == 0 {
        return Ok(None);
    }
    match (request.filled_header("X-PoW-Token"), request.filled_header("X-PoW-Solution")) {
        (Some(token), Some(solution)) => match pow::check(secret, token, solution, difficulty, now) {
            Ok(challenge) => Ok(Some(challenge.spent_key())),
            Err(pow::Refusal::Invalid) => Err(ApiError::PowInvalid),
            Err(pow::Refusal::Expired) => Err(ApiError::PowExpired),
        },
        (Some(_), None) => Err(required()),
        (None, _) if needs_proof_of_work(config, request) => Err(required()),
        (None, _) => Ok(None),
    }
}

/// Refuses content that looks less random than the operator asks for. Equal passes.
///
/// # Errors
/// When it is long enough to tell, and below the minimum.
pub fn entropy(config: &Config, size: u64, entropy_bits: Option<f64>) -> Result<(), ApiError> {
    let min_entropy = config.min_entropy_bits;
    match entropy_bits {
        Some(entropy) if size >= config.min_entropy_size_bytes && entropy < min_entropy => {
            Err(ApiError::EntropyTooLow { entropy, min_entropy })
        }
        _ => Ok(()),
    }
}

/// The password in the headers made for it.
///
/// # Errors
/// When it is empty, or not Base64 of UTF-8 where that is promised.
pub fn password_from_headers(request: &Request<'_>) -> Result<Option<String>, ApiError> {
    if let Some(text) = request.header("X-Paste-Password-Base64") {
        let password = base64::decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
        let password = password.ok_or(ApiError::BadRequest("X-Paste-Password-Base64 is not Base64 of UTF-8 text."))?;
        return not_empty(password).map(Some);
    }
    request.header("X-Paste-Password").map(|text| not_empty(text.to_owned())).transpose()
}

/// A password that protects something.
///
/// # Errors
/// When it is empty.
pub fn not_empty(password: String) -> Result<String, ApiError> {
    if password.is_empty() { Err(ApiError::BadRequest("The password is empty.")) } else { Ok(password) }
}

/// The password a read presents: in its own header, or as HTTP Basic with any user name (RFC 7617).
///
/// # Errors
/// As [`password_from_headers`].
pub fn presented_password(request: &Request<'_>) -> Result<Option<String>, ApiError> {
    if let Some(password) = password_from_headers(request)? {
        return Ok(Some(password));
    }
    Ok(request.header("Authorization").and_then(basic_password))
}

/// The password of HTTP Basic credentials; anything else is as good as none.
fn basic_password(header: &str) -> Option<String> {
    let (scheme, credentials) = header.split_once(' ')?;
    let text = String::from_utf8(base64::decode(credentials.trim())?).ok()?;
    let (_, password) = text.split_once(':')?;
    (scheme.eq_ignore_ascii_case("Basic") && !password.is_empty()).then(|| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials() {
        // The examples of RFC 7617 sections 2 and 2.1.
        assert_eq!(basic_password("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap(), "open sesame");
        assert_eq!(basic_password("basic dGVzdDoxMjPCow==").unwrap(), "123£");
        for bad in ["", "Basic", "Basic !", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic dGVzdA==", "Basic dGVzdDo="] {
            assert!(basic_password(bad).is_none(), "{bad}");
        }
    }
}
