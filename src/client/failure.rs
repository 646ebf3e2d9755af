//! The client's error type: an exit code, a message and an optional hint.
//!
//! Invariant: every failure has one of the documented exit codes. Must never contain a key, a password, a token, or
//! text from a server that has not been stripped of control characters.

use crate::text::{clean, human_seconds, without_capital};
use serde_json::Value;
use std::io;

/// A server's message is cut after this many characters.
const MAX_SHOWN_CHARS: usize = 500;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Any other failure.
    Other = 1,
    /// Usage or configuration error; unreadable input, certificate or CA file.
    Usage = 2,
    /// The paste does not exist or has ended.
    NotFound = 3,
    /// A password or permission is missing or wrong.
    Denied = 4,
    /// Refused by a limit: size, entropy, expiry, storage.
    Limit = 5,
    /// Too many requests, or the server is busy.
    Busy = 6,
    /// The network or TLS failed.
    Network = 7,
    /// The content could not be decrypted.
    Decryption = 8,
}

/// A failure, ready to be printed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether the same request may succeed later: the network failed, or the server is busy or broken.
    pub may_pass: bool,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// So that it can be wrapped in an [`io::Error`].
impl std::error::Error for Failure {}

impl Failure {
    /// The failure wrapped in an I/O error, or a new one with the error's text.
    pub fn of(error: io::Error, what: &str) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => Self::new(Exit::Other, format!("{what}: {error}")),
        }
    }

    /// A failure with this exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, may_pass: matches!(exit, Exit::Busy | Exit::Network) }
    }

    /// A usage or configuration error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Appends to the hint.
    #[must_use]
    pub fn add_hint(mut self, more: &str) -> Self {
        self.hint = Some(match self.hint {
            Some(hint) => format!("{}; {more}", hint.trim_end_matches('.')),
            None => more.to_owned(),
        });
        self
    }

    /// A server's refusal: its status, its JSON if it sent any, and its `Retry-After` in seconds. Hints about HTTP are
    /// replaced by hints about this program.
    pub fn refused(status: u16, body: &[u8], wait_seconds: Option<u64>) -> Self {
        if let Some(failure) = refused_by_tls(status, body) {
            return failure;
        }
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let shown = |text: &str| clean(text).chars().take(MAX_SHOWN_CHARS).collect::<String>();
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(shown).filter(|text| !text.is_empty());
        let code = text("code").unwrap_or_default();
        let message = match text("error") {
            Some(error) => in_our_style(&error),
            None => format!("the server returned status {status}"),
        };
        let wait = match wait_seconds {
            Some(0) => "try again".to_owned(),
            Some(seconds) => format!("try again in {}", human_seconds(seconds)),
            None => "try again later".to_owned(),
        };
        let hint = match code.as_str() {
            "duplicate" => Some(format!("fpaste list shows your existing paste; or {wait}")),
            "throttled" | "busy" | "rate_limited" => Some(wait),
            "internal" => {
                let request = text("request_id").map_or_else(String::new, |id| format!(" and mention request {id}"));
                Some(format!("try again; if it persists, contact the server's operator{request}"))
            }
            "" if matches!(status, 502..=504) => {
                Some(format!("the server behind the proxy is not running or not reachable; {wait}"))
            }
            code => own_hint(code).map(str::to_owned).or_else(|| text("hint").map(|hint| in_our_words(&hint))),
        };
        let may_pass = status == 429 || status >= 500;
        Self { exit: exit_of(status, &code), message, hint, may_pass }
    }
}

/// Recognizes TLS errors in the HTML of nginx, Apache and Caddy (Go).
fn refused_by_tls(status: u16, body: &[u8]) -> Option<Failure> {
    if status != 400 {
        return None;
    }
    let body = String::from_utf8_lossy(body);
    let says = |texts: &[&str]| texts.iter().any(|text| body.contains(text));
    if says(&[
        "plain HTTP request was sent to HTTPS port",
        "plain HTTP to an SSL-enabled",
        "HTTP request to an HTTPS server",
    ]) {
        return Some(
            Failure::new(Exit::Network, "the server expects https:// on this port").hint("use https:// in its address"),
        );
    }
    if says(&["No required SSL certificate was sent"]) {
        return Some(
            Failure::new(Exit::Denied, "the server asks for a client certificate")
                .hint("set client_cert and client_key to a certificate that the server trusts"),
        );
    }
    says(&["The SSL certificate error"]).then(|| {
        Failure::new(Exit::Denied, "the server rejected the client certificate")
            .hint("ask the server's operator to add the certificate in client_cert")
    })
}

