//! What happens on SIGINT and SIGTERM: the program ends at once, with nothing half done left behind.
//!
//! Invariant: the exit code is 130 and 143, as shells count it, the terminal echoes again, and an unfinished file is gone.
//! Must never wait for the network or the proof of work.

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What has to be put right before the program may end.
#[derive(Default)]
struct Pending {
    unfinished_file: Option<PathBuf>,
    terminal: Option<(File, Termios)>,
}

/// The handler, and what it is to put right.
#[derive(Clone)]
pub struct Interrupt(Arc<Mutex<Pending>>);

impl Interrupt {
    /// Starts listening for the signals.
    ///
    /// # Errors
    /// When the system refuses a handler or a thread.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self(Arc::default());
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let pending = interrupt.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                pending.put_right();
                std::process::exit(128 + signal);
            }
        })?;
        Ok(interrupt)
    }

    fn put_right(&self) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = pending.unfinished_file.take() {
            let _ = std::fs::remove_file(path);
        }
        if let Some((terminal, settings)) = pending.terminal.take() {
            let _ = tcsetattr(terminal, OptionalActions::Now, &settings);
        }
    }

    /// Removes this file if the program is interrupted while the guard lives.
    pub fn removing(&self, path: PathBuf) -> Guard<'_> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unfinished_file = Some(path);
        Guard(self, |pending| pending.unfinished_file = None)
    }

    /// Gives the terminal its settings back if the program is interrupted while the guard lives.
    pub fn restoring_terminal(&self) -> Guard<'_> {
        let terminal = File::open("/dev/tty").ok();
        let settings = terminal.and_then(|terminal| tcgetattr(&terminal).ok().map(|settings| (terminal, settings)));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).terminal = settings;
        Guard(self, |pending| pending.terminal = None)
    }
}

/// While it lives, an interruption puts something right.
pub struct Guard<'a>(&'a Interrupt, fn(&mut Pending));

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        (self.1)(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
