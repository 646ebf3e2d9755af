//! All errors of the API: status, code, message and hint.
//!
//! Invariant: one exhaustive match gives each refusal its status, its stable code, a message that says what is wrong
//! and a hint that says what to do. Must never send an internal detail (a path, SQL, a cause) to the peer: the cause of
//! [`ApiError::Internal`] is for the log.

use serde_json::{Map, Value, json};

/// A refusal, as the handlers and the admission checks see it.
#[derive(Debug)]
pub enum ApiError {
    /// The request is malformed.
    BadRequest(&'static str),
    /// A POST without a body.
    NoContent,
    /// A JSON body that is not the documented object.
    InvalidJson(&'static str),
    /// `X-Expiry` or `expiry` is not a positive whole number of seconds.
    InvalidExpiry,
    /// The id in the path is not 4 to 64 hex digits.
    InvalidId,
    /// The body is larger than this peer may upload, in bytes.
    TooLarge {
        /// Limit that applied, in bytes.
        max_size: u64,
        /// Whether the limit for authenticated peers applied.
        authenticated: bool,
    },
    /// The content's Shannon entropy is below the configured minimum.
    EntropyTooLow {
        /// Measured, in bits per byte.
        entropy: f64,
        /// Configured minimum, in bits per byte.
        min_entropy: f64,
    },
    /// The same content was submitted too often.
    Duplicate {
        /// Submissions counted in the window, this one included.
        count: u64,
        /// Length of the window in seconds.
        window_seconds: u64,
        /// Seconds until one more is accepted.
        retry_after_seconds: u64,
    },
    /// No proof of work was presented.
    PowRequired {
        /// Required leading zero bits.
        difficulty: u8,
    },
    /// The token or its solution is wrong.
    PowInvalid,
    /// The token is past its expiry.
    PowExpired,
    /// The token was already used.
    PowReused,
    /// The paste has a password and none was sent.
    PasswordRequired,
    /// The paste requires a proof of its password and none was sent.
    PasswordProofRequired,
    /// The password or its proof is wrong.
    PasswordWrong,
    /// The paste requires a proof of its link and none was sent.
    ProofRequired,
    /// The proof of the link is wrong.
    ProofWrong,
    /// An answer without a proof of the ask's link.
    AnswerProofRequired,
    /// The proof of the ask's link is wrong.
    AnswerProofWrong,
    /// The ask already has an answer.
    AlreadyAnswered,
    /// The ask has no answer yet.
    NotAnswered,
    /// A lease of a paste without a read limit.
    NoLeaseNeeded,
    /// Too many wrong passwords; seconds until the next attempt is accepted.
    Throttled(u64),
    /// The operator does not allow this client to create.
    CreateDenied {
        /// Whether a token is sufficient.
        takes_token: bool,
    },
    /// The bearer token is invalid.
    TokenInvalid,
    /// Too many creates from this address; seconds until the next one is accepted.
    RateLimited(u64),
    /// The operator has blocked this content.
    Blocked,
    /// A change of a paste with a read limit.
    Limited,
    /// A form with more than one content.
    SeveralFiles,
    /// A list of pastes without an owner.
    OwnerRequired,
    /// A delete or status request without proof of ownership.
    AuthRequired,
    /// The certificate or token does not own the paste.
    PermissionDenied,
    /// No such paste: never created, expired, burned or deleted (the same response for all).
    NotFound,
    /// No such route.
    NoSuchPath,
    /// `GET /client` without an installed client.
    NoClient,
    /// `GET /metrics` while metrics are off.
    NoMetrics,
    /// The path does not support this method; the methods that it does.
    MethodNotAllowed(String),
    /// A range beyond the end of content of this size.
    RangeNotSatisfiable(u64),
    /// `Expect` is not `100-continue`.
    ExpectationFailed,
    /// No capacity; seconds to wait.
    Busy(u64),
    /// The disk or the configured quota is full.
    StorageFull,
    /// The database cannot be reached, or the outcome of a change is unknown. The text goes to the log.
    Unavailable(String),
    /// An internal error. The text goes to the log under the request id, never to the peer.
    Internal(String),
}

/// Status, code, message and hint of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// HTTP status.
    pub status: u16,
    /// Stable code for programs.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

impl ApiError {
    /// The HTTP form of each refusal.
    #[expect(clippy::too_many_lines, reason = "a table: one row per refusal, exhaustive")]
    pub fn describe(&self) -> Description {
        let (status, code, message, hint) = match self {
            Self::BadRequest(message) => {
                (400, "bad_request", *message, "Correct the request; see docs/api.md in the source.")
            }
            Self::NoContent => (
                400,
                "no_content",
                "The request has no content.",
                "Send the paste as the request body, e.g. curl --data-binary @FILE URL.",
            ),
            Self::InvalidJson(message) => (
                400,
                "invalid_json",
                *message,
                "Send {\"content\": \"text\"}; to store JSON itself verbatim, use another Content-Type such as text/plain.",
            ),
            Self::InvalidExpiry => (
                400,
                "invalid_expiry",
                "The expiry is not a positive whole number of seconds.",
                "Send seconds, e.g. X-Expiry: 3600, or leave it out for the default.",
            ),
            Self::InvalidId => {
                (400, "invalid_id", "Invalid paste ID.", "An ID is 4 to 64 hex digits; check the address for a typo.")
            }
            Self::TooLarge { authenticated: false, .. } => (
                413,
                "too_large",
                "The content is larger than this server accepts.",
                "Send less; a client certificate or a token may raise the limit.",
            ),
            Self::TooLarge { authenticated: true, .. } => (
                413,
                "too_large",
                "The content is larger than this server accepts.",
                "Send less, or split it over several pastes.",
            ),
            Self::EntropyTooLow { .. } => (
                400,
                "entropy_too_low",
                "The content does not look encrypted, but this server requires encryption.",
                "Encrypt before uploading, e.g. with the fpaste client.",
            ),
            Self::Duplicate { .. } => (
                429,
                "duplicate",
                "The same content was submitted too often.",
                "Use the paste you already have, or wait.",
            ),
            Self::PowRequired { .. } => (
                400,
                "pow_required",
                "This server requires a proof of work.",
                "GET /challenge, solve it, and send X-PoW-Token and X-PoW-Solution; the fpaste client does this automatically.",
            ),
            Self::PowInvalid => (
                400,
                "pow_invalid",
                "The proof of work is wrong.",
                "GET a new /challenge; SHA-256(nonce + \":\" + solution) must begin with the required zero bits.",
            ),
            Self::PowExpired => (
                400,
                "pow_expired",
                "The proof-of-work token has expired.",
                "GET a new /challenge and solve it before it expires.",
            ),
            Self::PowReused => {
                (400, "pow_reused", "The proof-of-work token was already used.", "GET a new /challenge for each paste.")
            }
            Self::PasswordRequired => (
                401,
                "password_required",
                "This paste is protected by a password.",
                "Send X-Paste-Password (or X-Paste-Password-Base64), or HTTP Basic credentials with any user name.",
            ),
            Self::PasswordWrong => (
                403,
                "password_wrong",
                "The password is wrong.",
                "Check the password with the person who sent you the link.",
            ),
            Self::PasswordProofRequired => (
                403,
                "password_required",
                "This paste is protected by a password.",
                "Open the whole link, including the part after the #, in a browser or with fpaste get, and enter the password.",
            ),
            Self::ProofRequired => (
                403,
                "proof_required",
                "This paste can be read only with the whole link.",
                "Open the whole link, including the part after the #, in a browser or with fpaste get.",
            ),
            Self::ProofWrong => (
                403,
                "proof_wrong",
                "The proof does not match this paste's link.",
                "Open the whole link, including the part after the #, as it was sent to you.",
            ),
            Self::AnswerProofRequired => (
                403,
                "proof_required",
                "An answer can be sent only with the whole link.",
                "Open the whole link, including the part after the #, in a browser or with fpaste answer.",
            ),
            Self::AnswerProofWrong => (
                403,
                "proof_wrong",
                "The proof does not match the link of this request.",
                "Open the whole link, including the part after the #, as it was sent to you.",
            ),
            Self::AlreadyAnswered => (
                409,
                "already_answered",
                "This request has already been answered.",
                "If the answer was not yours, tell the person who sent the link and request a new one.",
            ),
            Self::NotAnswered => (
                404,
                "not_answered",
                "This request has not been answered yet.",
                "Try again later; GET the address without /raw to see whether there is an answer.",
            ),
            Self::NoLeaseNeeded => {
                (409, "no_lease_needed", "This paste has no read limit.", "GET its /raw without a lease.")
            }
            Self::Throttled(_) => {
                (429, "throttled", "Too many wrong passwords for this paste.", "Wait a little, then try again.")
            }
            Self::CreateDenied { takes_token: true } => (
                401,
                "create_denied",
                "Creating pastes on this server needs the operator's permission.",
                "Send a token of this server as Authorization: Bearer TOKEN, or a client certificate; ask the operator for one.",
            ),
            Self::CreateDenied { takes_token: false } => (
                401,
                "create_denied",
                "Creating pastes on this server needs the operator's permission.",
                "Connect with a client certificate that this server accepts; fpaste cert creates one.",
            ),
            Self::TokenInvalid => (
                401,
                "token_invalid",
                "The token is invalid or has expired.",
                "Check the token, ask the operator for a new one, or leave out the Authorization header.",
            ),
            Self::RateLimited(_) => (
                429,
                "rate_limited",
                "Too many pastes were created from this address.",
                "Wait a little, then try again.",
            ),
            Self::Blocked => (
                403,
                "blocked",
                "The operator of this server has blocked this content.",
                "If you think that is a mistake, contact the operator.",
            ),
            Self::Limited => (
                409,
                "limited",
                "The content of a paste with a read limit cannot be replaced.",
                "Create a new paste and delete this one.",
            ),
            Self::SeveralFiles => (
                400,
                "bad_request",
                "The form has several files, or both a file and content.",
                "Send one; fpaste FILE FILE packs several files into one paste.",
            ),
            Self::OwnerRequired => (
                401,
                "auth_required",
                "This needs a token or a client certificate.",
                "Send a token of this server as Authorization: Bearer TOKEN, or the client certificate that created them.",
            ),
            Self::AuthRequired => (
                401,
                "auth_required",
                "This needs proof that the paste is yours.",
                "Send the X-Delete-Token from its creation, or the client certificate or token that created it.",
            ),
            Self::PermissionDenied => (
                403,
                "permission_denied",
                "The token or certificate does not own this paste.",
                "Use the delete token or the certificate the paste was created with.",
            ),
            Self::NotFound => (
                404,
                "not_found",
                "There is no such paste.",
                "It may have expired, been read once, or been deleted; check the address.",
            ),
            Self::NoSuchPath => (404, "not_found", "There is no such route.", "GET / lists all routes."),
            Self::NoClient => (
                404,
                "not_found",
                "This server has no client for that platform.",
                "Build fpaste from the source, or ask the operator to place it in FLASKPASTE_CLIENT_DIR.",
            ),
            Self::NoMetrics => (404, "not_found", "Metrics are off.", "The operator can set FLASKPASTE_METRICS=1."),
            Self::MethodNotAllowed(_) => (
                405,
                "method_not_allowed",
                "This route does not support the method.",
                "Use one of the methods in the Allow header.",
            ),
            Self::RangeNotSatisfiable(_) => (
                416,
                "range_not_satisfiable",
                "The range is beyond the end of the content.",
                "Request a range within the size in Content-Range.",
            ),
            Self::ExpectationFailed => (
                417,
                "expectation_failed",
                "The only supported expectation is 100-continue.",
                "Send the request without the Expect header, or with Expect: 100-continue.",
            ),
            Self::Busy(_) | Self::Unavailable(_) => {
                (503, "busy", "The server is busy.", "Wait a little, then try again.")
            }
            Self::StorageFull => {
                (507, "storage_full", "The server's storage is full.", "Try again later, or tell the operator.")
            }
            Self::Internal(_) => (
                500,
                "internal",
                "Something went wrong on the server.",
                "Try again; if it persists, tell the operator the request ID.",
            ),
        };
        Description { status, code, message, hint }
    }

    /// The cause, for the operator's log only.
    pub fn internal_cause(&self) -> Option<&str> {
        match self {
            Self::Internal(cause) | Self::Unavailable(cause) => Some(cause),
            _ => None,
        }
    }

    /// Whether it is the server's fault.
    pub fn is_ours(&self) -> bool {
        self.describe().status >= 500
    }

    /// The JSON body: message, code, hint, request id and the fields that belong to this refusal.
    pub fn body(&self, request_id: &str) -> Value {
        let description = self.describe();
        let mut body = Map::new();
        body.insert("error".into(), description.message.into());
        body.insert("code".into(), description.code.into());
        body.insert("hint".into(), description.hint.into());
        body.insert("request_id".into(), request_id.into());
        match self {
            Self::TooLarge { max_size, authenticated } => {
                body.insert("max_size".into(), json!(max_size));
                body.insert("authenticated".into(), json!(authenticated));
            }
            Self::EntropyTooLow { entropy, min_entropy } => {
                // Three decimals are enough, and hide binary rounding noise.
                body.insert("entropy".into(), json!((entropy * 1000.0).round() / 1000.0));
                body.insert("min_entropy".into(), json!(min_entropy));
            }
            Self::Duplicate { count, window_seconds, .. } => {
                body.insert("count".into(), json!(count));
                body.insert("window_seconds".into(), json!(window_seconds));
            }
            Self::PowRequired { difficulty } => {
                body.insert("difficulty".into(), json!(difficulty));
            }
            _ => {}
        }
        Value::Object(body)
    }

    /// The headers that belong to this refusal.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Duplicate { retry_after_seconds: seconds, .. }
            | Self::Throttled(seconds)
            | Self::RateLimited(seconds)
            | Self::Busy(seconds) => {
                vec![("Retry-After", seconds.to_string())]
            }
            Self::Unavailable(_) => vec![("Retry-After", "1".into())],
            Self::TokenInvalid => vec![("WWW-Authenticate", "Bearer error=\"invalid_token\"".into())],
            // Unlike for Basic, browsers open no login dialog.
            Self::CreateDenied { .. } | Self::OwnerRequired => vec![("WWW-Authenticate", "Bearer".into())],
            Self::PasswordRequired => vec![("WWW-Authenticate", "Basic realm=\"paste\", charset=\"UTF-8\"".into())],
            // A 401 must name a scheme (RFC 9110 section 15.5.2). "Basic" would open a browser's login dialog.
            Self::AuthRequired => vec![("WWW-Authenticate", "X-Delete-Token realm=\"paste\"".into())],
            Self::MethodNotAllowed(allow) => vec![("Allow", allow.clone())],
            Self::RangeNotSatisfiable(size) => vec![("Content-Range", format!("bytes */{size}"))],
            _ => Vec::new(),
        }
    }
}
