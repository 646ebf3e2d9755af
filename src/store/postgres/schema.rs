//! The schema: whose database it is, which version, and bringing it up to date however many servers start at once.
//!
//! Invariant: a migration is one transaction with the note of its version; one server makes it while the others wait. A
//! database of another pepper is refused and left as it was. Must never need a lock that outlasts its transaction: a
//! pooler may give the next one to another session.

use super::super::pepper;
use super::super::sealing::Pepper;
use super::super::{Role, StoreError};
use super::connection::Connection;
use super::fault::{Effect, Fault};
use super::pool::Pool;
use super::value::{Columns, Value};
use crate::crypto;
use std::path::Path;
use std::time::{Duration, Instant};

/// A migration, and the oldest version whose programs still work with what it makes: servers of that version and newer may
/// run while it is made, and start afterwards.
struct Migration {
    sql: &'static str,
    oldest: u64,
}

/// The migrations, in order: the first makes version 1 of an empty database, and so on. To change the schema, add a file;
/// never change one that was released. docs/scaling.md, "Upgrades", has the rule.
const MIGRATIONS: &[Migration] = &[
    Migration { sql: include_str!("001_initial.sql"), oldest: 1 },
    // To the version before, an ask is a paste that is empty and read once, by whoever has made it alone.
    Migration { sql: include_str!("002_asks.sql"), oldest: 1 },
];

/// How long a server may wait for another's migration, or take for its own.
const MIGRATION_TIME: Duration = Duration::from_secs(600);
/// The setting by which a database knows its pepper again.
const PEPPER_MARK: &str = "pepper_mark";

/// Whether the database is ours; the versions are one row.
const FIND_VERSION: &str = "SELECT version, oldest FROM flaskpaste_schema";
const HAS_VERSION: &str = "SELECT to_regclass('flaskpaste_schema') IS NOT NULL AS is_ours";
const MAKE_VERSION: &str =
    "CREATE TABLE IF NOT EXISTS flaskpaste_schema (version bigint NOT NULL, oldest bigint NOT NULL)";
/// Held until the transaction ends, and by one server at a time; whoever looks at the version need not wait. Its own timeouts,
/// because others migrate meanwhile.
const LOCK_VERSION: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
                            SET LOCAL idle_in_transaction_session_timeout = 0; \
                            LOCK TABLE flaskpaste_schema IN SHARE ROW EXCLUSIVE MODE";
const INSERT_SETTING: &str = "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const FIND_SETTING: &str = "SELECT value FROM setting WHERE name = $1";

/// Makes or migrates the database as needed, and reads its pepper; where there is neither database nor file, makes one.
///
/// # Errors
/// A line for the operator: not ours, newer than this program, or without its pepper.
pub(super) fn prepare(pool: &Pool, pepper_file: &Path, role: Role) -> Result<Pepper, StoreError> {
    let deadline = Instant::now() + MIGRATION_TIME;
    let had_file = pepper_file.exists();
    let name = pool.connector().address().to_string();
    let refuse = |what: String| StoreError::Failed(format!("database {name}: {what}"));
    if role == Role::Server {
        migrate(pool, deadline, pepper_file).map_err(|error| refuse(error.to_string()))?;
    }
    let versions = pool.read(versions);
    match versions.map_err(|error| refuse(error.to_string()))? {
        None => return Err(refuse("is empty; start the server once to make its tables".into())),
        Some((version, oldest)) => check_version(version, oldest, role).map_err(refuse)?,
    }
    let mark = pool.read(|connection| find_setting(connection, PEPPER_MARK))?;
    let mut pepper = pepper::read(pepper_file)?.ok_or_else(|| {
        refuse(format!(
            "was sealed with a pepper, and there is no {}; nothing was changed. Copy it from another server, and name it in \
             FLASKPASTE_PEPPER_FILE",
            pepper_file.display()
        ))
    })?;
    pepper.is_new = !had_file;
    match mark {
        Some(mark) if crypto::equal(&mark, &pepper.own_mark()) => Ok(pepper),
        _ => Err(refuse(format!(
            "was sealed with another pepper than that in {}; nothing was changed. Put the right one there, or name it in \
             FLASKPASTE_PEPPER_FILE",
            pepper_file.display()
        ))),
    }
}

