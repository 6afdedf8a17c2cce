//! What a session writes: notifications in turns, and what asks the tab for proof.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use tokio::time::timeout;
use tracing::debug;

use bellwire_common::ids::{Offset, UnixMillis, UserId};
use bellwire_common::spans;

use super::digest::Told;
use super::places::{Place, Places};
use super::stopwatch::Timed;
use super::wire::{WRITE_WITHIN, within};
use super::{Session, Socket};
use crate::delivery::{Held, Next, Position};
use crate::frames::{Frames, frame};
use crate::ledger::Layout;
use crate::liveness::V1_GIVEN_UP_MS;
use crate::protocol::{self, End, Protocol, native};
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
    /// Writes notifications that wait, of each log at most [`TURN_BYTES`].
    pub(super) async fn feed_next(&mut self) -> Result<Fed, End> {
        let mut fed = self.feed_next_of(Layout::Own).await?;
        if self.place(Layout::Also).is_some() {
            let also = self.feed_next_of(Layout::Also).await?;
            fed = Fed { any: fed.any || also.any, more: fed.more || also.more };
        }
        Ok(fed)
    }

    async fn feed_next_of(&mut self, layout: Layout) -> Result<Fed, End> {
        let mut fed = Fed::default();
        let Some(next) = self.next_of(layout) else { return Ok(fed) };
        if next.held.is_empty() {
            fed.any = self.feed_digest_if_due(layout).await?;
            return Ok(fed);
        }
        fed = Fed { any: true, more: next.held.len() == FETCH_MAX };
        self.feed_gap(layout, next.missed, next.told).await?;
        let mut turn = Turn::default();
        let written = self.feed_turn(layout, next, &mut turn).await;
        self.note_sent(layout, &mut turn);
        written?;
        fed.more |= turn.bytes >= TURN_BYTES;
        self.feed_digest_if_due(layout).await?;
        Ok(fed)
    }

    /// What waits behind what was sent or gathered.
    fn next_of(&mut self, layout: Layout) -> Option<Next<Frames>> {
        let places = self.places.as_mut()?;
        let next = places.get(layout)?.next(places.position(layout, self.liveness.written()), FETCH_MAX);
        if next.generation == places.get(layout)?.generation {
            return Some(next);
        }
        debug!("another log: the tab starts anew");
        if places.on_replaced(layout, next.generation) {
            self.liveness.on_replaced();
            self.stopwatch.on_replaced();
            self.unproved.on_replaced();
            self.dialect.on_replaced(fastrand::u64(..));
        }
        Some(places.get(layout)?.next(places.position(layout, self.liveness.written()), FETCH_MAX))
    }

    async fn feed_turn(&mut self, layout: Layout, next: Next<Frames>, turn: &mut Turn) -> Result<(), End> {
        let Some((shard, user)) = self.place(layout).map(|place| (Arc::clone(&place.shard), place.user.clone())) else {
            return Ok(());
        };
        for held in next.held {
            let upto = Position::after(held.offset);
            let is_repeat = self.places.as_ref().is_some_and(|places| places.has_had(layout, &held.id));
            if held.storm && !is_repeat && self.gather(layout, &held) {
                continue;
            }
            self.note_sent_before_digest(layout, turn);
            // What stands behind the digest would prove it too.
            if self.feed_digest(layout).await? == Told::Dropped {
                break;
            }
            let text = if is_repeat { None } else { self.frame_of(&held, &user, shard.name(), !next.alone) };
            let Some(text) = text else {
                match &mut self.places {
                    Some(places) if is_repeat => places.on_repeat(layout, upto),
                    Some(places) => places.on_unreadable(layout, upto, &mut self.liveness),
                    None => {}
                }
                self.note_sent(layout, turn);
                continue;
            };
            let bytes = text.len();
            self.feed_notification(text, layout, held.offset).await?;
            self.allowance.owe_answer();
            turn.bytes += bytes;
            turn.span = Some((turn.span.map_or(held.offset, |(from, _)| from), upto));
            let pinged = self.on_written(layout, upto, bytes).await?;
            self.count_frame(layout, &held);
            if pinged {
                self.flush().await?;
            }
            if turn.bytes >= TURN_BYTES {
                break;
            }
        }
        Ok(())
    }

    /// What was just written.
    fn count_frame(&mut self, layout: Layout, held: &Held<Frames>) {
        let hub = &self.seat.hub;
        let Frames { read_at, accepted_at, .. } = held.extra;
        let since = self.place(layout).and_then(|place| hub.instant(place.since));
        let opened_later = since.is_some_and(|since| read_at < since);
        hub.meters.frame_sent(self.dialect.protocol(), (!opened_later).then_some(read_at));
        self.stopwatch.on_written(Timed { upto: self.liveness.written(), accepted_at, opened_later });
        if spans::is_on() {
            self.trace_written(layout, held);
        }
    }

    /// None for what this version cannot show.
    fn frame_of(&self, held: &Held<Frames>, user: &UserId, log: &str, keep: bool) -> Option<Utf8Bytes> {
        let protocol = self.dialect.protocol();
        let text = frame(held, protocol, user, log, self.seat.hub.digests(protocol), keep);
        if text.is_none() {
            self.seat.hub.meters.unreadable(protocol);
        }
        text
    }

    /// Something was written; in the middle of a burst a ping follows, and this says so.
    pub(super) async fn on_written(&mut self, layout: Layout, upto: Position, bytes: usize) -> Result<bool, End> {
        let now = self.seat.hub.now();
        let upto = self.places.as_mut().map_or(upto, |places| places.on_written(layout, upto));
        let pings = self.liveness.on_written(now, upto, bytes);
        if pings {
            self.feed_ping(now, upto).await?;
        }
        Ok(pings)
    }

    fn place(&self, layout: Layout) -> Option<&Place> {
        self.places.as_ref().and_then(|places| places.get(layout))
    }

    /// A digest's span is its own.
    fn note_sent_before_digest(&self, layout: Layout, turn: &mut Turn) {
        let storm = self.place(layout).and_then(|place| place.storm.as_ref());
        if storm.is_some_and(|storm| storm.upto().is_some()) {
            self.note_sent(layout, turn);
        }
    }

    /// One span for all that was written, not one for each notification.
    fn note_sent(&self, layout: Layout, turn: &mut Turn) {
        let (Some((from, upto)), Some(place)) = (turn.span.take(), self.place(layout)) else { return };
        let (user, browser) = (place.user.clone(), place.browser.clone());
        let (session, protocol) = (self.seat.number, self.dialect.protocol());
        let sent = Sent { user, browser, session, protocol, from, upto, at: UnixMillis::now() };
        place.shard.sent(place.generation, sent);
    }

    /// A native tab is told what its browser missed for want of room (rule 10).
    async fn feed_gap(&mut self, layout: Layout, missed: u64, told: u64) -> Result<(), End> {
        let Some(place) = self.places.as_mut().and_then(|places| places.get_mut(layout)) else { return Ok(()) };
        let new = missed.saturating_sub(place.missed.max(told));
        place.missed = missed;
        if new > 0 && self.dialect.protocol().is_native() {
            self.feed_text(native::gap(new).into()).await?;
        }
        Ok(())
    }

    pub(super) async fn feed_status(&mut self) -> Result<(), End> {
        for (key, status) in self.seat.hub.shards.status() {
            if let Some(text) = protocol::status(self.dialect.protocol(), &key, &status.value) {
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
    async fn feed_notification(&mut self, text: Utf8Bytes, layout: Layout, offset: Offset) -> Result<(), End> {
        if let Socket::Stream(stream) = &mut self.socket {
            let id = self.places.as_ref().and_then(|places| places.token(layout, offset));
            return within(stream.feed(id.as_deref(), &text)).await;
        }
        self.feed(Message::Text(text)).await
    }

    pub(super) async fn feed_text(&mut self, text: Utf8Bytes) -> Result<(), End> {
        self.feed(Message::Text(text)).await
    }

    pub(super) async fn feed(&mut self, message: Message) -> Result<(), End> {
        let write = self.socket.feed(message);
        if self.dialect.protocol() == Protocol::V1 {
            patiently(write, self.places.as_ref()).await
        } else {
            within(write).await
        }
    }

    pub(super) async fn flush(&mut self) -> Result<(), End> {
        let write = self.socket.flush();
        if self.dialect.protocol() == Protocol::V1 {
            patiently(write, self.places.as_ref()).await
        } else {
            within(write).await
        }
    }
}

/// A V1 tab cannot come back: where its link stands still, another tab takes over, and it is waited for.
async fn patiently(write: impl Future<Output = Result<(), End>>, places: Option<&Places>) -> Result<(), End> {
    let mut write = std::pin::pin!(write);
    if let Ok(result) = timeout(WRITE_WITHIN, &mut write).await {
        return result;
    }
    if let Some(places) = places {
        places.stall();
    }
    let given_up = Duration::from_millis(V1_GIVEN_UP_MS);
    timeout(given_up, write).await.unwrap_or(Err(End::WriteTimeout))
}
