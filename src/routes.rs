//! The routes: which path and method is answered by which handler.
//!
//! Invariant: every path of the contract is here, with the methods it answers; nothing else is. To add a route: one
//! variant of [`Place`] with its methods, one arm in [`dispatch`], one handler, one test.

use crate::app::App;
use crate::clock::UnixSeconds;
use crate::error::ApiError;
use crate::handlers::{create, delete, read, service};
use crate::http::{Method, Reply, Request};
use crate::paste::Id;

/// A path that exists.
enum Place<'a> {
    Index,
    Health,
    Challenge,
    Client,
    OpenApi,
    Metrics,
    Robots,
    Static(&'a str),
    Paste(Id),
    Raw(Id),
}

impl<'a> Place<'a> {
    /// Finds the place of a path under the prefix.
    fn find(path: &'a str, prefix: &str) -> Result<Self, ApiError> {
        let rest = path.strip_prefix(prefix).ok_or(ApiError::NoSuchPath)?;
        let segments: Vec<&str> = match rest.strip_prefix('/') {
            Some(rest) => rest.split('/').collect(),
            None if rest.is_empty() => vec![""],
            None => return Err(ApiError::NoSuchPath),
        };
        let id = |text: &str| text.parse::<Id>().map_err(|()| ApiError::InvalidId);
        match segments.as_slice() {
            [""] => Ok(Self::Index),
            ["health"] => Ok(Self::Health),
            ["challenge"] => Ok(Self::Challenge),
            ["client"] => Ok(Self::Client),
            ["openapi.json"] => Ok(Self::OpenApi),
            ["metrics"] => Ok(Self::Metrics),
            ["robots.txt"] => Ok(Self::Robots),
            ["static", name] => Ok(Self::Static(name)),
            [text] => Ok(Self::Paste(id(text)?)),
            [text, "raw"] => Ok(Self::Raw(id(text)?)),
            _ => Err(ApiError::NoSuchPath),
        }
    }

    /// The methods it answers, as an `Allow` header.
    fn allow(&self) -> &'static str {
        match self {
            Self::Index => "GET, HEAD, POST, OPTIONS",
            Self::Paste(_) => "GET, HEAD, DELETE, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }
}

/// Whether a path has a page for browsers: the index has, and whatever stands where the id of a paste belongs.
pub fn has_page(path: &str, prefix: &str) -> bool {
    let is_one_segment = path.strip_prefix(prefix).is_some_and(|rest| !rest.get(1..).unwrap_or_default().contains('/'));
    is_one_segment && matches!(Place::find(path, prefix), Ok(Place::Index | Place::Paste(_)) | Err(ApiError::InvalidId))
}

/// Answers a request by its path and method.
///
/// # Errors
/// The handler's refusal, or that there is no such path or method.
pub fn dispatch(app: &App, request: &mut Request<'_>, now: UnixSeconds) -> Result<Reply, ApiError> {
    if request.path == "*" && request.method == Method::Options {
        return Ok(Reply::empty(204).with("Allow", "GET, HEAD, POST, DELETE, OPTIONS"));
    }
    let place = Place::find(request.path, &app.config().url_prefix)?;
    let read = matches!(request.method, Method::Get | Method::Head);
    match (&place, request.method) {
        (_, Method::Options) => Ok(Reply::empty(204).with("Allow", place.allow())),
        (Place::Index, Method::Post) => create::create(app, request, now),
        (Place::Paste(id), Method::Delete) => delete::delete(app, request, id, now),
        (Place::Index, _) if read => Ok(service::index(app, request)),
        (Place::Health, _) if read => Ok(service::health(app)),
        (Place::Challenge, _) if read => service::challenge(app, now),
        (Place::Client, _) if read => service::client(app, request),
        (Place::OpenApi, _) if read => Ok(service::openapi(app)),
        (Place::Metrics, _) if read => service::metrics(app, now),
        (Place::Robots, _) if read => Ok(service::robots()),
        (Place::Static(name), _) if read => service::asset(app, name),
        (Place::Paste(id), _) if read => read::metadata(app, request, id, now),
        (Place::Raw(id), _) if read => read::raw(app, request, id, now),
        _ => Err(ApiError::MethodNotAllowed(place.allow())),
    }
}
