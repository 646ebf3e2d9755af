//! Solves the proof of work on all cores.
//!
//! Invariant: the solution hashes to enough zero bits. Must never start on an infeasible difficulty, nor continue after
//! the deadline.

use super::failure::{Exit, Failure};
use super::progress::Meter;
use crate::cores;
use crate::pow::leading_zero_bits;
use crate::text::human_seconds;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// More zero bits would take days.
const MAX_DIFFICULTY: u64 = 40;
/// How many numbers a thread tries before it checks whether another thread is done.
const BATCH: u64 = 4096;
/// How often the meter moves.
const TICK: Duration = Duration::from_millis(100);

/// Finds the decimal number for which the SHA-256 of `nonce:number` begins with this many zero bits; `None` after the
/// deadline.
///
/// # Errors
/// When the difficulty is infeasible.
pub fn solve(
    nonce: &str,
    difficulty: u64,
    deadline: Option<Instant>,
    meter: &mut Meter,
) -> Result<Option<String>, Failure> {
    if difficulty > MAX_DIFFICULTY {
        return Err(Failure::new(Exit::Other, format!("the server requires {difficulty} bits of proof of work"))
            .hint(format!("more than {MAX_DIFFICULTY} would take days; contact the server's operator")));
    }
    let threads = cores::count() as u64;
    let (is_over, tried) = (AtomicBool::new(false), AtomicU64::new(0));
    let (found, solutions) = mpsc::channel();
    thread::scope(|scope| {
        for worker in 0..threads {
            let (found, is_over, tried) = (found.clone(), &is_over, &tried);
            scope.spawn(move || {
                let batches = (worker..u64::MAX / BATCH).step_by(usize::try_from(threads).unwrap_or(1));
                for batch in batches {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Some(solution) = search(nonce, difficulty, batch * BATCH) {
                        // The receiver is gone if another thread was first.
                        let _ = found.send(solution.to_string());
                        return;
                    }
                    tried.fetch_add(BATCH, Ordering::Relaxed);
                }
            });
        }
        drop(found);
        let started = Instant::now();
        let solution = loop {
            match solutions.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                    break Ok(None);
                }
                Err(RecvTimeoutError::Timeout) => {
                    meter.tick(&estimate(difficulty, tried.load(Ordering::Relaxed), started.elapsed()));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(Failure::new(Exit::Other, "the proof of work has no solution"));
                }
                Ok(solution) => break Ok(Some(solution)),
            }
        };
        is_over.store(true, Ordering::Relaxed);
        solution
    })
}

/// The expected time at the current rate, if known.
fn estimate(difficulty: u64, tried: u64, elapsed: Duration) -> String {
    if tried == 0 {
        return format!("proof of work, {difficulty} bits");
    }
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = (tried.saturating_mul(1000) / milliseconds).max(1);
    let seconds = ((1 << difficulty.min(MAX_DIFFICULTY)) / per_second).max(1);
    format!("proof of work, {difficulty} bits: about {}", human_seconds(seconds))
}

/// The first solution of a batch.
fn search(nonce: &str, difficulty: u64, first: u64) -> Option<u64> {
    let prefix = format!("{nonce}:");
    let mut message = prefix.clone().into_bytes();
    (first..first + BATCH).find(|number| {
        message.truncate(prefix.len());
        push_decimal(&mut message, *number);
        u64::from(leading_zero_bits(&Sha256::digest(&message))) >= difficulty
    })
}

/// Faster than `write!`, which would take a fifth of the time of a hash.
fn push_decimal(text: &mut Vec<u8>, number: u64) {
    let start = text.len();
    let mut rest = number;
    loop {
        text.push(b'0' + u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.get_mut(start..).unwrap_or_default().reverse();
}

#[cfg(test)]
mod tests {
    use super::super::ui::Ui;
    use super::*;

    #[test]
    fn test_vectors_pass() {
        let all: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors.json")).unwrap();
        for case in all["proof_of_work"].as_array().unwrap() {
            let (nonce, difficulty) = (case["nonce"].as_str().unwrap(), case["difficulty"].as_u64().unwrap());
            let first: u64 = case["first_solution"].as_str().unwrap().parse().unwrap();
            assert_eq!(search(nonce, difficulty, first / BATCH * BATCH), Some(first), "{case}");
            let solution = solve(nonce, difficulty, None, &mut Ui::new(false).meter("", None)).unwrap().unwrap();
            let digest = Sha256::digest(format!("{nonce}:{solution}"));
            assert!(u64::from(leading_zero_bits(&digest)) >= difficulty, "{case}");
        }
    }

    #[test]
    fn the_search_stops_at_the_deadline() {
        let deadline = Some(Instant::now() + Duration::from_millis(300));
        assert_eq!(solve("00", 40, deadline, &mut Ui::new(false).meter("", None)).unwrap(), None);
    }

    #[test]
    fn estimates() {
        let second = Duration::from_secs(1);
        assert_eq!(estimate(26, 20_000_000, second), "proof of work, 26 bits: about 3s");
        assert_eq!(estimate(26, 20_000_000, second * 2), "proof of work, 26 bits: about 6s");
        assert_eq!(estimate(8, 20_000_000, second), "proof of work, 8 bits: about 1s");
        assert_eq!(estimate(40, 0, Duration::ZERO), "proof of work, 40 bits");
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut text = b"x".to_vec();
            push_decimal(&mut text, number);
            assert_eq!(String::from_utf8(text).unwrap(), format!("x{number}"));
        }
    }

    #[test]
    fn an_infeasible_difficulty_is_refused() {
        assert!(solve("00", 41, None, &mut Ui::new(false).meter("", None)).is_err());
    }
}
