//! `fpaste list --remote`: the pastes that the server has for our token or certificate.
//!
//! Invariant: only the configured server is asked, and its text is printed without control characters.

use super::Session;
use super::failure::Failure;
use super::list::{EXTENDED, shown_name, table};
use super::transport::Call;
use super::ui::{write_json, write_stdout};
use crate::clock::unix_now;
use crate::text::{human_bytes, human_seconds};
use serde_json::Value;
use ureq::http::Method;

/// The limit of pages, of a hundred pastes each: a server might never end the list.
const MAX_PAGES: usize = 1000;
/// The longest ID, handle or cursor accepted from a server.
const MAX_NAME_CHARS: usize = 64;

/// Shows the list.
///
/// # Errors
/// When the server refuses, or no token or certificate is configured.
pub fn run(json: bool, session: &Session<'_>) -> Result<(), Failure> {
    if !session.settings.says_who_we_are() {
        return Err(Failure::usage("--remote needs a token or a client certificate")
            .hint("set token in the configuration; without it, fpaste list shows the pastes of this machine"));
    }
    let pastes = fetch(session)?;
    if json {
        return write_json(&Value::from(pastes));
    }
    if pastes.is_empty() {
        session.ui.note("the server has no pastes of this token or certificate");
        return Ok(());
    }
    let mut rows = vec![["ID", "HANDLE", "AGE", "EXPIRES", "SIZE", "FLAGS", "NAME"].map(str::to_owned).to_vec()];
    rows.extend(pastes.iter().map(row));
    write_stdout(table(&rows).as_bytes())
}

fn fetch(session: &Session<'_>) -> Result<Vec<Value>, Failure> {
    let (mut pastes, mut path) = (Vec::new(), "/pastes".to_owned());
    for _ in 0..MAX_PAGES {
        let call = Call::new(Method::GET, &session.settings.server, path, true);
        let mut answer = session.transport.send(&call)?.expect(200)?.json()?;
        if let Some(Value::Array(page)) = answer.get_mut("pastes").map(Value::take) {
            pastes.extend(page);
        }
        let next = answer.get("next").and_then(Value::as_str).filter(|next| is_plain(next));
        let Some(next) = next else { break };
        path = format!("/pastes?before={next}");
    }
    Ok(pastes)
}

/// Whether text is safe to send back to the server and to print.
fn is_plain(text: &str) -> bool {
    text.len() <= MAX_NAME_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn row(paste: &Value) -> Vec<String> {
    let text = |name: &str| paste.get(name).and_then(Value::as_str);
    let number = |name: &str| paste.get(name).and_then(Value::as_u64).unwrap_or(0);
    let is = |name: &str| paste.get(name).and_then(Value::as_bool) == Some(true);
    let plain = |name: &str| text(name).filter(|text| is_plain(text)).unwrap_or("-").to_owned();
    let left = human_seconds(number("expires_at").saturating_sub(unix_now()));
    let reads = paste.get("reads_left").and_then(Value::as_u64).map(|left| format!("{left} reads left"));
    let flags: Vec<&str> = [
        (is("burn_after_read"), "burn"),
        (reads.is_some(), reads.as_deref().unwrap_or_default()),
        (is("password_protected"), "password"),
        (is("proof_required"), "sealed"),
        (is("sliding"), EXTENDED),
    ]
    .into_iter()
    .filter_map(|(is, name)| is.then_some(name))
    .collect();
    vec![
        plain("id"),
        plain("handle"),
        human_seconds(unix_now().saturating_sub(number("created_at"))),
        if is("sliding") { format!("≥ {left}") } else { left },
        human_bytes(number("size")),
        if flags.is_empty() { "-".into() } else { flags.join(", ") },
        text("filename").map_or_else(|| "-".into(), shown_name),
    ]
}
