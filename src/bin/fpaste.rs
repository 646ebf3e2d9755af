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
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        Ui::new(false).failure(&Failure::new(Exit::Other, format!("internal error at {place}; please report it")));
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
