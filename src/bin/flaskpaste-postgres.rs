//! flaskpaste-postgres: the server's program, with PostgreSQL as a second engine.
//!
//! Invariant: the same program as flaskpaste in every other respect. Must never have code of its own.

use std::process::ExitCode;

#[path = "flaskpaste/main.rs"]
mod program;

fn main() -> ExitCode {
    program::main()
}
