//! The few system calls std lacks, each behind a safe function.
//!
//! Invariant: every unsafe block states why it is sound, and none outlives its function. Must never keep a raw
//! descriptor: callers hold owned handles.
#![expect(unsafe_code, reason = "system calls std does not offer; every block says why it is sound")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Offset of `tcpi_bytes_acked` in the kernel's `struct tcp_info` (include/uapi/linux/tcp.h, since Linux 4.1): eight
/// bytes, 24 words of four, then `pacing_rate` and `max_pacing_rate`. Behind it comes `tcpi_bytes_received`.
const BYTES_ACKED_OFFSET: usize = 8 + 24 * 4 + 2 * 8;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Whether a descriptor number is a connected stream socket right now: not a file, not a listener.
pub(super) fn is_connection(fd: RawFd) -> bool {
    socket_option(fd, libc::SO_ACCEPTCONN) == Some(0) && socket_option(fd, libc::SO_TYPE) == Some(libc::SOCK_STREAM)
}

/// Whether a descriptor number is a stream socket that listens.
pub(super) fn is_listener(fd: RawFd) -> bool {
    socket_option(fd, libc::SO_ACCEPTCONN) == Some(1) && socket_option(fd, libc::SO_TYPE) == Some(libc::SOCK_STREAM)
}

/// Whether a socket is a Unix one, and not TCP.
pub(super) fn is_unix(socket: &impl AsRawFd) -> bool {
    socket_option(socket.as_raw_fd(), libc::SO_DOMAIN) == Some(libc::AF_UNIX)
}

/// A numeric option of whatever a descriptor number stands for; `None` when that is no socket.
fn socket_option(fd: RawFd, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = -1;
    let mut length: libc::socklen_t = 4;
    // SAFETY: the kernel writes at most `length` bytes into `value`, which is that large; any number is allowed as a
    // descriptor, a wrong one gives EBADF or ENOTSOCK.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut length) };
    check(result).ok().map(|_| value)
}

/// Sets how many connections may wait to be accepted. Beyond it the kernel drops a peer's first packet, and the peer
/// waits a second before it tries again.
pub(super) fn set_backlog(listener: &impl AsRawFd, connections: libc::c_int) -> io::Result<()> {
    // SAFETY: the call takes numbers only; listening again on a listening socket changes its backlog (listen(2)).
    check(unsafe { libc::listen(listener.as_raw_fd(), connections) }).map(|_| ())
}

/// Has the kernel keep connections to itself until their first byte, for about this long (`TCP_DEFER_ACCEPT`, tcp(7)).
pub(super) fn defer_accept(listener: &impl AsRawFd, seconds: libc::c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `length` bytes of `seconds`, which is that large.
    let result = unsafe {
        let value = (&raw const seconds).cast();
        libc::setsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, value, length)
    };
    check(result).map(|_| ())
}

/// Waits until one of these descriptors has something to say, and tells which, as one flag each.
pub(super) fn wait_for_any(descriptors: &[BorrowedFd<'_>]) -> io::Result<Vec<bool>> {
    let entry = |fd: &BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut polled: Vec<libc::pollfd> = descriptors.iter().map(entry).collect();
    let count = libc::nfds_t::try_from(polled.len()).map_err(io::Error::other)?;
    loop {
        // SAFETY: the kernel reads and writes `count` entries, which `polled` has; the descriptors are borrowed, so open.
        match check(unsafe { libc::poll(polled.as_mut_ptr(), count, -1) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(polled.iter().map(|entry| entry.revents != 0).collect()),
        }
    }
}

/// A handle of our own on the socket behind a descriptor number that someone else keeps open.
pub(super) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the caller has just seen the descriptor open, and it stays open for this call: a connection because of
    // the lock that also guards its closing, a socket of the service manager because nobody closes it. The borrow ends
    // with the call.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}

/// Copies what has arrived into `buffer` and leaves it there for the next reader. Blocks, up to the socket's receive
/// timeout, while there is nothing; 0 is the end.
pub(super) fn peek(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    recv(socket, buffer, libc::MSG_PEEK)
}

/// The same, but blocks until the buffer is full; fewer bytes mean timeout or end.
pub(super) fn peek_until_full(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    recv(socket, buffer, libc::MSG_PEEK | libc::MSG_WAITALL)
}

/// Whether the peer has ended its side and nothing is left to read. Does not block.
pub(super) fn is_at_end(socket: &TcpStream) -> bool {
    matches!(recv(socket, &mut [0], libc::MSG_PEEK | libc::MSG_DONTWAIT), Ok(0))
}

/// Whether the peer has ended its side, whatever is left to read.
pub(super) fn is_half_closed(socket: &TcpStream) -> bool {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: the kernel reads and writes the one entry it is given; the socket is open while borrowed.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready > 0
}

fn recv(socket: &TcpStream, buffer: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
    loop {
        // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`; the socket is open while borrowed.
        let received = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
        match usize::try_from(received) {
            Ok(received) => return Ok(received),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// What the kernel counts on a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TcpCounters {
    /// Bytes the peer has acknowledged.
    pub(super) acknowledged: u64,
    /// Bytes the peer has sent, those nobody has read yet included.
    pub(super) received: u64,
}

/// The counters of a TCP connection.
pub(super) fn tcp_counters(socket: &TcpStream) -> io::Result<TcpCounters> {
    let mut info = [0u8; BYTES_ACKED_OFFSET + 2 * size_of::<u64>()];
    let mut length = libc::socklen_t::try_from(info.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes into `info`, which is that long, and cuts a longer struct.
    let result = unsafe {
        let value = info.as_mut_ptr().cast();
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, value, &raw mut length)
    };
    check(result)?;
    let fields = info.last_chunk::<16>().filter(|_| length as usize == info.len());
    let (acknowledged, received) = fields
        .and_then(|fields| fields.split_first_chunk::<8>())
        .ok_or_else(|| io::Error::other("TCP_INFO is too short"))?;
    let received = received.first_chunk::<8>().ok_or_else(|| io::Error::other("TCP_INFO is too short"))?;
    Ok(TcpCounters { acknowledged: u64::from_ne_bytes(*acknowledged), received: u64::from_ne_bytes(*received) })
}

/// Bytes that have arrived and nobody has read yet.
pub(super) fn bytes_unread(socket: &TcpStream) -> io::Result<u64> {
    let mut unread: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, and `unread` is one.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut unread) })?;
    u64::try_from(unread).map_err(io::Error::other)
}

/// How many descriptors this process may have open.
pub(super) fn descriptor_limit() -> io::Result<u64> {
    limits().map(|limit| limit.rlim_cur)
}

/// Raises the soft limit of open descriptors to the hard one.
///
/// # Errors
/// When the system refuses.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let mut limit = limits()?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: setrlimit reads the struct, which is initialised.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).map(|_| ())
}

