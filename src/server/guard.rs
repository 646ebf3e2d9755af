//! The guard: checks all connections a few times per second and closes those that only occupy a slot.
//!
//! Receive timeouts do not stop a peer that sends a byte every nine seconds, and idle connections occupy slots.
//! Invariant: the rules are pure functions of histories, samples and the pool size; a connection waiting for us is
//! never closed; the time allowed without progress scales with the round trip. Must never wait for a peer.

use super::Pool;
use super::slot::{Cut, Phase, Served, Slot};
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A connection waiting for its peer must transfer this many bytes within its window, or complete a reply.
const PROGRESS_BYTES: u64 = 4 << 10;
/// How long a peer may make no progress.
const WINDOW: Duration = Duration::from_secs(15);
/// The same for a proxy, whose clients may be slow: longer than nginx keeps an idle connection (60 s), so that it never
/// sends a request on a connection being closed.
pub(super) const PROXY_WINDOW: Duration = Duration::from_secs(75);

/// How long a peer may make no progress under pressure: at least this, and this many round trips.
const MIN_PATIENCE: Duration = Duration::from_millis(500);
const PATIENCE_ROUND_TRIPS: u32 = 4;
/// The same for a proxy, whose clients' round trips are unknown: enough for a quarter of a second each.
const PROXY_PATIENCE: Duration = Duration::from_secs(1);
/// The same while sending the only copy of content.
const ONLY_COPY_PATIENCE: Duration = Duration::from_secs(5);

/// The check interval, normally and under pressure, when nearly all slots are taken.
const INTERVAL: Duration = Duration::from_millis(250);
const PRESSED_INTERVAL: Duration = Duration::from_millis(25);

/// A snapshot of a connection.
#[derive(Debug, Clone, Copy)]
struct Sample {
    serial: u64,
    phase: Phase,
    steps: u64,
    is_proxy: bool,
    /// Bytes received from the peer.
    received: u64,
    /// Bytes acknowledged by the peer, as far as known.
    delivered: u64,
    /// How long the peer may make no progress under pressure.
    patience: Duration,
}

/// The history of a connection.
#[derive(Debug, Clone, Copy)]
struct History {
    /// The last sample.
    now: Sample,
    /// The last progress.
    progress: Sample,
    progress_at: Instant,
    /// The start of its current step.
    begin: Sample,
    begun_at: Instant,
}

impl Sample {
    /// Whether it is the same step of the same connection. Pauses while we work belong to the step.
    fn is_same_step(&self, other: &Self) -> bool {
        (self.serial, self.steps) == (other.serial, other.steps)
    }

    /// Bytes transferred since an earlier sample in the direction being waited for. The other direction does not count:
    /// it costs the peer nothing.
    fn moved_since(&self, earlier: &Self) -> u64 {
        if self.phase.is_sending() {
            self.delivered.saturating_sub(earlier.delivered)
        } else {
            self.received.saturating_sub(earlier.received)
        }
    }
}

impl History {
    fn new(sample: Sample, at: Instant) -> Self {
        Self { now: sample, progress: sample, progress_at: at, begin: sample, begun_at: at }
    }

    /// The history after another sample.
    fn after(history: Option<Self>, sample: Sample, at: Instant) -> Self {
        let Some(history) = history.filter(|history| history.begin.is_same_step(&sample)) else {
            return Self::new(sample, at);
        };
        if sample.phase == Phase::Working || sample.moved_since(&history.progress) >= PROGRESS_BYTES {
            return Self { now: sample, progress: sample, progress_at: at, ..history };
        }
        Self { now: sample, ..history }
    }

