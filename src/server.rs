//! The server: the listener, the thread pool, and the connections. Together with its submodules the only user of
//! tiny_http.
//!
//! Invariant: at most a fixed number of connections are open, each with a slot, and there are as many threads; a
//! refused request gets its reply before the connection closes; a peer occupies at most one thread per connection. Must
//! never hold a lock during I/O with a peer.

mod accept;
mod body;
mod connection;
pub mod decoder;
mod drain;
mod epoll;
mod guard;
pub mod head;
mod listen;
mod parser;
mod share;
mod slot;
mod sys;
mod systemd;
mod wire;

pub use listen::{Bound, bind};
pub use sys::{StopSignals, limit_heaps, raise_descriptor_limit};
pub use systemd::{notify, start_watchdog};

use crate::answer::Responder;
use crate::blocking::Permits;
use crate::cores;
use crate::http::Peer;
use crate::object_pool::ObjectPool;
use crate::operator_log;
use accept::Acceptor;
use connection::Connection;
use drain::Drainer;
use epoll::Epoll;
use parser::Parser;
use share::Share;
use slot::{Cut, Phase, Slot};
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The stack size of a worker. The deepest paths, SQLite and JSON, use a tenth of it; only touched pages cost memory.
const STACK_BYTES: usize = 256 << 10;
/// Descriptors reserved for other files, such as those that SQLite opens on demand.
const SPARE_DESCRIPTORS: u64 = 32;
/// The least number of threads that wait for requests or answer one without blocking; otherwise one per core. With
/// twice or four times as many, a request costs 2 % and 8 % more CPU time at 200 connections, and the 99th percentile
/// at 48 is 3 and 7 times as long: a thread that is preempted keeps its request.
const LEAST_PERMITS: usize = 2;
/// How long a stopping server waits for requests in flight.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long an accepted connection may take to send its first request while the server stops: clients that connected
/// before the stop still get a reply.
const FRESH_GRACE: Duration = Duration::from_secs(1);
/// The pause after a failed `accept`, for example without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The state shared by the threads.
struct Pool {
    responder: Arc<Responder>,
    acceptor: Acceptor,
    /// Connections that wait for their peers.
    epoll: Epoll,
    parser: Parser,
    drainer: Arc<Drainer>,
    /// Limits how many connections may wait for the rest of a request.
    share: Share,
    stopping: AtomicBool,
    /// Set by the guard when nearly all slots are taken.
    pressed: AtomicBool,
    /// Open connections, and the accepting thread.
    running: AtomicUsize,
    slots: Vec<Slot>,
    /// The numbers of the free ones.
    free_slots: ObjectPool<usize>,
    permits: Arc<Permits>,
}

/// A running server.
pub struct Server {
    pool: Arc<Pool>,
}

