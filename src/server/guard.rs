//! The guard: looks at every connection a few times a second and ends those that only keep a thread busy.
//!
//! Receive timeouts do not stop a peer that dribbles a byte every nine seconds, and idle connections pin threads.
//! Invariant: the rule is one pure function of a connection's history, a sample and the pressure on the pool; a
//! connection that waits for us is kept. Must never wait for a peer.

use super::worker::{Phase, Served, Worker};
use super::{Pool, sys};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A connection that waits for its peer has to move this many bytes within [`WINDOW`], or complete a reply.
const PROGRESS_BYTES: u64 = 4 << 10;
/// How long a peer may do without progress.
const WINDOW: Duration = Duration::from_secs(15);
/// How often the guard looks, ordinarily.
const INTERVAL: Duration = Duration::from_millis(250);
/// How often it looks while the pool is pressed: whoever connects now waits for a thread.
const PRESSED_INTERVAL: Duration = Duration::from_millis(25);
/// A connection without progress for less than this stays even then: a request that was on its way arrives within it.
const PRESSED_WINDOW: Duration = Duration::from_millis(100);

/// A connection as it is now.
#[derive(Debug, Clone, Copy)]
struct Sample {
    serial: u64,
    phase: Phase,
    replies: u64,
    /// Bytes that have arrived from the peer.
    received: u64,
    /// Bytes that have arrived at the peer.
    acknowledged: u64,
}

/// What is remembered of a connection: its last progress.
#[derive(Debug, Clone, Copy)]
struct History {
    sample: Sample,
    progress_at: Instant,
}

/// What becomes of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Close,
}

/// The memory after another look.
fn remember(history: Option<History>, sample: Sample, now: Instant) -> History {
    let stalled = history.filter(|history| !is_progress(&history.sample, &sample));
    stalled.unwrap_or(History { sample, progress_at: now })
}

/// Whether a connection has come on between two samples: it serves another purpose than before, or bytes have moved in
/// the direction it waits for. Bytes the other way prove nothing: they cost the peer no reading.
fn is_progress(before: &Sample, after: &Sample) -> bool {
    let moved = match after.phase {
        Phase::Working => return true,
        Phase::Sending => after.acknowledged.saturating_sub(before.acknowledged),
        Phase::Fresh | Phase::Idle | Phase::Receiving | Phase::Draining => {
            after.received.saturating_sub(before.received)
        }
    };
    (before.serial, before.phase, before.replies) != (after.serial, after.phase, after.replies)
        || moved >= PROGRESS_BYTES
}

/// How the pool is pressed: who has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pressure {
    /// Those without progress since then: the quarter of the pool with the oldest progress.
    stalled_since: Option<Instant>,
}

/// The rule.
fn judge(history: &History, now: Instant, pressure: Option<Pressure>) -> Verdict {
    let sample = &history.sample;
    if sample.phase == Phase::Working {
        return Verdict::Keep;
    }
    let is_stalled = now.saturating_duration_since(history.progress_at) >= WINDOW;
    let is_in_the_way = pressure.is_some_and(|pressure| {
        // The kernel has waited for its first byte in vain before it came to us (`TCP_DEFER_ACCEPT`).
        let is_silent = sample.phase == Phase::Fresh && sample.received == 0;
        is_silent || pressure.stalled_since.is_some_and(|since| history.progress_at <= since)
    });
    if is_stalled || is_in_the_way { Verdict::Close } else { Verdict::Keep }
}

/// The pressure on the pool: none while less than four fifths of it are taken.
fn pressure(histories: &[Option<History>], now: Instant) -> Option<Pressure> {
    if histories.iter().flatten().count() * 5 < histories.len() * 4 {
        return None;
    }
    let waiting = histories.iter().flatten().filter(|history| history.sample.phase != Phase::Working);
    let mut stalled: Vec<Instant> = waiting
        .map(|history| history.progress_at)
        .filter(|at| now.saturating_duration_since(*at) >= PRESSED_WINDOW)
        .collect();
    stalled.sort_unstable();
    let quarter = histories.len().div_ceil(4).min(stalled.len());
    let stalled_since = quarter.checked_sub(1).and_then(|last| stalled.get(last)).copied();
    Some(Pressure { stalled_since })
}

/// Starts the guard of a pool.
pub(super) fn start(pool: Arc<Pool>) -> std::io::Result<()> {
    let watch = move || {
        let mut histories = vec![None; pool.workers.len()];
        while !pool.is_stopping() {
            let is_pressed = round(&pool.workers, &mut histories, Instant::now());
            pool.pressed.store(is_pressed, Ordering::Relaxed);
            std::thread::sleep(if is_pressed { PRESSED_INTERVAL } else { INTERVAL });
        }
    };
    std::thread::Builder::new().name("guard".into()).stack_size(super::STACK_BYTES).spawn(watch).map(|_| ())
}

/// Looks at every connection once, and ends those the rule is against; whether the pool is pressed.
fn round(workers: &[Worker], histories: &mut [Option<History>], now: Instant) -> bool {
    for (worker, history) in workers.iter().zip(histories.iter_mut()) {
        *history = worker.look(sample).flatten().map(|sample| remember(*history, sample, now));
    }
    let pressure = pressure(histories, now);
    for (worker, history) in workers.iter().zip(histories.iter()) {
        if let Some(history) = history.filter(|history| judge(history, now, pressure) == Verdict::Close) {
            // Unless it has come on in the meantime.
            let sample = history.sample;
            worker.look(|served| {
                if (served.serial, served.phase, served.replies) == (sample.serial, sample.phase, sample.replies) {
                    served.cut();
                }
            });
        }
    }
    pressure.is_some()
}

