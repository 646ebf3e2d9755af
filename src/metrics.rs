//! Prometheus metrics: counters of requests and refusals, latencies, and the load of the pool.
//!
//! Invariant: counting costs a few atomic additions and identifies no paste, client or path. Must never influence the
//! server's behaviour.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the latency histogram's buckets, in milliseconds.
const BUCKETS_MS: [u64; 10] = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000];

/// The counters of a running server.
#[derive(Default)]
pub struct Metrics {
    /// Pastes created.
    pub creates: Counter,
    /// Contents read, including burned ones.
    pub reads: Counter,
    /// Burned contents.
    pub burns: Counter,
    /// Leases taken.
    pub leases: Counter,
    /// Pastes changed by their owners.
    pub changes: Counter,
    /// Asks answered.
    pub answers: Counter,
    /// Pastes deleted by their owners.
    pub deletes: Counter,
    /// Open connections; dashboards know this name.
    pub busy_workers: Counter,
    /// The maximum number of open connections.
    pub workers: Counter,
    /// Connections waiting to be accepted.
    pub queued: Counter,
    /// Replies by the first digit of their status.
    replies: [Counter; 6],
    /// Refusals by their stable code.
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    latency: [Counter; BUCKETS_MS.len()],
    latency_us: Counter,
}

/// A counter or gauge.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds this many.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Sets the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// Counts a reply and its latency, from the complete head to the last byte.
    pub fn count_reply(&self, status: u16, elapsed: Duration) {
        if let Some(class) = self.replies.get(usize::from(status / 100)) {
            class.count();
        }
        let bucket = BUCKETS_MS.iter().position(|bound| elapsed <= Duration::from_millis(*bound));
        if let Some(bucket) = bucket.and_then(|at| self.latency.get(at)) {
            bucket.count();
        }
        self.latency_us.add(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a refusal.
    pub fn count_refusal(&self, code: &'static str) {
        *self.refusals.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    /// Writes the counters in the Prometheus text format.
    pub fn write(&self, text: &mut Text) {
        text.one("creates_total", "counter", "Pastes created.", self.creates.get());
        text.one("reads_total", "counter", "Contents read.", self.reads.get());
        text.one("burns_total", "counter", "Contents burned.", self.burns.get());
        text.one("leases_total", "counter", "Leases taken.", self.leases.get());
        text.one("changes_total", "counter", "Expiries changed and contents replaced by owners.", self.changes.get());
        text.one("answers_total", "counter", "Asks answered.", self.answers.get());
        text.one("deletes_total", "counter", "Pastes deleted by owners.", self.deletes.get());
        text.one("busy_workers", "gauge", "Open connections.", self.busy_workers.get());
        text.one("workers", "gauge", "The maximum number of open connections.", self.workers.get());
        text.one("queued_connections", "gauge", "TCP connections waiting to be accepted.", self.queued.get());
        text.head("replies_total", "counter", "Replies by status class.");
        for (class, count) in self.replies.iter().enumerate().skip(1) {
            text.value("replies_total", &[("class", &format!("{class}xx"))], count.get());
        }
        text.head("refusals_total", "counter", "Refusals by error code.");
        for (code, count) in self.refusals.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text.value("refusals_total", &[("code", code)], *count);
        }
        self.write_latency(text);
    }

    fn write_latency(&self, text: &mut Text) {
        text.head(
            "request_seconds",
            "histogram",
            "Time from the complete head of a request to the last byte of its reply.",
        );
        let replies: u64 = self.replies.iter().map(Counter::get).sum();
        let mut below = 0;
        for (bound, count) in BUCKETS_MS.iter().zip(&self.latency) {
            below += count.get();
            text.value("request_seconds_bucket", &[("le", &seconds(*bound * 1000))], below);
        }
        // Replies may have been counted meanwhile: the buckets must stay cumulative.
        let all = replies.max(below);
        text.value("request_seconds_bucket", &[("le", "+Inf")], all);
        text.value("request_seconds_sum", &[], seconds(self.latency_us.get()));
        text.value("request_seconds_count", &[], all);
    }
}

/// Microseconds as seconds, without trailing zeros.
fn seconds(microseconds: u64) -> String {
    let text = format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The Prometheus text format, version 0.0.4; every name starts with `flaskpaste_`.
#[derive(Default)]
pub struct Text(String);

impl Text {
    /// Begins a metric.
    pub fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP flaskpaste_{name} {help}\n# TYPE flaskpaste_{name} {kind}");
    }

    /// Adds a value of the current metric. Label values are ours and need no escaping.
    pub fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "flaskpaste_{name}{labels} {value}");
    }

    /// A metric with one value.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.value(name, &[], value);
    }

    /// The text.
    pub fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_buckets_are_cumulative() {
        let metrics = Metrics::default();
        for (status, milliseconds) in [(200, 1), (404, 2), (503, 250), (200, 60_000)] {
            metrics.count_reply(status, Duration::from_millis(milliseconds));
        }
        metrics.count_refusal("busy");
        metrics.count_refusal("busy");
        metrics.creates.count();
        let mut text = Text::default();
        metrics.write(&mut text);
        let text = text.finish();
        for line in [
            "flaskpaste_request_seconds_bucket{le=\"0.001\"} 1",
            "flaskpaste_request_seconds_bucket{le=\"0.003\"} 2",
            "flaskpaste_request_seconds_bucket{le=\"0.3\"} 3",
            "flaskpaste_request_seconds_bucket{le=\"30\"} 3",
            "flaskpaste_request_seconds_bucket{le=\"+Inf\"} 4",
            "flaskpaste_request_seconds_sum 60.253",
            "flaskpaste_request_seconds_count 4",
            "flaskpaste_replies_total{class=\"2xx\"} 2",
            "flaskpaste_refusals_total{code=\"busy\"} 2",
            "flaskpaste_creates_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
