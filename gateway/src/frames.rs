//! A notification's frames: each protocol's text is made once and shared by all tabs that get it.

use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::ws::Utf8Bytes;

use bellwire_common::ids::{UnixMillis, UserId};
use bellwire_common::notification::Notification;

use crate::delivery::Held;
use crate::protocol::{self, Head, Protocol, native};

/// What the gateway keeps with a held notification.
#[derive(Debug)]
pub(crate) struct Frames {
    /// When this node read it.
    pub(crate) read_at: Instant,
    /// When ingest accepted it, by its clock.
    pub(crate) accepted_at: UnixMillis,
    made: [OnceLock<Option<Utf8Bytes>>; Protocol::SPOKEN.len()],
}

impl Frames {
    pub(crate) fn read_now(accepted_at: UnixMillis) -> Self {
        Self { read_at: Instant::now(), accepted_at, made: Default::default() }
    }
}

/// The frame of a notification for a protocol; none when its payload cannot be read (a later version wrote it).
/// `digests` says how tabs of this protocol show what a storm brings, the same in each call; `keep` that others will want the same one.
pub(crate) fn frame(
    held: &Held<Frames>,
    protocol: Protocol,
    user: &UserId,
    log: &str,
    digests: bool,
    keep: bool,
) -> Option<Utf8Bytes> {
    let cell = &held.extra.made[protocol.spoken() as usize];
    if let Some(made) = cell.get() {
        return made.clone();
    }
    let text = make(held, protocol, user, log, held.storm && digests);
    if keep {
        return cell.get_or_init(|| text).clone();
    }
    text
}

/// The notification itself; none when this version cannot read it.
pub(crate) fn notification_of(held: &Held<Frames>) -> Option<Notification> {
    serde_json::from_slice(&held.payload).ok()
}

fn make(held: &Held<Frames>, protocol: Protocol, user: &UserId, log: &str, digested: bool) -> Option<Utf8Bytes> {
    let notification = notification_of(held)?;
    let cursor = native::cursor_token(log, held.offset);
    protocol::encode(protocol, user, Head { id: &held.id, cursor: &cursor, digested }, &notification)
        .map(Utf8Bytes::from)
}
