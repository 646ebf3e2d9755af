//! Throttles password guessing across all servers with the rule of tries.rs and counts in the database.
//!
//! Invariant: a guess is charged before it is made, by a compare-and-swap. A network is stored as a hash that differs
//! for each paste. Must never store a password.

use super::super::model::RowKey;
use super::super::tries::{self, Client, Window};
use super::connection::Connection;
use super::fault::Fault;
use super::value::{Columns, Value};
use crate::clock::UnixSeconds;
use crate::crypto::{self, Sha256Digest};
use crate::network::Network;
use std::net::Ipv4Addr;

/// How often a conflicting charge is retried before the client is told to come back in a second.
const CHARGES: usize = 5;
/// Seconds after which the counts of a client or a window are outdated: longer than either lasts.
const FORGET_SECONDS: u64 = 1200;

const FIND: &str = "SELECT (SELECT tries FROM try_by_client WHERE key = $1 AND client = $2) AS tries, \
                    (SELECT next_try_at FROM try_by_client WHERE key = $1 AND client = $2) AS next_try_at, \
                    (SELECT since FROM try_by_paste WHERE key = $1) AS since, \
                    (SELECT tries FROM try_by_paste WHERE key = $1) AS all_tries";
/// The window counts all attempts; the client's own count is written only if it is unchanged.
const CHARGE: &str = "WITH charged AS (INSERT INTO try_by_client AS c (key, client, tries, next_try_at) \
                      VALUES ($1, $2, $3, $4) ON CONFLICT (key, client) DO UPDATE SET tries = $3, next_try_at = $4 \
                      WHERE c.tries = $5 AND c.next_try_at = $6 RETURNING 1) \
                      INSERT INTO try_by_paste AS p (key, since, tries) SELECT $1, $7, 1 FROM charged \
                      ON CONFLICT (key) DO UPDATE SET tries = CASE WHEN p.since < $7 THEN 1 ELSE p.tries + 1 END, \
                      since = greatest(p.since, $7) RETURNING 1";
const REFUND: &str = "WITH window_refunded AS (UPDATE try_by_paste SET tries = greatest(tries - 1, 0) WHERE key = $1) \
                      UPDATE try_by_client SET tries = greatest(tries - 1, 0), next_try_at = $3 \
                      WHERE key = $1 AND client = $2";
const FORGIVE: &str = "WITH window_refunded AS (UPDATE try_by_paste SET tries = greatest(tries - 1, 0) WHERE key = $1) \
                       DELETE FROM try_by_client WHERE key = $1 AND client = $2";
const FORGET_CLIENTS: &str = "DELETE FROM try_by_client WHERE (key, client) IN (SELECT key, client FROM try_by_client \
                              WHERE next_try_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1";
const FORGET_PASTES: &str = "DELETE FROM try_by_paste WHERE key IN (SELECT key FROM try_by_paste \
                             WHERE since <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1";

/// Charges a client for an attempt; an error is the number of seconds to wait.
pub(super) fn charge(
    connection: &mut Connection,
    guess_key: &Sha256Digest,
    key: RowKey,
    network: Network,
    now: UnixSeconds,
) -> Result<Result<(), u64>, Fault> {
    let number = client_number(guess_key, key, network);
    for _ in 0..CHARGES {
        let rows = connection.query(FIND, &[key.into(), number])?;
        let Some(row) = rows.first() else { break };
        let count = |name| Ok::<_, Fault>(row.int(name)?.and_then(|count| u64::try_from(count).ok()).unwrap_or(0));
        let known =
            Client { tries: u32::try_from(count("tries")?).unwrap_or(u32::MAX), next_try_at: count("next_try_at")? };
        let window = Window { since: count("since")?, tries: count("all_tries")? };
        let (client, window) = match tries::charge(known, window, key, network, now) {
            Ok(charged) => charged,
            Err(wait) => return Ok(Err(wait)),
        };
        let values = [
            key.into(),
            number,
            u64::from(client.tries).into(),
            client.next_try_at.into(),
            u64::from(known.tries).into(),
            known.next_try_at.into(),
            window.since.into(),
        ];
        if !connection.change(CHARGE, &values)?.is_empty() {
            return Ok(Ok(()));
        }
    }
    Ok(Err(1))
}

/// Refunds a charge: the attempt was not made. The next one has to wait a second.
pub(super) fn refund(
    connection: &mut Connection,
    guess_key: &Sha256Digest,
    key: RowKey,
    network: Network,
    now: UnixSeconds,
) -> Result<(), Fault> {
    let next = Client::default().refunded(now).next_try_at;
    connection.change(REFUND, &[key.into(), client_number(guess_key, key, network), next.into()]).map(|_| ())
}

/// Clears a client's charges: the password was correct.
pub(super) fn forgive(
    connection: &mut Connection,
    guess_key: &Sha256Digest,
    key: RowKey,
    network: Network,
) -> Result<(), Fault> {
    connection.change(FORGIVE, &[key.into(), client_number(guess_key, key, network)]).map(|_| ())
}

/// Deletes some outdated counts. Returns the number of rows of the fuller table.
pub(super) fn forget_some(connection: &mut Connection, now: UnixSeconds, rows: u64) -> Result<usize, Fault> {
    let values = [now.saturating_sub(FORGET_SECONDS).into(), rows.into()];
    let clients = connection.change(FORGET_CLIENTS, &values)?.len();
    Ok(clients.max(connection.change(FORGET_PASTES, &values)?.len()))
}

/// The keyed hash of a client and a paste. Without the key, the database does not permit trying all addresses.
fn client_number(guess_key: &Sha256Digest, key: RowKey, network: Network) -> Value<'static> {
    let address = match network {
        Network::V4(address) => address.to_ipv6_mapped().segments(),
        Network::V6([a, b, c, d]) => [a, b, c, d, 1, 0, 0, 0],
        Network::Local => Ipv4Addr::UNSPECIFIED.to_ipv6_compatible().segments(),
    };
    let bytes: Vec<u8> = address.into_iter().flat_map(u16::to_be_bytes).chain(key.0.to_be_bytes()).collect();
    let digest = crypto::hmac_sha256(guess_key, &bytes);
    Value::Int(digest.first_chunk().map(|bytes| i64::from_be_bytes(*bytes)))
}
