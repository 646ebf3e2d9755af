//! The application state that handlers use: configuration, store, and limits shared by all requests.
//!
//! Invariant: shared by all threads; no lock is held across I/O to a peer. Must never know routes or sockets.

use crate::admission::{Flood, Hashing, Rate};
use crate::clock::UnixSeconds;
use crate::config::{self, Config};
use crate::error::ApiError;
use crate::file_digest::FileDigests;
use crate::metrics::Metrics;
use crate::operator_log;
use crate::store::{self, Limits, Store, StoreError};
use crate::web::Pages;
use std::time::Instant;

const _: () = assert!(config::MAX_PASTE_BYTES == store::MAX_PASTE_BYTES, "settings allow what can be stored");

/// The store's limits from the configuration.
pub fn limits(config: &Config) -> Limits {
    Limits {
        max_db_bytes: config.max_db_bytes,
        dedup_max: config.dedup_max,
        dedup_window_seconds: config.dedup_window_seconds,
        expiry_seconds: config.expiry_seconds,
        id_length: config.id_length,
        max_paste_bytes: config.max_anon_bytes.max(config.max_auth_bytes),
        lease_seconds: config.lease_ttl_seconds,
        receipt_seconds: config.receipt_days * 86_400,
    }
}

/// A store error as a refusal.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::StorageFull,
            StoreError::Unavailable(cause) | StoreError::OutcomeUnknown(cause) => Self::Unavailable(cause),
            StoreError::Failed(cause) => Self::Internal(cause),
        }
    }
}

/// The application's state.
pub struct App {
    config: Config,
    store: Store,
    pow_secret: Vec<u8>,
    hashing: Hashing,
    rate: Rate,
    flood: Flood,
    file_digests: FileDigests,
    metrics: Metrics,
    pages: Pages,
    started: Instant,
}

impl App {
    /// Creates the state.
    ///
    /// # Errors
    /// When the proof-of-work secret can be neither read nor stored.
    pub fn new(config: Config, store: Store) -> Result<Self, StoreError> {
        let pow_secret = match config.pow_secret.as_bytes() {
            [] => store.kept_secret("pow_secret")?,
            secret => secret.to_vec(),
        };
        let pages = Pages::new(&config.url_prefix, &config.contact);
        Ok(Self {
            rate: Rate::of(config.rate_per_minute),
            flood: Flood::default(),
            config,
            store,
            pow_secret,
            hashing: Hashing::default(),
            file_digests: FileDigests::default(),
            metrics: Metrics::default(),
            pages,
            started: Instant::now(),
        })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The pastes.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The limiter of password hashing.
    pub fn hashing(&self) -> &Hashing {
        &self.hashing
    }

    /// The rate limit of creates by client address.
    pub fn rate(&self) -> &Rate {
        &self.rate
    }

    /// Counts a created paste.
    pub fn count_create(&self, now: UnixSeconds) {
        self.metrics.creates.count();
        self.flood.count(now);
    }

    /// The number of pastes created in the last minute.
    pub fn creates_last_minute(&self, now: UnixSeconds) -> u64 {
        self.flood.last_minute(now)
    }

    /// The extra difficulty of new challenges in bits; 0 if proof of work is off.
    pub fn elevated_bits(&self, now: UnixSeconds) -> u8 {
        // At most 64 bits in total.
        let most = 64u8.saturating_sub(self.config.pow_difficulty);
        let bits = self.flood.elevated_bits(self.config.pow_flood_per_minute, now).min(most);
        if self.config.pow_difficulty == 0 { 0 } else { bits }
    }

    /// The digests of files that are served.
    pub fn file_digests(&self) -> &FileDigests {
        &self.file_digests
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The pages for browsers.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// The key that signs proof-of-work tokens.
    pub fn pow_secret(&self) -> &[u8] {
        &self.pow_secret
    }

    /// Whether the database responds; if not, the cause is logged.
    pub fn is_healthy(&self) -> bool {
        let health = self.store.health();
        if let Err(error) = &health {
            operator_log::message(&format!("the database does not respond: {error}"));
        }
        health.is_ok()
    }

    /// Seconds since the start.
    pub fn uptime_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}
