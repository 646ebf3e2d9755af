//! The writer thread: it owns the writing connection and commits all waiting jobs in one transaction.
//!
//! Invariant: after `Ok` from [`Writer::write`], the change is on disk (`synchronous = FULL`); after an error, it was
//! not made. Must never wait for anything but the disk: jobs hold no lock and do no I/O to a peer.

use super::StoreError;
use super::files::Files;
use super::housekeeping::Housekeeper;
use super::transaction::{roll_back, transaction};
use crate::blocking;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The maximum number of jobs in a transaction, so that the first does not wait long for the last.
const BATCH_JOBS: usize = 64;
/// Bytes of content after which no further job joins a transaction.
const BATCH_BYTES: u64 = 4 << 20;
/// How often expired pastes are purged and erased content is removed from the WAL.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);

/// A handle to the writer thread.
pub struct Writer {
    jobs: Sender<Box<dyn Job>>,
    closing: Arc<AtomicBool>,
    /// `None` once closed.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A change waiting for its transaction. A trait only to erase the type of its result.
trait Job: Send {
    fn bytes(&self) -> u64;
    /// Makes the change; called again in its own transaction if the shared one fails.
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError>;
    /// Reports the result to the waiting thread.
    fn reply(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Pending<T, W> {
    bytes: u64,
    work: W,
    result: Option<T>,
    reply: SyncSender<Result<T, StoreError>>,
}

impl<T: Send, W: FnMut(&Connection) -> Result<T, StoreError> + Send> Job for Pending<T, W> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.result = Some((self.work)(connection)?);
        Ok(())
    }