/// `None` for a peer on a Unix socket, which has no counters: it is the proxy, and trusted.
fn sample(served: &Served) -> Option<Sample> {
    let counters = sys::tcp_counters(&served.socket).ok()?;
    Some(Sample {
        serial: served.serial,
        phase: served.phase,
        replies: served.replies,
        received: counters.received,
        acknowledged: counters.acknowledged,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVING: Sample =
        Sample { serial: 1, phase: Phase::Receiving, replies: 0, received: 100, acknowledged: 100 };

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// What the guard does after looking at these samples, one a second.
    fn verdict(samples: &[Sample]) -> Verdict {
        let mut now = Instant::now();
        let mut history = None;
        for sample in samples {
            now += seconds(1);
            history = Some(remember(history, *sample, now));
        }
        judge(&history.unwrap(), now, None)
    }

    /// Fifteen more looks at a connection, at each of which some bytes have moved.
    fn dribble(first: Sample, received: u64, acknowledged: u64) -> Vec<Sample> {
        let step = |n| Sample {
            received: first.received + n * received,
            acknowledged: first.acknowledged + n * acknowledged,
            ..first
        };
        (0..=15).map(step).collect()
    }

    #[test]
    fn a_peer_has_to_move_bytes_in_the_direction_that_is_waited_for() {
        let sending = Sample { phase: Phase::Sending, ..RECEIVING };
        assert_eq!(verdict(&dribble(RECEIVING, 1, 0)), Verdict::Close);
        assert_eq!(verdict(&dribble(RECEIVING, 500, 0)), Verdict::Keep);
        assert_eq!(verdict(&dribble(RECEIVING, 1, 9000)), Verdict::Close);
        assert_eq!(verdict(&dribble(sending, 0, 1)), Verdict::Close);
        assert_eq!(verdict(&dribble(sending, 0, 500)), Verdict::Keep);
        assert_eq!(verdict(&dribble(sending, 9000, 1)), Verdict::Close);
    }

    #[test]
    fn whoever_waits_for_us_is_kept() {
        assert_eq!(verdict(&dribble(Sample { phase: Phase::Working, ..RECEIVING }, 0, 0)), Verdict::Keep);
        let now = Instant::now();
        let history = History { sample: Sample { phase: Phase::Working, ..RECEIVING }, progress_at: now };
        assert_eq!(judge(&history, now + seconds(99), Some(Pressure { stalled_since: Some(now) })), Verdict::Keep);
    }

    #[test]
    fn a_reply_or_another_phase_begins_the_window_anew() {
        let mut samples = dribble(RECEIVING, 0, 0);
        assert_eq!(verdict(&samples), Verdict::Close);
        samples[10].replies += 1;
        samples[11..].iter_mut().for_each(|sample| sample.replies += 1);
        assert_eq!(verdict(&samples), Verdict::Keep);
        let mut samples = dribble(RECEIVING, 0, 0);
        samples[5..].iter_mut().for_each(|sample| sample.phase = Phase::Idle);
        assert_eq!(verdict(&samples), Verdict::Keep);
        let mut samples = dribble(RECEIVING, 0, 0);
        samples[5..].iter_mut().for_each(|sample| sample.serial += 1);
        assert_eq!(verdict(&samples), Verdict::Keep);
    }

    #[test]
    fn under_pressure_the_quarter_with_the_oldest_progress_goes() {
        let start = Instant::now();
        let now = start + seconds(10);
        // Number n had its last progress n seconds after the start.
        let mut histories: Vec<Option<History>> =
            (0..8).map(|n| Some(History { sample: RECEIVING, progress_at: start + seconds(n) })).collect();
        let closed = |histories: &[Option<History>]| -> Vec<usize> {
            let pressure = pressure(histories, now);
            let close = |history: &Option<History>| history.is_some_and(|h| judge(&h, now, pressure) == Verdict::Close);
            (0..histories.len()).filter(|at| close(&histories[*at])).collect()
        };
        assert_eq!(closed(&histories), [0, 1]);
        // One who waits for us does not count among them.
        histories[0].as_mut().unwrap().sample.phase = Phase::Working;
        assert_eq!(closed(&histories), [1, 2]);
        // Fewer than four fifths are taken.
        histories[6] = None;
        histories[7] = None;
        assert_eq!(closed(&histories), [0; 0]);
        assert_eq!(pressure(&histories, now), None);
        // All have just come on: none goes yet, but the guard has to look again soon.
        let lively = vec![Some(History { sample: RECEIVING, progress_at: now }); 8];
        assert_eq!(closed(&lively), [0; 0]);
        assert!(pressure(&lively, now).is_some());
        // One that has never said anything.
        let mut lively = lively;
        lively[3].as_mut().unwrap().sample = Sample { phase: Phase::Fresh, received: 0, ..RECEIVING };
        assert_eq!(closed(&lively), [3]);
    }
}
