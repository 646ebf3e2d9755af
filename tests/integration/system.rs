//! The tests that need system programs: nginx, Chromium, systemd, shells, tracers, the static programs, and root
//! privileges. `make test-quick` leaves this module out, and with it every test that can be skipped: nothing outside
//! can name [`programs`], which skips them.

pub mod programs;

#[cfg(feature = "client")]
mod browser;
#[cfg(feature = "client")]
mod nginx;

#[cfg(feature = "client")]
mod client_everyday;
#[cfg(feature = "client")]
mod client_terminal;
#[cfg(feature = "client")]
mod client_tls;
#[cfg(feature = "client")]
mod completions;
mod deployment;
mod faults;
mod full_disk;
#[cfg(feature = "client")]
mod install;
#[cfg(feature = "client")]
mod interop;
#[cfg(feature = "client")]
mod packages;
#[cfg(feature = "client")]
mod pages;
#[cfg(feature = "client")]
mod pages_access;
#[cfg(feature = "client")]
mod pages_asks;
#[cfg(feature = "client")]
mod pages_axe;
#[cfg(feature = "client")]
mod pages_colour;
#[cfg(feature = "client")]
mod pages_distrust;
#[cfg(feature = "client")]
mod pages_everybody;
#[cfg(feature = "client")]
mod pages_keeping;
#[cfg(feature = "client")]
mod pages_keyboard;
#[cfg(feature = "client")]
mod pages_languages;
#[cfg(feature = "client")]
mod pages_login;
#[cfg(feature = "client")]
mod pages_makers;
#[cfg(feature = "client")]
mod pages_reading;
#[cfg(feature = "client")]
mod pages_sealed;
#[cfg(feature = "client")]
mod proxies;
mod schemathesis;
