//! The routes about the server itself: index, health, challenge, client, API description, metrics, robots and assets.
//!
//! Invariant: none of them refers to a paste. Must never reveal more about the machine than docs/api.md says.

use super::mark;
use crate::admission;
use crate::app::App;
use crate::clock::{self, UnixSeconds};
use crate::crypto;
use crate::error::ApiError;
use crate::http::{Body, Reply, Request};
use crate::metrics::Text;
use crate::pow::Challenge;
use serde_json::{Map, Value, json};
use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;

/// `GET /`, with the routes as "METHOD /path" and their descriptions.
pub fn index(app: &App, request: &Request<'_>, endpoints: &Map<String, Value>, now: UnixSeconds) -> Reply {
    let url = admission::base_url(app.config(), request);
    let mut answer = about(app, request, now);
    mark(&mut answer, "endpoints", Some(endpoints.clone().into()));
    mark(
        &mut answer,
        "usage",
        Some(json!({
            "create": format!("curl --data-binary @FILE {url}/"),
            "create, URL only": format!("curl -H 'Accept: text/plain' --data-binary @FILE {url}/"),
            "create, burn after reading": format!("curl -H 'X-Burn-After-Read: true' --data-binary @FILE {url}/"),
            "create, for an hour": format!("curl -H 'X-Expiry: 3600' --data-binary @FILE {url}/"),
            "read": format!("curl {url}/ID/raw"),
            "delete": format!("curl -X DELETE -H 'X-Delete-Token: TOKEN' {url}/ID"),
            "get the encrypting client": format!("curl -fsS -o fpaste {url}/client && chmod +x fpaste && ./fpaste server {url}"),
        })),
    );
    Reply::json(200, &answer)
}

/// The server's name, version and limits, for this request.
pub fn about(app: &App, request: &Request<'_>, now: UnixSeconds) -> Value {
    let config = app.config();
    let elevated_bits = app.elevated_bits(now);
    let mut answer = json!({
        "name": "FlaskPaste",
        "version": env!("CARGO_PKG_VERSION"),
        "limits": {
            "max_anon": config.max_anon_bytes,
            "max_auth": config.max_auth_bytes,
            "expiry": config.expiry_seconds,
            "max_expiry": config.max_expiry_seconds,
            "min_entropy": config.min_entropy_bits,
            "min_entropy_size": config.min_entropy_size_bytes,
            "dedup_max": config.dedup_max,
            "dedup_window": config.dedup_window_seconds,
            "rate": config.rate_per_minute,
        },
        "create": config.create.name(),
        "pow": {
            "enabled": config.pow_difficulty > 0,
            "required": admission::needs_proof_of_work(config, request),
            "difficulty": config.pow_difficulty + elevated_bits,
            "elevated": elevated_bits,
        },
        "authenticated": request.owner.is_some(),
    });
    mark(&mut answer, "contact", Some(config.contact.as_str()).filter(|contact| !contact.is_empty()).map(Into::into));
    answer
}

/// `GET /.well-known/security.txt` (RFC 9116): the contact for reports.
///
/// # Errors
/// `not_found` without a configured contact.
pub fn security(app: &App, request: &Request<'_>, now: UnixSeconds) -> Result<Reply, ApiError> {
    /// Its validity; it is generated for each request.
    const EXPIRES_SECONDS: u64 = 90 * 86_400;
    let config = app.config();
    if config.contact.is_empty() {
        return Err(ApiError::NoSuchPath);
    }
    let expires = clock::rfc3339(now + EXPIRES_SECONDS);
    let canonical = if config.public_url.starts_with("https://") {
        format!("Canonical: {}{}\n", config.public_url, request.path)
    } else {
        String::new()
    };
    Ok(Reply::text(200, format!("Contact: {}\nExpires: {expires}\n{canonical}", config.contact)))
}

/// `GET /health`
pub fn health(app: &App) -> Reply {
    if app.is_healthy() {
        Reply::json(200, &json!({ "status": "healthy", "database": "ok" }))
    } else {
        Reply::json(503, &json!({ "status": "unhealthy", "database": "error" }))
    }
}

/// `GET /challenge`
///
/// # Errors
/// When the system has no entropy source.
pub fn challenge(app: &App, now: UnixSeconds) -> Result<Reply, ApiError> {
    if app.config().pow_difficulty == 0 {
        return Ok(Reply::json(200, &json!({ "enabled": false, "difficulty": 0 })));
    }
    let elevated_bits = app.elevated_bits(now);
    let difficulty = app.config().pow_difficulty + elevated_bits;
    let nonce = crypto::random::<16>().map_err(|error| ApiError::Internal(error.to_string()))?;
    let challenge = Challenge { nonce: crypto::hex(&nonce), difficulty, expires: now + app.config().pow_ttl_seconds };
    Ok(Reply::json(
        200,
        &json!({
            "enabled": true,
            "nonce": challenge.nonce,
            "difficulty": challenge.difficulty,
            "elevated": elevated_bits,
            "expires": challenge.expires,
            "token": challenge.token(app.pow_secret()),
            "algorithm": "sha256",
        }),
    ))
}

