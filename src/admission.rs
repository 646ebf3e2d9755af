//! Admission: authentication, authorization and proof of work.
//!
//! Invariant: headers about the client are trusted only from a trusted proxy; secrets are compared in constant time.
//! Must never keep more about a client than counters, in memory, for a limited number of networks.

mod flood;
mod hashing;
mod rate;

pub use flood::Flood;
pub use hashing::{Crowded, Hashing, Purpose};
pub use rate::Rate;

use crate::clock::UnixSeconds;
use crate::config::{Config, Creators, Mode};
use crate::crypto;
use crate::error::ApiError;
use crate::http::{Peer, Request};
use crate::paste::Fingerprint;
use crate::pow;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Whether this request comes from a trusted proxy: it has the secret, or, if none is set, comes from this machine.
pub fn is_trusted_proxy(config: &Config, request: &Request<'_>) -> bool {
    if config.proxy_secret.is_empty() {
        return request.peer.is_local();
    }
    let presented = request.header("X-Proxy-Secret").unwrap_or_default();
    // Comparing digests also hides the length of the secret.
    crypto::equal(&crypto::sha256(presented.as_bytes()), &crypto::sha256(config.proxy_secret.as_bytes()))
}

/// The client's certificate fingerprint, if a trusted proxy sent one.
pub fn certificate(config: &Config, request: &Request<'_>) -> Option<Fingerprint> {
    let fingerprint = request.header("X-SSL-Client-SHA1")?.parse().ok()?;
    is_trusted_proxy(config, request).then_some(fingerprint)
}

/// The client's address: from a trusted proxy, else of the connection.
pub fn client(config: &Config, request: &Request<'_>) -> Peer {
    // Only the last entry was added by the proxy; the client controls those before it.
    let forwarded = request.header("X-Forwarded-For").and_then(|list| list.rsplit(',').next());
    match forwarded.and_then(|name| name.trim().parse().ok()) {
        Some(address) if is_trusted_proxy(config, request) => Peer::Ip(address),
        _ => request.peer,
    }
}

/// The server's base URL as this client sees it, without a trailing slash.
pub fn base_url(config: &Config, request: &Request<'_>) -> String {
    if !config.public_url.is_empty() {
        return config.base_url();
    }
    let proto = request.header("X-Forwarded-Proto").filter(|_| is_trusted_proxy(config, request));
    let scheme = if proto == Some("https") { "https" } else { "http" };
    let host = request.filled_header("Host").unwrap_or("localhost");
    format!("{scheme}://{host}{}", config.url_prefix)
}

/// The request's bearer token (RFC 6750 section 2.1), if any.
pub fn bearer<'a>(request: &'a Request<'_>) -> Option<&'a str> {
    let header = request.header("Authorization")?;
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Checks `FLASKPASTE_CREATE`.
///
/// # Errors
/// `create_denied`
pub fn may_create(config: &Config, request: &Request<'_>) -> Result<(), ApiError> {
    let may = match config.create {
        Creators::Anyone => true,
        Creators::Token => request.owner.is_some(),
        Creators::Certificate => certificate(config, request).is_some(),
    };
    if may { Ok(()) } else { Err(ApiError::CreateDenied { takes_token: config.create == Creators::Token }) }
}

/// The size limit of this request's body, in bytes.
pub fn max_body_bytes(config: &Config, request: &Request<'_>) -> u64 {
    if request.owner.is_some() { config.max_auth_bytes } else { config.max_anon_bytes }
}

/// Whether this request needs a proof of work. Only direct loopback clients in development are exempt.
pub fn needs_proof_of_work(config: &Config, request: &Request<'_>) -> bool {
    let forwarded = ["X-Forwarded-For", "X-Real-IP", "Forwarded"].iter().any(|name| request.header(name).is_some());
    let direct_and_local = matches!(request.peer, Peer::Ip(_)) && request.peer.is_local() && !forwarded;
    config.pow_difficulty > 0 && !(config.mode == Mode::Development && direct_and_local)
}

/// Checks the proof of work of a create. Returns the key of the token to be spent with it.
///
/// # Errors
/// When it is required but missing, or wrong.
pub fn proof_of_work(
    config: &Config,
    secret: &[u8],
    request: &Request<'_>,
    now: UnixSeconds,
    elevated_bits: u8,
) -> Result<Option<Vec<u8>>, ApiError> {
    let difficulty = config.pow_difficulty;
    // Challenges issued before the difficulty rose stay valid.
    let required = || ApiError::PowRequired { difficulty: difficulty + elevated_bits };
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

/// Refuses content with less entropy than the configured minimum. Equal passes.
///
/// # Errors
/// When it is long enough to measure and below the minimum.
pub fn entropy(config: &Config, size: u64, entropy_bits: Option<f64>) -> Result<(), ApiError> {
    let min_entropy = config.min_entropy_bits;
    match entropy_bits {
        Some(entropy) if size >= config.min_entropy_size_bytes && entropy < min_entropy => {
            Err(ApiError::EntropyTooLow { entropy, min_entropy })
        }
        _ => Ok(()),
    }
}

/// The password from the `X-Paste-Password` headers.
///
/// # Errors
/// When it is empty or invalid Base64, or both headers are present.
pub fn password_from_headers(request: &Request<'_>) -> Result<Option<String>, ApiError> {
    if let Some(text) = request.header("X-Paste-Password-Base64") {
        if request.header("X-Paste-Password").is_some() {
            return Err(ApiError::BadRequest("Send X-Paste-Password or X-Paste-Password-Base64, not both."));
        }
        let password = decode_base64(text);
        let password = password.ok_or(ApiError::BadRequest("X-Paste-Password-Base64 is not Base64 of UTF-8 text."))?;
        return not_empty(password).map(Some);
    }
    request.header("X-Paste-Password").map(|text| not_empty(text.to_owned())).transpose()
}

/// Refuses an empty password.
///
/// # Errors
/// When it is empty.
pub fn not_empty(password: String) -> Result<String, ApiError> {
    if password.is_empty() { Err(ApiError::BadRequest("The password is empty.")) } else { Ok(password) }
}

/// The password of a read: from its own header, or HTTP Basic with any user name (RFC 7617).
///
/// # Errors
/// As [`password_from_headers`].
pub fn presented_password(request: &Request<'_>) -> Result<Option<String>, ApiError> {
    if let Some(password) = password_from_headers(request)? {
        return Ok(Some(password));
    }
    Ok(request.header("Authorization").and_then(basic_password))
}

/// The password of HTTP Basic credentials; `None` for anything else.
fn basic_password(header: &str) -> Option<String> {
    let (scheme, credentials) = header.split_once(' ')?;
    let text = decode_base64(credentials.trim())?;
    let (_, password) = text.split_once(':')?;
    (scheme.eq_ignore_ascii_case("Basic") && !password.is_empty()).then(|| password.to_owned())
}

/// Decodes Base64 in the standard alphabet (RFC 4648 section 4). Padding is optional; otherwise strict, as a partial
/// password must not pass.
fn decode_base64(text: &str) -> Option<String> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    String::from_utf8(GeneralPurpose::new(&STANDARD, CONFIG).decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_base64_is_refused() {
        assert_eq!(decode_base64("Zm9vYg").as_deref(), Some("foob"));
        assert_eq!(decode_base64("Zm9vYg==").as_deref(), Some("foob"));
        for text in ["Z", "Zg===", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "====", "-_-_", "Zg==Zg==", "ü", "/w=="] {
            assert!(decode_base64(text).is_none(), "{text:?}");
        }
    }

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
