//! Proof of work: fetches the server's challenge and solves it before it expires.
//!
//! Invariant: no work is done on an expired challenge. Must never rely on the local clock if the server sends its own.

use super::failure::{Exit, Failure};
use super::transport::{Answer, Call};
use super::{Session, password, solve};
use crate::clock::{UnixSeconds, parse_http_date, unix_now};
use serde_json::Value;
use std::time::{Duration, Instant};
use ureq::http::Method;
use zeroize::Zeroizing;

/// How many challenges are tried.
const MAX_TRIES: usize = 2;

struct Challenge {
    nonce: String,
    token: Zeroizing<String>,
    difficulty: u64,
    /// `None` if unknown.
    deadline: Option<Instant>,
}

/// The headers with the proof of work, if the server requires one.
///
/// # Errors
/// When the challenge cannot be fetched, parsed, or solved in time.
pub fn pay(session: &Session<'_>) -> Result<Vec<password::Header>, Failure> {
    for attempt in 1..=MAX_TRIES {
        let Some(challenge) = Challenge::ask(session)? else { return Ok(Vec::new()) };
        let mut meter = session.ui.meter("proof of work", None);
        let solved = solve::solve(&challenge.nonce, challenge.difficulty, challenge.deadline, &mut meter)?;
        drop(meter);
        if let Some(solution) = solved {
            return Ok(vec![("X-PoW-Token", challenge.token), ("X-PoW-Solution", Zeroizing::new(solution))]);
        }
        if attempt < MAX_TRIES {
            session.ui.note("the challenge expired before the proof of work was done; trying another one");
        }
    }
    Err(Failure::new(Exit::Other, "the challenge expired twice before the proof of work was done")
        .hint("try again on a faster or less busy machine, or contact the server's operator"))
}

impl Challenge {
    fn ask(session: &Session<'_>) -> Result<Option<Self>, Failure> {
        let call = Call::new(Method::GET, &session.settings.server, "/challenge", true);
        let answer = session.transport.send(&call)?;
        let server_now = answer.header("Date").and_then(parse_http_date);
        Self::read(answer, server_now.unwrap_or_else(unix_now))
    }

    fn read(answer: Answer, now: UnixSeconds) -> Result<Option<Self>, Failure> {
        let json = answer.of_any_server()?;
        if json.get("enabled").and_then(Value::as_bool) != Some(true) {
            return Ok(None);
        }
        let field = |name: &str| json.get(name).and_then(Value::as_str);
        let (Some(nonce), Some(token), Some(difficulty)) =
            (field("nonce"), field("token"), json.get("difficulty").and_then(Value::as_u64))
        else {
            return Err(Failure::new(Exit::Other, "the server's proof-of-work challenge is incomplete"));
        };
        if field("algorithm").is_some_and(|algorithm| algorithm != "sha256") {
            return Err(Failure::new(Exit::Other, "the server requires an unsupported proof-of-work algorithm")
                .hint("get a newer fpaste: curl -fsS -o fpaste SERVER/client"));
        }
        // A challenge that has already expired on arrival means that the clocks differ.
        let lifetime = json.get("expires").and_then(Value::as_u64).and_then(|expires| expires.checked_sub(now));
        let deadline = lifetime
            .filter(|seconds| *seconds > 0)
            .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        Ok(Some(Self { nonce: nonce.into(), token: Zeroizing::new(token.into()), difficulty, deadline }))
    }
}
