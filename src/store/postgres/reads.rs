//! Limited reads: direct, or leased and then confirmed.
//!
//! Invariant: a paste grants exactly as many reads and leases as it has, across all servers: each is taken by one
//! statement on its row and committed before content is sent. The row of a paste is locked before its leases are
//! touched. Must never return content after a commit of unknown outcome.

use super::super::model::{RowKey, SealedContent};
use super::super::receipt::End;
use super::connection::Connection;
use super::ends::{self, Ending, Keeping, LOCK};
use super::fault::Fault;
use super::pool::MOST_WAITING;
use super::standby;
use super::value::Columns;
use crate::at_rest::PIECE_BYTES;
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;
use crate::spool::{MEMORY_BYTES, unnamed_file};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Expired leases handled at a time.
const ENDED_LEASES: u64 = 100;
/// The time limit for that.
const ENDING_TIME: Duration = Duration::from_secs(1);
/// Pieces of a large content fetched at a time: 1 MiB.
const FETCHED_PIECES: u64 = 16;

/// Records a read with the flushed ones.
macro_rules! note_read {
    ($from:literal) => {
        concat!(
            "INSERT INTO seen AS s (key, expires_at, reads, first_read_at, last_read_at) SELECT $1, $2, 1, $3, $3 ",
            $from,
            " ON CONFLICT (key) DO UPDATE SET reads = s.reads + 1, expires_at = greatest(s.expires_at, $2), \
             first_read_at = coalesce(s.first_read_at, $3), last_read_at = $3"
        )
    };
}

const COUNT_DOWN: &str = "UPDATE paste SET reads_left = reads_left - 1 WHERE key = $1 AND reads_left > 0 \
                          RETURNING reads_left, content, first_piece";
const NOTE_READ: &str = note_read!("");
const PIECES: &str = "SELECT data FROM piece WHERE content = $1 AND number >= $2 AND number < $3 ORDER BY number";
const LEASE: &str = concat!(
    "WITH taken AS (UPDATE paste SET reads_left = reads_left - 1 WHERE key = $1 AND reads_left > 0 RETURNING reads_left), \
     noted AS (",
    note_read!("FROM taken"),
    "), kept AS (INSERT INTO lease (hash, key, expires_at) SELECT $4, $1, $5 FROM taken) SELECT reads_left FROM taken"
);
const FIND_LEASE: &str =
    "SELECT p.reads_left FROM lease l JOIN paste p ON p.key = l.key WHERE l.hash = $1 AND l.key = $2";
const IS_LEASED: &str =
    "SELECT EXISTS (SELECT FROM lease WHERE hash = $1 AND key = $2 AND expires_at > $3) AS is_leased";
const LOCK_IF_FREE: &str = "SELECT reads_left FROM paste WHERE key = $1 FOR UPDATE SKIP LOCKED";
const END_LEASE: &str = "DELETE FROM lease WHERE hash = $1 AND key = $2 AND expires_at > $3 RETURNING 1";
const HAS_LEASES: &str = "SELECT EXISTS (SELECT FROM lease WHERE key = $1 AND expires_at > $2) AS is_leased";
const RUN_OUT: &str = "SELECT key, max(expires_at) AS last_end FROM lease WHERE expires_at <= $1 GROUP BY key LIMIT $2";
const END_RUN_OUT: &str = "DELETE FROM lease WHERE key = $1 AND expires_at <= $2 RETURNING 1";
/// The same for a paste that has ended.
const END_ORPHANS: &str = "DELETE FROM lease WHERE key = $1 AND NOT EXISTS (SELECT FROM paste WHERE key = $1)";

/// The paste to read, and the deadline.
#[derive(Clone, Copy)]
pub(super) struct Taking<'a> {
    pub(super) key: RowKey,
    /// The size of the content.
    pub(super) size: u64,
    /// The folder for large content until it is sent.
    pub(super) folder: &'a Path,
    pub(super) now: UnixSeconds,
    pub(super) keeping: Keeping,
}

/// Uses a read and returns the sealed content, or `None` if no read is left. The last one erases the paste, unless it
/// has leases.
pub(super) fn take(connection: &mut Connection, taking: Taking<'_>) -> Result<Option<SealedContent>, Fault> {
    let Taking { key, size, now, keeping, .. } = taking;
    // A read that is used but not returned is lost.
    standby::expect(connection)?;
    // Most pastes have one piece and one read: one statement, one commit.
    if size <= PIECE_BYTES as u64
        && let Some(piece) = ends::burn(connection, key, now, keeping)?
    {
        return Ok(Some(SealedContent::Memory(piece)));
    }
    connection.transaction(|connection| {
        let rows = connection.query(COUNT_DOWN, &[key.into()])?;
        let Some(row) = rows.first() else { return Ok(None) };
        let first_piece = row.bytes("first_piece")?.unwrap_or_default();
        let content = read_content(connection, row.key("content")?, first_piece, taking)?;
        if !keeping.is_frugal {
            connection.query(NOTE_READ, &[key.into(), keeping.unflushed.expires_at.into(), now.into()])?;
        }
        if row.number("reads_left")? == 0 {
            erase_if_used_up(connection, key, now, now, keeping)?;
        }
        Ok(Some(content))
    })
}

