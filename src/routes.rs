//! The routing table, used for dispatch, `Allow` and the index.
//!
//! Invariant: it has exactly the paths and methods of docs/api.md. To add a route: one row, one handler, one test.

use crate::app::App;
use crate::clock::UnixSeconds;
use crate::error::ApiError;
use crate::handlers::{ask, change, create, delete, lease, pastes, read, service, status};
use crate::http::{Method, Reply, Request};
use crate::paste::Id;
use serde_json::{Map, Value};

/// A method on a path.
struct Route {
    method: Method,
    path: &'static str,
    /// Its description in the index; `None` if it is not listed.
    summary: Option<&'static str>,
    /// Whether browsers get a page.
    has_page: bool,
    handler: Handler,
}

/// A handler, by the part of the path it takes.
enum Handler {
    Plain(fn(&App, &mut Request<'_>, UnixSeconds) -> Result<Reply, ApiError>),
    Named(fn(&App, &str) -> Result<Reply, ApiError>),
    Paste(fn(&App, &mut Request<'_>, &Id, UnixSeconds) -> Result<Reply, ApiError>),
    /// Takes a file name in place of the id.
    File(fn(&App, &mut Request<'_>, &str, UnixSeconds) -> Result<Reply, ApiError>),
}

use Handler::{File, Named, Paste, Plain};
use Method::{Delete, Get, Patch, Post, Put};

/// Shorthand for a row.
const fn row(method: Method, path: &'static str, summary: &'static str, handler: Handler) -> Route {
    Route { method, path, summary: Some(summary), has_page: false, handler }
}

/// The same with a page.
const fn page(method: Method, path: &'static str, summary: &'static str, handler: Handler) -> Route {
    Route { has_page: true, ..row(method, path, summary, handler) }
}

/// The same without a line in the index.
const fn unlisted(method: Method, path: &'static str, handler: Handler) -> Route {
    Route { method, path, summary: None, has_page: false, handler }
}

/// The only route that can be disabled.
const METRICS: &str = "/metrics";
/// The only route that is also at the root of the host, whatever the prefix (RFC 9116 section 3).
const SECURITY: &str = "/.well-known/security.txt";

/// All routes. `HEAD` works wherever `GET` does, `OPTIONS` everywhere. The first matching path wins.
const ROUTES: &[Route] = &[
    page(Get, "/", "This description", Plain(|app, request, now| Ok(service::index(app, request, &listed(), now)))),
    row(Post, "/", "Create a paste from the request body, or from a form with a file", Plain(create::post)),
    row(
        Put,
        "/",
        "Create a paste from the request body",
        Plain(|app, request, now| create::put(app, request, "", now)),
    ),
    page(Get, "/ask", "How to ask for a secret", Plain(|app, request, now| Ok(ask::about(app, request, now)))),
    row(Post, "/ask", "Ask someone for a secret that only you can read", Plain(ask::post)),
    row(Get, "/health", "Whether the server and its database work", Plain(|app, _, _| Ok(service::health(app)))),
    row(Get, "/challenge", "A proof-of-work challenge", Plain(|app, _, now| service::challenge(app, now))),
    row(
        Get,
        "/client",
        "The fpaste command-line client; ?target=<triple> for another platform",
        Plain(|app, request, _| service::client(app, request)),
    ),
    row(Get, "/openapi.json", "The OpenAPI description of this API", Plain(|app, _, _| Ok(service::openapi(app)))),
    unlisted(Get, METRICS, Plain(|app, _, now| service::metrics(app, now))),
    unlisted(Get, "/robots.txt", Plain(|_, _, _| Ok(service::robots()))),
    unlisted(Get, SECURITY, Plain(|app, request, now| service::security(app, request, now))),
    unlisted(Get, "/static/<name>", Named(service::asset)),
    row(
        Get,
        "/pastes",
        "The pastes of a token or a certificate; ?before=NEXT for more",
        Plain(|app, request, now| pastes::pastes(app, request, now)),
    ),
    page(Get, "/<id>", "Metadata of a paste", Paste(|app, request, id, now| read::metadata(app, request, id, now))),
    row(
        Delete,
        "/<id>",
        "Delete a paste, with its delete token or as its owner; or end a lease of it",
        Paste(|app, request, id, now| delete::delete(app, request, id, now)),
    ),
    row(
        Patch,
        "/<id>",
        "Change the expiry of a paste to X-Expiry seconds from now, with its delete token or as its owner",
        Paste(|app, request, id, now| change::patch(app, request, id, now)),
    ),
    row(Put, "/<id>", "Create a paste from the request body, with a name", File(create::put)),
    row(
        Post,
        "/<id>/lease",
        "Take one of a limited paste's reads, to be confirmed by DELETE with X-Lease",
        Paste(|app, request, id, now| lease::take(app, request, id, now)),
    ),
    row(
        Get,
        "/<id>/status",
        "The status of a paste, or how it ended, with its delete token or as its owner",
        Paste(|app, request, id, now| status::status(app, request, id, now)),
    ),
    row(Get, "/<id>/raw", "Content of a paste", Paste(|app, request, id, now| read::raw(app, request, id, now))),
    row(
        Put,
        "/<id>/raw",
        "Replace the content of a paste, with its delete token or as its owner; or answer a request for a secret, with the proof of its link",
        Paste(change::replace),
    ),
];

/// A matched path: the pattern of its routes, and the text in place of `<...>`.
struct Place<'a> {
    pattern: &'static str,
    text: &'a str,
}

impl<'a> Place<'a> {
    fn find(path: &'a str, prefix: &str) -> Option<Self> {
        if path == SECURITY {
            return Some(Self { pattern: SECURITY, text: "" });
        }
        let rest = path.strip_prefix(prefix)?;
        let rest = if rest.is_empty() { "/" } else { rest };
        ROUTES.iter().find_map(|route| Some(Self { pattern: route.path, text: matched(rest, route.path)? }))
    }

    fn routes(&self) -> impl Iterator<Item = &'static Route> {
        let pattern = self.pattern;
        ROUTES.iter().filter(move |route| route.path == pattern)
    }

    /// The supported methods, for an `Allow` header.
    fn allow(&self) -> String {
        let methods = self.routes().flat_map(|route| match route.method {
            Get => vec!["GET", "HEAD"],
            method => vec![method.name()],
        });
        methods.chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")
    }
}

/// The text in place of the pattern's `<...>`, empty if it has none; `None` if the path does not match.
fn matched<'a>(path: &'a str, pattern: &str) -> Option<&'a str> {
    if path == pattern {
        return Some("");
    }
    let (before, rest) = pattern.split_once('<')?;
    let (_, after) = rest.split_once('>')?;
    let text = path.strip_prefix(before)?.strip_suffix(after)?;
    (!text.is_empty() && !text.contains('/')).then_some(text)
}

/// The index: "METHOD /path" and its description.
fn listed() -> Map<String, Value> {
    let line = |route: &Route| {
        let is_file = matches!(route.handler, File(_));
        let path = if is_file { route.path.replace("<id>", "<name>") } else { route.path.to_owned() };
        Some((format!("{} {path}", route.method.name()), route.summary?.into()))
    };
    ROUTES.iter().filter_map(line).collect()
}

/// Whether a path has a page for browsers, even if the id in it is invalid.
pub fn has_page(path: &str, prefix: &str) -> bool {
    Place::find(path, prefix).is_some_and(|place| place.routes().any(|route| route.has_page))
}

/// Dispatches a request by its path and method.
///
/// # Errors
/// The handler's refusal, or an unknown path or method.
pub fn dispatch(app: &App, request: &mut Request<'_>, now: UnixSeconds) -> Result<Reply, ApiError> {
    let method = if request.method == Method::Head { Get } else { request.method };
    if request.path == "*" && method == Method::Options {
        return Ok(Reply::empty(204).with("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    let place = Place::find(request.path, &app.config().url_prefix).ok_or(ApiError::NoSuchPath)?;
    if place.pattern == METRICS && !app.config().metrics {
        return Err(ApiError::NoMetrics);
    }
    let route = place.routes().find(|route| route.method == method);
    let is_file = route.is_some_and(|route| matches!(route.handler, File(_)));
    let id = if place.pattern.contains("<id>") && !is_file {
        Some(place.text.parse::<Id>().map_err(|()| ApiError::InvalidId)?)
    } else {
        None
    };
    if method == Method::Options {
        return Ok(Reply::empty(204).with("Allow", place.allow()));
    }
    let Some(route) = route else {
        return Err(ApiError::MethodNotAllowed(place.allow()));
    };
    match (&route.handler, &id) {
        (Plain(answer), _) => answer(app, request, now),
        (Named(answer), _) => answer(app, place.text),
        (File(answer), _) => answer(app, request, place.text, now),
        (Paste(answer), Some(id)) => answer(app, request, id, now),
        (Paste(_), None) => Err(ApiError::InvalidId),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_their_patterns() {
        let found = |path| Place::find(path, "/p").map(|place| (place.pattern, place.text.to_owned()));
        let cases = [
            ("/p", Some(("/", ""))),
            ("/p/", Some(("/", ""))),
            ("/p/health", Some(("/health", ""))),
            ("/p/static/a.js", Some(("/static/<name>", "a.js"))),
            ("/p/abcd", Some(("/<id>", "abcd"))),
            ("/p/abcd/raw", Some(("/<id>/raw", "abcd"))),
            ("/p/health/raw", Some(("/<id>/raw", "health"))),
            ("/p/static/", None),
            ("/p//raw", None),
            ("/p/abcd/", None),
            ("/p/abcd/raw/", None),
            ("/pabcd", None),
            ("/", None),
            ("", None),
        ];
        for (path, expected) in cases {
            assert_eq!(found(path), expected.map(|(pattern, text)| (pattern, text.to_owned())), "{path}");
        }
    }

    #[test]
    fn allow_names_each_method_once() {
        let allow = |path| Place::find(path, "").unwrap().allow();
        assert_eq!(allow("/"), "GET, HEAD, POST, PUT, OPTIONS");
        assert_eq!(allow("/abcd"), "GET, HEAD, DELETE, PATCH, PUT, OPTIONS");
        assert_eq!(allow("/robots.txt"), "GET, HEAD, OPTIONS");
    }
}
