//! Upgrades from version 1, whose rows were not encrypted, to the newest: writes a new, sealed database.
//!
//! Invariant: until the new file is complete, checked and on disk, the old one is unchanged; then the new one takes its
//! name, and the old one is overwritten, if necessary at the next start. Must never run while another process has the
//! database open.

use super::super::disk;
use super::super::receipt::TokenMark;
use super::super::sealing::Pepper;
use super::location::Location;
use super::queries::PIECES;
use super::{StoreError, schema};
use crate::at_rest::ContentKey;
use crate::operator_log;
use crate::paste::{Fingerprint, Id};
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The suffix of the old file until it is overwritten.
const UNSEALED: &str = ".unsealed";
/// Free bytes beyond the size of the copy.
const SPARE_BYTES: u64 = 16 << 20;

/// Seals the version 1 database at `path` with `pepper`.
///
/// # Errors
/// A message for the operator; the database is unchanged.
pub(super) fn seal(path: &Path, pepper: &Pepper) -> Result<(), StoreError> {
    let refuse = |error: StoreError| {
        let (path, newest) = (path.display(), schema::MIGRATIONS.len());
        StoreError::Failed(format!(
            "cannot upgrade the database {path} to version {newest}: {error}; nothing was changed"
        ))
    };
    let pastes = replace(path, pepper).map_err(refuse)?;
    operator_log::message(&format!("database {}: {pastes} pastes sealed", path.display()));
    Ok(())
}

/// Writes the sealed copy and gives it the database's name; the old file stays beside it for [`wipe_unsealed`]. Returns
/// the number of pastes.
fn replace(path: &Path, pepper: &Pepper) -> Result<u64, StoreError> {
    let location = Location::File(path.into());
    let old = location.connect()?;
    // If refused, it is left unchanged: closing would checkpoint the WAL.
    old.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    schema::check(&old, path)?;
    old.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    old.execute_batch("BEGIN EXCLUSIVE").map_err(|error| {
        StoreError::Failed(format!("another process has it open ({error}); stop that process first"))
    })?;
    let needed_bytes = location.disk_bytes() + SPARE_BYTES;
    if disk::free_bytes(&location.folder())? < needed_bytes {
        let needed_mib = needed_bytes.div_ceil(1 << 20);
        return Err(StoreError::Failed(format!("the copy needs {needed_mib} MiB of free disk space")));
    }
    let draft = location.beside(".sealing");
    remove(&draft)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    operator_log::message(&format!("database {}: encrypting its pastes; this may take minutes", path.display()));
    let written = write_sealed(&old, &draft, pepper);
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    let pastes = written?;
    close_wal(old, &location)?;
    let unsealed = location.beside(UNSEALED);
    remove(&unsealed)?;
    std::fs::hard_link(path, &unsealed)?;
    std::fs::rename(&draft, path)?;
    File::open(location.folder())?.sync_all()?;
    Ok(pastes)
}

/// Moves everything into the one file, then overwrites and removes the WAL, which would be mistaken for the new file's.
fn close_wal(old: Connection, location: &Location) -> Result<(), StoreError> {
    old.execute_batch("COMMIT")?;
    let blocked: i64 = old.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0))?;
    if blocked != 0 {
        return Err(StoreError::Failed("cannot empty its WAL; another process has it open".into()));
    }
    // Every frame is in the database now, and the lock is exclusive.
    overwrite(&location.wal_path())?;
    old.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    old.close().map_err(|(_, error)| error)?;
    if location.wal_path().exists() {
        return Err(StoreError::Failed("cannot remove its WAL".into()));
    }
    Ok(())
}

