//! The end of pastes, and their receipts.
//!
//! Invariant: one commit replaces a paste by its receipt. Must never store anything in a receipt that identifies its
//! paste.

use super::super::inactivity::Touched;
use super::super::model::RowKey;
use super::super::receipt::{End, Reads, Receipt, Status, TokenMark};
use super::connection::Connection;
use super::fault::Fault;
use super::value::{Columns, Value, malformed, signed};
use crate::clock::UnixSeconds;

/// Seconds for which a receipt keeps the key of its paste: other servers flush their counts within thirty.
const LATE_READS_SECONDS: u64 = 120;

/// Ends pastes: `$1` keys, `$2` moments, `$3` states; `$4` whether receipts are kept; `$5` to `$8` what reads have done
/// that is not flushed. `$condition` says which of them, and `$result` what is asked of those that are gone.
macro_rules! end {
    ($condition:literal, $result:literal) => {
        concat!(
            "WITH ending AS (SELECT * FROM unnest($1, $2, $3) AS e (key, ended_at, state)), \
             gone AS (DELETE FROM paste p USING ending e WHERE p.key = e.key ",
            $condition,
            " RETURNING p.key, p.content, p.token_hash, p.bound, p.slides, p.expires_at, p.first_piece, e.ended_at, e.state), \
             read AS (DELETE FROM seen s USING gone g WHERE s.key = g.key RETURNING s.*), \
             leased AS (DELETE FROM lease l USING gone g WHERE l.key = g.key), \
             erased AS (DELETE FROM piece c USING gone g WHERE c.content = g.content), \
             kept AS (INSERT INTO receipt (token, key, state, reads, first_read_at, last_read_at, expires_at, ended_at) \
                SELECT g.token_hash, g.key, g.state, coalesce(r.reads, 0) + $5, least(r.first_read_at, $6), \
                    greatest(r.last_read_at, $7), \
                    CASE WHEN g.slides THEN greatest(g.expires_at, coalesce(r.expires_at, 0), $8) ELSE g.expires_at END, \
                    g.ended_at \
                FROM gone g LEFT JOIN read r ON r.key = g.key WHERE g.bound AND $4 \
                ON CONFLICT (token) DO UPDATE SET key = excluded.key, state = excluded.state, reads = excluded.reads, \
                    first_read_at = excluded.first_read_at, last_read_at = excluded.last_read_at, \
                    expires_at = excluded.expires_at, ended_at = excluded.ended_at) \
             SELECT ",
            $result,
            " FROM gone"
        )
    };
}

/// Locks the paste first, so that other tables are not seen in an older state than the paste.
pub(super) const LOCK: &str = "SELECT reads_left FROM paste WHERE key = $1 FOR UPDATE";
const END: &str = end!("", "key");
/// For a single-read paste, of which nobody else can hold a lease.
const BURN: &str = end!("AND p.burn AND p.reads_left = 1", "first_piece");

const LIVING: &str = "SELECT p.reads_left, coalesce(s.reads, 0) AS reads, s.first_read_at, s.last_read_at, \
                      CASE WHEN p.slides THEN greatest(p.expires_at, coalesce(s.expires_at, 0), $2) ELSE p.expires_at END \
                      AS expires_at, (SELECT max(l.expires_at) FROM lease l WHERE l.key = p.key) AS last_lease_end \
                      FROM paste p LEFT JOIN seen s ON s.key = p.key WHERE p.key = $1";
const RECEIPT: &str =
    "SELECT state, reads, first_read_at, last_read_at, expires_at, ended_at FROM receipt WHERE token = $1";
const FORGET: &str = "DELETE FROM receipt WHERE token IN (SELECT token FROM receipt WHERE ended_at <= $1 \
                      ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1";
const FORGET_KEYS: &str = "UPDATE receipt SET key = NULL WHERE token IN (SELECT token FROM receipt WHERE key IS NOT NULL \
                           AND ended_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1";

/// What ending a paste depends on besides the database.
#[derive(Clone, Copy)]
pub(super) struct Keeping {
    /// Whether receipts are kept.
    pub(super) receipts: bool,
    /// The unflushed effects of reads.
    pub(super) unflushed: Touched,
    /// For a full disk: write nothing except the deletion.
    pub(super) is_frugal: bool,
}

impl Keeping {
    /// Likewise, for a full disk.
    pub(super) fn frugal(self) -> Self {
        Self { receipts: false, is_frugal: true, ..self }
    }
}

/// A paste that is to end.
#[derive(Clone, Copy)]
pub(super) struct Ending {
    pub(super) key: RowKey,
    pub(super) ended_at: UnixSeconds,
    pub(super) end: End,
}

