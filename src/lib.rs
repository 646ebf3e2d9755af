//! flaskpaste: a pastebin people trust with secrets.

pub mod admission;
pub mod app;
pub mod base64;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod error;
pub mod handlers;
pub mod http;
pub mod log;
pub mod mime;
pub mod paste;
pub mod pow;
pub mod routes;
pub mod server;
pub mod spool;
pub mod store;
