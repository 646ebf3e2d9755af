//! flaskpaste-postgres: the server with PostgreSQL as a second database engine.
//!
//! Invariant: otherwise identical to flaskpaste. Must never contain code of its own.

use std::process::ExitCode;

#[path = "flaskpaste/main.rs"]
mod program;

fn main() -> ExitCode {
    program::main()
}