/// Whether this program works with a database of that version.
fn check_version(version: u64, oldest: u64, role: Role) -> Result<(), String> {
    let newest = MIGRATIONS.len() as u64;
    if oldest > newest {
        return Err(format!(
            "has version {version}, this program knows {newest}; nothing was changed. Use a newer one"
        ));
    }
    if role == Role::Beside && version < newest {
        return Err(format!("has version {version}; start the server once to bring it to {newest}"));
    }
    Ok(())
}

fn versions(connection: &mut Connection) -> Result<Option<(u64, u64)>, Fault> {
    if !connection.is_true(HAS_VERSION, &[])? {
        return Ok(None);
    }
    let rows = connection.query(FIND_VERSION, &[])?;
    rows.first().map(|row| Ok((row.number("version")?, row.number("oldest")?))).transpose()
}

/// Applies the missing migrations, and notes the pepper of a database that has none yet.
fn migrate(pool: &Pool, deadline: Instant, pepper_file: &Path) -> Result<(), StoreError> {
    let known = pool.read(versions)?;
    if known.is_some_and(|(version, _)| version >= MIGRATIONS.len() as u64) {
        return Ok(());
    }
    if known.is_none() {
        // Of several at once, all but one may be told that it is there already, by one constraint or another.
        match pool.try_change(deadline, |connection| connection.batch(MAKE_VERSION, Effect::Commits)) {
            Ok(()) | Err(Fault::Taken(_) | Fault::Unknown(_)) => {}
            Err(fault) => return Err(explained(fault)),
        }
    }
    let migrated = pool.try_change(deadline, |connection| {
        connection.transaction(|connection| {
            connection.batch(LOCK_VERSION, Effect::None)?;
            let version = connection.query(FIND_VERSION, &[])?.first().map_or(Ok(0), |row| row.number("version"))?;
            apply(connection, usize::try_from(version).unwrap_or(usize::MAX), pepper_file)?;
            Ok(Some(()))
        })
    });
    match migrated {
        // Looked at again by whoever asks.
        Ok(_) | Err(Fault::Unknown(_)) => Ok(()),
        Err(fault) => Err(explained(fault)),
    }
}

/// What stands in the way of making tables, and what to do about it.
fn explained(fault: Fault) -> StoreError {
    match StoreError::from(fault) {
        StoreError::Failed(text) if text.contains("(42501)") => {
            StoreError::Failed(format!("{text}; the role of FLASKPASTE_DB must own the database"))
        }
        StoreError::Failed(text) if text.contains("(42P07)") => {
            StoreError::Failed(format!("{text}; the tables of another program are there, use an empty database"))
        }
        error => error,
    }
}

/// The migrations behind a version, in the transaction of the caller.
fn apply(connection: &mut Connection, version: usize, pepper_file: &Path) -> Result<(), Fault> {
    for (number, migration) in (1..).zip(MIGRATIONS).skip(version) {
        connection.batch(migration.sql, Effect::None)?;
        let Migration { oldest, .. } = migration;
        let note = format!("DELETE FROM flaskpaste_schema; INSERT INTO flaskpaste_schema VALUES ({number}, {oldest})");
        connection.batch(&note, Effect::None)?;
    }
    if version == 0 {
        // While the others wait, so that one pepper is made, and only for a database that is new.
        let pepper = pepper::read_or_make(pepper_file).map_err(|error| Fault::Refused(error.to_string()))?;
        connection.query(INSERT_SETTING, &[PEPPER_MARK.into(), (&pepper.own_mark()).into()])?;
    }
    Ok(())
}

/// The value of a setting the servers keep; `new` where there is none yet.
pub(super) fn setting(connection: &mut Connection, name: &str, new: &[u8]) -> Result<Vec<u8>, Fault> {
    if let Some(value) = find_setting(connection, name)? {
        return Ok(value);
    }
    // Another server may have been first: what is stored counts.
    connection.change(INSERT_SETTING, &[name.into(), new.into()])?;
    find_setting(connection, name)?.ok_or_else(|| Fault::Failed(format!("setting {name} could not be kept")))
}

/// The value of a setting, if there is one.
pub(super) fn find_setting(connection: &mut Connection, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    connection.query(FIND_SETTING, &[Value::from(name)])?.first().map(|row| row.blob("value")).transpose()
}
