//! Drains closing connections: one thread reads what peers still send after their last reply, for a limited time.
//!
//! Closing a socket with unread bytes sends a reset, which can overtake the reply: a refused uploader would not see the
//! refusal. No worker waits for that. Invariant: a limited number of sockets, each for a limited time and amount, both
//! smaller when many drain at once. Must never reply, nor wait for a single socket.

use super::sys;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The size of a read.
const READ_BYTES: usize = 64 << 10;
/// How long a silent socket is drained.
const SILENCE: Duration = Duration::from_secs(1);

/// The limits of one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowance {
    time: Duration,
    bytes: u64,
}

/// While few drain: enough for a proxy to finish a large upload.
const CALM: Allowance = Allowance { time: Duration::from_secs(2), bytes: 256 << 20 };
/// While many drain: enough for what is in flight.
const CROWDED: Allowance = Allowance { time: Duration::from_millis(200), bytes: 256 << 10 };

/// A handle on the draining thread.
pub(super) struct Drainer {
    most: usize,
    /// The number of draining sockets, including new ones.
    count: AtomicUsize,
    new: Mutex<Vec<Draining>>,
    wake: io::PipeWriter,
}

struct Draining {
    socket: Arc<TcpStream>,
    /// The deadline.
    until: Instant,
    /// The deadline if nothing arrives.
    silent_until: Instant,
    bytes_left: u64,
}

impl Drainer {
    /// Starts the thread, for at most this many sockets at a time.
    ///
    /// # Errors
    /// When the thread or its pipe cannot be created.
    pub(super) fn start(most: usize) -> io::Result<Arc<Self>> {
        let (woken, wake) = io::pipe()?;
        let drainer = Arc::new(Self { most, count: AtomicUsize::new(0), new: Mutex::default(), wake });
        let shared = Arc::clone(&drainer);
        let name = std::thread::Builder::new().name("drain".into()).stack_size(super::STACK_BYTES);
        name.spawn(move || shared.run(&woken))?;
        Ok(drainer)
    }

    /// Shuts down our side of a connection, and drains its socket until the peer closes it.
    pub(super) fn take(&self, socket: Arc<TcpStream>) {
        if socket.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let taken = self.count.fetch_add(1, Ordering::Relaxed);
        let Some(allowance) = allowance(taken, self.most) else {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        let now = Instant::now();
        let (until, bytes_left) = (now + allowance.time, allowance.bytes);
        self.lock().push(Draining { socket, until, silent_until: now + SILENCE, bytes_left });
        // The pipe is read whenever it has data, so it cannot stay full.
        let _ = (&self.wake).write(&[0]);
    }

    /// Whether nothing drains.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Draining>> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut woken: &io::PipeReader) {
        let mut sockets: Vec<Draining> = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let now = Instant::now();
            let next_end = sockets.iter().map(|draining| draining.until.min(draining.silent_until)).min();
            let timeout = next_end.map(|end| end.saturating_duration_since(now));
            let mut descriptors: Vec<_> = sockets.iter().map(|draining| draining.socket.as_fd()).collect();
            descriptors.push(woken.as_fd());
            let ready = sys::wait_for_any(&descriptors, timeout).unwrap_or_default();
            if ready.last() == Some(&true) {
                let _ = io::Read::read(&mut woken, &mut buffer);
            }
            let now = Instant::now();
            let mut ready = ready.into_iter();
            let before = sockets.len();
            sockets.retain_mut(|draining| draining.goes_on(ready.next().unwrap_or(false), now, &mut buffer));
            self.count.fetch_sub(before - sockets.len(), Ordering::Relaxed);
            sockets.append(&mut self.lock());
        }
    }
}

impl Draining {
    /// Reads what has arrived. Returns whether to continue.
    fn goes_on(&mut self, is_ready: bool, now: Instant, buffer: &mut [u8]) -> bool {
        if is_ready {
            let Ok(read @ 1..) = sys::receive_now(&self.socket, buffer) else { return false };
            self.bytes_left = self.bytes_left.saturating_sub(read as u64);
            self.silent_until = now + SILENCE;
        }
        self.bytes_left > 0 && now < self.until.min(self.silent_until)
    }
}

/// The limits of the next socket if this many are draining already; `None` closes it at once.
fn allowance(taken: usize, most: usize) -> Option<Allowance> {
    match taken {
        _ if taken >= most => None,
        _ if taken * 4 >= most => Some(CROWDED),
        _ => Some(CALM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    fn pair() -> (TcpStream, Arc<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, Arc::new(listener.accept().unwrap().0))
    }

    #[test]
    fn a_reply_arrives_although_the_peer_is_still_sending() {
        let drainer = Drainer::start(16).unwrap();
        let (mut client, server) = pair();
        client.write_all(&vec![b'x'; 100_000]).unwrap();
        (&*server).write_all(b"refused").unwrap();
        drainer.take(server);
        client.write_all(&vec![b'x'; 3_000_000]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "refused");
    }

    #[test]
    fn limits_shrink_with_the_number_of_sockets() {
        assert_eq!((allowance(0, 8), allowance(1, 8)), (Some(CALM), Some(CALM)));
        assert_eq!((allowance(2, 8), allowance(7, 8)), (Some(CROWDED), Some(CROWDED)));
        assert_eq!((allowance(8, 8), allowance(0, 0)), (None, None));
    }

    #[test]
    fn endless_senders_are_cut_off() {
        let drainer = Drainer::start(1).unwrap();
        let (mut client, server) = pair();
        drainer.take(server);
        let started = Instant::now();
        while client.write_all(&[b'x'; 8192]).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(20));
        }
        while !drainer.is_empty() {
            std::thread::yield_now();
        }
    }
}
