//! The statements that create and find pastes; those for limited reads are in reads.rs, those for receipts in ends.rs.
//!
//! Invariant: a create is one commit, which also spends its token and counts its content. Lock order: submission,
//! token, paste. Must never be called from outside the engine.

use super::super::Limits;
use super::super::model::{
    Duplicate, Handle, Inserted, MAX_PIECES, Meta, Name, NewRow, Protection, Row, RowKey, Stats,
};
use super::super::receipt::TokenMark;
use super::connection::Connection;
use super::fault::Fault;
use super::pool::MOST_WAITING;
use super::value::{Columns, Value, malformed};
use crate::at_rest::PIECE_BYTES;
use crate::clock::UnixSeconds;
use crate::crypto::{PasswordHash, Sha256Digest};
use crate::paste::Expiry;
use crate::spool::Content;
use std::time::Instant;

/// The bytes counted towards the quota for a row besides its content, including its part of the indexes.
pub(super) const ROW_BYTES: i64 = 512;

/// The columns that [`read_row`] reads.
macro_rules! select_columns {
    ($more:literal) => {
        concat!(
            "SELECT p.key, p.handle, p.content, p.size, p.created_at, p.slides, p.reads_left, p.burn, p.password, \
             p.read_proof, p.password_proof, p.owner, p.token_hash, p.bound, p.sealed_key, p.details, \
             p.answer_proof, ",
            super::queries::ends_at!(),
            " AS expires_at",
            $more,
            " FROM paste p LEFT JOIN seen s ON s.key = p.key "
        )
    };
}
/// The expiry of a paste, including flushed reads. A macro, because `concat!` takes only literals.
macro_rules! ends_at {
    () => {
        "CASE WHEN p.slides THEN greatest(p.expires_at, coalesce(s.expires_at, 0)) ELSE p.expires_at END"
    };
}
pub(super) use {ends_at, select_columns};

const FIND: &str = concat!(select_columns!(""), "WHERE p.handle = $1 AND p.name = $2");
const FIND_BY_HANDLE: &str = concat!(select_columns!(""), "WHERE p.handle = $1");
const FIND_WITH_PIECE: &str = concat!(
    select_columns!(
        ", coalesce(p.first_piece, (SELECT c.data FROM piece c WHERE c.content = p.content AND c.number = 0)) AS data"
    ),
    "WHERE p.handle = $1 AND p.name = $2"
);
/// The first piece is in the row of its paste, unless it was added later.
const FIRST_PIECE: &str = "SELECT first_piece AS data FROM paste WHERE key = $1 AND content = $1 AND first_piece IS NOT NULL \
                           UNION ALL SELECT data FROM piece WHERE content = $1 AND number = 0";
const PIECE: &str = "SELECT data FROM piece WHERE content = $1 AND number = $2";
const NEXT_KEY: &str = "SELECT nextval('paste_key') AS key";
pub(super) const INSERT_PIECE: &str = "INSERT INTO piece (content, number, data) VALUES ($1, $2, $3)";

/// The columns of a paste, as in [`PasteColumns::values`]; `$20` is its key, which is also that of its content.
macro_rules! paste_columns {
    () => {
        "(handle, name, size, created_at, expires_at, slides, burn, reads_left, password, read_proof, password_proof, owner, \
         token_hash, bound, sealed_key, details, sealed_id, first_piece, answer_proof, key, content) "
    };
}
pub(super) use paste_columns;

/// The create: returns no row if the content is blocked or was submitted too often.
const INSERT: &str = concat!(
    "WITH refused AS (SELECT 1 FROM blocked WHERE mark = $25), \
     counted AS (\
        INSERT INTO submission AS s (hash, at, last) SELECT $21, ARRAY[$4], $4 \
        WHERE $21 IS NOT NULL AND NOT EXISTS (SELECT FROM refused) \
        ON CONFLICT (hash) DO UPDATE SET at = ARRAY(SELECT t FROM unnest(s.at) t WHERE t > $22) || $4, last = $4 \
        WHERE cardinality(ARRAY(SELECT t FROM unnest(s.at) t WHERE t > $22)) < $23 RETURNING 1), \
     allowed AS (SELECT 1 WHERE NOT EXISTS (SELECT FROM refused) AND ($21 IS NULL OR EXISTS (SELECT FROM counted))), \
     spent AS (INSERT INTO spent_token (token) SELECT $24 FROM allowed WHERE $24 IS NOT NULL RETURNING 1) \
     INSERT INTO paste ",
    paste_columns!(),
    "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, k.key, k.key \
     FROM allowed, (SELECT coalesce($20, nextval('paste_key')) AS key) k \
     WHERE $24 IS NULL OR EXISTS (SELECT FROM spent) RETURNING key"
);
const WHY_NOT: &str = "SELECT EXISTS (SELECT FROM blocked WHERE mark = $1) AS is_blocked, \
                       (SELECT ARRAY(SELECT t FROM unnest(at) t WHERE t > $3 ORDER BY t DESC) FROM submission \
                       WHERE hash = $2) AS at";