    fn reply(self: Box<Self>, committed: Result<(), StoreError>) {
        let lost = || StoreError::Failed("a change was committed without a result".into());
        let Self { result, reply, .. } = *self;
        // If the request's thread has panicked, nothing waits for the result.
        let _ = reply.send(committed.and_then(|()| result.ok_or_else(lost)));
    }
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub(super) fn start(connection: Connection, files: Files, housekeeper: Housekeeper) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel();
        let closing = Arc::<AtomicBool>::default();
        let is_closing = Arc::clone(&closing);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || run(&connection, &files, &queue, &is_closing, housekeeper))
            .map_err(|error| StoreError::Failed(format!("cannot start the writer thread: {error}")))?;
        Ok(Self { jobs, closing, thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` in the next transaction and waits until it is on disk. `bytes` is the size of the content it writes.
    ///
    /// # Errors
    /// The error of `work` or of the transaction; nothing was stored.
    pub(super) fn write<T: Send + 'static>(
        &self,
        bytes: u64,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let stopped = || StoreError::Unavailable("the writer thread has stopped".into());
        let unknown = || StoreError::OutcomeUnknown("the writer thread did not respond".into());
        let (reply, answer) = mpsc::sync_channel(1);
        let job = Box::new(Pending { bytes, work, result: None, reply });
        self.jobs.send(job).map_err(|_| stopped())?;
        blocking::about_to_block();
        answer.recv().map_err(|_| unknown())?
    }

    /// Makes the thread finish waiting jobs, flush and close, and waits for it. Later writes fail.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes it; it may already have ended.
        let _ = self.write(0, |_| Ok(()));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread: batches of jobs, and housekeeping once per second under any load.
fn run(
    connection: &Connection,
    files: &Files,
    queue: &Receiver<Box<dyn Job>>,
    closing: &AtomicBool,
    mut housekeeper: Housekeeper,
) {
    let mut due = Instant::now();
    loop {
        let is_closing = closing.load(Ordering::SeqCst);
        let idle = if is_closing { Duration::ZERO } else { due.saturating_duration_since(Instant::now()) };
        match queue.recv_timeout(idle) {
            Ok(first) => {
                let batch = collect(first, queue);
                if let Err(error) = files.check() {
                    for job in batch {
                        job.reply(Err(error.clone()));
                    }
                    continue;
                }
                // A panic here is a bug in one job; the other callers get an error, and the thread continues.
                if catch_unwind(AssertUnwindSafe(|| commit_batch(connection, batch))).is_err() {
                    roll_back(connection);
                }
            }
            Err(RecvTimeoutError::Timeout) if is_closing => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= due && files.check().is_err() {
            due = Instant::now() + HOUSEKEEPING_INTERVAL;
        } else if Instant::now() >= due {
            let more = catch_unwind(AssertUnwindSafe(|| housekeeper.tick(connection))).unwrap_or(false);
            roll_back(connection);
            // More to do: at once, but after the jobs that arrived meanwhile.
            due = Instant::now() + if more { Duration::ZERO } else { HOUSEKEEPING_INTERVAL };
        }
    }
    housekeeper.close(connection);
}

/// The first job and those already waiting behind it.
fn collect(first: Box<dyn Job>, queue: &Receiver<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
    let mut bytes = first.bytes();
    let mut batch = vec![first];
    while batch.len() < BATCH_JOBS && bytes < BATCH_BYTES {
        let Ok(job) = queue.try_recv() else { break };
        bytes += job.bytes();
        batch.push(job);
    }
    batch
}

/// Commits a batch as one transaction, or, if that fails, each job separately: one that does not fit on the disk does
/// not make a delete fail.
fn commit_batch(connection: &Connection, mut batch: Vec<Box<dyn Job>>) {
    let together = transaction(connection, |connection| {
        let mut results = Vec::with_capacity(batch.len());
        for job in &mut batch {
            results.push(run_in_batch(connection, job.as_mut())?);
        }
        Ok(results)
    });
    match together {
        Ok(results) => batch.into_iter().zip(results).for_each(|(job, result)| job.reply(result)),
        Err(error) if batch.len() == 1 => batch.into_iter().for_each(|job| job.reply(Err(error.clone()))),
        Err(_) => {
            for mut job in batch {
                let result = transaction(connection, |connection| job.run(connection));
                job.reply(result);
            }
        }
    }
}

/// Runs one job of a batch. The inner result is the job's; the outer one is an error if the transaction cannot go on:
/// SQLite aborted it, as it does on a full disk, or the job failed after it changed something. A savepoint for each job
/// would undo only that, but costs a create 6 % more CPU time.
fn run_in_batch(connection: &Connection, job: &mut dyn Job) -> Result<Result<(), StoreError>, StoreError> {
    let changes = connection.total_changes();
    match job.run(connection) {
        Err(error) if connection.is_autocommit() || connection.total_changes() != changes => Err(error),
        result => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Work = fn(&Connection) -> Result<(), StoreError>;

    fn insert(connection: &Connection, value: u8) -> Result<(), StoreError> {
        Ok(connection.execute("INSERT INTO t VALUES (?1)", [value]).map(|_| ())?)
    }

    /// Commits jobs as one batch. Returns whether each succeeded, and what is stored.
    fn commit(jobs: &[Work]) -> (Vec<bool>, Vec<u8>) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (value UNIQUE)").unwrap();
        let mut answers = Vec::new();
        let mut batch: Vec<Box<dyn Job>> = Vec::new();
        for work in jobs {
            let (reply, answer) = mpsc::sync_channel(1);
            batch.push(Box::new(Pending { bytes: 0, work: *work, result: None, reply }));
            answers.push(answer);
        }
        commit_batch(&connection, batch);
        let succeeded = answers.iter().map(|answer| answer.recv().unwrap().is_ok()).collect();
        let mut select = connection.prepare("SELECT value FROM t ORDER BY value").unwrap();
        let stored = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        (succeeded, stored)
    }

    #[test]
    fn a_failed_job_leaves_nothing_and_fails_no_other() {
        let before_a_change: Work = |_| Err(StoreError::Full);
        let after_a_change: Work = |connection| insert(connection, 2).and(Err(StoreError::Full));
        let in_a_statement: Work = |connection| insert(connection, 1);
        for failing in [before_a_change, after_a_change, in_a_statement] {
            let (succeeded, stored) =
                commit(&[|connection| insert(connection, 1), failing, |connection| insert(connection, 3)]);
            assert_eq!((succeeded, stored), (vec![true, false, true], vec![1, 3]));
        }
        let rolled_back: Work = |connection| {
            connection.execute_batch("ROLLBACK")?;
            Err(StoreError::Full)
        };
        let (succeeded, stored) = commit(&[|connection| insert(connection, 1), rolled_back]);
        assert_eq!((succeeded, stored), (vec![true, false], vec![1]), "SQLite aborts a transaction on a full disk");
    }
}
