//! `import`: imports the SQLite database of a single machine into PostgreSQL.
//!
//! Invariant: everything reported as imported is committed, and everything skipped is reported. Must never change the
//! source database.

use super::{Outcome, human_bytes, print};
use flaskpaste::app;
use flaskpaste::config::Config;
use flaskpaste::store::{Database, Imported};
use std::path::Path;

/// `import SQLITE_FILE`
pub fn import(source: &Path, target: &Database, config: &Config) -> Outcome {
    let Database::Postgres(address) = target else {
        return Err("import needs a PostgreSQL database; set FLASKPASTE_DB to a postgres:// URL".into());
    };
    if !source.is_file() {
        return Err(format!("no such database: {}", source.display()).into());
    }
    let imported = flaskpaste::store::import(source, address, &config.pepper_path(), app::limits(config));
    print(&summary(&imported.map_err(|error| error.to_string())?, config.id_length))
}

fn summary(imported: &Imported, id_length: usize) -> String {
    let Imported { pastes, content_bytes, known, expired, tokens, receipts, blocked, actions } = imported;
    let content = human_bytes(*content_bytes);
    format!(
        "pastes              {pastes} ({content}), {known} of them already present\ntokens              {tokens}\n\
         receipts            {receipts}\nblocked contents    {blocked}\nlines in the log    {actions}\n\
         not imported        {expired} expired pastes; the counters of duplicates and wrong passwords\n\
         IDs                 unchanged for imported pastes; new pastes get {id_length} digits\n"
    )
}
