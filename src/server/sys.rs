//! System calls that std lacks, each behind a safe function.
//!
//! Invariant: every unsafe block states why it is sound. Must never keep a raw descriptor: callers hold owned handles.
#![expect(unsafe_code, reason = "system calls that std lacks; every block states why it is sound")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Offset of `tcpi_unacked`: eight bytes, then four words of four.
const UNACKED_OFFSET: usize = 8 + 4 * 4;
/// Offset of `tcpi_rtt` in the kernel's `struct tcp_info` (include/uapi/linux/tcp.h): eight bytes, then 15 words of
/// four.
const RTT_OFFSET: usize = 8 + 15 * 4;
/// Offset of `tcpi_bytes_acked` (since Linux 4.1): eight bytes, 24 words of four, then `pacing_rate` and
/// `max_pacing_rate`.
const BYTES_ACKED_OFFSET: usize = 8 + 24 * 4 + 2 * 8;

pub(super) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Whether a descriptor number is a listening stream socket.
pub(super) fn is_listener(fd: RawFd) -> bool {
    socket_option(fd, libc::SO_ACCEPTCONN) == Some(1) && socket_option(fd, libc::SO_TYPE) == Some(libc::SOCK_STREAM)
}

/// Whether this is a Unix socket, as opposed to TCP.
pub(super) fn is_unix(socket: &impl AsRawFd) -> bool {
    socket_option(socket.as_raw_fd(), libc::SO_DOMAIN) == Some(libc::AF_UNIX)
}

/// A numeric socket option of a descriptor number; `None` if it is not a socket.
fn socket_option(fd: RawFd, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = -1;
    let mut length: libc::socklen_t = 4;
    // SAFETY: the kernel writes at most `length` bytes into `value`, which is that large; any number is allowed as a
    // descriptor, a wrong one gives EBADF or ENOTSOCK.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut length) };
    check(result).ok().map(|_| value)
}

/// Sets how many connections may wait to be accepted. Beyond that, the kernel drops a peer's first packet and the peer
/// waits a second before it retries.
pub(super) fn set_backlog(listener: BorrowedFd<'_>, connections: libc::c_int) -> io::Result<()> {
    // SAFETY: the call takes numbers only; listening again on a listening socket changes its backlog (listen(2)).
    check(unsafe { libc::listen(listener.as_raw_fd(), connections) }).map(|_| ())
}

/// Makes the kernel hold back connections until their first byte, for about this long (`TCP_DEFER_ACCEPT`, tcp(7)).
pub(super) fn defer_accept(listener: &impl AsRawFd, seconds: libc::c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `length` bytes of `seconds`, which is that large.
    let result = unsafe {
        let value = (&raw const seconds).cast();
        libc::setsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, value, length)
    };
    check(result).map(|_| ())
}