impl Server {
    /// Starts the pool, which accepts connections from now on.
    ///
    /// # Errors
    /// When the threads cannot be started. The sockets are then closed.
    pub fn start(responder: Arc<Responder>, bound: Bound) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let parser = Parser::new(sys::descriptor_limit()?)?;
        let threads = responder.app().config().threads.min(affordable_connections()?);
        if threads < responder.app().config().threads {
            operator_log::message(&format!(
                "starting {threads} threads instead of FLASKPASTE_THREADS={}: the limit of file descriptors is too low",
                responder.app().config().threads
            ));
        }
        responder.app().metrics().workers.set(threads as u64);
        let (drainer, epoll) = (Drainer::start(threads)?, Epoll::new()?);
        let pool = Arc::new(Pool {
            acceptor: Acceptor::new(bound)?,
            epoll,
            responder,
            parser,
            drainer,
            share: Share::of(threads),
            stopping: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
            running: AtomicUsize::new(1),
            slots: (0..threads).map(|_| Slot::default()).collect(),
            free_slots: ObjectPool::new((0..threads).collect()),
            permits: Permits::new(cores::count().max(LEAST_PERMITS)),
        });
        let server = Self { pool };
        server.start_threads(threads).inspect_err(|_| server.pool.acceptor.close())?;
        Ok(server)
    }

    fn start_threads(&self, threads: usize) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let start = |name: String, run: fn(&Pool)| {
            let pool = Arc::clone(&self.pool);
            std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || run(&pool)).map_err(|error| {
                format!("cannot start {threads} threads: {error}; raise the task limit or lower FLASKPASTE_THREADS")
            })
        };
        for number in 0..threads {
            start(format!("worker-{number}"), Pool::work)?;
        }
        guard::start(Arc::clone(&self.pool))?;
        start("permits".into(), |pool| pool.permits.watch())?;
        // Last: what it accepts must be served.
        start("accept".into(), Pool::accept)?;
        Ok(())
    }

    /// Serves clients that have already connected, and returns when all requests are done or the grace period is over.
    pub fn stop(&self) {
        self.pool.stopping.store(true, Ordering::SeqCst);
        self.pool.acceptor.stop();
        let started = Instant::now();
        let is_busy = || self.pool.running.load(Ordering::SeqCst) > 0 || !self.pool.drainer.is_empty();
        while is_busy() && started.elapsed() < STOP_GRACE {
            let fresh_too = started.elapsed() > FRESH_GRACE;
            if fresh_too {
                // If the accepting thread, which does it otherwise, still waits for a free slot.
                self.pool.acceptor.close();
            }
            for slot in &self.pool.slots {
                slot.change(|served| match served.phase_now() {
                    Phase::Idle => served.end(Cut::Crowded),
                    Phase::Fresh => fresh_too && served.end(Cut::Crowded),
                    _ => false,
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The number of connections that the descriptor limit allows: a socket, a spool file and a draining socket each.
fn affordable_connections() -> io::Result<usize> {
    let free = sys::descriptor_limit()?.saturating_sub(sys::descriptors_open()? + SPARE_DESCRIPTORS);
    Ok(usize::try_from(free / 3).unwrap_or(usize::MAX).max(1))
}

impl Pool {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Accepts connections until the server stops, each when there is a slot for it.
    fn accept(&self) {
        loop {
            let number = self.free_slots.take();
            if self.accept_into(number) {
                continue;
            }
            self.free_slots.give_back(number);
            if self.is_stopping() {
                break;
            }
        }
        // Now rather than later: who connects from here on is refused at once, and tries again.
        self.acceptor.close();
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    /// Accepts a connection into a free slot. Returns whether there was one.
    fn accept_into(&self, number: usize) -> bool {
        let began = self.acceptor.accept().and_then(|(socket, peer)| self.begin(number, socket, peer));
        match began {
            Ok(()) => return true,
            // Another process accepted it, or the peer closed it before it was accepted.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::ConnectionAborted | ErrorKind::NotConnected
                ) => {}
            Err(_) if self.is_stopping() => {}
            Err(error) => {
                operator_log::message(&format!("cannot accept connections: {error}; retrying"));
                std::thread::sleep(ACCEPT_PAUSE);
            }
        }
        false
    }

    /// Begins a connection in a free slot.
    fn begin(&self, number: usize, socket: TcpStream, peer: Peer) -> io::Result<()> {
        let socket = Arc::new(socket);
        let Some(slot) = self.slots.get(number) else { return Err(ErrorKind::NotFound.into()) };
        slot.begin(&socket, peer);
        self.running.fetch_add(1, Ordering::SeqCst);
        self.epoll.add(&socket, number).inspect_err(|_| {
            slot.end();
            self.running.fetch_sub(1, Ordering::SeqCst);
        })
    }

    /// Runs a worker, which serves whichever connection something has arrived on.
    fn work(&self) {
        // Otherwise woken workers preempt those that hold a lock. A failure only costs that.
        let _ = sys::schedule_as_batch();
        loop {
            self.permits.take();
            match self.permits.wait_for(|| self.epoll.wait()) {
                Ok(number) => self.serve(number),
                Err(error) => {
                    operator_log::message(&format!("cannot wait for connections: {error}; retrying"));
                    std::thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Serves a connection while something has arrived on it.
    fn serve(&self, number: usize) {
        let Some(slot) = self.slots.get(number) else { return };
        let Some((socket, peer)) = slot.connection() else { return };
        let served = catch_unwind(AssertUnwindSafe(|| Connection::new(self, slot, Arc::clone(&socket), peer).serve()));
        let goes_on = served.unwrap_or_else(|_| {
            operator_log::message("a worker panicked outside a request and continues");
            false
        });
        if !goes_on || self.epoll.rearm(&socket, number).is_err() {
            slot.end();
            drop(socket);
            self.free_slots.give_back(number);
            self.running.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
