//! A response and its expectations: every one is checked for the headers and the error format that the documentation
//! promises, and every failed expectation prints the whole exchange.

use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest part of a body or request that a failure prints.
const DUMP_BYTES: usize = 2048;

/// Every response has these.
const ON_EVERY_RESPONSE: &[(&str, &str)] = &[
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Robots-Tag", "noindex, nofollow"),
];

/// The server's stderr so far, filled by a thread of the harness.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    pub fn push(&self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
    }

    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A response.
#[derive(Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub request: String,
    pub log: Log,
}

impl Response {
    /// The value of a header; names are case-insensitive.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| self.fail(&format!("the body is not JSON: {error}")))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Panics with the whole exchange.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        let headers = self.headers.iter().fold(String::new(), |text, (name, value)| text + name + ": " + value + "\n");
        panic!(
            "{what}\n--- request\n{}\n--- response {}\n{headers}\n{}\n--- log\n{}",
            self.request,
            self.status,
            cut(&self.body),
            self.log.text()
        );
    }

    #[track_caller]
    pub fn expect(&self, condition: bool, what: &str) {
        if !condition {
            self.fail(what);
        }
    }

    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        self.expect(self.status == status, &format!("expected status {status}"));
        self
    }

    /// An error with this status and code.
    #[track_caller]
    pub fn expect_code(self, status: u16, code: &str) -> Self {
        let right = self.status == status && self.json()["code"] == code;
        self.expect(right, &format!("expected status {status} with code {code}"));
        self
    }

    #[track_caller]
    pub fn expect_header(self, name: &str, value: &str) -> Self {
        self.expect(self.get(name) == Some(value), &format!("expected header {name}: {value}"));
        self
    }

    #[track_caller]
    pub fn expect_body(self, content: impl AsRef<[u8]>) -> Self {
        self.expect(self.body == content.as_ref(), &format!("expected the body {}", cut(content.as_ref())));
        self
    }

    /// A field of the JSON body.
    #[track_caller]
    pub fn expect_field(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.expect(self.json()[name] == value, &format!("expected {name:?} to be {value}"));
        self
    }

    /// The JSON body has none of these fields.
    #[track_caller]
    pub fn expect_no_fields(self, names: &[&str]) -> Self {
        let json = self.json();
        for name in names {
            self.expect(json.get(name).is_none(), &format!("expected no field {name:?}"));
        }
        self
    }

    /// A `Retry-After` of whole seconds, at least one; the seconds.
    #[track_caller]
    pub fn retry_after(&self) -> u64 {
        let seconds = self.get("Retry-After").and_then(|seconds| seconds.parse().ok()).filter(|seconds| *seconds > 0);
        seconds.unwrap_or_else(|| self.fail("expected Retry-After in whole seconds"))
    }

    /// What holds for every response.
    #[track_caller]
    pub fn check_promises(&self, head_only: bool) {
        for (name, value) in ON_EVERY_RESPONSE {
            self.expect(self.get(name) == Some(*value), &format!("expected header {name}: {value}"));
            self.expect(self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count() == 1, name);
        }
        self.check_caching();
        let policy = self.get("Content-Security-Policy").unwrap_or_default();
        self.expect(policy.starts_with("default-src 'none'"), "expected a Content-Security-Policy");
        self.expect(policy.contains("frame-ancestors 'none'"), "expected frame-ancestors in the policy");
        self.expect(self.get("Permissions-Policy").is_some_and(|policy| policy.contains("=()")), "Permissions-Policy");
        let server = self.get("Server").unwrap_or_default();
        self.expect(!server.bytes().any(|byte| byte.is_ascii_digit()), "the Server header has a version");
        let id = self.get("X-Request-ID").unwrap_or_else(|| self.fail("expected X-Request-ID"));
        if self.status >= 400 && !head_only {
            self.check_error(id);
        }
    }

    /// Files with a content hash in the name are cached, and nothing else is.
    #[track_caller]
    fn check_caching(&self) {
        let target = self.request.split(' ').nth(1).unwrap_or_default();
        let expected = if self.status == 200 && target.contains("/static/") {
            [Some("public, max-age=31536000, immutable"), None]
        } else {
            [Some("no-store, no-cache, must-revalidate, private"), Some("no-cache")]
        };
        let values = ["Cache-Control", "Pragma"].map(|name| self.get(name));
        self.expect(values == expected, &format!("expected Cache-Control and Pragma {expected:?}"));
    }

    #[track_caller]
    fn check_error(&self, request_id: &str) {
        if self.get("Content-Type") == Some("text/html; charset=utf-8") {
            let page = String::from_utf8_lossy(&self.body);
            return self.expect(page.contains(request_id), "an error page must name the request");
        }
        let json = self.json();
        if json["status"] == "unhealthy" {
            return;
        }
        self.expect(self.get("Content-Type") == Some("application/json"), "an error has to be JSON");
        for name in ["error", "code", "hint"] {
            let filled = json[name].as_str().is_some_and(|text| !text.is_empty());
            self.expect(filled, &format!("an error needs its {name:?}"));
        }
        self.expect(json["request_id"] == request_id, "request_id has to equal X-Request-ID");
    }
}

/// Bytes as text, truncated.
pub fn cut(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(DUMP_BYTES)]).into_owned();
    if bytes.len() > DUMP_BYTES { format!("{shown}… ({} bytes in all)", bytes.len()) } else { shown }
}
