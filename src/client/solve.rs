//! Proof of work, solved on all cores.
//!
//! Invariant: what comes out hashes to enough zero bits. Must never work on a puzzle no machine can solve in time.

use super::failure::{Exit, Failure};
use super::ui::Meter;
use crate::pow::leading_zero_bits;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// More zero bits than this take days.
const MAX_DIFFICULTY: u64 = 40;
/// Numbers a thread tries before it looks whether another has found one.
const BATCH: u64 = 4096;
/// How often the meter moves.
const TICK: Duration = Duration::from_millis(100);

/// The decimal number whose SHA-256 behind `nonce:` begins with this many zero bits.
///
/// # Errors
/// When the server asks for more than can be done.
pub fn solve(nonce: &str, difficulty: u64, meter: &mut Meter) -> Result<String, Failure> {
    if difficulty > MAX_DIFFICULTY {
        return Err(Failure::new(Exit::Other, format!("the server asks for {difficulty} bits of proof of work"))
            .hint(format!("more than {MAX_DIFFICULTY} would take days; ask who runs it")));
    }
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let is_over = AtomicBool::new(false);
    let (found, solutions) = mpsc::channel();
    thread::scope(|scope| {
        for worker in 0..threads {
            let (found, is_over) = (found.clone(), &is_over);
            scope.spawn(move || {
                let batches = (worker..u64::MAX / BATCH).step_by(usize::try_from(threads).unwrap_or(1));
                for batch in batches {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Some(solution) = search(nonce, difficulty, batch * BATCH) {
                        // The other end has gone once somebody else was first.
                        let _ = found.send(solution.to_string());
                        return;
                    }
                }
            });
        }
        drop(found);
        let solution = loop {
            match solutions.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => meter.tick(),
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(Failure::new(Exit::Other, "the proof of work has no solution"));
                }
                Ok(solution) => break Ok(solution),
            }
        };
        is_over.store(true, Ordering::Relaxed);
        solution
    })
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

/// `write!` takes a fifth of the time of a hash.
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
    fn vectors_of_an_independent_implementation() {
        let all: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors.json")).unwrap();
        for case in all["proof_of_work"].as_array().unwrap() {
            let (nonce, difficulty) = (case["nonce"].as_str().unwrap(), case["difficulty"].as_u64().unwrap());
            let first: u64 = case["first_solution"].as_str().unwrap().parse().unwrap();
            assert_eq!(search(nonce, difficulty, first / BATCH * BATCH), Some(first), "{case}");
            let solution = solve(nonce, difficulty, &mut Ui::new(false).meter("", None)).unwrap();
            let digest = Sha256::digest(format!("{nonce}:{solution}"));
            assert!(u64::from(leading_zero_bits(&digest)) >= difficulty, "{case}");
        }
    }

    #[test]
    fn decimals() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut text = b"x".to_vec();
            push_decimal(&mut text, number);
            assert_eq!(String::from_utf8(text).unwrap(), format!("x{number}"));
        }
    }

    #[test]
    fn too_much_is_refused() {
        assert!(solve("00", 41, &mut Ui::new(false).meter("", None)).is_err());
    }
}
