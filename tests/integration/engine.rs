//! Which engine the servers of this run use: the embedded one, or PostgreSQL with `TEST_ENGINE=postgres`.
//!
//! Invariant: a test that needs files of the embedded engine always uses it. Must never run with another engine than
//! requested.

use crate::harness::Folder;
use std::path::PathBuf;

/// Whether the servers of this run use PostgreSQL.
pub fn is_postgres() -> bool {
    match std::env::var("TEST_ENGINE").as_deref() {
        Err(_) | Ok("" | "sqlite") => false,
        Ok("postgres") if cfg!(feature = "postgres") => true,
        Ok("postgres") => panic!("TEST_ENGINE=postgres needs --features postgres"),
        Ok(other) => panic!("TEST_ENGINE is {other}; it must be sqlite or postgres"),
    }
}

/// The server's program.
pub fn program() -> PathBuf {
    let embedded = PathBuf::from(env!("CARGO_BIN_EXE_flaskpaste"));
    // Not from cargo's variable for its path: shells drop variables with a hyphen in the name, and a shell wraps the
    // compiler.
    if is_postgres() { embedded.with_file_name("flaskpaste-postgres") } else { embedded }
}

/// The URL of a database for the server in this folder, which outlives the server.
pub fn variables(folder: &Folder) -> Vec<(&'static str, String)> {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    #[cfg(feature = "postgres")]
    if is_postgres() {
        let name = folder.path().file_name().unwrap().to_str().unwrap().replace('-', "_");
        let url = crate::cluster::Cluster::shared().database(&name);
        return vec![("FLASKPASTE_DB", url), ("FLASKPASTE_PEPPER_FILE", path("pastes.db.pepper"))];
    }
    vec![("FLASKPASTE_DB", path("pastes.db"))]
}
