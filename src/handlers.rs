//! The handlers: one short function a route.
//!
//! Invariant: a handler gets a request and the app, and returns a reply or a refusal. Must never name tiny_http or
//! rusqlite, and never answer an error by hand.

use serde_json::Value;

pub mod create;
pub mod delete;
pub mod json_body;
pub mod read;
pub mod service;

/// Adds a field to a JSON object, if there is a value for it.
fn mark(answer: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (answer.as_object_mut(), value) {
        fields.insert(name.into(), value);
    }
}
