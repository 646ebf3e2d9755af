//! Draining: one thread takes what peers still send after their last answer, for a bounded moment.
//!
//! A socket closed over unread bytes resets, and a reset can overtake the answer: a refusal of an upload would not
//! reach its sender. No worker waits for that. Invariant: a bounded number of sockets, each for a bounded time and
//! amount, both small when many drain at once. Must never answer, and never wait for one socket alone.

use super::sys;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes taken from a socket at a time.
const READ_BYTES: usize = 64 << 10;
/// How long a socket is drained that sends nothing.
const SILENCE: Duration = Duration::from_secs(1);

/// What one socket is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowance {
    time: Duration,
    bytes: u64,
}

/// While few drain: enough for a proxy to bring a large upload to its end.
const CALM: Allowance = Allowance { time: Duration::from_secs(2), bytes: 256 << 20 };
/// While many do: enough for what is on its way.
const CROWDED: Allowance = Allowance { time: Duration::from_millis(200), bytes: 256 << 10 };

/// A handle on the draining thread.
pub(super) struct Drainer {
    most: usize,
    /// Sockets that drain, those that wait to be looked at included.
    count: AtomicUsize,
    new: Mutex<Vec<Draining>>,
    wake: io::PipeWriter,
}

struct Draining {
    socket: Arc<TcpStream>,
    /// When it ends, whatever comes.
    until: Instant,
    /// When it ends if nothing comes before.
    silent_until: Instant,
    bytes_left: u64,
}

impl Drainer {
    /// Starts the thread, for at most so many sockets at a time.
    ///
    /// # Errors
    /// When the system refuses the thread or its pipe.
    pub(super) fn start(most: usize) -> io::Result<Arc<Self>> {
        let (woken, wake) = io::pipe()?;
        let drainer = Arc::new(Self { most, count: AtomicUsize::new(0), new: Mutex::default(), wake });
        let shared = Arc::clone(&drainer);
        let name = std::thread::Builder::new().name("drain".into()).stack_size(super::STACK_BYTES);
        name.spawn(move || shared.run(&woken))?;
        Ok(drainer)
    }

    /// Ends our side of a connection, and takes over its socket until the peer has ended its own.
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
        // The pipe is read whenever a byte is in it; it cannot stay full.
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
    /// Takes what has come; whether more is to be waited for.
    fn goes_on(&mut self, is_ready: bool, now: Instant, buffer: &mut [u8]) -> bool {
        if is_ready {
            let Ok(read @ 1..) = sys::receive_now(&self.socket, buffer) else { return false };
            self.bytes_left = self.bytes_left.saturating_sub(read as u64);
            self.silent_until = now + SILENCE;
        }
        self.bytes_left > 0 && now < self.until.min(self.silent_until)
    }
}

/// What the next socket is given when so many drain already; `None` is nothing.
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
    fn an_answer_survives_what_the_peer_still_sends() {
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
    fn a_crowd_gets_little_and_what_is_too_many_nothing() {
        assert_eq!((allowance(0, 8), allowance(1, 8)), (Some(CALM), Some(CALM)));
        assert_eq!((allowance(2, 8), allowance(7, 8)), (Some(CROWDED), Some(CROWDED)));
        assert_eq!((allowance(8, 8), allowance(0, 0)), (None, None));
    }

    #[test]
    fn whoever_sends_without_an_end_is_cut_off() {
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
