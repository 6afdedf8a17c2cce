//! What a session makes of the socket's words, and what it writes to the log itself.

use std::future::Future;
use std::time::Duration;

use axum::extract::ws::Message;
use tokio::time::timeout;
use tracing::debug;
use tungstenite::error::ProtocolError;

use bellwire_common::ids::{NotificationId, UnixMillis, UserId};
use bellwire_common::record::{Notify, Record};

use crate::liveness::PONG_WITHIN_MS;
use crate::protocol::{End, TestMessage};

/// A write that makes no progress for this long ends the session.
pub(super) const WRITE_WITHIN: Duration = Duration::from_millis(PONG_WITHIN_MS);

pub(super) async fn within(write: impl Future<Output = Result<(), axum::Error>>) -> Result<(), End> {
    timeout(WRITE_WITHIN, write).await.map_or(Err(End::WriteTimeout), written)
}

pub(super) fn written(result: Result<(), axum::Error>) -> Result<(), End> {
    result.map_err(|error| {
        debug!(%error, "session lost while writing");
        End::WriteError
    })
}

/// What a message takes on the wire, its head aside.
pub(super) fn bytes_of(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

/// Why reading failed.
pub(super) fn read_end(error: axum::Error) -> ReadEnd {
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => ReadEnd::Oversize,
        Some(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => ReadEnd::End(End::Eof),
        Some(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => ReadEnd::End(End::Closed),
        Some(tungstenite::Error::Utf8(_) | tungstenite::Error::Protocol(_)) => ReadEnd::End(End::BadMessage),
        _ => ReadEnd::End(End::ReadError),
    }
}

pub(super) enum ReadEnd {
    Oversize,
    End(End),
}

pub(super) fn test_record(user: &UserId, test: &TestMessage, ttl_ms: u64) -> Record {
    let now = UnixMillis::now();
    let timestamp = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let payload = serde_json::to_vec(&test.notification(timestamp)).unwrap_or_default();
    Record::Notify(Notify {
        id: NotificationId::of_bits(fastrand::u128(..)),
        user: user.clone(),
        accepted_at: now,
        expires_at: now.plus(ttl_ms),
        payload: payload.into(),
    })
}
