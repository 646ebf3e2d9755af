//! flaskpaste: a pastebin people trust with secrets, and fpaste, the client that encrypts before it uploads.
//!
//! Two programs share this library and are built apart, each with its own feature, so that neither sees the other's
//! crates. Imports point one way:
//!
//! ```text
//! flaskpaste -> server -> answer -> routes -> handlers -> app -> {admission, store} -> leaves   (feature "server")
//! fpaste     -> client ------------------------------------------------------------> leaves   (feature "client")
//! ```
//!
//! **The server.** `server` owns the sockets: a fixed pool of threads, each accepting a connection, checking every head
//! before tiny_http parses it, and answering on the spot. `answer` turns one request into one reply: `routes` is the table
//! of what there is, `handlers` do what a route is for with what `app` gives them, `admission` decides who may. `store`
//! keeps the rules of pastes and seals them; below it are two engines, the only ones that know SQL: `store::sqlite`, one
//! writer that commits for many, readers that do not write, housekeeping that purges and erases; and, with the feature
//! "postgres", `store::postgres`, which any number of servers share. `web` dresses the answers of two
//! routes as pages for browsers, in the words of `words`, whose language `language` chooses; what runs there is in src/web/.
//!
//! **The client.** `client::args` turns the command line into a command, `client::config` the environment and the files
//! into settings, and one module a command does it, through `client::transport`, which alone speaks HTTP and decides
//! which server gets to see a credential.
//!
//! **The leaves** are pure and know nobody: the formats and rules both sides must agree on.

#[cfg(feature = "server")]
pub mod admission;
#[cfg(feature = "server")]
pub mod answer;
#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod at_rest;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "server")]
pub mod config;
pub mod crypto;
pub mod e2e;
#[cfg(feature = "server")]
pub mod error;
#[cfg(feature = "server")]
pub mod file_digest;
#[cfg(feature = "server")]
pub mod filename;
#[cfg(feature = "server")]
pub mod handlers;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod language;
#[cfg(feature = "server")]
pub mod log;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod mime;
#[cfg(feature = "server")]
pub mod network;
#[cfg(feature = "server")]
pub mod object_pool;
#[cfg(feature = "server")]
pub mod operator_log;
pub mod owner;
pub mod page_values;
pub mod paste;
pub mod pow;
#[cfg(feature = "server")]
pub mod recent;
#[cfg(feature = "server")]
pub mod request_id;
#[cfg(feature = "server")]
pub mod routes;
pub mod sealed;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod spool;
#[cfg(any(feature = "client", feature = "postgres"))]
pub mod static_names;
#[cfg(feature = "server")]
pub mod store;
pub mod text;
#[cfg(feature = "server")]
pub mod user;
#[cfg(feature = "server")]
pub mod web;
#[cfg(feature = "server")]
pub mod words;
