//! `fpaste server`: saves a server in the configuration.
//!
//! Invariant: the server has responded as a flaskpaste server at exactly that URL. Must never change another line of
//! the file.

use super::Session;
use super::config;
use super::failure::{Exit, Failure};
use super::transport::Call;
use super::ui::write_line;
use serde_json::Value;
use std::env;
use ureq::http::Method;
use zeroize::Zeroizing;

/// Checks that the session's server is a flaskpaste server, and saves it.
///
/// # Errors
/// When it is not, cannot be reached, or the file cannot be written.
pub fn run(session: &Session<'_>) -> Result<(), Failure> {
    // Checked before anything is sent.
    let file = session.folders.config_file().ok_or_else(config::no_place)?;
    let server = &session.settings.server;
    let call = Call {
        headers: vec![("Accept", Zeroizing::new("application/json".into()))],
        ..Call::new(Method::GET, server, "/", true)
    };
    let answer = session.transport.send(&call)?;
    let (place, asked) = (answer.url.clone(), server.join("/"));
    if place != asked {
        let other = place.trim_end_matches('/');
        return Err(Failure::new(Exit::Other, format!("the server redirects to {other}"))
            .hint(format!("if you trust that address, run fpaste server {other}")));
    }
    let info = answer.of_any_server()?;
    if info.get("name").and_then(Value::as_str) != Some("FlaskPaste") {
        return Err(Failure::new(Exit::Other, format!("{server} does not look like a flaskpaste server"))
            .hint("check the address, including its path if it has one"));
    }
    config::set(session.folders, &[("server", &server.to_string())])?;
    write_line(&format!("server set to {server} in {}", file.display()))?;
    if env::var_os("FLASKPASTE_SERVER").is_some_and(|value| !value.is_empty()) {
        session.ui.warning("FLASKPASTE_SERVER is set and overrides the file");
    }
    Ok(())
}
