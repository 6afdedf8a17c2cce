//! What a session tells of a storm where its tab cannot make digests itself.
//!
//! What is gathered is not sent: no proof covers it, so that another session tells it again if this one ends.

use bellwire_common::ids::UnixMillis;

use super::Session;
use crate::delivery::{Held, Position};
use crate::frames::{Frames, notification_of};
use crate::protocol::{End, Head, encode};
use crate::trace::Sent;

impl Session {
    /// Behind what was sent or gathered.
    pub(super) fn position(&self) -> Position {
        let gathered = self.storm.as_ref().and_then(|storm| storm.upto());
        gathered.unwrap_or_default().max(self.liveness.written())
    }

    /// Takes a notification of a storm into the digest; false where there is none, or what it says cannot be read.
    pub(super) fn gather(&mut self, held: &Held<Frames>) -> bool {
        let now = self.seat.hub.now();
        let Some(storm) = &mut self.storm else { return false };
        let Some(notification) = notification_of(held) else { return false };
        storm.add(now, Position::after(held.offset), notification);
        true
    }

    /// Tells what is gathered when it is time; whether something was written.
    pub(super) async fn feed_digest_if_due(&mut self) -> Result<bool, End> {
        let due_at = self.storm.as_ref().and_then(|storm| storm.due_at());
        if due_at.is_none_or(|at| at > self.seat.hub.now()) {
            return Ok(false);
        }
        self.feed_digest().await
    }

    /// Tells what is gathered, unless it is for another session to tell; whether something was written.
    pub(super) async fn feed_digest(&mut self) -> Result<bool, End> {
        let now = self.seat.hub.now();
        let (Some(storm), Some(place)) = (&mut self.storm, &self.place) else { return Ok(false) };
        let Some(upto) = storm.upto() else { return Ok(false) };
        let next = place.shard.next(self.seat.number, self.liveness.written(), 1);
        let mine = next.held.first().filter(|first| upto.covers(first.offset) && next.generation == place.generation);
        let Some(first) = mine else {
            storm.drop_gathered();
            return Ok(false);
        };
        let Some((digest, upto)) = storm.take(now) else { return Ok(false) };
        let protocol = self.dialect.protocol();
        // V1 and V2 have no word for ids and cursors.
        let head = Head { id: &first.id, cursor: "", digested: true };
        let Some(text) = encode(protocol, &place.user, head, &digest) else {
            self.liveness.on_skipped(upto);
            return Ok(false);
        };
        let (user, browser) = (place.user.clone(), place.browser.clone());
        let (session, from, at) = (self.seat.number, first.offset, UnixMillis::now());
        place.shard.sent(place.generation, Sent { user, browser, session, protocol, from, upto, at });
        let bytes = text.len();
        self.feed_text(text.into()).await?;
        self.allowance.owe_answer();
        self.seat.hub.meters.digest_sent(protocol);
        if self.liveness.on_written(now, upto, bytes) {
            self.feed_ping(now, upto).await?;
        }
        Ok(true)
    }
}