    fn stalled_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.progress_at)
    }

    /// Bytes per second since the start of its current step.
    fn rate(&self, now: Instant) -> u64 {
        let milliseconds = u64::try_from(now.saturating_duration_since(self.begun_at).as_millis()).unwrap_or(u64::MAX);
        self.now.moved_since(&self.begin).saturating_mul(1000) / milliseconds.max(1)
    }

    /// Whether it must be closed regardless of pressure.
    fn is_over(&self, now: Instant) -> bool {
        let window = if self.now.is_proxy { PROXY_WINDOW } else { WINDOW };
        self.now.phase != Phase::Working && self.stalled_for(now) >= window
    }

    /// Whether it may be closed under pressure.
    fn is_in_the_way(&self, now: Instant) -> bool {
        // The kernel has already waited for its first byte (`TCP_DEFER_ACCEPT`).
        let is_silent = self.now.phase == Phase::Fresh && !self.now.is_proxy;
        self.now.phase != Phase::Working && (is_silent || self.stalled_for(now) >= self.now.patience)
    }

    /// The order of closing under pressure.
    fn rank(&self) -> u8 {
        match self.now.phase {
            Phase::Fresh => 0,
            Phase::Idle => 1,
            Phase::Receiving => 2,
            Phase::Sending => 3,
            Phase::SendingOnlyCopy | Phase::Working => 4,
        }
    }
}

/// How long a peer may make no progress under pressure, which depends on its round trip.
pub(super) fn patience(served: &Served) -> Duration {
    if served.is_proxy() { PROXY_PATIENCE } else { patience_over(served.path().map(|(_, round_trip)| round_trip)) }
}

fn patience_over(round_trip: Option<Duration>) -> Duration {
    MIN_PATIENCE.max(round_trip.unwrap_or_default() * PATIENCE_ROUND_TRIPS)
}

/// Whether the pool is under pressure: four fifths of it are in use.
fn is_pressed(histories: &[Option<History>]) -> bool {
    histories.iter().flatten().count() * 5 >= histories.len() * 4
}

/// The connections to close under pressure, as indices in the pool. Of the stalled ones at most a quarter of the pool:
/// first silent, then idle, receiving and sending ones, the slowest first; a reply that is the only copy of its content
/// only if nothing else is stalled. In addition, the slowest steady readers, if they leave less than a quarter of the
/// pool to others.
fn in_the_way(histories: &[Option<History>], now: Instant) -> Vec<usize> {
    let numbered = || histories.iter().enumerate().filter_map(|(at, history)| Some((at, history.as_ref()?)));
    let mut stalled: Vec<_> = numbered().filter(|(_, history)| history.is_in_the_way(now)).collect();
    if stalled.iter().any(|(_, history)| history.now.phase != Phase::SendingOnlyCopy) {
        stalled.retain(|(_, history)| history.now.phase != Phase::SendingOnlyCopy);
    }
    stalled.sort_by_key(|(_, history)| (history.rank(), history.rate(now), Reverse(history.stalled_for(now))));
    stalled.truncate(histories.len().div_ceil(4));
    let mut going: Vec<usize> = stalled.into_iter().map(|(at, _)| at).collect();

    let mut sending: Vec<_> = numbered().filter(|(_, history)| history.now.phase == Phase::Sending).collect();
    let too_many = sending.len().saturating_sub(histories.len() * 3 / 4);
    let age = |history: &History| now.saturating_duration_since(history.begun_at);
    sending.retain(|(_, history)| age(history) >= history.now.patience);
    sending.sort_by_key(|(_, history)| history.rate(now));
    let slowest = sending.into_iter().map(|(at, _)| at).take(too_many).filter(|at| !going.contains(at));
    going.extend(slowest.collect::<Vec<_>>());
    going
}

/// Starts the guard of a pool.
pub(super) fn start(pool: Arc<Pool>) -> std::io::Result<()> {
    let watch = move || {
        let mut histories = vec![None; pool.slots.len()];
        while !pool.is_stopping() {
            let is_pressed = round(&pool.slots, &mut histories, Instant::now());
            pool.pressed.store(is_pressed, Ordering::Relaxed);
            let metrics = pool.responder.app().metrics();
            metrics.busy_workers.set(histories.iter().flatten().count() as u64);
            metrics.queued.set(pool.acceptor.queued());
            std::thread::sleep(if is_pressed { PRESSED_INTERVAL } else { INTERVAL });
        }
    };
    std::thread::Builder::new().name("guard".into()).stack_size(super::STACK_BYTES).spawn(watch).map(|_| ())
}

