//! Detects a closed standard output.
//!
//! Invariant: a closed stdout is an error: Rust replaces it with /dev/null before `main`, and all output would be lost
//! silently. Must never do more before `main` than check it.

use super::failure::{Exit, Failure};
use std::sync::atomic::{AtomicBool, Ordering};

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before Rust's own start.
#[used]
#[expect(unsafe_code, reason = "nothing else runs early enough; the function says why it is sound")]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[expect(unsafe_code, reason = "std can query a descriptor only after it has replaced it")]
extern "C" fn look() {
    // SAFETY: fcntl with F_GETFL takes any number, reads no memory of ours, and is available before main.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFL) };
    // std also ignores write errors of a descriptor opened for reading.
    IS_CLOSED.store(flags == -1 || flags & libc::O_ACCMODE == libc::O_RDONLY, Ordering::Relaxed);
}

/// Checks that stdout is open.
///
/// # Errors
/// When it was closed at the start.
pub fn check_stdout() -> Result<(), Failure> {
    if IS_CLOSED.load(Ordering::Relaxed) {
        return Err(
            Failure::new(Exit::Other, "standard output is closed").hint("nothing was done; redirect it with > FILE")
        );
    }
    Ok(())
}
