//! Waits for the next of many connections on which something has arrived (epoll(7)).
//!
//! Invariant: a connection is reported to one thread, and not again before it is rearmed (`EPOLLONESHOT`). Must never
//! keep a raw descriptor: the kernel forgets a socket when it is closed.
#![expect(unsafe_code, reason = "epoll, which std lacks; every block states why it is sound")]

use super::sys::check;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The connections being waited for.
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: the call takes a number only; the descriptor is new, so ours alone.
        unsafe {
            let fd = check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Adds a connection; [`Epoll::wait`] will return `number` for it.
    pub(super) fn add(&self, socket: &TcpStream, number: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, number)
    }

    /// Waits again for a connection that was returned.
    pub(super) fn rearm(&self, socket: &TcpStream, number: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket, number)
    }

    fn control(&self, operation: libc::c_int, socket: &TcpStream, number: usize) -> io::Result<()> {
        let mut event =
            libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLONESHOT).cast_unsigned(), u64: number as u64 };
        // SAFETY: the kernel reads the event, which is initialised; both descriptors are borrowed, so open.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, socket.as_raw_fd(), &raw mut event) }).map(|_| ())
    }

    /// Waits until something has arrived on a connection, or it was shut down. Returns its number.
    pub(super) fn wait(&self) -> io::Result<usize> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        loop {
            // SAFETY: the kernel writes at most one event, for which there is room; -1 is no timeout.
            match check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, -1) }) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                Ok(1) => return usize::try_from(event.u64).map_err(io::Error::other),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};

    #[test]
    fn a_connection_is_returned_once_until_it_is_rearmed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (client, listener.accept().unwrap().0)
        };
        let ((mut first, first_server), (mut second, second_server)) = (connect(), connect());
        let epoll = Epoll::new().unwrap();
        epoll.add(&first_server, 1).unwrap();
        epoll.add(&second_server, 2).unwrap();
        first.write_all(b"x").unwrap();
        assert_eq!(epoll.wait().unwrap(), 1);
        first.write_all(b"x").unwrap();
        second.write_all(b"x").unwrap();
        assert_eq!(epoll.wait().unwrap(), 2, "the first is not returned again");
        // Its bytes are still unread.
        epoll.rearm(&first_server, 1).unwrap();
        assert_eq!(epoll.wait().unwrap(), 1);
        second_server.shutdown(Shutdown::Read).unwrap();
        epoll.rearm(&second_server, 2).unwrap();
        assert_eq!(epoll.wait().unwrap(), 2);
    }
}
