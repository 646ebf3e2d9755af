//! Receives a request body into a spool.
//!
//! Invariant: an oversized body is refused as soon as that is known, and an attempt begins with the first bytes, even
//! if they are refused. Must never hold a body in memory.

use super::wishes::Wishes;
use crate::admission;
use crate::app::App;
use crate::error::ApiError;
use crate::http::{Framing, Request};
use crate::spool::{Content, MEMORY_BYTES, Spool};
use crate::store::{Attempt, StoreError};
use std::io;

/// The size of a read from the peer.
pub const READ_BYTES: usize = 16 << 10;

/// A body being read.
pub struct Upload<'a, 'b> {
    app: &'a App,
    request: &'a mut Request<'b>,
    attempt: Option<&'a Attempt>,
    max_bytes: u64,
    read_bytes: u64,
    /// The size of the spool at the last check for room.
    checked_bytes: u64,
}

/// A received paste: content, declared type and name, and options.
pub struct Received {
    /// The content.
    pub content: Content,
    /// The declared type.
    pub sent_type: Option<String>,
    /// The file name.
    pub filename: Option<String>,
    /// The options.
    pub wishes: Wishes,
}

/// Refuses a request without a body, or with one announced as too large.
///
/// # Errors
/// `no_content`, `too_large`
pub fn expect_body(app: &App, request: &Request<'_>) -> Result<(), ApiError> {
    match request.framing {
        Framing::None | Framing::Length(0) => Err(ApiError::NoContent),
        Framing::Length(size) if size > admission::max_body_bytes(app.config(), request) => {
            Err(too_large(app, request))
        }
        Framing::Length(_) | Framing::Chunked => Ok(()),
    }
}

fn too_large(app: &App, request: &Request<'_>) -> ApiError {
    let max_size = admission::max_body_bytes(app.config(), request);
    ApiError::TooLarge { max_size, authenticated: request.owner.is_some() }
}

impl<'a, 'b> Upload<'a, 'b> {
    /// Starts reading the body.
    ///
    /// # Errors
    /// `storage_full` if it would not fit, or an internal failure.
    pub fn begin(app: &'a App, request: &'a mut Request<'b>, attempt: Option<&'a Attempt>) -> Result<Self, ApiError> {
        // Small bodies are checked when they are stored.
        if let Framing::Length(length) = request.framing
            && length > MEMORY_BYTES as u64
        {
            app.store().expect_room(length, 0)?;
        }
        let max_bytes = admission::max_body_bytes(app.config(), request);
        Ok(Self { app, request, attempt, max_bytes, read_bytes: 0, checked_bytes: 0 })
    }

    /// Reads the next bytes; 0 at the end.
    ///
    /// # Errors
    /// `too_large`, `busy`, or `bad_request` for a stalled or malformed body.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ApiError> {
        let read = loop {
            match self.request.body.read(buffer) {
                Ok(read) => break read,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::FileTooLarge => {
                        self.begin_attempt();
                        return Err(too_large(self.app, self.request));
                    }
                    io::ErrorKind::ResourceBusy => return Err(ApiError::Busy(1)),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        return Err(ApiError::BadRequest("The body timed out."));
                    }
                    _ => return Err(ApiError::BadRequest("The body is malformed or truncated.")),
                },
            }
        };
        if self.read_bytes == 0 && read > 0 {
            self.begin_attempt();
        }
        self.read_bytes += read as u64;
        if self.read_bytes > self.max_bytes { Err(too_large(self.app, self.request)) } else { Ok(read) }
    }

    fn begin_attempt(&self) {
        if let Some(attempt) = self.attempt {
            attempt.begin();
        }
    }

    /// Appends bytes to a spool, and checks now and then that there is still room: concurrent uploads may together be
    /// too large.
    ///
    /// # Errors
    /// `storage_full`, `busy`, or an internal failure.
    pub fn push(&mut self, spool: &mut Spool<'_>, bytes: &[u8]) -> Result<(), ApiError> {
        if spool.size() >= self.checked_bytes + MEMORY_BYTES as u64 {
            self.checked_bytes = spool.size();
            self.app.store().expect_room(self.checked_bytes, spool.spooled_bytes())?;
        }
        spool.push(bytes).map_err(failure)
    }

    /// Reads all of it into a spool.
    ///
    /// # Errors
    /// As [`Upload::read`] and [`Upload::push`].
    pub fn into_content(mut self, mut spool: Spool<'_>) -> Result<Content, ApiError> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = self.read(&mut buffer)?;
            if read == 0 {
                return spool.finish().map_err(failure);
            }
            self.push(&mut spool, buffer.get(..read).unwrap_or_default())?;
        }
    }
}

/// An empty spool. If it is for the content itself, its entropy is measured if a minimum is configured.
///
/// # Errors
/// An internal failure.
pub fn new_spool(app: &App, is_content: bool) -> Result<Spool<'_>, ApiError> {
    let measures = is_content && app.config().min_entropy_bits > 0.0;
    Spool::new(app.store().folder(), app.store().spool_room(), measures).map_err(failure)
}

/// A spool error as a refusal.
pub fn failure(error: io::Error) -> ApiError {
    StoreError::from(error).into()
}
