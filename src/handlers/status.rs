//! `GET /<id>/status`: the status of a paste, or how it ended, for its owner.
//!
//! Invariant: it needs the owner's token or certificate, or the delete token, after the end only the latter; everyone
//! else gets the same 404. Must never extend an expiry.

use super::{maker, mark};
use crate::app::App;
use crate::clock::UnixSeconds;
use crate::error::ApiError;
use crate::http::{Reply, Request};
use crate::paste::Id;
use crate::store::{End, Reads, Status};
use serde_json::{Value, json};

/// Answers the request.
///
/// # Errors
/// `auth_required`, `not_found`, or an internal failure.
pub fn status(app: &App, request: &Request<'_>, id: &Id, now: UnixSeconds) -> Result<Reply, ApiError> {
    let (owner, token_hash) = maker(request)?;
    let status = app.store().status(id, owner.as_ref(), token_hash, now)?.ok_or(ApiError::NotFound)?;
    Ok(Reply::json(200, &describe(id, &status)))
}

fn describe(id: &Id, status: &Status) -> Value {
    let line = |state: &str, reads: &Reads, expires_at: UnixSeconds| {
        json!({
            "id": id.as_str(), "state": state, "reads": reads.count, "first_read_at": reads.first_at,
            "last_read_at": reads.last_at, "expires_at": expires_at,
        })
    };
    match status {
        Status::Asked { expires_at } => {
            let mut answer = line("asked", &Reads::default(), *expires_at);
            mark(&mut answer, "reads_left", Some(1.into()));
            answer
        }
        Status::Alive { reads, reads_left, expires_at } => {
            let state = match (reads_left, reads.count) {
                // The row still exists because the last read is leased.
                (Some(0), _) => "leased",
                (_, 0) => "unread",
                _ => "read",
            };
            let mut answer = line(state, reads, *expires_at);
            mark(&mut answer, "reads_left", reads_left.map(Into::into));
            answer
        }
        Status::Ended(receipt) => {
            let state = match receipt.end {
                End::Read => "read",
                End::Expired => "expired",
                End::Deleted => "deleted",
                End::Removed => "removed",
            };
            let mut answer = line(state, &receipt.reads, receipt.expires_at);
            mark(&mut answer, "ended_at", Some(receipt.ended_at.into()));
            answer
        }
    }
}
