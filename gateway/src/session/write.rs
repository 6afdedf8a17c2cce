//! What a session writes: notifications in turns, and what asks the tab for proof.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use tokio::time::timeout;
use tracing::debug;

use bellwire_common::ids::{Offset, UnixMillis, UserId};

use super::digest::Told;
use super::stopwatch::Timed;
use super::wire::{WRITE_WITHIN, within};
use super::{Place, Session, Socket};
use crate::delivery::{Held, Next, Position};
use crate::frames::{Frames, frame};
use crate::liveness::V1_GIVEN_UP_MS;
use crate::protocol::{self, End, Protocol, native};
use crate::shard::Shard;
use crate::trace::Sent;

/// Notifications fetched at a time: what is held twice, in the list and in the socket's buffer, stays small.
const FETCH_MAX: usize = 32;
/// Bytes of notifications written before the tab is listened to again: its proofs must not wait behind a backlog.
const TURN_BYTES: usize = 64 * 1024;

/// What a turn of writing did.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fed {
    pub(super) any: bool,
    /// More may be waiting.
    pub(super) more: bool,
}

/// What is written before the tab is listened to again.
#[derive(Debug, Default)]
struct Turn {
    bytes: usize,
    /// What of it is to be noted.
    span: Option<(Offset, Position)>,
}

impl Session {
    /// Writes notifications that wait, at most [`TURN_BYTES`].
    pub(super) async fn feed_next(&mut self) -> Result<Fed, End> {
        let mut fed = Fed::default();
        let position = self.position();
        let Some(place) = &mut self.place else { return Ok(fed) };
        let mut next = place.shard.next(self.seat.number, position, FETCH_MAX);
        if next.generation != place.generation {
            debug!("another log: the tab starts anew");
            place.generation = next.generation;
            self.liveness.on_replaced();
            self.stopwatch.on_replaced();
            self.dialect.on_replaced(fastrand::u64(..));
            self.storm.iter_mut().for_each(|storm| storm.drop_gathered());
            next = place.shard.next(self.seat.number, self.liveness.written(), FETCH_MAX);
        }
        if next.held.is_empty() {
            fed.any = self.feed_digest_if_due().await?;
            return Ok(fed);
        }
        let (shard, user) = (Arc::clone(&place.shard), place.user.clone());
        fed = Fed { any: true, more: next.held.len() == FETCH_MAX };
        self.feed_gap(next.missed, next.told).await?;
        let mut turn = Turn::default();
        let written = self.feed_turn(next, &shard, &user, &mut turn).await;
        self.note_sent(&mut turn);
        written?;
        fed.more |= turn.bytes >= TURN_BYTES;
        self.feed_digest_if_due().await?;
        Ok(fed)
    }

    async fn feed_turn(
        &mut self,
        next: Next<Frames>,
        shard: &Shard,
        user: &UserId,
        turn: &mut Turn,
    ) -> Result<(), End> {
        for held in next.held {
            let upto = Position::after(held.offset);
            if held.storm && self.gather(&held) {
                continue;
            }
            self.note_sent_before_digest(turn);
            // What stands behind the digest would prove it too.
            if self.feed_digest().await? == Told::Dropped {
                break;
            }
            let digests = self.seat.hub.digests(self.dialect.protocol());
            let Some(text) = frame(&held, self.dialect.protocol(), user, shard.name(), digests, !next.alone) else {
                self.seat.hub.meters.unreadable(self.dialect.protocol());
                self.liveness.on_skipped(upto);
                self.note_sent(turn);
                continue;
            };
            let bytes = text.len();
            self.feed_notification(text, shard.name(), held.offset).await?;
            self.allowance.owe_answer();
            turn.bytes += bytes;
            turn.span = Some((turn.span.map_or(held.offset, |(from, _)| from), upto));
            self.count_frame(&held);
            let now = self.seat.hub.now();
            if self.liveness.on_written(now, upto, bytes) {
                self.feed_ping(now, upto).await?;
                self.flush().await?;
            }
            if turn.bytes >= TURN_BYTES {
                break;
            }
        }
        Ok(())
    }

    fn count_frame(&mut self, held: &Held<Frames>) {
        let hub = &self.seat.hub;
        let Frames { read_at, accepted_at, .. } = held.extra;
        let since = self.place.as_ref().and_then(|place| hub.instant(place.since));
        let opened_later = since.is_some_and(|since| read_at < since);
        hub.meters.frame_sent(self.dialect.protocol(), (!opened_later).then_some(read_at));
        self.stopwatch.on_written(Timed { offset: held.offset, accepted_at, opened_later });
    }

