//! `import`: takes over the SQLite database of a single machine.
//!
//! Invariant: what it says was moved is committed, and what cannot be moved is said. Must never change the database it reads.

use super::{Outcome, human_bytes, print};
use flaskpaste::app;
use flaskpaste::config::Config;
use flaskpaste::store::{Database, Imported};
use std::path::Path;

/// `import SQLITE_FILE`
pub fn import(source: &Path, target: &Database, config: &Config) -> Outcome {
    let Database::Postgres(address) = target else {
        return Err("import moves pastes into PostgreSQL; set FLASKPASTE_DB to a postgres:// URL".into());
    };
    if !source.is_file() {
        return Err(format!("there is no database {}", source.display()).into());
    }
    let imported = flaskpaste::store::import(source, address, &config.pepper_path(), app::limits(config));
    print(&summary(&imported.map_err(|error| error.to_string())?, config.id_length))
}

fn summary(imported: &Imported, id_length: usize) -> String {
    let Imported { pastes, content_bytes, known, expired, tokens, receipts, blocked, actions } = imported;
    let content = human_bytes(*content_bytes);
    format!(
        "pastes              {pastes} ({content}), {known} were there already\ntokens              {tokens}\n\
         receipts            {receipts}\nblocked contents    {blocked}\nlines in the log    {actions}\n\
         not moved           {expired} expired pastes; the counts of duplicates and of wrong passwords begin anew\n\
         ids                 those of the imported pastes stay as they are; new ones have {id_length} digits\n"
    )
}
