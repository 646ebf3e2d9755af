//! The integration tests: each drives the real server over real sockets, in a folder of its own, and knows nothing of
//! it but what the documentation promises.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    reason = "a test that meets the unexpected should panic, and say so"
)]

#[cfg(feature = "client")]
mod browser;
#[cfg(feature = "client")]
mod client_harness;
mod harness;
mod http_client;
mod response;

mod at_rest;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod client_documents;
#[cfg(feature = "client")]
mod client_network;
#[cfg(feature = "client")]
mod client_terminal;
#[cfg(feature = "client")]
mod client_tls;
mod concurrency;
mod create;
mod create_limits;
mod delete;
mod deployment;
mod documents;
mod durability;
mod faults;
mod framing;
mod full_disk;
mod fuzz;
#[cfg(feature = "client")]
mod fuzz_targets;
mod guard;
mod http;
mod imports;
#[cfg(feature = "client")]
mod install;
mod mime;
mod negotiation;
#[cfg(feature = "client")]
mod nginx;
#[cfg(feature = "client")]
mod pages;
#[cfg(feature = "client")]
mod pages_everybody;
#[cfg(feature = "client")]
mod pages_reading;
mod pow;
#[cfg(feature = "client")]
mod proxies;
mod read;
mod read_access;
mod schemathesis;
mod startup;
mod startup_refusals;
mod systemd;
mod wire;
