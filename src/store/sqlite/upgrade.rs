//! From version 1, whose rows anybody could read who had the file, to version 2: the database is written anew, sealed.
//!
//! Invariant: until the new file is whole, checked and on the disk, the old one is as it was; then it takes its name, and
//! the old one's bytes are overwritten. Must never run beside another process that has the database open.

use super::super::disk;
use super::super::model::{MAX_PIECES, Name};
use super::super::sealing::Pepper;
use super::location::Location;
use super::{StoreError, schema};
use crate::at_rest::ContentKey;
use crate::operator_log;
use crate::paste::{Fingerprint, Id};
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Free bytes beyond the size of the copy.
const SPARE_BYTES: u64 = 16 << 20;

/// Seals the database of version 1 at `path` with `pepper`.
///
/// # Errors
/// A line for the operator; the database is as it was then.
pub(super) fn seal(path: &Path, pepper: &Pepper) -> Result<(), StoreError> {
    let refuse = |what: &str| {
        StoreError::Failed(format!(
            "database {} cannot be brought to version 2: {what}; nothing was changed",
            path.display()
        ))
    };
    let location = Location::File(path.into());
    let old = location.connect()?;
    schema::check(&old, path)?;
    old.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    old.execute_batch("BEGIN EXCLUSIVE")
        .map_err(|error| refuse(&format!("another process has it open ({error}); stop that first")))?;
    let needed_bytes = location.disk_bytes() + SPARE_BYTES;
    if disk::free_bytes(&location.folder())? < needed_bytes {
        return Err(refuse(&format!("the copy needs {} MiB of free disk", needed_bytes.div_ceil(1 << 20))));
    }
    let draft = location.beside(".sealing");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = write_sealed(&old, &draft, pepper);
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    let pastes = written?;
    // Takes everything into the one file and the log away: a log beside the new file would be taken for its own.
    old.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE);")?;
    old.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    if std::fs::metadata(location.log_path()).is_ok_and(|metadata| metadata.len() > 0) {
        return Err(refuse("its log cannot be emptied"));
    }
    let unsealed = OpenOptions::new().write(true).open(path)?;
    std::fs::rename(&draft, path)?;
    File::open(location.folder())?.sync_all()?;
    drop(old);
    overwrite(unsealed)?;
    operator_log::message(&format!("database {}: version 2, {pastes} pastes sealed", path.display()));
    Ok(())
}

/// Writes what the old database has into a new file, sealed; how many pastes.
fn write_sealed(old: &Connection, draft: &Path, pepper: &Pepper) -> Result<u64, StoreError> {
    let new = schema::make_at(draft)?;
    schema::note_pepper(&new, pepper)?;
    new.execute_batch("BEGIN")?;
    let pastes = seal_pastes(old, &new, pepper)?;
    copy(old, "SELECT key, expires_at FROM seen", &new, "INSERT INTO seen VALUES (?1, ?2)")?;
    copy(old, "SELECT name, value FROM setting", &new, "INSERT OR IGNORE INTO setting VALUES (?1, ?2)")?;
    copy(old, "SELECT token, 0 FROM spent_token", &new, "INSERT INTO spent_token SELECT ?1 WHERE ?2 = 0")?;
    let mut select = old.prepare("SELECT hash, at FROM submission ORDER BY rowid")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let hash = pepper.submission(&row.get(0)?).0.cast_signed();
        new.prepare_cached("INSERT INTO submission (hash, at) VALUES (?1, ?2)")?
            .execute(params![hash, row.get::<_, i64>(1)?])?;
    }
    // Keys of pastes that are gone are not used again either.
    let last: Option<i64> = old.query_row("SELECT max(seq) FROM sqlite_sequence", [], |row| row.get(0))?;
    new.execute("DELETE FROM sqlite_sequence", [])?;
    new.execute("INSERT INTO sqlite_sequence VALUES ('paste', ?1)", [last.unwrap_or(0)])?;
    new.execute_batch("COMMIT")?;
    schema::check(&new, draft)?;
    new.close().map_err(|(_, error)| error)?;
    File::open(draft)?.sync_all()?;
    Ok(pastes)
}

/// Copies rows of two columns as they are.
fn copy(old: &Connection, select: &str, new: &Connection, insert: &str) -> Result<(), StoreError> {
    let mut select = old.prepare(select)?;
    let mut rows = select.query([])?;
    let mut insert = new.prepare(insert)?;
    while let Some(row) = rows.next()? {
        insert.execute([row.get::<_, Value>(0)?, row.get(1)?])?;
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
         password, token_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    let (mut rows, mut pastes) = (select.query([])?, 0);
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        let id: Id = row.get::<_, String>(1)?.parse().map_err(|()| malformed("the id"))?;
        let owner: Option<String> = row.get(3)?;
        let owner: Option<Fingerprint> =
            owner.map(|text| text.parse().map_err(|()| malformed("the owner"))).transpose()?;
        let content_key = ContentKey::random()?;
        let name: Name = pepper.name(&id);
        insert.execute(params![
            key,
            name.handle().0.cast_signed(),
            name.0,
            owner.map(|owner| pepper.owner(&owner)),
            pepper.seal_key(&id, &content_key)?,
            content_key.cipher().seal_details(row.get::<_, String>(2)?.into_bytes())?,
            row.get::<_, Value>(4)?,
            row.get::<_, Value>(5)?,
            row.get::<_, Value>(6)?,
            row.get::<_, Value>(7)?,
            row.get::<_, Value>(8)?,
            row.get::<_, Value>(9)?,
            row.get::<_, Value>(10)?,
        ])?;
        seal_content(old, new, key, &content_key)?;
        pastes += 1;
    }
    Ok(pastes)
}

fn seal_content(old: &Connection, new: &Connection, key: i64, content_key: &ContentKey) -> Result<(), StoreError> {
    let cipher = content_key.cipher();
    let pieces = i64::try_from(MAX_PIECES).unwrap_or(i64::MAX);
    let mut select = old.prepare_cached("SELECT key, data FROM content WHERE key >= ?1 AND key < ?2 ORDER BY key")?;
    let mut rows = select.query([key * pieces, (key + 1) * pieces])?;
    while let Some(row) = rows.next()? {
        let (row_key, mut piece) = (row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?);
        cipher.seal_piece((row_key - key * pieces).cast_unsigned(), &mut piece)?;
        new.prepare_cached("INSERT INTO content (key, data) VALUES (?1, ?2)")?.execute(params![row_key, piece])?;
    }
    Ok(())
}

/// Overwrites a file that has lost its name, so that its blocks hold nothing when others get them.
fn overwrite(mut file: File) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut left = file.metadata()?.len();
    while left > 0 {
        let length = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all(zeros.get(..length).unwrap_or_default())?;
        left -= length as u64;
    }
    file.sync_all()
}