/// Overwrites and removes the old file of an upgrade, even of an interrupted one.
pub(super) fn wipe_unsealed(path: &Path) {
    let unsealed = Location::File(path.into()).beside(UNSEALED);
    if !unsealed.exists() {
        return;
    }
    let wiped = overwrite(&unsealed).and_then(|()| std::fs::remove_file(&unsealed));
    if let Err(error) = wiped {
        operator_log::message(&format!(
            "{} still contains unencrypted pastes and cannot be overwritten ({error}); remove it",
            unsealed.display()
        ));
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes the old database to a new file, sealed. Returns the number of pastes.
fn write_sealed(old: &Connection, draft: &Path, pepper: &Pepper) -> Result<u64, StoreError> {
    let new = schema::make_at(draft)?;
    schema::note_pepper(&new, pepper)?;
    new.execute_batch("BEGIN")?;
    let pastes = seal_pastes(old, &new, pepper)?;
    copy(old, "SELECT key, expires_at FROM seen", &new, "INSERT INTO seen (key, expires_at) VALUES (?1, ?2)")?;
    copy(old, "SELECT name, value FROM setting", &new, "INSERT OR IGNORE INTO setting VALUES (?1, ?2)")?;
    copy(old, "SELECT token FROM spent_token", &new, "INSERT INTO spent_token VALUES (?1)")?;
    let mut select = old.prepare("SELECT hash, at FROM submission ORDER BY rowid")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let hash = pepper.submission(&row.get(0)?).0.cast_signed();
        new.prepare_cached("INSERT INTO submission (hash, at) VALUES (?1, ?2)")?
            .execute(params![hash, row.get::<_, i64>(1)?])?;
    }
    // Keys of deleted pastes are not reused either.
    let last: Option<i64> = old.query_row("SELECT max(seq) FROM sqlite_sequence", [], |row| row.get(0))?;
    new.execute("DELETE FROM sqlite_sequence", [])?;
    new.execute("INSERT INTO sqlite_sequence VALUES ('paste', ?1)", [last.unwrap_or(0)])?;
    new.execute_batch("COMMIT")?;
    schema::check(&new, draft)?;
    new.close().map_err(|(_, error)| error)?;
    File::open(draft)?.sync_all()?;
    Ok(pastes)
}

/// Copies rows unchanged.
fn copy(old: &Connection, select: &str, new: &Connection, insert: &str) -> Result<(), StoreError> {
    let mut select = old.prepare(select)?;
    let columns = select.column_count();
    let mut rows = select.query([])?;
    let mut insert = new.prepare(insert)?;
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|at| row.get::<_, Value>(at)).collect::<Result<Vec<_>, _>>()?;
        insert.execute(params_from_iter(values))?;
    }
    Ok(())
}

fn seal_pastes(old: &Connection, new: &Connection, pepper: &Pepper) -> Result<u64, StoreError> {
    let malformed = |column: &str| StoreError::Failed(format!("{column} of a paste is malformed"));
    let mut select = old.prepare(
        "SELECT key, id, mime_type, owner, size, created_at, expires_at, slides, burn, password, token_hash FROM paste \
         ORDER BY key",
    )?;
    let mut insert = new.prepare(
        "INSERT INTO paste (key, handle, name, owner, sealed_key, details, size, created_at, expires_at, slides, burn, \
         password, token_hash, reads_left, bound) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, \
         iif(?11, 1, NULL), 1)",
    )?;
    let (mut rows, mut pastes) = (select.query([])?, 0);
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        let id: Id = row.get::<_, String>(1)?.parse().map_err(|()| malformed("the ID"))?;
        let owner: Option<String> = row.get(3)?;
        let owner: Option<Fingerprint> =
            owner.map(|text| text.parse().map_err(|()| malformed("the owner"))).transpose()?;
        let content_key = ContentKey::random()?;
        let name = pepper.name(&id);
        insert.execute(params![
            key,
            name.handle().0.cast_signed(),
            name.0,
            owner.map(|owner| pepper.owner(owner.as_str())),
            pepper.seal_key(&id, &content_key)?,
            content_key.cipher().seal_details(row.get::<_, String>(2)?.into_bytes())?,
            row.get::<_, Value>(4)?,
            row.get::<_, Value>(5)?,
            row.get::<_, Value>(6)?,
            row.get::<_, Value>(7)?,
            row.get::<_, Value>(8)?,
            row.get::<_, Value>(9)?,
            TokenMark::bound(&row.get(10)?, &id).hash(),
        ])?;
        seal_content(old, new, key, &content_key)?;
        pastes += 1;
    }
    Ok(pastes)
}

fn seal_content(old: &Connection, new: &Connection, key: i64, content_key: &ContentKey) -> Result<(), StoreError> {
    let cipher = content_key.cipher();
    let mut select = old.prepare_cached("SELECT key, data FROM content WHERE key >= ?1 AND key < ?2 ORDER BY key")?;
    let mut rows = select.query([key * PIECES, (key + 1) * PIECES])?;
    while let Some(row) = rows.next()? {
        let (row_key, mut piece) = (row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?);
        cipher.seal_piece((row_key - key * PIECES).cast_unsigned(), &mut piece)?;
        new.prepare_cached("INSERT INTO content (key, data) VALUES (?1, ?2)")?.execute(params![row_key, piece])?;
    }
    Ok(())
}

/// Overwrites a file, so that its blocks contain nothing when they are reused.
fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let zeros = vec![0; 1 << 20];
    let mut left = file.metadata()?.len();
    while left > 0 {
        let length = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all(zeros.get(..length).unwrap_or_default())?;
        left -= length as u64;
    }
    file.sync_all()
}
