//! The service manager's two protocols: sockets it hands over (`sd_listen_fds(3)`) and news it is told (`sd_notify(3)`).
//!
//! Invariant: without the manager's variables in the environment nothing here does anything. Must never fail a running
//! server because its manager does not listen.

use super::sys;
use crate::operator_log;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The first descriptor that is handed over.
const FIRST_FD: RawFd = 3;
/// More sockets than anybody listens on; a larger number is a mistake.
const MAX_SOCKETS: RawFd = 64;

/// The sockets the manager handed to this process; none without a manager.
///
/// # Errors
/// A line for the operator: what was handed over is no listening stream socket.
pub(super) fn given_sockets() -> Result<Vec<OwnedFd>, String> {
    if variable::<u32>("LISTEN_PID") != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = variable::<RawFd>("LISTEN_FDS").unwrap_or(0);
    if !(0..=MAX_SOCKETS).contains(&count) {
        return Err(format!("LISTEN_FDS is {count}; at most {MAX_SOCKETS} sockets are taken"));
    }
    let take = |fd: RawFd| {
        if !sys::is_listener(fd) {
            return Err(format!(
                "descriptor {fd} from the service manager is no listening stream socket; \
                 the socket unit needs ListenStream= and Accept=no"
            ));
        }
        sys::duplicate(fd).map_err(|error| format!("cannot take the service manager's socket: {error}"))
    };
    (FIRST_FD..FIRST_FD + count).map(take).collect()
}

/// Tells the manager the news, lines such as `READY=1`, if there is one that wants to know.
pub fn notify(news: &str) {
    let Some(name) = std::env::var("NOTIFY_SOCKET").ok().filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send(&name, news) {
        operator_log::message(&format!("cannot notify the service manager: {error}"));
    }
}

fn send(name: &str, news: &str) -> io::Result<()> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(news.as_bytes(), &address).map(|_| ())
}

/// Tells the manager's watchdog, twice in the time it allows, that `check` has returned: a server that hangs is started
/// anew. Does nothing where there is no watchdog.
///
/// # Errors
/// When the system refuses another thread.
pub fn start_watchdog(check: impl Fn() + Send + 'static) -> io::Result<()> {
    let is_for_us = variable::<u32>("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id());
    let Some(limit) = variable::<u64>("WATCHDOG_USEC").filter(|limit| is_for_us && *limit > 0) else {
        return Ok(());
    };
    let watch = move || {
        loop {
            check();
            notify("WATCHDOG=1");
            std::thread::sleep(Duration::from_micros(limit / 2));
        }
    };
    std::thread::Builder::new().name("watchdog".into()).stack_size(super::STACK_BYTES).spawn(watch).map(|_| ())
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}
