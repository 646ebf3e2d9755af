//! Whether there is a standard output.
//!
//! Invariant: a stdout that was closed is known as such: Rust puts /dev/null in its place before `main`, and everything
//! printed would be lost without an error. Must never do more before `main` than look.

use super::failure::{Exit, Failure};
use std::sync::atomic::{AtomicBool, Ordering};

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before Rust's own start.
#[used]
#[expect(unsafe_code, reason = "the only place to be early enough; the function says why it is sound")]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[expect(unsafe_code, reason = "std can ask for the flags of a descriptor only after it has replaced it")]
extern "C" fn look() {
    // SAFETY: fcntl with F_GETFL takes any number, reads no memory of ours, and is available before main.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFL) };
    // Writes to one opened for reading are dropped by std, too.
    IS_CLOSED.store(flags == -1 || flags & libc::O_ACCMODE == libc::O_RDONLY, Ordering::Relaxed);
}

/// Makes sure that what is printed gets somewhere.
///
/// # Errors
/// When stdout was closed.
pub fn check_stdout() -> Result<(), Failure> {
    if IS_CLOSED.load(Ordering::Relaxed) {
        return Err(Failure::new(Exit::Other, "standard output is closed; there is nowhere to print to")
            .hint("nothing was done; > FILE or, for get, -o FILE gives it a place"));
    }
    Ok(())
}
