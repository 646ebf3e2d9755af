//! What happens on SIGINT, SIGTERM and SIGHUP: the program ends at once, with nothing half done left behind.
//!
//! Invariant: the exit code is 130, 143 or 129, as shells count it, the terminal echoes again, its line is clean, and an
//! unfinished file is gone.
//! Must never wait for the network or the proof of work.

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

/// Linux sends the signal first and shows the `^C` then; what is cleared sooner does not stay clear.
const ECHO_DELAY: Duration = Duration::from_millis(5);

/// What has to be put right before the program may end.
#[derive(Default)]
struct Pending {
    unfinished_file: Option<PathBuf>,
    /// What removes an unfinished folder, and those that were made for it.
    unfinished_folder: Option<Box<dyn FnOnce() + Send>>,
    terminal: Option<(File, Termios)>,
    /// Done at the very end; what it says is shown.
    last_deed: Option<Box<dyn FnOnce() -> String + Send>>,
}

impl Pending {
    fn restore_terminal(&mut self) {
        if let Some((terminal, settings)) = self.terminal.take() {
            let _ = tcsetattr(terminal, OptionalActions::Now, &settings);
        }
    }
}

/// The handler, and what it is to put right.
#[derive(Clone)]
pub struct Interrupt(Arc<Shared>);

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    /// Whether a signal has come.
    is_asked: AtomicBool,
}

impl Interrupt {
    /// Starts listening for the signals.
    ///
    /// # Errors
    /// When the system refuses a handler or a thread.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self(Arc::default());
        // nohup, and shells for what runs in the background, have some ignored.
        let ignored = ignored();
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM].iter().filter(|signal| !is_in(ignored, **signal)))?;
        let pending = interrupt.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                pending.0.is_asked.store(true, Ordering::SeqCst);
                // Held to the end: nobody turns the echo off or begins a file between this and the exit.
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
            // What comes next does not stand behind the question.
            let _ = terminal.write_all(b"\n");
        } else if is_typed && !had_progress {
            // Nor behind the ^C. That of a progress line went with it.
            let _ = io::stderr().write_all(b"\n");
        }
        pending.restore_terminal();
        if let Some(deed) = pending.last_deed.take() {
            Ui::new(false).warning(&deed());
        }
        pending
    }

    /// Says this if the program is interrupted while the guard lives.
    pub fn telling(&self, text: String) -> Guard<'_> {
        self.doing(move || text)
    }

    /// Does this, and says what it returns, if the program is interrupted while the guard lives. It may not wait for
    /// anything but the disk.
    pub fn doing(&self, deed: impl FnOnce() -> String + Send + 'static) -> Guard<'_> {
        self.pending().last_deed = Some(Box::new(deed));
        Guard(self, |pending| pending.last_deed = None)
    }

    /// Makes a file that is removed if the program is interrupted while the guard lives. A signal waits until it is
    /// made: no moment is left in which nobody knows of it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn removing(&self, make: impl FnOnce() -> io::Result<NamedTempFile>) -> io::Result<(NamedTempFile, Guard<'_>)> {
        let mut pending = self.pending();
        let file = make()?;
        pending.unfinished_file = Some(file.path().to_path_buf());
        Ok((file, Guard(self, |pending| pending.unfinished_file = None)))
    }

    /// The same with whatever comes with something that removes it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn putting_right<T, F: FnOnce() + Send + 'static>(
        &self,
        make: impl FnOnce() -> io::Result<(T, F)>,
    ) -> io::Result<(T, Guard<'_>)> {
        let mut pending = self.pending();
        let (thing, remove) = make()?;
        pending.unfinished_folder = Some(Box::new(remove));
        Ok((thing, Guard(self, |pending| pending.unfinished_folder = None)))
    }

    /// Does what is done as a whole or not at all: a signal waits until it is. The work is told whether one has come, and
    /// takes back then what it has done.
    pub fn uninterrupted<T>(&self, work: impl FnOnce(&dyn Fn() -> bool) -> T) -> T {
        let is_asked = || self.0.is_asked.load(Ordering::SeqCst);
        let held = self.pending();
        let outcome = work(&is_asked);
        drop(held);
        while is_asked() {
            // The handler ends the program, and says so.
            std::thread::park();
        }
        outcome
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns this terminal's echo off while the guard lives, and on again if the program is interrupted. A signal waits
    /// until that is noted, as with files. Before the prompt is shown, so that a password pasted at once is not seen
    /// either.
    ///
    /// # Errors
    /// When it is no terminal, or its settings cannot be changed.
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

/// The signals this process was started to ignore, as bits; none where the system does not say.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_in(mask: u64, signal: i32) -> bool {
    mask >> (signal - 1) & 1 == 1
}

/// While it lives, an interruption puts something right; so does its end, where there is something to put right.
pub struct Guard<'a>(&'a Interrupt, fn(&mut Pending));

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        (self.1)(&mut self.0.pending());
    }
}
