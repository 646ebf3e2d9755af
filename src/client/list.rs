//! `fpaste list`: what this machine created and has not expired.
//!
//! Invariant: it asks nobody; the history is all it knows. Must never show a delete token.

use super::Session;
use super::failure::Failure;
use super::text::human_seconds;
use super::ui::{write_json, write_stdout};
use crate::clock::unix_now;
use serde_json::Value;
use std::fmt::Write;

/// Shows the history.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(json: bool, session: &Session<'_>) -> Result<(), Failure> {
    if !session.settings.history {
        session.ui.warning("the history is switched off (history = off)");
    }
    let now = unix_now();
    let mut entries = session.known();
    entries.retain(|entry| entry.expires_at > now);
    if json {
        let all: Vec<Value> = entries
            .iter()
            .map(|entry| {
                let mut json = entry.json();
                if let Some(fields) = json.as_object_mut() {
                    fields.remove("delete_token");
                }
                json
            })
            .collect();
        return write_json(&Value::from(all));
    }
    if entries.is_empty() {
        session.ui.note("nothing this machine created is still there");
        return Ok(());
    }
    let width = entries.iter().map(|entry| entry.id.as_str().len()).max().unwrap_or(0).max(2);
    let mut text = format!("{:<width$}  {:<8}  {:<8}  {}\n", "ID", "AGE", "EXPIRES", "FLAGS");
    for entry in &entries {
        let flags: Vec<&str> =
            [(entry.burn, "burn"), (entry.password, "password"), (!entry.encrypted, "plain"), (entry.slides, "slides")]
                .into_iter()
                .filter_map(|(is, name)| is.then_some(name))
                .collect();
        let (age, left) = (now.saturating_sub(entry.created_at), entry.expires_at - now);
        let id = entry.id.as_str();
        let line = format!("{id:<width$}  {:<8}  {:<8}  {}", human_seconds(age), human_seconds(left), flags.join(","));
        text.push_str(line.trim_end());
        if entry.server != session.settings.server {
            let _ = write!(text, "  on {}", entry.server);
        }
        text.push('\n');
    }
    write_stdout(text.as_bytes())
}