fn read_content(
    connection: &mut Connection,
    content: RowKey,
    first_piece: &[u8],
    Taking { size, folder, .. }: Taking<'_>,
) -> Result<SealedContent, Fault> {
    let first = u64::from(!first_piece.is_empty());
    if size <= MEMORY_BYTES as u64 {
        let mut bytes = first_piece.to_vec();
        fetch_pieces(connection, content, first, size, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        return Ok(SealedContent::Memory(bytes));
    }
    let mut file = unnamed_file(folder)?;
    file.write_all(first_piece)?;
    fetch_pieces(connection, content, first, size, |piece| Ok(file.write_all(piece)?))?;
    Ok(SealedContent::File(file))
}

/// Calls `each` with the pieces of content of `size` bytes, from one of them on. Each batch must arrive in time, but
/// the total may take longer.
fn fetch_pieces(
    connection: &mut Connection,
    content: RowKey,
    first: u64,
    size: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let pieces = size.div_ceil(PIECE_BYTES as u64);
    let mut next = first;
    while next < pieces {
        let end = pieces.min(next + FETCHED_PIECES);
        let rows = connection.query(PIECES, &[content.into(), next.into(), end.into()])?;
        if rows.len() as u64 != end - next {
            return Err(Fault::Failed(format!("pieces {next} to {end} of the content are incomplete")));
        }
        rows.iter().try_for_each(|row| each(row.bytes("data")?.unwrap_or_default()))?;
        connection.set_deadline(Instant::now() + MOST_WAITING);
        next = end;
    }
    Ok(())
}

/// Uses a read for a lease. Returns how many are left, `None` if there was none.
pub(super) fn lease(
    connection: &mut Connection,
    key: RowKey,
    hash: &Sha256Digest,
    expires_at: UnixSeconds,
    now: UnixSeconds,
    moved_to: UnixSeconds,
) -> Result<Option<u32>, Fault> {
    standby::expect(connection)?;
    let values = [key.into(), moved_to.into(), now.into(), hash.into(), expires_at.into()];
    read_left(&connection.change(LEASE, &values)?)
}

/// The remaining reads of a paste with this lease, expired or not; `None` if there is no such lease.
pub(super) fn find_lease(connection: &mut Connection, key: RowKey, hash: &Sha256Digest) -> Result<Option<u32>, Fault> {
    read_left(&connection.query(FIND_LEASE, &[hash.into(), key.into()])?)
}

fn read_left(rows: &[tokio_postgres::Row]) -> Result<Option<u32>, Fault> {
    rows.first().map_or(Ok(None), |row| row.count("reads_left"))
}

/// Whether a row has this unexpired lease.
pub(super) fn is_leased(
    connection: &mut Connection,
    key: RowKey,
    hash: &Sha256Digest,
    now: UnixSeconds,
) -> Result<bool, Fault> {
    connection.is_true(IS_LEASED, &[hash.into(), key.into(), now.into()])
}

/// Ends an unexpired lease, and erases its paste if that has neither reads nor other leases left. Returns whether the
/// lease existed.
pub(super) fn end_lease(
    connection: &mut Connection,
    key: RowKey,
    hash: &Sha256Digest,
    now: UnixSeconds,
    keeping: Keeping,
) -> Result<bool, Fault> {
    let ended = connection.transaction(|connection| {
        let rows = connection.query(LOCK, &[key.into()])?;
        if rows.is_empty() || connection.query(END_LEASE, &[hash.into(), key.into(), now.into()])?.is_empty() {
            return Ok(None);
        }
        if read_left(&rows)? == Some(0) {
            erase_if_used_up(connection, key, now, now, keeping)?;
        }
        Ok(Some(()))
    })?;
    Ok(ended.is_some())
}

/// Erases a paste without reads, whose row is locked, if it has no leases.
fn erase_if_used_up(
    connection: &mut Connection,
    key: RowKey,
    ended_at: UnixSeconds,
    now: UnixSeconds,
    keeping: Keeping,
) -> Result<(), Fault> {
    if !connection.is_true(HAS_LEASES, &[key.into(), now.into()])? {
        ends::end(connection, &[Ending { key, ended_at, end: End::Read }], keeping)?;
    }
    Ok(())
}

/// Ends some expired leases, one paste at a time. Returns the number of pastes.
pub(super) fn end_some(connection: &mut Connection, now: UnixSeconds, keeping: Keeping) -> Result<usize, Fault> {
    let rows = connection.query(RUN_OUT, &[now.into(), ENDED_LEASES.into()])?;
    let (mut ended, started) = (0, Instant::now());
    // Each is a commit; the rest is left for another round.
    for row in rows.iter().take_while(|_| started.elapsed() < ENDING_TIME) {
        let (key, last_end) = (row.key("key")?, row.number("last_end")?);
        let done = connection.transaction(|connection| {
            let rows = connection.query(LOCK_IF_FREE, &[key.into()])?;
            let Some(row) = rows.first() else {
                // It has ended, or is locked by a transaction that need not know of its leases.
                connection.query(END_ORPHANS, &[key.into()])?;
                return Ok(Some(false));
            };
            if connection.query(END_RUN_OUT, &[key.into(), now.into()])?.is_empty() {
                return Ok(None);
            }
            if row.int("reads_left")? == Some(0) {
                erase_if_used_up(connection, key, last_end, now, keeping)?;
            }
            Ok(Some(true))
        })?;
        ended += usize::from(done == Some(true));
    }
    Ok(ended)
}
