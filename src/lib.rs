//! flaskpaste: a pastebin people trust with secrets, and fpaste, the client that encrypts before it uploads.
//!
//! Two programs share this library and are built separately, each with its own feature, so that neither links the
//! other's crates. Imports go one way:
//!
//! ```text
//! flaskpaste -> server -> answer -> routes -> handlers -> app -> {admission, store} -> leaves   (feature "server")
//! fpaste     -> client ------------------------------------------------------------> leaves   (feature "client")
//! ```
//!
//! **The server.** `server` owns the sockets: one thread accepts connections, which then wait in epoll; a fixed pool of
//! workers takes those that are ready, checks every request head before tiny_http parses it, and sends the reply.
//! `answer` turns one request into one reply: `routes` is the routing table, `handlers` implement the routes on top of
//! `app`, `admission` decides who may do what. `store` implements the rules and the encryption of pastes; below it are
//! two engines, the only modules with SQL: `store::sqlite`, with one writer that batches commits, read-only readers,
//! and housekeeping that purges and erases; and, with the feature "postgres", `store::postgres`, which any number of
//! servers share. `web` renders the replies of some routes as pages, with texts from `words` in the language that
//! `language` chooses; their scripts are in src/web/.
//!
//! **The client.** `client::args` parses the command line into a command, `client::config` the environment and the
//! files into settings, and one module per command runs it, using `client::transport`, the only module that speaks HTTP
//! and decides which server gets a credential.
//!
//! **The leaves** import nothing above them: formats and rules that both sides share, and a few things of the process,
//! such as `stderr`, `operator_log` and `spool`.

#[cfg(feature = "server")]
pub mod admission;
#[cfg(feature = "server")]
pub mod answer;
#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod at_rest;
pub mod blocking;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "server")]
pub mod config;
pub mod cores;
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
pub mod stderr;
#[cfg(feature = "server")]
pub mod store;
pub mod text;
#[cfg(feature = "server")]
pub mod user;
#[cfg(feature = "server")]
pub mod web;
#[cfg(feature = "server")]
pub mod words;
