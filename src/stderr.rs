//! Lines on stderr: the request log and messages for the operator.
//!
//! Invariant: once the writer runs, a slow or blocked stderr blocks nothing else: lines are buffered up to a limit,
//! then dropped and counted. A closed stderr is ignored. Must never panic.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The size of the buffer; further lines are dropped and counted.
const BUFFER_BYTES: usize = 1 << 20;
/// How long lines are collected before they are written together.
const GATHER: Duration = Duration::from_millis(20);

/// Global like stderr itself: failures before the configuration and panics anywhere write lines, too.
static BUFFER: Buffer = Buffer {
    state: Mutex::new(State { is_running: false, lines: String::new(), dropped: 0, is_writing: false }),
    filled: Condvar::new(),
};

struct Buffer {
    state: Mutex<State>,
    filled: Condvar,
}

struct State {
    /// Whether the writer runs.
    is_running: bool,
    lines: String,
    dropped: u64,
    is_writing: bool,
}

/// Starts the writer. Where lines were dropped, it writes what `dropped_line` makes of their number.
///
/// # Errors
/// When its thread cannot be started.
pub fn start(dropped_line: fn(u64) -> String) -> io::Result<()> {
    let write_forever = move || BUFFER.write_forever(dropped_line);
    std::thread::Builder::new().name("stderr".into()).stack_size(64 << 10).spawn(write_forever)?;
    BUFFER.lock().is_running = true;
    Ok(())
}

/// Writes a line, which includes its line break: at once until the writer runs, then soon.
pub fn write(line: &str) {
    let mut state = BUFFER.lock();
    if !state.is_running {
        drop(state);
        return write_now(line);
    }
    if state.lines.len() + line.len() > BUFFER_BYTES {
        state.dropped += 1;
        return;
    }
    // The writer sleeps only while the buffer is empty.
    if state.lines.is_empty() {
        BUFFER.filled.notify_one();
    }
    state.lines.push_str(line);
}

/// Waits until all lines are written, at most a second, in case stderr is blocked.
pub fn flush() {
    for _ in 0..50 {
        let state = BUFFER.lock();
        if state.lines.is_empty() && !state.is_writing {
            return;
        }
        drop(state);
        std::thread::sleep(GATHER);
    }
}

fn write_now(lines: &str) {
    // `eprintln!` would panic on a closed stderr. An error cannot be reported anywhere.
    let _ = io::stderr().write_all(lines.as_bytes());
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_forever(&self, dropped_line: fn(u64) -> String) {
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() {
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            std::thread::sleep(GATHER);
            let mut state = self.lock();
            let mut lines = std::mem::take(&mut state.lines);
            let dropped = std::mem::take(&mut state.dropped);
            state.is_writing = true;
            drop(state);
            if dropped > 0 {
                lines.push_str(&dropped_line(dropped));
            }
            write_now(&lines);
            self.lock().is_writing = false;
        }
    }
}
