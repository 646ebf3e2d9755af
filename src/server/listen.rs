//! The listening socket: made, given the options that accepted sockets inherit, and shut down.
//!
//! Invariant: a Unix socket somebody listens on is never taken away from them. Must never leave a socket file behind
//! that was ours.

use crate::config::Bind;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;
use tiny_http::Listener;

/// How long a peer may be silent while we wait for it, or take nothing while we send.
const PEER_TIMEOUT: Duration = Duration::from_secs(15);

/// A listening socket.
pub struct Bound {
    listener: Listener,
    address: String,
}

impl Bound {
    /// Where it listens, as a URL or as `unix:/path`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn into_listener(self) -> Listener {
        self.listener
    }
}

/// Listens where the setting says.
///
/// # Errors
/// A line for the operator that names the address.
pub fn bind(bind: &Bind) -> Result<Bound, String> {
    let bound = match bind {
        Bind::Tcp(address) => TcpListener::bind(address).and_then(|listener| {
            let address = format!("http://{}", listener.local_addr()?);
            Ok(Bound { listener: Listener::Tcp(listener), address })
        }),
        Bind::Unix(path) => bind_unix(path).map(|listener| {
            let address = format!("unix:{}", path.display());
            Bound { listener: Listener::Unix(listener), address }
        }),
    };
    let place = match bind {
        Bind::Tcp(address) => address.to_string(),
        Bind::Unix(path) => format!("unix:{}", path.display()),
    };
    let explain = |error: io::Error| {
        let cause = match error.kind() {
            ErrorKind::AddrInUse => "something else listens there".to_owned(),
            _ => error.to_string(),
        };
        format!("cannot listen on {place}: {cause}; stop it or set FLASKPASTE_BIND")
    };
    let bound = bound.map_err(explain)?;
    set_inherited_options(&bound.listener).map_err(explain)?;
    Ok(bound)
}

/// On Linux an accepted socket starts with the options of its listener: one call here instead of three for every
/// connection. Without `TCP_NODELAY` a kept-alive reply over one segment waits 40 ms for the peer's delayed ACK.
fn set_inherited_options(listener: &Listener) -> io::Result<()> {
    let socket = TcpStream::from(listener.as_fd().try_clone_to_owned()?);
    if matches!(listener, Listener::Tcp(_)) {
        socket.set_nodelay(true)?;
    }
    socket.set_read_timeout(Some(PEER_TIMEOUT))?;
    socket.set_write_timeout(Some(PEER_TIMEOUT))
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        match UnixStream::connect(path) {
            Ok(_) => return Err(ErrorKind::AddrInUse.into()),
            // Nobody listens: left behind by a server that was killed.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Err(error) => return Err(error),
        }
    }
    let listener = UnixListener::bind(path)?;
    // Its peers are believed about certificates: the owner and the group (the proxy), nobody else.
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Wakes whoever waits in `accept`, and lets no further connection in.
pub(super) fn shut_down(listener: &Listener) -> io::Result<()> {
    if let Listener::Unix(listener) = listener {
        let address = listener.local_addr()?;
        if let Some(path) = address.as_pathname() {
            fs::remove_file(path)?;
        }
    }
    let socket: OwnedFd = listener.as_fd().try_clone_to_owned()?;
    TcpStream::from(socket).shutdown(Shutdown::Both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_unix_socket_is_not_stolen_and_a_stale_one_is_replaced() {
        let folder = std::env::temp_dir().join(format!("flaskpaste-listen-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");
        let live = bind_unix(&path).unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(live);
        bind_unix(&path).unwrap();
        let file = folder.join("file");
        fs::write(&file, "precious").unwrap();
        assert!(bind_unix(&file).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn accepted_sockets_inherit_the_options() {
        let bound = bind(&Bind::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
        let Listener::Tcp(listener) = bound.into_listener() else { panic!("not TCP") };
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        assert!(socket.nodelay().unwrap());
        assert_eq!(socket.read_timeout().unwrap(), Some(PEER_TIMEOUT));
        assert_eq!(socket.write_timeout().unwrap(), Some(PEER_TIMEOUT));
    }
}
