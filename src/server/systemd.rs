//! The service manager's protocols: socket activation (`sd_listen_fds(3)`) and notifications (`sd_notify(3)`).
//!
//! Invariant: does nothing without the manager's environment variables. Must never fail a running server because its
//! manager does not listen.

use super::sys;
use crate::operator_log;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The first descriptor passed.
const FIRST_FD: RawFd = 3;
/// A larger number of sockets is a mistake.
const MAX_SOCKETS: RawFd = 64;

/// The sockets the manager passed to this process; none without a manager.
///
/// # Errors
/// A message for the operator if a descriptor is not a listening stream socket.
pub(super) fn given_sockets() -> Result<Vec<OwnedFd>, String> {
    if variable::<u32>("LISTEN_PID") != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = variable::<RawFd>("LISTEN_FDS").unwrap_or(0);
    if !(0..=MAX_SOCKETS).contains(&count) {
        return Err(format!("LISTEN_FDS is {count}; at most {MAX_SOCKETS} sockets are supported"));
    }
    let take = |fd: RawFd| {
        if !sys::is_listener(fd) {
            return Err(format!(
                "descriptor {fd} from the service manager is not a listening stream socket; \
                 the socket unit needs ListenStream= and Accept=no"
            ));
        }
        sys::duplicate(fd).map_err(|error| format!("cannot use the service manager's socket: {error}"))
    };
    (FIRST_FD..FIRST_FD + count).map(take).collect()
}

/// Sends lines such as `READY=1` to the manager, if it wants notifications.
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

/// Notifies the manager's watchdog twice per interval, each time after `check` has returned: a server that hangs is
/// restarted. Does nothing without a watchdog.
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
