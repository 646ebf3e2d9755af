//! flaskpaste: a pastebin people trust with secrets.

pub mod error;
pub mod mime;