/// Checks all connections once and closes those that violate the rules. Returns whether the pool is under pressure.
fn round(slots: &[Slot], histories: &mut [Option<History>], now: Instant) -> bool {
    for (slot, history) in slots.iter().zip(histories.iter_mut()) {
        *history = slot.change(|served| sample(served)).map(|sample| History::after(*history, sample, now));
    }
    let end = |at: usize, why: Cut| {
        let (Some(slot), Some(Some(history))) = (slots.get(at), histories.get(at)) else { return };
        // Unless it has made progress meanwhile.
        slot.change(|served| {
            let seen = (history.now.serial, history.now.phase, history.now.steps);
            (served.serial, served.phase_now(), served.steps) == seen && served.end(why)
        });
    };
    let over = |history: &Option<History>| history.is_some_and(|history| history.is_over(now));
    (0..histories.len()).filter(|at| histories.get(*at).is_some_and(over)).for_each(|at| end(at, Cut::Stalled));
    let is_pressed = is_pressed(histories);
    if is_pressed {
        for at in in_the_way(histories, now) {
            end(at, Cut::Crowded);
        }
    }
    is_pressed
}

fn sample(served: &Served) -> Sample {
    let (path, phase) = (served.path(), served.phase_now());
    Sample {
        serial: served.serial,
        phase,
        steps: served.steps,
        is_proxy: served.is_proxy(),
        received: served.received,
        delivered: path.map_or(served.sent, |(acknowledged, _)| acknowledged),
        patience: match phase {
            Phase::SendingOnlyCopy => ONLY_COPY_PATIENCE,
            _ if served.is_proxy() => PROXY_PATIENCE,
            _ => patience_over(path.map(|(_, round_trip)| round_trip)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVING: Sample = Sample {
        serial: 1,
        phase: Phase::Receiving,
        steps: 0,
        is_proxy: false,
        received: 100,
        delivered: 100,
        patience: MIN_PATIENCE,
    };
    const SENDING: Sample = Sample { phase: Phase::Sending, steps: 1, ..RECEIVING };

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Whether a connection is closed without pressure after these samples, one per second.
    fn is_over(samples: &[Sample]) -> bool {
        let mut now = Instant::now();
        let mut history = None;
        for sample in samples {
            now += seconds(1);
            history = Some(History::after(history, *sample, now));
        }
        history.unwrap().is_over(now)
    }

    /// This many more samples of a connection, each with some bytes transferred.
    fn dribble(first: Sample, looks: u64, received: u64, delivered: u64) -> Vec<Sample> {
        let step =
            |n| Sample { received: first.received + n * received, delivered: first.delivered + n * delivered, ..first };
        (0..=looks).map(step).collect()
    }

    #[test]
    fn only_bytes_in_the_awaited_direction_are_progress() {
        assert!(is_over(&dribble(RECEIVING, 15, 1, 0)));
        assert!(!is_over(&dribble(RECEIVING, 15, 500, 0)));
        assert!(is_over(&dribble(RECEIVING, 15, 1, 9000)));
        assert!(is_over(&dribble(SENDING, 15, 0, 1)));
        assert!(!is_over(&dribble(SENDING, 15, 0, 500)));
        assert!(is_over(&dribble(SENDING, 15, 9000, 1)));
    }

    #[test]
    fn a_proxy_has_more_time() {
        for sample in [RECEIVING, SENDING, Sample { phase: Phase::Idle, ..RECEIVING }] {
            let proxy = Sample { is_proxy: true, ..sample };
            assert!(!is_over(&dribble(proxy, 74, 1, 1)) && is_over(&dribble(proxy, 75, 1, 1)));
        }
    }

    #[test]
    fn connections_waiting_for_us_are_kept() {
        let working = Sample { phase: Phase::Working, ..RECEIVING };
        assert!(!is_over(&dribble(working, 99, 0, 0)));
        let start = Instant::now();
        let all = vec![Some(History::new(working, start)); 8];
        assert_eq!(in_the_way(&all, start + seconds(99)), [0; 0]);
    }

    #[test]
    fn a_reply_or_a_new_connection_restarts_the_window() {
        let mut samples = dribble(RECEIVING, 15, 0, 0);
        samples[10..].iter_mut().for_each(|sample| sample.steps += 1);
        assert!(!is_over(&samples));
        let mut samples = dribble(RECEIVING, 15, 0, 0);
        samples[5..].iter_mut().for_each(|sample| sample.serial += 1);
        assert!(!is_over(&samples));
        // Going on from head to body does not: slow senders could choose when.
        let mut samples = dribble(Sample { phase: Phase::Idle, ..RECEIVING }, 15, 0, 0);
        samples[5..].iter_mut().for_each(|sample| sample.phase = Phase::Receiving);
        assert!(is_over(&samples));
    }

    #[test]
    fn patience_follows_the_round_trip() {
        let milliseconds = Duration::from_millis;
        assert_eq!(patience_over(None), milliseconds(500));
        assert_eq!(patience_over(Some(milliseconds(1))), milliseconds(500));
        assert_eq!(patience_over(Some(milliseconds(200))), milliseconds(800));
    }

    /// A history of a connection without progress for this long.
    fn stalled(sample: Sample, now: Instant, stalled: Duration) -> History {
        History::new(sample, now.checked_sub(stalled).unwrap())
    }

    #[test]
    fn silent_then_idle_then_receiving_then_sending_connections_are_closed() {
        let now = Instant::now() + seconds(100);
        let phases = [Phase::SendingOnlyCopy, Phase::Sending, Phase::Receiving, Phase::Idle, Phase::Fresh];
        let mut all: Vec<_> =
            phases.into_iter().map(|phase| Some(stalled(Sample { phase, ..RECEIVING }, now, seconds(9)))).collect();
        let mut went = Vec::new();
        while let [first, ..] = in_the_way(&all, now)[..] {
            all[first] = None;
            went.push(first);
        }
        assert_eq!(went, [4, 3, 2, 1, 0]);
    }

    #[test]
    fn at_most_a_quarter_is_closed_at_a_time_slowest_first() {
        let now = Instant::now() + seconds(100);
        let mut all: Vec<_> = (0..8).map(|_| Some(stalled(RECEIVING, now, seconds(1)))).collect();
        for (number, history) in all.iter_mut().flatten().enumerate() {
            history.now.received += 100 * u64::try_from(10 - number).unwrap();
        }
        assert_eq!(in_the_way(&all, now), [7, 6]);
        assert!(is_pressed(&all));
        all[0] = None;
        all[1] = None;
        assert!(!is_pressed(&all), "fewer than four fifths are in use");
    }

    #[test]
    fn a_long_round_trip_is_not_a_stall() {
        let now = Instant::now() + seconds(100);
        let far = Sample { patience: Duration::from_millis(800), ..SENDING };
        let mut all = vec![Some(stalled(far, now, Duration::from_millis(799))); 4];
        assert_eq!(in_the_way(&all, now), [0; 0]);
        all[2] = Some(stalled(far, now, Duration::from_millis(800)));
        assert_eq!(in_the_way(&all, now), [2]);
    }

    #[test]
    fn silent_peers_are_closed_at_once_but_proxies_are_not() {
        let now = Instant::now();
        let fresh = Sample { phase: Phase::Fresh, received: 0, ..RECEIVING };
        let proxy = Sample { is_proxy: true, patience: PROXY_PATIENCE, ..fresh };
        assert_eq!(in_the_way(&[proxy, fresh].map(|sample| Some(stalled(sample, now, seconds(0)))), now), [1]);
    }

    #[test]
    fn steady_readers_leave_a_quarter_of_the_pool_to_others() {
        let now = Instant::now() + seconds(100);
        let reader = |number: u64| {
            let mut history = History::new(SENDING, now.checked_sub(seconds(5)).unwrap());
            history.now.delivered += 50_000 + number;
            history.progress_at = now;
            Some(history)
        };
        let mut all: Vec<_> = (0..8).map(reader).collect();
        assert_eq!(in_the_way(&all, now), [0, 1]);
        all[0].as_mut().unwrap().now.phase = Phase::SendingOnlyCopy;
        assert_eq!(in_the_way(&all, now), [1]);
        all[1].as_mut().unwrap().begun_at = now;
        assert_eq!(in_the_way(&all, now), [2], "one that has just started is kept");
    }
}
