//! The listening sockets: creates or inherits them, sets the options that accepted sockets inherit, and closes them.
//!
//! Invariant: a Unix socket in use by another process is never replaced, and a socket of the service manager stays open
//! after us. Must never leave our own socket file behind.

use super::guard::PROXY_WINDOW;
use super::{sys, systemd};
use crate::config::Bind;
use crate::http::Peer;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// The send and receive timeout of TCP peers; for a proxy it is the guard's [`PROXY_WINDOW`].
const PEER_TIMEOUT: Duration = Duration::from_secs(15);

/// The backlog of connections waiting for a slot. The system's own limit (`net.core.somaxconn`) may be lower; the
/// library's default is 128.
const BACKLOG: i32 = 4096;

/// How long the kernel holds a silent connection before it is accepted.
const DEFER_SECONDS: i32 = 5;

/// A listening socket.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// A listening socket.
pub(super) struct Endpoint {
    listener: Listener,
    address: String,
    /// Whether it belongs to the service manager, which keeps it open when we stop.
    is_given: bool,
}

/// The sockets the server will accept connections from. Until it does, connections wait. Dropped without having been
/// served, they are closed, and our own socket file is removed.
pub struct Bound(Vec<Endpoint>);

impl Bound {
    /// The addresses, as URLs or `unix:/path`.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|endpoint| endpoint.address.as_str())
    }

    /// Whether the sockets are from the service manager, so that the setting was ignored.
    pub fn is_given(&self) -> bool {
        self.0.iter().any(|endpoint| endpoint.is_given)
    }

    pub(super) fn into_endpoints(mut self) -> Vec<Endpoint> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        for endpoint in &self.0 {
            // The start failed for another reason, which is reported.
            let _ = endpoint.close();
        }
    }
}

/// Inherits the service manager's sockets; if there are none, listens on the configured address.
///
/// # Errors
/// A line for the operator that names the address.
pub fn bind(bind: &Bind) -> Result<Bound, String> {
    let given = systemd::given_sockets()?;
    if given.is_empty() {
        return Ok(Bound(vec![bind_own(bind)?]));
    }
    let take =
        |fd| Endpoint::take(fd).map_err(|error| format!("cannot listen on the service manager's socket: {error}"));
    given.into_iter().map(take).collect::<Result<_, _>>().map(Bound)
}

fn bind_own(bind: &Bind) -> Result<Endpoint, String> {
    let (bound, place) = match bind {
        Bind::Tcp(address) => (TcpListener::bind(address).map(Listener::Tcp), address.to_string()),
        Bind::Unix(path) => (bind_unix(path).map(Listener::Unix), format!("unix:{}", path.display())),
    };
    let listen =
        |listener: Listener| sys::set_backlog(listener.as_fd(), BACKLOG).and_then(|()| Endpoint::new(listener, false));
    bound.and_then(listen).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            format!("cannot listen on {place}: address already in use; stop the other program or set FLASKPASTE_BIND")
        }
        _ => format!("cannot listen on {place}: {error}; set FLASKPASTE_BIND to another address"),
    })
}

impl Endpoint {
    fn take(fd: OwnedFd) -> io::Result<Self> {
        let listener = if sys::is_unix(&fd) { Listener::Unix(fd.into()) } else { Listener::Tcp(fd.into()) };
        Self::new(listener, true)
    }

    fn new(listener: Listener, is_given: bool) -> io::Result<Self> {
        set_inherited_options(&listener)?;
        let address = match &listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                format!("http://{}", listener.local_addr()?)
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                format!("unix:{}", address.as_pathname().unwrap_or(Path::new("(unnamed)")).display())
            }
        };
        Ok(Self { listener, address, is_given })
    }

    /// The socket to wait on.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Accepts a waiting connection and returns it with its peer. Connections of a Unix socket are `TcpStream`s, too,
    /// and work the same.
    ///
    /// # Errors
    /// Those of `accept`; `WouldBlock` instead of waiting, because several processes may share the socket.
    pub(super) fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        match &self.listener {
            Listener::Tcp(listener) => listener.accept().map(|(socket, address)| (socket, Peer::Ip(address.ip()))),
            Listener::Unix(listener) => {
                let socket = TcpStream::from(OwnedFd::from(listener.accept()?.0));
                set_timeouts(&socket, PROXY_WINDOW)?;
                Ok((socket, Peer::Unix))
            }
        }
    }

    /// Whether we must serve its waiting connections when we stop; on a socket of the service manager our successor
    /// will.
    pub(super) fn is_ours(&self) -> bool {
        !self.is_given
    }

    /// Stops listening; connections waiting on a socket of the service manager are left to the next server.
    pub(super) fn close(&self) -> io::Result<()> {
        if self.is_given {
            return Ok(());
        }
        if let Listener::Unix(listener) = &self.listener {
            let address = listener.local_addr()?;
            match address.as_pathname().map(fs::remove_file) {
                Some(Err(error)) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let socket: OwnedFd = self.listener.as_fd().try_clone_to_owned()?;
        TcpStream::from(socket).shutdown(Shutdown::Both)
    }
}

/// On Linux, accepted TCP sockets inherit the options of the listener, which saves several calls per connection. Those
/// of Unix sockets do not, see [`Endpoint::accept`]. Without `TCP_NODELAY`, a kept-alive reply longer than a segment
/// waits 40 ms for the peer's delayed ACK.
fn set_inherited_options(listener: &Listener) -> io::Result<()> {
    let Listener::Tcp(listener) = listener else { return Ok(()) };
    let socket = TcpStream::from(listener.as_fd().try_clone_to_owned()?);
    socket.set_nodelay(true)?;
    sys::defer_accept(&socket, DEFER_SECONDS)?;
    set_timeouts(&socket, PEER_TIMEOUT)
}

fn set_timeouts(socket: &TcpStream, timeout: Duration) -> io::Result<()> {
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(timeout))
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        match UnixStream::connect(path) {
            Ok(_) => return Err(ErrorKind::AddrInUse.into()),
            // Connection refused: a stale socket of a killed server.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Err(error) => return Err(error),
        }
    }
    let listener = UnixListener::bind(path)?;
    // Its peers are trusted about certificates, so only the owner and the group (the proxy) may connect.
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).inspect_err(|_| drop(fs::remove_file(path)))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_live_unix_socket_is_kept_and_a_stale_one_is_replaced() {
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
        let endpoint = bind_own(&Bind::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
        let Listener::Tcp(listener) = &endpoint.listener else { panic!("not TCP") };
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // The kernel holds the connection until the first byte.
        client.write_all(b"x").unwrap();
        sys::wait_for_any(&[endpoint.as_fd()], None).unwrap();
        let (socket, peer) = endpoint.accept().unwrap();
        assert_eq!(peer, Peer::Ip([127, 0, 0, 1].into()));
        assert!(socket.nodelay().unwrap());
        assert_eq!(socket.read_timeout().unwrap(), Some(PEER_TIMEOUT));
        assert_eq!(socket.write_timeout().unwrap(), Some(PEER_TIMEOUT));
    }
}
