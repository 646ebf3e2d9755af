//! The integration tests: each drives the real server over real sockets, in its own folder, and relies only on
//! documented behaviour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that meets the unexpected should panic, and say so"
)]

#[cfg(feature = "client")]
mod client_harness;
#[cfg(feature = "postgres")]
#[allow(dead_code, reason = "the unit tests need more of it")]
mod cluster;
mod engine;
mod harness;
mod http_client;
mod response;
#[cfg(feature = "client")]
mod sealed_format;

mod asks;
mod at_rest;
mod changes;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod client_ask;
#[cfg(feature = "client")]
mod client_credentials;
#[cfg(feature = "client")]
mod client_documents;
#[cfg(feature = "client")]
mod client_everyday;
#[cfg(feature = "client")]
mod client_extract;
#[cfg(feature = "client")]
mod client_files;
#[cfg(feature = "client")]
mod client_keeping;
#[cfg(feature = "client")]
mod client_leases;
#[cfg(feature = "client")]
mod client_makers;
#[cfg(feature = "client")]
mod client_network;
#[cfg(feature = "client")]
mod client_proxy;
#[cfg(feature = "client")]
mod client_sealed;
#[cfg(feature = "client")]
mod client_transfer;
mod concurrency;
mod create;
mod create_limits;
mod delete;
mod documents;
mod durability;
#[cfg(feature = "postgres")]
mod failures;
mod faults;
mod framing;
mod fuzz;
#[cfg(feature = "client")]
mod fuzz_targets;
mod gate;
mod guard;
mod http;
mod imports;
mod leases;
mod mime;
mod negotiation;
mod operators;
#[cfg(feature = "client")]
mod page_tables;
mod pow;
mod quota;
mod rates;
mod read;
mod read_access;
mod receipts;
#[cfg(feature = "client")]
mod reports;
#[cfg(feature = "postgres")]
mod shared;
mod slow;
mod startup;
mod startup_refusals;
mod system;
mod systemd;
mod tokens;
mod ways_in;
mod wire;
