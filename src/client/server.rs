//! `fpaste server`: enters a server in the configuration.
//!
//! Invariant: what is entered answered as a flaskpaste server does, at that very address. Must never change another
//! line of the file.

use super::Session;
use super::config;
use super::failure::{Exit, Failure};
use super::transport::Call;
use super::ui::write_line;
use serde_json::Value;
use std::env;
use ureq::http::Method;
use zeroize::Zeroizing;

/// Asks the server the session is about whether it is one, and enters it.
///
/// # Errors
/// When it is none, cannot be reached, or the file cannot be written.
pub fn run(session: &Session<'_>) -> Result<(), Failure> {
    // Before anything is sent: what cannot be written need not be asked.
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
            .hint(format!("fpaste server {other} enters that address, if you trust it")));
    }
    let info = answer.of_any_server()?;
    if info.get("name").and_then(Value::as_str) != Some("FlaskPaste") {
        return Err(Failure::new(Exit::Other, format!("what answers at {server} is no flaskpaste server"))
            .hint("check the address, with its path if it has one"));
    }
    config::set(session.folders, &[("server", &server.to_string())])?;
    write_line(&format!("{server} is the server now, entered in {}", file.display()))?;
    if env::var_os("FLASKPASTE_SERVER").is_some_and(|value| !value.is_empty()) {
        session.ui.warning("FLASKPASTE_SERVER is set, and wins over the file");
    }
    Ok(())
}