/// `GET /client`
///
/// # Errors
/// `not_found` with a hint if none is installed.
pub fn client(app: &App, request: &Request<'_>) -> Result<Reply, ApiError> {
    let path = client_path(app, request.parameter("target")).ok_or(ApiError::NoClient)?;
    // Opened once, so that the same file is hashed and sent even if it is replaced meanwhile.
    let mut file = File::open(path).map_err(|_| ApiError::NoClient)?;
    let metadata = file.metadata().ok().filter(Metadata::is_file).ok_or(ApiError::NoClient)?;
    let failed = |error: io::Error| ApiError::Internal(format!("cannot read the client: {error}"));
    let digest = app.file_digests().of(&mut file, &metadata).map_err(failed)?;
    let reply = Reply { body: Body::Stream(Box::new(file), metadata.len()), ..Reply::empty(200) };
    let reply = reply.with("Content-Type", "application/octet-stream");
    let reply = reply.with("Content-Disposition", "attachment; filename=fpaste");
    Ok(reply.with("X-Checksum-SHA256", crypto::hex(&digest)))
}

/// The path of the client for a target, which is a name such as `aarch64-unknown-linux-musl`, never a path.
fn client_path(app: &App, target: Option<&str>) -> Option<PathBuf> {
    let name = match target {
        None => "fpaste".to_owned(),
        Some(target)
            if !target.is_empty() && target.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) =>
        {
            format!("fpaste-{target}")
        }
        Some(_) => return None,
    };
    let beside = || std::env::current_exe().ok()?.parent().map(PathBuf::from);
    Some(app.config().client_dir.clone().or_else(beside)?.join(name))
}

/// `GET /openapi.json`
pub fn openapi(app: &App) -> Reply {
    let description = include_str!("../../docs/openapi.json");
    let prefix = &app.config().url_prefix;
    let description = description.replace("\"url\": \"/\"", &format!("\"url\": \"{prefix}/\""));
    Reply::typed(200, "application/json", description)
}

/// `GET /metrics`, in the Prometheus text format (version 0.0.4).
///
/// # Errors
/// An internal failure.
pub fn metrics(app: &App, now: UnixSeconds) -> Result<Reply, ApiError> {
    let stats = app.store().recent_stats(now)?;
    let mut text = Text::default();
    text.head("build_info", "gauge", "The running version; always 1.");
    text.value("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let mut gauge = |name: &str, help: &str, value: u64| text.one(name, "gauge", help, value);
    gauge("pastes", "Pastes that have not expired.", stats.pastes);
    gauge("content_bytes", "Bytes of content in them.", stats.content_bytes);
    gauge("database_bytes", "Size of the database file.", stats.database_bytes);
    gauge("database_disk_bytes", "Size of the database's files, including its log.", stats.disk_bytes);
    gauge("database_used_bytes", "Bytes of the database in use.", stats.used_bytes);
    gauge("disk_free_bytes", "Free bytes on its disk.", app.store().free_bytes()?);
    gauge("spool_bytes", "Bytes of uploads in spool files.", app.store().spool_room().taken_bytes());
    gauge("creates_last_minute", "Pastes created in the last minute.", app.creates_last_minute(now));
    gauge(
        "pow_elevated_bits",
        "Extra proof-of-work bits because of a flood of creates.",
        app.elevated_bits(now).into(),
    );
    gauge("rate_addresses", "Client addresses in the rate limiter.", app.rate().addresses() as u64);
    gauge("uptime_seconds", "Seconds since the start.", app.uptime_seconds());
    app.metrics().write(&mut text);
    Ok(Reply::typed(200, "text/plain; version=0.0.4; charset=utf-8", text.finish()))
}

/// `GET /static/<name>`: the assets of the pages.
///
/// # Errors
/// `not_found` for unknown names, and if the pages are off.
pub fn asset(app: &App, name: &str) -> Result<Reply, ApiError> {
    Some(name).filter(|_| app.config().web).and_then(|name| app.pages().asset(name)).ok_or(ApiError::NoSuchPath)
}

/// `GET /robots.txt`
pub fn robots() -> Reply {
    Reply::text(200, "User-agent: *\nDisallow: /\n")
}
