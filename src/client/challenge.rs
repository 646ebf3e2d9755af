//! The payment a server asks for: a challenge, solved before it expires.
//!
//! Invariant: no work is done on a challenge that has expired. Must never compare the server's clock with ours where the
//! server tells its own.

use super::failure::{Exit, Failure};
use super::transport::{Answer, Call};
use super::{Session, password, solve};
use crate::clock::{UnixSeconds, unix_now};
use serde_json::Value;
use std::time::{Duration, Instant};
use ureq::http::Method;
use zeroize::Zeroizing;

/// Challenges that are tried.
const MAX_TRIES: usize = 2;

struct Challenge {
    nonce: String,
    token: Zeroizing<String>,
    difficulty: u64,
    /// None: nobody knows.
    deadline: Option<Instant>,
}

/// The headers that pay for a paste, if the server asks for a payment.
///
/// # Errors
/// When the challenge cannot be had, understood, or solved in time.
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
            session.ui.note("the proof of work was not done before its challenge expired; trying another one");
        }
    }
    Err(Failure::new(Exit::Other, "the proof of work was not done before its challenge expired, twice")
        .hint("try again on a faster or less busy machine, or ask who runs the server"))
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
            return Err(Failure::new(Exit::Other, "the server asks for a proof of work this fpaste does not know")
                .hint("a newer fpaste may: curl SERVER/client > fpaste"));
        }
        // One that has expired as it comes was made by another clock.
        let lifetime = json.get("expires").and_then(Value::as_u64).and_then(|expires| expires.checked_sub(now));
        let deadline = lifetime
            .filter(|seconds| *seconds > 0)
            .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        Ok(Some(Self { nonce: nonce.into(), token: Zeroizing::new(token.into()), difficulty, deadline }))
    }
}

/// The moment of a `Date` header in its preferred form (RFC 9110 section 5.6.7).
fn parse_http_date(text: &str) -> Option<UnixSeconds> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words.as_slice() else { return None };
    let number = |text: &str, most: u64| text.parse().ok().filter(|number| *number <= most);
    let times: Vec<u64> = time.split(':').map(|part| number(part, 60)).collect::<Option<_>>()?;
    let [hour, minute, second] = *times.as_slice() else { return None };
    let month = MONTHS.find(month).filter(|at| at % 3 == 0 && month.len() == 3)? / 3 + 1;
    let (day, year) = (number(day, 31)?, number(year, 9999).filter(|year| *year >= 1970)?);
    // Days by the same reckoning as clock::civil: the year begins in March, so that the leap day is its last.
    let month = u64::try_from(month).ok()?;
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day.checked_sub(1)?;
    Some(days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::http_date;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for at in (0..4_200_000_000).step_by(86_400 * 17 + 3_601).chain([784_111_777, 951_782_400, 4_107_542_400]) {
            assert_eq!(parse_http_date(&http_date(at)), Some(at));
        }
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 99999 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
        ] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }
}
