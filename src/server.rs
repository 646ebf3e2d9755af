//! The server: the listener, the thread pool, and the connections. Together with its submodules the only user of
//! tiny_http.
//!
//! Invariant: a fixed number of threads serve one connection each; a refused request gets its reply before the
//! connection closes; a peer occupies at most one thread per connection. Must never hold a lock during I/O with a peer.

mod accept;
mod body;
mod connection;
pub mod decoder;
mod drain;
mod guard;
pub mod head;
mod listen;
mod parser;
mod share;
mod sys;
mod systemd;
mod wire;
mod worker;

pub use listen::{Bound, bind};
pub use sys::{StopSignals, raise_descriptor_limit};
pub use systemd::{notify, start_watchdog};

use crate::answer::Responder;
use crate::operator_log;
use accept::Acceptor;
use connection::Connection;
use drain::Drainer;
use parser::Parser;
use share::Share;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use worker::{Cut, Phase, Worker};

/// The stack size of a worker. The deepest paths, SQLite and JSON, use a tenth of it; only touched pages cost memory.
const STACK_BYTES: usize = 256 << 10;
/// Descriptors reserved for other files, such as those that SQLite opens on demand.
const SPARE_DESCRIPTORS: u64 = 32;
/// How long a stopping server waits for requests in flight.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long an accepted connection may take to send its first request while the server stops: clients that connected
/// before the stop still get a reply.
const FRESH_GRACE: Duration = Duration::from_secs(1);
/// The pause after a failed `accept`, for example without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The state shared by the workers.
struct Pool {
    responder: Arc<Responder>,
    acceptor: Acceptor,
    parser: Parser,
    drainer: Arc<Drainer>,
    /// Limits how many workers may wait for peers to send.
    share: Share,
    stopping: AtomicBool,
    /// Set by the guard when nearly all workers are busy.
    pressed: AtomicBool,
    running: AtomicUsize,
    workers: Vec<Worker>,
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
        let drainer = Drainer::start(threads)?;
        let pool = Arc::new(Pool {
            acceptor: Acceptor::new(bound)?,
            responder,
            parser,
            drainer,
            share: Share::of(threads),
            stopping: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            workers: (0..threads).map(|_| Worker::default()).collect(),
        });
        let server = Self { pool };
        server.start_threads(threads).inspect_err(|_| server.pool.acceptor.close())?;
        Ok(server)
    }

    fn start_threads(&self, threads: usize) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for number in 0..threads {
            let pool = Arc::clone(&self.pool);
            pool.running.fetch_add(1, Ordering::SeqCst);
            let name = format!("worker-{number}");
            let work = move || {
                if let Some(worker) = pool.workers.get(number) {
                    pool.work(worker);
                }
            };
            std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(work).map_err(|error| {
                format!("cannot start {threads} threads: {error}; raise the task limit or lower FLASKPASTE_THREADS")
            })?;
        }
        guard::start(Arc::clone(&self.pool))?;
        Ok(())
    }

    /// Serves clients that have already connected, and returns when all requests are done or the grace period is over.
    pub fn stop(&self) {
        self.pool.stopping.store(true, Ordering::SeqCst);
        self.pool.acceptor.stop();
        let started = Instant::now();
        let mut is_open = true;
        let is_busy = || self.pool.running.load(Ordering::SeqCst) > 0 || !self.pool.drainer.is_empty();
        while is_busy() && started.elapsed() < STOP_GRACE {
            let fresh_too = started.elapsed() > FRESH_GRACE;
            if fresh_too && std::mem::take(&mut is_open) {
                self.pool.acceptor.close();
            }
            for worker in &self.pool.workers {
                worker.change(|served| match served.phase {
                    Phase::Idle => served.end(Cut::Stalled),
                    Phase::Fresh => fresh_too && served.end(Cut::Stalled),
                    _ => false,
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if is_open {
            self.pool.acceptor.close();
        }
    }
}

/// The number of connections that the descriptor limit allows: a socket, a spool file and a draining socket each.
fn affordable_connections() -> std::io::Result<usize> {
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

    /// Runs a worker, which serves connections until the server stops.
    fn work(&self, worker: &Worker) {
        // Otherwise woken workers preempt those that hold a lock: 47 k requests per second at 200 connections instead
        // of 62 k. A failure only costs that.
        let _ = sys::schedule_as_batch();
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.serve_one(worker))) {
                Ok(false) if self.is_stopping() => break,
                Ok(_) => {}
                Err(_) => operator_log::message("a worker panicked outside a request and continues"),
            }
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    /// Accepts a connection and serves its requests. Returns whether there was one.
    fn serve_one(&self, worker: &Worker) -> bool {
        match self.acceptor.accept() {
            Ok((socket, peer)) => {
                Connection::new(self, worker, socket, peer).serve();
                return true;
            }
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
}