    /// A digest's span is its own.
    fn note_sent_before_digest(&self, turn: &mut Turn) {
        if self.storm.as_ref().is_some_and(|storm| storm.upto().is_some()) {
            self.note_sent(turn);
        }
    }

    /// One span for all that was written, not one for each notification.
    fn note_sent(&self, turn: &mut Turn) {
        let (Some((from, upto)), Some(place)) = (turn.span.take(), &self.place) else { return };
        let (user, browser) = (place.user.clone(), place.browser.clone());
        let (session, protocol) = (self.seat.number, self.dialect.protocol());
        let sent = Sent { user, browser, session, protocol, from, upto, at: UnixMillis::now() };
        place.shard.sent(place.generation, sent);
    }

    /// A native tab is told what its browser missed for want of room (rule 10).
    pub(super) async fn feed_gap(&mut self, missed: u64, told: u64) -> Result<(), End> {
        let new = missed.saturating_sub(self.missed.max(told));
        self.missed = missed;
        if new > 0 && self.dialect.protocol().is_native() {
            self.feed_text(native::gap(new).into()).await?;
        }
        Ok(())
    }

    pub(super) async fn feed_status(&mut self) -> Result<(), End> {
        let values: Vec<_> = self.seat.hub.shards.iter().flat_map(|shard| shard.status()).collect();
        for (key, value) in values {
            if let Some(text) = protocol::status(self.dialect.protocol(), &key, &value) {
                self.feed_text(text.into()).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn feed_ping(&mut self, now: u64, upto: Position) -> Result<(), End> {
        let ping = match self.socket {
            Socket::WebSocket(_) => Message::Ping(Bytes::copy_from_slice(&upto.as_u64().to_be_bytes())),
            Socket::Stream(_) => Message::text(native::ping()),
        };
        self.feed(ping).await?;
        self.allowance.owe_answer();
        self.liveness.on_ping_sent(now, upto);
        Ok(())
    }

    pub(super) async fn feed_greeting(&mut self, now: u64, upto: Position) -> Result<(), End> {
        let text = match (self.dialect.protocol(), upto.last()) {
            (Protocol::Native | Protocol::Events, _) => Some(native::ping()),
            (_, Some(offset)) => self.dialect.greeting(offset),
            (_, None) => self.dialect.first_frame(),
        };
        if let Some(text) = text {
            self.feed_text(text.into()).await?;
        }
        self.allowance.owe_answer();
        self.liveness.on_greeting_sent(now, upto);
        Ok(())
    }

    // --- the socket ---

    /// In a stream it has an id, with which the browser comes back by itself.
    async fn feed_notification(&mut self, text: Utf8Bytes, log: &str, offset: Offset) -> Result<(), End> {
        if let Socket::Stream(stream) = &mut self.socket {
            return within(stream.feed(Some(&native::cursor_token(log, offset)), &text)).await;
        }
        self.feed(Message::Text(text)).await
    }

    pub(super) async fn feed_text(&mut self, text: Utf8Bytes) -> Result<(), End> {
        self.feed(Message::Text(text)).await
    }

    pub(super) async fn feed(&mut self, message: Message) -> Result<(), End> {
        let write = self.socket.feed(message);
        if self.dialect.protocol() == Protocol::V1 {
            patiently(write, self.place.as_ref()).await
        } else {
            within(write).await
        }
    }

    pub(super) async fn flush(&mut self) -> Result<(), End> {
        let write = self.socket.flush();
        if self.dialect.protocol() == Protocol::V1 {
            patiently(write, self.place.as_ref()).await
        } else {
            within(write).await
        }
    }
}

/// A V1 tab cannot come back: where its link stands still, another tab takes over, and it is waited for.
async fn patiently(write: impl Future<Output = Result<(), End>>, place: Option<&Place>) -> Result<(), End> {
    let mut write = std::pin::pin!(write);
    if let Ok(result) = timeout(WRITE_WITHIN, &mut write).await {
        return result;
    }
    if let Some(place) = place {
        place.shard.stall(place.number);
    }
    let given_up = Duration::from_millis(V1_GIVEN_UP_MS);
    timeout(given_up, write).await.unwrap_or(Err(End::WriteTimeout))
}