const FIND_TOKEN_HASH: &str = "SELECT token_hash FROM paste WHERE handle = $1 AND name = $2";
const IS_BLOCKED: &str = "SELECT EXISTS (SELECT FROM blocked WHERE mark = $1) AS is_blocked";
const IS_SPENT: &str = "SELECT EXISTS (SELECT FROM spent_token WHERE token = $1) AS is_spent";
const SPEND: &str = "INSERT INTO spent_token (token) VALUES ($1) ON CONFLICT (token) DO NOTHING";
const USED_BYTES: &str = "SELECT (coalesce((SELECT sum(size + $1) FROM paste), 0) \
                          + coalesce((SELECT sum(bytes) FROM replaced), 0))::bigint AS bytes";
const STATS: &str = concat!(
    "SELECT count(*) AS pastes, coalesce(sum(size), 0)::bigint AS content_bytes, count(*) FILTER (WHERE burn) AS burn, \
     count(password) + count(password_proof) AS protected, count(owner) AS owned, min(created_at) AS oldest, \
     (SELECT count(*) FROM paste) - count(*) AS expired, (SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c \
     WHERE c.relkind IN ('r', 'S') AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'paste'::regclass)) \
     AS database_bytes FROM paste p LEFT JOIN seen s ON s.key = p.key WHERE ",
    ends_at!(),
    " > $1"
);

pub(super) fn read_meta(row: &tokio_postgres::Row) -> Result<Meta, Fault> {
    let expires_at = row.number("expires_at")?;
    Ok(Meta {
        size: row.number("size")?,
        created_at: row.number("created_at")?,
        expiry: if row.flag("slides")? { Expiry::Sliding(expires_at) } else { Expiry::Fixed(expires_at) },
        reads_left: row.count("reads_left")?,
        burn: row.flag("burn")?,
        protection: read_protection(row)?,
        token: read_mark(row)?,
        answer_proof: row.digest("answer_proof")?,
    })
}

pub(super) fn read_row(row: &tokio_postgres::Row) -> Result<Row, Fault> {
    Ok(Row {
        key: row.key("key")?,
        pieces: row.key("content")?,
        meta: read_meta(row)?,
        owner: row.digest("owner")?,
        sealed_key: row.blob("sealed_key")?,
        details: row.blob("details")?,
    })
}

/// The protection of a row. A malformed value is an error, so that it never makes a paste readable.
fn read_protection(row: &tokio_postgres::Row) -> Result<Protection, Fault> {
    if let Some(link_proof) = row.digest("read_proof")? {
        return Ok(Protection::Gate { link_proof, password_proof: row.digest("password_proof")? });
    }
    Ok(match row.text("password")? {
        Some(text) => Protection::Password(PasswordHash::decode(text).ok_or_else(|| malformed("password"))?),
        None => Protection::None,
    })
}

fn read_mark(row: &tokio_postgres::Row) -> Result<TokenMark, Fault> {
    let hash = row.digest("token_hash")?.ok_or_else(|| malformed("token_hash"))?;
    Ok(if row.flag("bound")? { TokenMark::Bound(hash) } else { TokenMark::Plain(hash) })
}

pub(super) fn find(connection: &mut Connection, name: &Name) -> Result<Option<Row>, Fault> {
    connection.query(FIND, &[name.handle().into(), (&name.0).into()])?.first().map(read_row).transpose()
}

/// The row with a handle.
pub(super) fn find_by_handle(connection: &mut Connection, handle: Handle) -> Result<Option<Row>, Fault> {
    connection.query(FIND_BY_HANDLE, &[handle.into()])?.first().map(read_row).transpose()
}

/// The row with a name, with the first piece of the content.
pub(super) fn find_with_piece(connection: &mut Connection, name: &Name) -> Result<Option<(Row, Vec<u8>)>, Fault> {
    let rows = connection.query(FIND_WITH_PIECE, &[name.handle().into(), (&name.0).into()])?;
    rows.first().map(|row| Ok((read_row(row)?, row.bytes("data")?.unwrap_or_default().to_vec()))).transpose()
}

pub(super) fn piece(connection: &mut Connection, key: RowKey, number: u64) -> Result<Vec<u8>, Fault> {
    if number >= MAX_PIECES {
        return Ok(Vec::new());
    }
    let rows = if number == 0 {
        connection.query(FIRST_PIECE, &[key.into()])?
    } else {
        connection.query(PIECE, &[key.into(), number.into()])?
    };
    rows.first().map_or(Ok(Vec::new()), |row| row.blob("data"))
}

