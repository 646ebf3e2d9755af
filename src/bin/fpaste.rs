//! The `fpaste` binary: parses the arguments, runs the client, sets the exit code.
//!
//! Invariant: a failure prints one `fpaste: error:` line and at most one `fpaste: hint:` line to stderr and sets the
//! documented exit code. Must never contain logic of its own: that is the library's.

use flaskpaste::client::failure::{Exit, Failure};
use flaskpaste::client::ui::Ui;
use flaskpaste::client::{args, run};
use std::io::{self, IsTerminal};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic message might quote a secret; the location is all a bug report needs.
    set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| place(at.file(), at.line())).unwrap_or_default();
        let message = format!("internal error in fpaste {} at {place}", env!("CARGO_PKG_VERSION"));
        Ui::new(false)
            .failure(&Failure::new(Exit::Other, message).hint("this is a bug; please report it with this message"));
    }));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        args::parse(std::env::args_os().skip(1), io::stdin().is_terminal()).and_then(|invocation| {
            let ui = Ui::new(invocation.verbose);
            run(&invocation, &ui)
        })
    }));
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            Ui::new(false).failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
        Err(_) => ExitCode::from(Exit::Other as u8),
    }
}

/// A source location by the last components of its path: the leading ones belong to the build machine.
fn place(file: &str, line: u32) -> String {
    let mut names: Vec<&str> = file.rsplit('/').take(3).collect();
    names.reverse();
    format!("{}:{line}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn locations_leave_out_the_build_machines_paths() {
        let file = "/home/me/.cargo/registry/src/index/lexopt-0.3.2/src/lib.rs";
        assert_eq!(place(file, 7), "lexopt-0.3.2/src/lib.rs:7");
        assert_eq!(place("main.rs", 1), "main.rs:1");
    }
}