fn limits() -> io::Result<libc::rlimit> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: getrlimit fills the struct it is given, or fails; it is read only after success.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()))?;
        Ok(limit.assume_init())
    }
}

/// The signals that end the server, held back from every thread so that one can wait for them.
pub struct StopSignals(libc::sigset_t);

impl StopSignals {
    /// Holds SIGTERM and SIGINT back, in this thread and those it starts afterwards.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn hold() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set that the other calls change and read; a null old set is allowed.
        unsafe {
            check(libc::sigemptyset(set.as_mut_ptr()))?;
            let mut set = set.assume_init();
            check(libc::sigaddset(&raw mut set, libc::SIGTERM))?;
            check(libc::sigaddset(&raw mut set, libc::SIGINT))?;
            match libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) {
                0 => Ok(Self(set)),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }

    /// Waits for one of them; its number.
    pub fn wait(&self) -> i32 {
        let mut signal = 0;
        // SAFETY: both pointers are valid for the call; the set is initialised. It fails only for an invalid set.
        unsafe { libc::sigwait(&raw const self.0, &raw mut signal) };
        signal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn whoever_has_something_to_say_is_told_apart() {
        let (reader, writer) = std::io::pipe().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let both = [listener.as_fd(), reader.as_fd()];
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(wait_for_any(&both).unwrap(), [true, false]);
        drop(writer);
        assert_eq!(wait_for_any(&both).unwrap(), [true, true], "the end of a pipe is news too");
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn bytes_are_counted_before_and_after_they_are_read() {
        let (mut client, mut server) = pair();
        client.write_all(b"hello").unwrap();
        let mut buffer = [0; 5];
        assert_eq!(peek_until_full(&server, &mut buffer).unwrap(), 5);
        assert_eq!((tcp_counters(&server).unwrap().received, bytes_unread(&server).unwrap()), (5, 5));
        server.read_exact(&mut buffer).unwrap();
        assert_eq!((tcp_counters(&server).unwrap().received, bytes_unread(&server).unwrap()), (5, 0));
        assert_eq!(&buffer, b"hello");
        client.write_all(b"!").unwrap();
        assert_eq!(peek_until_full(&server, &mut [0]).unwrap(), 1);
        // The handshake's SYN counts as one.
        assert_eq!(tcp_counters(&client).unwrap().acknowledged, 7);
    }

    #[test]
    fn the_end_shows_only_when_everything_is_read() {
        let (mut client, mut server) = pair();
        assert!(!is_at_end(&server));
        client.write_all(b"x").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(peek_until_full(&server, &mut [0; 2]).unwrap(), 1, "fewer bytes mean the end");
        assert!(!is_at_end(&server));
        server.read_exact(&mut [0]).unwrap();
        assert!(is_at_end(&server));
    }

    #[test]
    fn only_connections_are_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let (client, _server) = pair();
        assert!(is_connection(client.as_raw_fd()));
        assert!(!is_connection(listener.as_raw_fd()) && !is_connection(file.as_raw_fd()) && !is_connection(-1));
        assert!(is_listener(listener.as_raw_fd()) && !is_listener(client.as_raw_fd()) && !is_listener(-1));
        assert!(is_unix(&UnixStream::pair().unwrap().0) && !is_unix(&client));
        let copy = TcpStream::from(duplicate(client.as_raw_fd()).unwrap());
        assert_eq!(copy.local_addr().unwrap(), client.local_addr().unwrap());
    }
}