/// A new key, never reused.
pub(super) fn next_key(connection: &mut Connection) -> Result<RowKey, Fault> {
    connection.query(NEXT_KEY, &[])?.first().map_or_else(|| Err(malformed("key")), |row| row.key("key"))
}

/// Stores a row with its content. Small content is one statement; the pieces of large content come first, because they
/// take time and lock nothing that others need.
pub(super) fn insert(connection: &mut Connection, row: &NewRow, limits: Limits) -> Result<Inserted, Fault> {
    let first_piece = row.content.first_piece()?;
    let inserted = if row.content.size <= PIECE_BYTES as u64 {
        insert_row(connection, row, limits, &first_piece, None, Connection::change)
    } else {
        connection.transaction(|connection| {
            let key = next_key(connection)?;
            insert_pieces(connection, key, &row.content, 1)?;
            insert_row(connection, row, limits, &first_piece, Some(key), Connection::query)
        })
    };
    match inserted {
        Ok(Some(())) => Ok(Inserted::Stored),
        Ok(None) => why_not(connection, row, limits),
        Err(Fault::Taken(constraint)) if constraint == "paste_handle" => Ok(Inserted::NameTaken),
        Err(Fault::Taken(constraint)) if constraint == "spent_token_once" => Ok(Inserted::TokenSpent),
        Err(fault) => Err(fault),
    }
}

/// How a statement is run: with its own commit, or in a transaction.
type Run = fn(&mut Connection, &'static str, &[Value<'_>]) -> Result<Vec<tokio_postgres::Row>, Fault>;

/// Inserts everything except the other pieces, unless the content is blocked or was submitted too often.
fn insert_row(
    connection: &mut Connection,
    row: &NewRow,
    limits: Limits,
    first_piece: &[u8],
    key: Option<RowKey>,
    run: Run,
) -> Result<Option<()>, Fault> {
    let columns = PasteColumns {
        owner: row.owner.as_ref(),
        sealed_key: &row.sealed_key,
        details: &row.details,
        sealed_id: row.sealed_id.as_deref(),
        first_piece,
        ..PasteColumns::of(&row.name, &row.meta)
    };
    let values = [
        Value::Int(key.map(|key| key.0)),
        Value::Int(row.submission.map(|hash| hash.0.cast_signed())),
        window_start(row, limits).into(),
        limits.dedup_max.into(),
        Value::Bytes(row.token.as_deref()),
        (&row.mark).into(),
    ];
    let values = [columns.values().as_slice(), &values].concat();
    Ok((!run(connection, INSERT, &values)?.is_empty()).then_some(()))
}

/// Stores the pieces of content under a key, from one of them on, in the caller's transaction. Each must be stored in
/// time, but the total may take longer.
pub(super) fn insert_pieces(
    connection: &mut Connection,
    key: RowKey,
    content: &Content,
    first: u64,
) -> Result<(), Fault> {
    content.for_each_piece(|number, piece| -> Result<(), Fault> {
        if number >= first {
            connection.query(INSERT_PIECE, &[key.into(), number.into(), piece.into()])?;
            connection.set_deadline(Instant::now() + MOST_WAITING);
        }
        Ok(())
    })
}

/// The values of a new row, except its key.
pub(super) struct PasteColumns<'a> {
    pub(super) owner: Option<&'a Sha256Digest>,
    pub(super) sealed_key: &'a [u8],
    pub(super) details: &'a [u8],
    pub(super) sealed_id: Option<&'a [u8]>,
    pub(super) first_piece: &'a [u8],
    pub(super) name: &'a Name,
    pub(super) meta: &'a Meta,
    pub(super) protection: ProtectionColumns,
    pub(super) token_hash: Sha256Digest,
}

impl<'a> PasteColumns<'a> {
    /// The values derived from a name and metadata.
    pub(super) fn of(name: &'a Name, meta: &'a Meta) -> Self {
        Self {
            owner: None,
            sealed_key: &[],
            details: &[],
            sealed_id: None,
            first_piece: &[],
            name,
            meta,
            protection: ProtectionColumns::of(&meta.protection),
            token_hash: meta.token.hash(),
        }
    }

    /// The values in the order of the statements.
    pub(super) fn values(&self) -> [Value<'_>; 19] {
        let meta = self.meta;
        [
            self.name.handle().into(),
            (&self.name.0).into(),
            meta.size.into(),
            meta.created_at.into(),
            meta.expiry.at().into(),
            matches!(meta.expiry, Expiry::Sliding(_)).into(),
            meta.burn.into(),
            meta.reads_left.map(u64::from).into(),
            Value::Text(self.protection.password.as_deref()),
            self.protection.link_proof.as_ref().into(),
            self.protection.password_proof.as_ref().into(),
            self.owner.into(),
            (&self.token_hash).into(),
            matches!(meta.token, TokenMark::Bound(_)).into(),
            self.sealed_key.into(),
            self.details.into(),
            Value::Bytes(self.sealed_id),
            self.first_piece.into(),
            meta.answer_proof.as_ref().into(),
        ]
    }
}

