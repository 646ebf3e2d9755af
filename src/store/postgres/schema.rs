//! The schema: checks that the database is ours and its version, and migrates it even if several servers start at once.
//!
//! Invariant: a migration and its version number are one transaction, run by one server while the others wait. A
//! database with a different pepper is refused and left unchanged. Must never need a lock that outlasts its
//! transaction: a pooler may run the next one in another session.

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

/// A migration, and the oldest version whose programs work with its result: servers of that version and newer may run
/// during the migration and start afterwards.
struct Migration {
    sql: &'static str,
    oldest: u64,
}

/// The migrations, in order: the first turns an empty database into version 1, and so on. To change the schema, add a
/// file; never change a released one. See "Upgrades" in docs/scaling.md.
const MIGRATIONS: &[Migration] = &[
    Migration { sql: include_str!("001_initial.sql"), oldest: 1 },
    // To the previous version, an ask is an empty single-read paste that only its maker can read.
    Migration { sql: include_str!("002_asks.sql"), oldest: 1 },
];

/// The time limit for a migration, of this or another server.
const MIGRATION_TIME: Duration = Duration::from_secs(600);
/// The setting with the mark of the pepper.
const PEPPER_MARK: &str = "pepper_mark";

/// Whether the database is ours; the version is in one row.
const FIND_VERSION: &str = "SELECT version, oldest FROM flaskpaste_schema";
const HAS_VERSION: &str = "SELECT to_regclass('flaskpaste_schema') IS NOT NULL AS is_ours";
const MAKE_VERSION: &str =
    "CREATE TABLE IF NOT EXISTS flaskpaste_schema (version bigint NOT NULL, oldest bigint NOT NULL)";
/// Held by one server at a time until the transaction ends; reading the version does not wait for it. It has its own
/// timeouts, because others may be migrating.
const LOCK_VERSION: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
                            SET LOCAL idle_in_transaction_session_timeout = 0; \
                            LOCK TABLE flaskpaste_schema IN SHARE ROW EXCLUSIVE MODE";
const INSERT_SETTING: &str = "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const FIND_SETTING: &str = "SELECT value FROM setting WHERE name = $1";

/// Creates or migrates the database if necessary and reads its pepper, which is created for a new database without a
/// file.
///
/// # Errors
/// A message for the operator: not ours, newer than this program, or without its pepper.
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
        None => return Err(refuse("is empty; start the server once to create its tables".into())),
        Some((version, oldest)) => check_version(version, oldest, role).map_err(refuse)?,
    }
    let mark = pool.read(|connection| find_setting(connection, PEPPER_MARK))?;
    let mut pepper = pepper::read(pepper_file)?.ok_or_else(|| {
        refuse(format!(
            "was sealed with a pepper, but there is no {}; nothing was changed. Copy it from another server, and set \
             its path in FLASKPASTE_PEPPER_FILE",
            pepper_file.display()
        ))
    })?;
    pepper.is_new = !had_file;
    match mark {
        Some(mark) if crypto::equal(&mark, &pepper.own_mark()) => Ok(pepper),
        _ => Err(refuse(format!(
            "was sealed with a different pepper than {}; nothing was changed. Put the right one there, or set its path \
             in FLASKPASTE_PEPPER_FILE",
            pepper_file.display()
        ))),
    }
}

/// Whether this program supports a database of that version.
fn check_version(version: u64, oldest: u64, role: Role) -> Result<(), String> {
    let newest = MIGRATIONS.len() as u64;
    if oldest > newest {
        return Err(format!(
            "has version {version}; this program supports at most {newest}; nothing was changed. Use a newer one"
        ));
    }
    if role == Role::Beside && version < newest {
        return Err(format!("has version {version}; start the server once to upgrade it to {newest}"));
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

/// Applies the missing migrations, and stores the mark of the pepper in a database that has none yet.
fn migrate(pool: &Pool, deadline: Instant, pepper_file: &Path) -> Result<(), StoreError> {
    let known = pool.read(versions)?;
    if known.is_some_and(|(version, _)| version >= MIGRATIONS.len() as u64) {
        return Ok(());
    }
    if known.is_none() {
        // All but one of concurrent attempts may fail because the table, or the type that belongs to it, already
        // exists: with a violated constraint, or with duplicate_object.
        match pool.try_change(deadline, |connection| connection.batch(MAKE_VERSION, Effect::Commits)) {
            Ok(()) | Err(Fault::Taken(_) | Fault::Unknown(_)) => {}
            Err(Fault::Failed(text)) if text.contains("(42710)") => {}
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
        // The caller checks again.
        Ok(_) | Err(Fault::Unknown(_)) => Ok(()),
        Err(fault) => Err(explained(fault)),
    }
}

/// Why tables cannot be created, and what to do about it.
fn explained(fault: Fault) -> StoreError {
    match StoreError::from(fault) {
        StoreError::Failed(text) if text.contains("(42501)") => {
            StoreError::Failed(format!("{text}; the role of FLASKPASTE_DB must own the database"))
        }
        StoreError::Failed(text) if text.contains("(42P07)") => {
            StoreError::Failed(format!("{text}; it contains tables of another program, use an empty database"))
        }
        error => error,
    }
}

/// Applies the migrations after a version in the caller's transaction.
fn apply(connection: &mut Connection, version: usize, pepper_file: &Path) -> Result<(), Fault> {
    for (number, migration) in (1..).zip(MIGRATIONS).skip(version) {
        connection.batch(migration.sql, Effect::None)?;
        let Migration { oldest, .. } = migration;
        let note = format!("DELETE FROM flaskpaste_schema; INSERT INTO flaskpaste_schema VALUES ({number}, {oldest})");
        connection.batch(&note, Effect::None)?;
    }
    if version == 0 {
        // While the others wait, so that only one pepper is created, and only for a new database.
        let pepper = pepper::read_or_make(pepper_file).map_err(|error| Fault::Refused(error.to_string()))?;
        connection.query(INSERT_SETTING, &[PEPPER_MARK.into(), (&pepper.own_mark()).into()])?;
    }
    Ok(())
}

/// The stored value of a setting, initialized to `new`.
pub(super) fn setting(connection: &mut Connection, name: &str, new: &[u8]) -> Result<Vec<u8>, Fault> {
    if let Some(value) = find_setting(connection, name)? {
        return Ok(value);
    }
    // Another server may have been first: its value wins.
    connection.change(INSERT_SETTING, &[name.into(), new.into()])?;
    find_setting(connection, name)?.ok_or_else(|| Fault::Failed(format!("cannot store the setting {name}")))
}

/// The value of a setting, if there is one.
pub(super) fn find_setting(connection: &mut Connection, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    connection.query(FIND_SETTING, &[Value::from(name)])?.first().map(|row| row.blob("value")).transpose()
}