/// A server's sentence in the style of this program's messages: without the first capital and the last full stop.
fn in_our_style(sentence: &str) -> String {
    without_capital(sentence.trim_end_matches('.'))
}

/// The server's hint, unless it is for people who write requests by hand.
fn in_our_words(hint: &str) -> String {
    if ["GET /", "POST /", "X-", " header"].iter().any(|word| hint.contains(word)) {
        return "check the address, including the server's path if it has one".to_owned();
    }
    in_our_style(hint)
}

/// This program's hint for a refusal whose own hint is about HTTP.
fn own_hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "password_required" => "use -p to enter it, or --password-file",
        "password_wrong" => "check the password; a wrong one does not use up a read",
        "auth_required" => "use the machine that created the paste, or its owner's token or certificate",
        "create_denied" => "ask the server's operator for a token, and set it as FLASKPASTE_TOKEN",
        "token_invalid" => "check the token, or ask the server's operator for a new one",
        "blocked" => "the server's operator has blocked this content",
        "limited" => "create a new paste and delete this one",
        "permission_denied" => "use the machine that created it, or the certificate or token it was created with",
        "invalid_expiry" => "use e.g. -x 90s, -x 1h30m or -x 7d",
        "invalid_id" => "check the link for a typo; an ID is 4 to 64 hex digits",
        "too_large" => "compress or split it; a client certificate or a token may allow more (fpaste info)",
        "entropy_too_low" => "leave out -E: encrypted content is accepted",
        "pow_required" | "pow_expired" | "pow_reused" => "try again",
        "pow_invalid" => "try again; if it persists, update fpaste: curl -fsS -o fpaste SERVER/client",
        "bad_request" | "no_content" | "invalid_json" | "method_not_allowed" | "range_not_satisfiable" => {
            "update fpaste: curl -fsS -o fpaste SERVER/client"
        }
        "expectation_failed" => "check the address; a proxy may have changed the request",
        _ => return None,
    })
}

fn exit_of(status: u16, code: &str) -> Exit {
    match (status, code) {
        (_, "too_large" | "entropy_too_low" | "invalid_expiry" | "storage_full") | (413 | 507, _) => Exit::Limit,
        (404 | 410, _) => Exit::NotFound,
        (401 | 403, _) => Exit::Denied,
        (429 | 503, _) => Exit::Busy,
        (502 | 504, _) => Exit::Network,
        _ => Exit::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_exit_codes() {
        let cases = [
            (400, "entropy_too_low", Exit::Limit),
            (400, "invalid_expiry", Exit::Limit),
            (400, "pow_invalid", Exit::Other),
            (401, "password_required", Exit::Denied),
            (403, "permission_denied", Exit::Denied),
            (404, "not_found", Exit::NotFound),
            (413, "", Exit::Limit),
            (429, "duplicate", Exit::Busy),
            (500, "internal", Exit::Other),
            (502, "", Exit::Network),
            (503, "busy", Exit::Busy),
            (507, "storage_full", Exit::Limit),
        ];
        for (status, code, exit) in cases {
            let body = format!(r#"{{"error":"No.","code":"{code}"}}"#);
            assert_eq!(Failure::refused(status, body.as_bytes(), None).exit, exit, "{status} {code}");
        }
    }

    #[test]
    fn a_server_hint_is_shown_without_control_characters() {
        let failure = Failure::refused(400, br#"{"error":"Bad \u001b[31mthing.","hint":"Do\u0007 this."}"#, None);
        assert_eq!(
            (failure.message.as_str(), failure.hint.as_deref()),
            ("bad \u{fffd}[31mthing", Some("do\u{fffd} this"))
        );
        let failure = Failure::refused(502, b"<html>", None);
        assert_eq!(failure.message, "the server returned status 502");
        assert!(failure.hint.unwrap().contains("the server behind the proxy is not running"));
    }

    #[test]
    fn a_servers_sentences_read_like_our_own() {
        for (sentence, clause) in [
            ("There is no such paste.", "there is no such paste"),
            ("A paste; another.", "a paste; another"),
            ("X-Expiry is not a number.", "X-Expiry is not a number"),
            ("JSON is missing.", "JSON is missing"),
            ("Überall.", "überall"),
            ("", ""),
        ] {
            assert_eq!(in_our_style(sentence), clause);
        }
    }
}
