//! The handlers: one short function a route.
//!
//! Invariant: a handler gets a request and the app, and returns a reply or a refusal. Must never name tiny_http or
//! rusqlite, and never answer an error by hand.

pub mod create;
pub mod delete;
mod json_body;
pub mod read;
pub mod service;