/// The columns `password`, `read_proof` and `password_proof`.
pub(super) struct ProtectionColumns {
    pub(super) password: Option<String>,
    pub(super) link_proof: Option<Sha256Digest>,
    pub(super) password_proof: Option<Sha256Digest>,
}

impl ProtectionColumns {
    pub(super) fn of(protection: &Protection) -> Self {
        let (password, link_proof, password_proof) = match protection {
            Protection::None => (None, None, None),
            Protection::Password(hash) => (Some(hash.encode()), None, None),
            Protection::Gate { link_proof, password_proof } => (None, Some(*link_proof), *password_proof),
        };
        Self { password, link_proof, password_proof }
    }
}

fn window_start(row: &NewRow, limits: Limits) -> UnixSeconds {
    row.meta.created_at.saturating_sub(limits.dedup_window_seconds)
}

/// Why a create was refused.
fn why_not(connection: &mut Connection, row: &NewRow, limits: Limits) -> Result<Inserted, Fault> {
    let hash = Value::Int(row.submission.map(|hash| hash.0.cast_signed()));
    let rows = connection.query(WHY_NOT, &[(&row.mark).into(), hash, window_start(row, limits).into()])?;
    let Some(found) = rows.first() else { return Err(malformed("is_blocked")) };
    if found.flag("is_blocked")? {
        return Ok(Inserted::Blocked);
    }
    let times: Option<Vec<i64>> = found.try_get("at").map_err(|_| malformed("at"))?;
    let times = times.unwrap_or_default();
    // The submission that must leave the window first: the dedup_max-th newest.
    let at = usize::try_from(limits.dedup_max.saturating_sub(1)).unwrap_or(usize::MAX);
    let blocking = times.get(at).and_then(|at| u64::try_from(*at).ok()).unwrap_or(0);
    let window = limits.dedup_window_seconds;
    let retry_after_seconds = (blocking + window).saturating_sub(row.meta.created_at).clamp(1, window);
    Ok(Inserted::Duplicate(Duplicate { count: times.len() as u64 + 1, retry_after_seconds }))
}

/// Whether the row with this name is the one to be created: its delete token is known only to us.
pub(super) fn is_stored(connection: &mut Connection, row: &NewRow) -> Result<bool, Fault> {
    let rows = connection.query(FIND_TOKEN_HASH, &[row.name.handle().into(), (&row.name.0).into()])?;
    let Some(found) = rows.first() else { return Ok(false) };
    Ok(found.digest("token_hash")? == Some(row.meta.token.hash()))
}

/// Whether content is blocked.
pub(super) fn is_blocked(connection: &mut Connection, mark: &Sha256Digest) -> Result<bool, Fault> {
    connection.is_true(IS_BLOCKED, &[mark.into()])
}

pub(super) fn is_spent(connection: &mut Connection, token: &[u8]) -> Result<bool, Fault> {
    connection.is_true(IS_SPENT, &[token.into()])
}

pub(super) fn spend(connection: &mut Connection, token: &[u8]) -> Result<(), Fault> {
    connection.change(SPEND, &[token.into()]).map(|_| ())
}

/// The bytes the quota counts: content and the overhead of rows.
pub(super) fn used_bytes(connection: &mut Connection) -> Result<u64, Fault> {
    let rows = connection.query(USED_BYTES, &[Value::Int(Some(ROW_BYTES))])?;
    rows.first().map_or(Ok(0), |row| row.number("bytes"))
}

pub(super) fn stats(connection: &mut Connection, now: UnixSeconds) -> Result<Stats, Fault> {
    let used_bytes = used_bytes(connection)?;
    let rows = connection.query(STATS, &[now.into()])?;
    let row = rows.first().ok_or_else(|| malformed("pastes"))?;
    let database_bytes = row.number("database_bytes")?;
    Ok(Stats {
        pastes: row.number("pastes")?,
        content_bytes: row.number("content_bytes")?,
        burn: row.number("burn")?,
        password_protected: row.number("protected")?,
        owned: row.number("owned")?,
        oldest_created_at: row.time("oldest")?,
        expired: row.number("expired")?,
        database_bytes,
        // The WAL belongs to the database server and is shared with its other databases.
        disk_bytes: database_bytes,
        used_bytes,
    })
}

/// The size of content with its row.
pub(super) fn bytes_of(size: u64) -> u64 {
    size.saturating_add(ROW_BYTES.cast_unsigned())
}