/// Erases pastes and leaves receipts where possible. Returns their number. Runs in the transaction of the caller, which
/// has locked the rows, so that what belongs to them cannot change.
pub(super) fn end(connection: &mut Connection, endings: &[Ending], keeping: Keeping) -> Result<u64, Fault> {
    let columns = Endings::of(endings);
    Ok(connection.query(END, &columns.values(keeping))?.len() as u64)
}

/// Likewise for one paste in its own transaction. Returns whether it existed.
pub(super) fn end_one(connection: &mut Connection, ending: Ending, keeping: Keeping) -> Result<bool, Fault> {
    let ended = connection.transaction(|connection| {
        if connection.query(LOCK, &[ending.key.into()])?.is_empty() {
            return Ok(None);
        }
        end(connection, &[ending], keeping).map(Some)
    })?;
    Ok(ended.is_some_and(|ended| ended > 0))
}

/// Uses the only read of a paste with a single piece and returns that piece; `None` if the read was used before or the
/// paste is not of this kind.
pub(super) fn burn(
    connection: &mut Connection,
    key: RowKey,
    now: UnixSeconds,
    keeping: Keeping,
) -> Result<Option<Vec<u8>>, Fault> {
    let columns = Endings::of(&[Ending { key, ended_at: now, end: End::Read }]);
    let reads = keeping.unflushed.reads.and(Reads::one(now));
    let keeping = Keeping { unflushed: Touched { reads, ..keeping.unflushed }, ..keeping };
    let rows = connection.change(BURN, &columns.values(keeping))?;
    rows.first().map(|row| Ok(row.bytes("first_piece")?.unwrap_or_default().to_vec())).transpose()
}

/// The columns of [`Ending`].
struct Endings {
    keys: Vec<i64>,
    moments: Vec<i64>,
    states: Vec<i64>,
}

impl Endings {
    /// In key order, so that transactions that end several pastes lock them in the same order.
    fn of(endings: &[Ending]) -> Self {
        let mut rows: Vec<(i64, i64, i64)> = endings
            .iter()
            .map(|ending| (ending.key.0, signed(ending.ended_at), i64::from(ending.end.number())))
            .collect();
        rows.sort_unstable();
        let columns = rows.into_iter().map(|(key, moment, state)| (key, (moment, state)));
        let (keys, rest): (Vec<_>, Vec<_>) = columns.unzip();
        let (moments, states) = rest.into_iter().unzip();
        Self { keys, moments, states }
    }

    fn values(&self, Keeping { receipts, unflushed: Touched { expires_at, reads }, .. }: Keeping) -> [Value<'_>; 8] {
        [
            Value::Ints(&self.keys),
            Value::Ints(&self.moments),
            Value::Ints(&self.states),
            receipts.into(),
            reads.count.into(),
            reads.first_at.into(),
            reads.last_at.into(),
            expires_at.into(),
        ]
    }
}

/// The status of a paste; `None` if it no longer exists.
pub(super) fn status(
    connection: &mut Connection,
    key: RowKey,
    now: UnixSeconds,
    unflushed: Touched,
) -> Result<Option<Status>, Fault> {
    let rows = connection.query(LIVING, &[key.into(), unflushed.expires_at.into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let reads = read_reads(row)?.and(unflushed.reads);
    let (expires_at, last_lease_end) = (row.number("expires_at")?, row.time("last_lease_end")?);
    let reads_left = row.count("reads_left")?;
    Ok(Some(Status::of_stored(reads, reads_left, expires_at, last_lease_end, now)))
}

/// The receipt with a mark.
pub(super) fn receipt(connection: &mut Connection, token: TokenMark) -> Result<Option<Receipt>, Fault> {
    let TokenMark::Bound(token) = token else { return Ok(None) };
    let rows = connection.query(RECEIPT, &[(&token).into()])?;
    let read = |row: &tokio_postgres::Row| {
        Ok(Receipt {
            end: End::of(row.number("state")?).ok_or_else(|| malformed("state"))?,
            ended_at: row.number("ended_at")?,
            expires_at: row.number("expires_at")?,
            reads: read_reads(row)?,
        })
    };
    rows.first().map(read).transpose()
}

fn read_reads(row: &tokio_postgres::Row) -> Result<Reads, Fault> {
    Ok(Reads { count: row.number("reads")?, first_at: row.time("first_read_at")?, last_at: row.time("last_read_at")? })
}

/// Deletes some receipts of pastes that ended at or before `oldest_end`, and removes the paste keys of other receipts.
/// Returns the number of rows.
pub(super) fn forget_some(
    connection: &mut Connection,
    now: UnixSeconds,
    oldest_end: UnixSeconds,
    rows: u64,
) -> Result<usize, Fault> {
    let deleted = connection.change(FORGET, &[oldest_end.into(), rows.into()])?.len();
    let late = now.saturating_sub(LATE_READS_SECONDS);
    Ok(deleted.max(connection.change(FORGET_KEYS, &[late.into(), rows.into()])?.len()))
}
