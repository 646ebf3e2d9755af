//! The client's program: arguments, client, exit code.
//!
//! Invariant: a failure is one `fpaste: error:` line and at most one `fpaste: hint:` line on stderr, and the documented
//! exit code. Must never do more than put the library's pieces together.

use flaskpaste::client::failure::{Exit, Failure};
use flaskpaste::client::ui::Ui;
use flaskpaste::client::{args, run};
use std::io::{self, IsTerminal};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::ExitCode;

fn main() -> ExitCode {
    // What a panic says might quote what it was about; where it happened is all a report needs.
    set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| place(at.file(), at.line())).unwrap_or_default();
        let message = format!("this is a bug in fpaste {}, at {place}", env!("CARGO_PKG_VERSION"));
        Ui::new(false).failure(&Failure::new(Exit::Other, message).hint("please report it, with this message"));
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

/// A place in the source, by the last folders of its path alone: those above are of the machine that built this.
fn place(file: &str, line: u32) -> String {
    let mut names: Vec<&str> = file.rsplit('/').take(3).collect();
    names.reverse();
    format!("{}:{line}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_place_is_not_one_of_a_machine() {
        let file = "/home/me/.cargo/registry/src/index/lexopt-0.3.2/src/lib.rs";
        assert_eq!(place(file, 7), "lexopt-0.3.2/src/lib.rs:7");
        assert_eq!(place("main.rs", 1), "main.rs:1");
    }
}