/// Waits until a descriptor is readable, or the timeout; one flag for each says whether it is.
pub(super) fn wait_for_any(descriptors: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let entry = |fd: &BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut polled: Vec<libc::pollfd> = descriptors.iter().map(entry).collect();
    let count = libc::nfds_t::try_from(polled.len()).map_err(io::Error::other)?;
    // Rounded up: a wait that ends too early would be repeated again and again.
    let milliseconds = timeout.map_or(-1, |timeout| i32::try_from(timeout.as_millis() + 1).unwrap_or(i32::MAX));
    loop {
        // SAFETY: the kernel reads and writes `count` entries, which `polled` has; the descriptors are borrowed, so
        // open.
        match check(unsafe { libc::poll(polled.as_mut_ptr(), count, milliseconds) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(polled.iter().map(|entry| entry.revents != 0).collect()),
        }
    }
}

/// Duplicates a socket that the service manager has opened for us.
pub(super) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes numbers only, and any is allowed as a descriptor; the new one is ours alone.
    unsafe {
        let fd = check(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Reads what has arrived, without waiting. Returns the number of bytes, 0 at the end.
///
/// # Errors
/// `WouldBlock` if nothing has arrived; other errors of `recv`.
pub(super) fn receive_now(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let (fd, flags) = (socket.as_raw_fd(), libc::MSG_DONTWAIT);
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`; the socket is open while borrowed.
    uninterrupted(|| unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}

/// Sends what the system takes without waiting. Returns the number of bytes.
///
/// # Errors
/// `WouldBlock` if it takes nothing; other errors of `send`.
pub(super) fn send_now(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let (fd, flags) = (socket.as_raw_fd(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
    // SAFETY: the kernel reads at most `bytes.len()` bytes of `bytes`; the socket is open while borrowed.
    uninterrupted(|| unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// The number of bytes a call has transferred; a call that a signal interrupted is repeated.
fn uninterrupted(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(bytes) => return Ok(bytes),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// What the kernel knows of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TcpInfo {
    /// Bytes the peer has acknowledged.
    pub(super) acknowledged: u64,
    /// The smoothed round-trip time.
    pub(super) round_trip: Duration,
}

/// Queries the kernel about a TCP connection (`TCP_INFO`, tcp(7)).
pub(super) fn tcp_info(socket: &TcpStream) -> io::Result<TcpInfo> {
    let mut info = [0u8; BYTES_ACKED_OFFSET + size_of::<u64>()];
    let length = read_tcp_info(socket.as_raw_fd(), &mut info)?;
    let acknowledged = info.last_chunk().filter(|_| length == info.len());
    let microseconds = info.get(RTT_OFFSET..).and_then(<[u8]>::first_chunk);
    match (acknowledged, microseconds) {
        (Some(acknowledged), Some(microseconds)) => Ok(TcpInfo {
            acknowledged: u64::from_ne_bytes(*acknowledged),
            round_trip: Duration::from_micros(u32::from_ne_bytes(*microseconds).into()),
        }),
        _ => Err(io::Error::other("TCP_INFO is truncated")),
    }
}

/// The number of connections waiting to be accepted from a listening TCP socket; `None` for any other. The kernel
/// reports it as `tcpi_unacked`.
pub(super) fn queued_connections(listener: BorrowedFd<'_>) -> Option<u64> {
    let mut info = [0u8; UNACKED_OFFSET + size_of::<u32>()];
    read_tcp_info(listener.as_raw_fd(), &mut info).ok()?;
    info.last_chunk().map(|queued| u32::from_ne_bytes(*queued).into())
}

/// Reads the start of the kernel's `struct tcp_info`, as much as fits. Returns the number of bytes.
fn read_tcp_info(socket: RawFd, info: &mut [u8]) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(info.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes into `info`, which is that long, and cuts a longer struct; any
    // number is allowed as a descriptor.
    let result = unsafe {
        libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length)
    };
    check(result)?;
    Ok(length as usize)
}

/// Schedules this thread as a batch job (`SCHED_BATCH`, sched(7)): when woken, it does not preempt a running thread.
pub(super) fn schedule_as_batch() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads the struct, which is initialised; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) }).map(|_| ())
}

/// The approximate number of open descriptors: the kernel allocates the lowest free one.
pub(super) fn descriptors_open() -> io::Result<u64> {
    let probe = io::pipe()?.0;
    Ok(u64::try_from(probe.as_raw_fd()).unwrap_or(0))
}

/// The limit of open descriptors of this process.
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

/// Limits the heaps that the C library creates for threads (`M_ARENA_MAX`, mallopt(3)): two per core instead of eight.
/// More threads than cores rarely run at a time, and each heap keeps what its threads once needed: after 200,000 creates
/// and a million random reads, the server has 60 to 65 MiB instead of 70 to 90. To be called before threads are started; other C libraries have no such heaps.
pub fn limit_heaps() {
    #[cfg(target_env = "gnu")]
    if let Ok(heaps) = libc::c_int::try_from(2 * crate::cores::count()) {
        // SAFETY: the call takes numbers only. A refusal only costs memory.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
    }
}

fn limits() -> io::Result<libc::rlimit> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: getrlimit fills the struct it is given, or fails; it is read only after success.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()))?;
        Ok(limit.assume_init())
    }
}

/// The signals that stop the server, blocked in every thread so that one can wait for them.
pub struct StopSignals(libc::sigset_t);

impl StopSignals {
    /// Blocks SIGTERM and SIGINT in this thread and those it starts afterwards.
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

    /// Waits for one of them and returns its number.
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
    fn wait_for_any_flags_readable_descriptors() {
        let (reader, writer) = std::io::pipe().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let both = [listener.as_fd(), reader.as_fd()];
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(wait_for_any(&both, None).unwrap(), [true, false]);
        drop(writer);
        assert_eq!(wait_for_any(&both, None).unwrap(), [true, true], "the end of a pipe counts");
        assert_eq!(wait_for_any(&[], Some(Duration::ZERO)).unwrap(), [false; 0]);
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn tcp_info_counts_acknowledged_bytes() {
        let (mut client, mut server) = pair();
        assert_eq!(receive_now(&server, &mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
        client.write_all(b"!").unwrap();
        let mut buffer = [0; 9];
        wait_for_any(&[server.as_fd()], None).unwrap();
        assert_eq!((receive_now(&server, &mut buffer).unwrap(), buffer[0]), (1, b'!'));
        // The kernel may process the acknowledgement a little later. The handshake's SYN counts as one.
        while tcp_info(&client).unwrap().acknowledged < 7 {
            std::thread::yield_now();
        }
        let info = tcp_info(&client).unwrap();
        assert_eq!(info.acknowledged, 7);
        assert!(info.round_trip > Duration::ZERO && info.round_trip < Duration::from_secs(1), "{info:?}");
        client.shutdown(Shutdown::Write).unwrap();
        wait_for_any(&[server.as_fd()], None).unwrap();
        assert_eq!(receive_now(&server, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn listening_and_unix_sockets_are_detected() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (client, _server) = pair();
        assert!(is_listener(listener.as_raw_fd()) && !is_listener(client.as_raw_fd()) && !is_listener(-1));
        assert!(is_unix(&UnixStream::pair().unwrap().0) && !is_unix(&client));
        let copy = TcpStream::from(duplicate(client.as_raw_fd()).unwrap());
        assert_eq!(copy.local_addr().unwrap(), client.local_addr().unwrap());
    }

    #[test]
    fn queued_connections_are_counted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(queued_connections(listener.as_fd()), Some(0));
        let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        wait_for_any(&[listener.as_fd()], None).unwrap();
        assert_eq!(queued_connections(listener.as_fd()), Some(1));
        listener.accept().unwrap();
        assert_eq!(queued_connections(listener.as_fd()), Some(0));
        assert_eq!(queued_connections(io::pipe().unwrap().0.as_fd()), None);
    }
}
