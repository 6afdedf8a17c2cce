//! What a session tells of a storm where its tab cannot make digests itself.
//!
//! What is gathered is not sent: no proof covers it, so that another session tells it again if this one ends.

use bellwire_common::ids::UnixMillis;

use super::Session;
use crate::delivery::{Held, Position};
use crate::frames::{Frames, notification_of};
use crate::ledger::Layout;
use crate::protocol::{End, Head, encode};
use crate::storm::Digest;
use crate::trace::Sent;

/// What became of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// There was none.
    Nothing,
    Written,
    /// It is for another session to tell: this one begins again behind what it has sent.
    Dropped,
}

impl Session {
    /// Takes a notification of a storm into the digest; false where there is none, or what it says cannot be read.
    pub(super) fn gather(&mut self, layout: Layout, held: &Held<Frames>) -> bool {
        let now = self.seat.hub.now();
        let Some(storm) = self.storm(layout) else { return false };
        let Some(notification) = notification_of(held) else { return false };
        let left_ms = held.expires_at.0.saturating_sub(UnixMillis::now().0);
        storm.add(now, Position::after(held.offset), left_ms, notification);
        true
    }

    /// Tells what is gathered when it is time; whether something was written.
    pub(super) async fn feed_digest_if_due(&mut self, layout: Layout) -> Result<bool, End> {
        let due_at = self.storm(layout).and_then(|storm| storm.due_at());
        if due_at.is_none_or(|at| at > self.seat.hub.now()) {
            return Ok(false);
        }
        Ok(self.feed_digest(layout).await? == Told::Written)
    }

    fn storm(&mut self, layout: Layout) -> Option<&mut Digest> {
        self.places.as_mut()?.get_mut(layout)?.storm.as_deref_mut()
    }

    /// Tells what is gathered, unless it is for another session to tell.
    pub(super) async fn feed_digest(&mut self, layout: Layout) -> Result<Told, End> {
        let now = self.seat.hub.now();
        let Some(places) = &mut self.places else { return Ok(Told::Nothing) };
        let written = places.written(layout, self.liveness.written());
        let Some(place) = places.get_mut(layout) else { return Ok(Told::Nothing) };
        let Some(upto) = place.storm.as_ref().and_then(|storm| storm.upto()) else { return Ok(Told::Nothing) };
        let next = place.next(written, 1);
        let mine = next.held.first().filter(|first| upto.covers(first.offset) && next.generation == place.generation);
        let Some(storm) = place.storm.as_mut() else { return Ok(Told::Nothing) };
        let Some(first) = mine else {
            storm.drop_gathered();
            return Ok(Told::Dropped);
        };
        let Some((digest, upto)) = storm.take(now) else { return Ok(Told::Nothing) };
        let protocol = self.dialect.protocol();
        // V1 and V2 have no word for ids and cursors.
        let head = Head { id: &first.id, cursor: "", digested: true };
        let Some(text) = encode(protocol, &place.user, head, &digest) else {
            self.seat.hub.meters.unreadable(protocol);
            places.on_unreadable(layout, upto, &mut self.liveness);
            return Ok(Told::Nothing);
        };
        let (user, browser) = (place.user.clone(), place.browser.clone());
        let (session, from, at) = (self.seat.number, first.offset, UnixMillis::now());
        place.shard.sent(place.generation, Sent { user, browser, session, protocol, from, upto, at });
        let bytes = text.len();
        self.feed_text(text.into()).await?;
        self.allowance.owe_answer();
        self.seat.hub.meters.digest_sent(protocol);
        self.on_written(layout, upto, bytes).await?;
        Ok(Told::Written)
    }
}
