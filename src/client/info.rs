//! `fpaste info`: the server's version and limits.
//!
//! Invariant: missing fields are left out. Must never print the server's text with control characters.

use super::Session;
use super::failure::Failure;
use super::transport::Call;
use super::ui::{write_json, write_table};
use crate::text::{clean, human_bytes, human_seconds};
use serde_json::Value;
use ureq::http::Method;
use zeroize::Zeroizing;

/// Shows the server's description of itself.
///
/// # Errors
/// When it cannot be reached, or is not a flaskpaste server.
pub fn run(json: bool, session: &Session<'_>) -> Result<(), Failure> {
    let server = &session.settings.server;
    let call = Call {
        headers: vec![("Accept", Zeroizing::new("application/json".into()))],
        ..Call::new(Method::GET, server, "/", true)
    };
    let info = session.transport.send(&call)?.of_any_server()?;
    if json {
        return write_json(&info);
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(clean);
    let limit = |name: &str| info.get("limits")?.get(name)?.as_u64();
    let mut lines = vec![("address", server.to_string())];
    if let (Some(name), Some(version)) = (text(info.get("name")), text(info.get("version"))) {
        let name = if name == "FlaskPaste" { "flaskpaste" } else { &name };
        lines.push(("server", format!("{name} {version}")));
    }
    let is_known = info.get("authenticated").and_then(Value::as_bool).unwrap_or(false);
    lines.push(("you are", if is_known { "authenticated" } else { "anonymous" }.into()));
    lines.extend(info.get("create").and_then(needed_to_create).map(|needed| ("to create", needed.into())));
    if let Some(bytes) = limit(if is_known { "max_auth" } else { "max_anon" }) {
        lines.push(("maximum size", human_bytes(bytes)));
    }
    if let Some(seconds) = limit("expiry") {
        lines.push(("expiry", format!("{} after the last read", human_seconds(seconds))));
    }
    if let Some(seconds) = limit("max_expiry") {
        lines.push(("maximum expiry", human_seconds(seconds)));
    }
    lines.extend(info.get("pow").and_then(work).map(|work| ("proof of work", work)));
    write_table(&lines)
}

/// What a client needs to create a paste; `None` if anyone may.
fn needed_to_create(create: &Value) -> Option<&'static str> {
    match create.as_str()? {
        "token" => Some("a token is needed"),
        "certificate" => Some("a client certificate is needed"),
        _ => None,
    }
}

/// The proof of work for a paste; clients on the server's own machine may need none.
fn work(pow: &Value) -> Option<String> {
    let is_required = pow.get("required").and_then(Value::as_bool).unwrap_or(true);
    Some(match pow.get("difficulty")?.as_u64()? {
        0 => "none".into(),
        bits if is_required => format!("{bits} bits per paste"),
        bits => format!("none for you; {bits} bits per paste for others"),
    })
}
