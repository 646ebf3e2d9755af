//! Parsers of setting values: each returns the value, or what would be valid.
//!
//! Invariant: strict: no signs, spaces or non-ASCII digits; every error completes a sentence that starts with the
//! variable's name. Must never resolve names or access files.

use super::{Bind, Database, Secret};
use crate::http::is_authority;
use crate::page_values::is_plain;

/// A whole decimal number within bounds, without signs, spaces or non-ASCII digits.
pub(super) fn whole<T: TryFrom<u64>>(text: &str, least: u64, most: u64) -> Result<T, String> {
    let number = if text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<u64>().ok() } else { None };
    number
        .filter(|number| (least..=most).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

/// A size in bytes. Units are ambiguous (kB or KiB) and not accepted.
pub(super) fn bytes(text: &str, least: u64, most: u64) -> Result<u64, String> {
    whole(text, least, most)
        .map_err(|_| format!("must be a whole number of bytes from {least} to {most}, without a unit"))
}

pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("must be 0 or 1".into()),
    }
}

/// The minimum length of a secret: 128 bits, if random.
const MIN_SECRET_BYTES: usize = 16;

/// A secret of sufficient length.
pub(super) fn secret(text: &str) -> Result<Secret, String> {
    if text.len() < MIN_SECRET_BYTES {
        return Err(format!("must have at least {MIN_SECRET_BYTES} bytes, e.g. from `openssl rand -hex 16`"));
    }
    Ok(Secret(text.into()))
}

/// A path, or the URL of a PostgreSQL database, which is parsed when connecting.
pub(super) fn database(text: &str) -> Result<Database, String> {
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        // A mistyped URL must not become the path of a new database, with a password in its name.
        let lower = text.trim().to_ascii_lowercase();
        let is_meant_otherwise = lower.contains("://") || lower.starts_with("postgres:") || lower.contains("password=");
        return if is_meant_otherwise {
            Err("must be a path or a URL that starts with postgres://".into())
        } else {
            Ok(Database::File(text.into()))
        };
    }
    if cfg!(feature = "postgres") {
        Ok(Database::Postgres(Secret(text.into())))
    } else {
        Err("is a PostgreSQL database, which this program does not support; use flaskpaste-postgres (make postgres)"
            .into())
    }
}

/// A database URL without its password, for display.
pub(super) fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (user, host) = address.rsplit_once('@').map_or(("", address), |(user, host)| (user, host));
    let user = user.split_once(':').map_or(user, |(name, _)| name);
    let at = if user.is_empty() { "" } else { "@" };
    let shown: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("password=")).collect();
    let mark = if shown.is_empty() { "" } else { "?" };
    format!("{scheme}://{user}{at}{host}{mark}{}", shown.join("&"))
}

pub(super) fn bind(text: &str) -> Result<Bind, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        if !path.starts_with('/') {
            return Err("must have an absolute path after unix:".into());
        }
        return Ok(Bind::Unix(path.into()));
    }
    // Names are not resolved: the static server would need shared libraries for that.
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address = local.as_deref().unwrap_or(text).parse();
    address.map(Bind::Tcp).map_err(|_| "must be address:port, [::1]:port or unix:/path".into())
}

/// `/segments` of unreserved characters (RFC 3986 section 2.3); a trailing slash is allowed.
pub(super) fn url_prefix(text: &str) -> Result<String, String> {
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let segment_is_plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    match trimmed.strip_prefix('/') {
        Some(rest) if rest.split('/').all(segment_is_plain) => Ok(trimmed.into()),
        None if trimmed.is_empty() => Ok(String::new()),
        _ => Err("must be /segments of letters, digits and -._~".into()),
    }
}

/// `scheme://host[:port]`; a trailing slash is allowed, a path is not.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let authority = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://"));
    match authority {
        Some(authority) if is_authority(authority) => Ok(trimmed.into()),
        _ => Err("must be http:// or https:// with a host and an optional port, without a path".into()),
    }
}

/// The contact for reports as a URI; a mail address becomes `mailto:`.
pub(super) fn contact(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_address = address.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !user.contains(['/', ':', '?', '&', '#']) && host.contains('.') && is_authority(host)
    });
    // RFC 9116 section 2.5.3 requires https, but onion services may have only http.
    let web = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_web = web.is_some_and(|rest| is_authority(rest.split(['/', '?', '#']).next().unwrap_or_default()));
    match (is_plain(text), is_address, is_web) {
        (true, true, _) => Ok(format!("mailto:{address}")),
        (true, _, true) => Ok(text.into()),
        _ => Err("must be a mail address, or an http:// or https:// URL".into()),
    }
}
