//! Handles SIGINT, SIGTERM and SIGHUP: cleans up and exits at once.
//!
//! Invariant: the exit code is 130, 143 or 129 (128 plus the signal), the terminal's echo is restored, its line is
//! clean, and unfinished files are removed. Must never wait for the network or the proof of work.

use super::progress;
use super::ui::Ui;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::NamedTempFile;

/// Linux echoes `^C` after sending the signal; a line cleared sooner would not stay clear.
const ECHO_DELAY: Duration = Duration::from_millis(5);

/// What to clean up before exiting.
#[derive(Default)]
struct Pending {
    unfinished_file: Option<PathBuf>,
    /// Removes an unfinished folder and those created for it.
    unfinished_folder: Option<Box<dyn FnOnce() + Send>>,
    terminal: Option<(File, Termios)>,
    /// Runs last; the text it returns is printed.
    last_deed: Option<Box<dyn FnOnce() -> String + Send>>,
}

impl Pending {
    fn restore_terminal(&mut self) {
        if let Some((terminal, settings)) = self.terminal.take() {
            let _ = tcsetattr(terminal, OptionalActions::Now, &settings);
        }
    }
}

/// The signal handler and its clean-up tasks.
#[derive(Clone)]
pub struct Interrupt(Arc<Shared>);

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    /// Whether a signal was received.
    is_asked: AtomicBool,
}

impl Interrupt {
    /// Starts listening for the signals.
    ///
    /// # Errors
    /// When the system refuses a handler or a thread.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self(Arc::default());
        // Signals ignored by nohup or a shell's background jobs stay ignored.
        let ignored = ignored();
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM].iter().filter(|signal| !is_in(ignored, **signal)))?;
        let pending = interrupt.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                pending.0.is_asked.store(true, Ordering::SeqCst);
                // Held until the exit: no thread may turn the echo off or create a file in between.
                let _end = pending.put_right(signal);
                std::process::exit(128 + signal);
            }
        })?;
        Ok(interrupt)
    }

    fn put_right(&self, signal: i32) -> MutexGuard<'_, Pending> {
        let is_typed = signal == SIGINT && io::stderr().is_terminal();
        if is_typed {
            std::thread::sleep(ECHO_DELAY);
        }
        let had_progress = progress::close();
        let mut pending = self.pending();
        if let Some(path) = pending.unfinished_file.take() {
            let _ = std::fs::remove_file(path);
        }
        if let Some(remove) = pending.unfinished_folder.take() {
            remove();
        }
        if let Some((terminal, _)) = &mut pending.terminal {
            // Move off the line of the prompt.
            let _ = terminal.write_all(b"\n");
        } else if is_typed && !had_progress {
            // Move off the line of the ^C; a progress line has cleared its own.
            let _ = io::stderr().write_all(b"\n");
        }
        pending.restore_terminal();
        if let Some(deed) = pending.last_deed.take() {
            Ui::new(false).warning(&deed());
        }
        pending
    }

    /// Prints this text if the program is interrupted while the guard lives.
    pub fn telling(&self, text: String) -> Guard<'_> {
        self.doing(move || text)
    }

    /// Runs this and prints the text it returns if the program is interrupted while the guard lives. It must not wait
    /// for anything but the disk.
    pub fn doing(&self, deed: impl FnOnce() -> String + Send + 'static) -> Guard<'_> {
        self.pending().last_deed = Some(Box::new(deed));
        Guard(self, |pending| pending.last_deed = None)
    }

    /// Creates a file that is removed if the program is interrupted while the guard lives. Signals are held back until
    /// it is registered.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn removing(&self, make: impl FnOnce() -> io::Result<NamedTempFile>) -> io::Result<(NamedTempFile, Guard<'_>)> {
        let mut pending = self.pending();
        let file = make()?;
        pending.unfinished_file = Some(file.path().to_path_buf());
        Ok((file, Guard(self, |pending| pending.unfinished_file = None)))
    }

    /// The same for anything that comes with its own clean-up.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn putting_right<T, F: FnOnce() + Send + 'static>(
        &self,
        make: impl FnOnce() -> io::Result<(T, F)>,
    ) -> io::Result<(T, Guard<'_>)> {
        let mut pending = self.pending();
        let (thing, remove) = make()?;
        pending.unfinished_folder = Some(Box::new(remove));
        Ok((thing, Guard(self, |pending| pending.unfinished_folder = None)))
    }

    /// Runs work that must be done completely or not at all: signals are held back until it returns. It can check
    /// whether a signal was received, and undo what it has done.
    pub fn uninterrupted<T>(&self, work: impl FnOnce(&dyn Fn() -> bool) -> T) -> T {
        let is_asked = || self.0.is_asked.load(Ordering::SeqCst);
        let held = self.pending();
        let outcome = work(&is_asked);
        drop(held);
        while is_asked() {
            // The handler ends the program.
            std::thread::park();
        }
        outcome
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns the terminal's echo off while the guard lives, and restores it on an interruption. Call it before showing
    /// the prompt, so that a password pasted early is not visible either.
    ///
    /// # Errors
    /// When it is not a terminal, or its settings cannot be changed.
    pub fn hiding_keys(&self, terminal: &File) -> io::Result<Guard<'_>> {
        let mut pending = self.pending();
        let settings = tcgetattr(terminal)?;
        let mut silent = settings.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let terminal = terminal.try_clone()?;
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        pending.terminal = Some((terminal, settings));
        Ok(Guard(self, Pending::restore_terminal))
    }
}

/// The bit mask of signals ignored at the start; empty if the system does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_in(mask: u64, signal: i32) -> bool {
    mask >> (signal - 1) & 1 == 1
}

/// Registers a clean-up task while it lives, and ends it on drop.
pub struct Guard<'a>(&'a Interrupt, fn(&mut Pending));

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        (self.1)(&mut self.0.pending());
    }
}
