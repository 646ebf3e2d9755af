//! What reads have done, on its way into the database: batched, or at once where other servers could take a paste for expired.
//!
//! Invariant: rows are locked in the order of their keys; a read is written once, into the receipt where its paste has ended
//! meanwhile. Must never bring a paste back.

use super::super::inactivity::Touched;
use super::super::model::RowKey;
use super::connection::Connection;
use super::fault::Fault;
use super::value::{Value, signed};

const FLUSH: &str = "\
    WITH touched AS (SELECT * FROM unnest($1, $2, $3, $4, $5) AS t (key, expires_at, reads, first_at, last_at)), \
    alive AS (SELECT t.* FROM touched t JOIN paste p ON p.key = t.key ORDER BY t.key), \
    noted AS (INSERT INTO seen AS s (key, expires_at, reads, first_read_at, last_read_at) SELECT * FROM alive \
        ON CONFLICT (key) DO UPDATE SET expires_at = greatest(s.expires_at, excluded.expires_at), \
        reads = s.reads + excluded.reads, first_read_at = least(s.first_read_at, excluded.first_read_at), \
        last_read_at = greatest(s.last_read_at, excluded.last_read_at)) \
    UPDATE receipt r SET reads = r.reads + t.reads, first_read_at = least(r.first_read_at, t.first_at), \
        last_read_at = greatest(r.last_read_at, t.last_at) \
    FROM touched t WHERE r.key = t.key AND t.reads > 0 AND NOT EXISTS (SELECT FROM alive a WHERE a.key = t.key)";

/// Writes what reads have done to some pastes; they are in the order of their keys.
pub(super) fn write(connection: &mut Connection, touched: &[(RowKey, Touched)]) -> Result<(), Fault> {
    let column = |value: fn(&(RowKey, Touched)) -> i64| touched.iter().map(value).collect::<Vec<_>>();
    let optional = |value: fn(&(RowKey, Touched)) -> Option<i64>| touched.iter().map(value).collect::<Vec<_>>();
    let keys = column(|(key, _)| key.0);
    let ends = column(|(_, touched)| signed(touched.expires_at));
    let reads = column(|(_, touched)| signed(touched.reads.count));
    let first = optional(|(_, touched)| touched.reads.first_at.map(signed));
    let last = optional(|(_, touched)| touched.reads.last_at.map(signed));
    let values = [
        Value::Ints(&keys),
        Value::Ints(&ends),
        Value::Ints(&reads),
        Value::OptionalInts(&first),
        Value::OptionalInts(&last),
    ];
    connection.change(FLUSH, &values).map(|_| ())
}
