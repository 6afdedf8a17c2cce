//! Where a session gets its notifications: its user's shard, and while the number of shards changes, the one of the other
//! layout too, each in its own order.

use std::sync::Arc;

use bellwire_common::ids::{BrowserId, NotificationId, Offset, UserId};

use crate::delivery::{Next, Position};
use crate::frames::Frames;
use crate::ledger::{Layout, Ledger};
use crate::liveness::Liveness;
use crate::protocol::native;
use crate::shard::Shard;
use crate::storm::Digest;

/// A session's place in a shard; its drop tells the shard that the session is over.
pub(super) struct Place {
    pub(super) shard: Arc<Shard>,
    pub(super) number: u64,
    pub(super) user: UserId,
    pub(super) browser: BrowserId,
    /// What positions belong to; another one makes them void.
    pub(super) generation: u32,
    /// When it was announced, on the node's clock.
    pub(super) since: u64,
    /// Notifications missed for want of room that the tab was told of.
    pub(super) missed: u64,
    /// What of a storm is to be told yet, where the tab cannot make digests itself and is to have them.
    pub(super) storm: Option<Box<Digest>>,
}

/// All places of a session. With one, what its tab proves are positions of that log; with two, numbers of its [`Ledger`].
pub(super) struct Places {
    own: Place,
    also: Option<Box<Also>>,
}

/// What few sessions need, and only for a while.
struct Also {
    place: Place,
    ledger: Ledger,
}

impl Places {
    pub(super) fn new(own: Place, also: Option<Place>) -> Self {
        Self { own, also: also.map(|place| Box::new(Also { place, ledger: Ledger::default() })) }
    }

    pub(super) fn get(&self, layout: Layout) -> Option<&Place> {
        match layout {
            Layout::Own => Some(&self.own),
            Layout::Also => self.also.as_ref().map(|also| &also.place),
        }
    }

    pub(super) fn get_mut(&mut self, layout: Layout) -> Option<&mut Place> {
        match layout {
            Layout::Own => Some(&mut self.own),
            Layout::Also => self.also.as_mut().map(|also| &mut also.place),
        }
    }

    /// Behind what was sent in this log; `written` is what the tab's liveness has.
    pub(super) fn written(&self, layout: Layout, written: Position) -> Position {
        self.also.as_ref().map_or(written, |also| also.ledger.written(layout))
    }

    /// Behind what was sent or gathered.
    pub(super) fn position(&self, layout: Layout, written: Position) -> Position {
        let storm = self.get(layout).and_then(|place| place.storm.as_ref());
        storm.and_then(|storm| storm.upto()).unwrap_or_default().max(self.written(layout, written))
    }

    /// Something was sent. Gives what its proof will stand for.
    pub(super) fn on_written(&mut self, layout: Layout, upto: Position) -> Position {
        self.also.as_mut().map_or(upto, |also| also.ledger.on_written(layout, upto))
    }

    /// Something cannot be shown: it counts as had with the next proof.
    pub(super) fn on_unreadable(&mut self, layout: Layout, upto: Position, liveness: &mut Liveness) {
        let upto = self.on_written(layout, upto);
        liveness.on_skipped(upto);
    }

    /// Something was had from the other log and is not sent.
    pub(super) fn on_repeat(&mut self, layout: Layout, upto: Position) {
        let Some(also) = &mut self.also else { return };
        if also.ledger.on_skipped(layout, upto) {
            // No proof may come that tells it.
            self.pass(layout);
        }
    }

    /// What an acknowledgement of this position of a log stands for; none where it is of neither.
    pub(super) fn acknowledged(&self, log: &str, upto: Position) -> Option<Position> {
        let layout = Layout::ALL.into_iter().find(|layout| self.get(*layout).is_some_and(|place| place.is_in(log)))?;
        Some(self.also.as_ref().map_or(upto, |also| also.ledger.number_of(layout, upto)))
    }

    /// The tab has proved that it has everything up to here, and that it lives.
    pub(super) fn on_proved(&mut self, upto: Position) {
        let Some(also) = &mut self.also else { return self.own.confirm(upto) };
        also.ledger.on_proved(upto);
        Layout::ALL.into_iter().for_each(|layout| self.confirm(layout));
    }

    /// Another log stands where one was. Whether all that the tab proves means nothing from now on.
    pub(super) fn on_replaced(&mut self, layout: Layout, generation: u32) -> bool {
        if let Some(place) = self.get_mut(layout) {
            place.generation = generation;
            place.storm.iter_mut().for_each(|storm| storm.drop_gathered());
        }
        self.also.as_mut().map(|also| also.ledger.on_replaced(layout)).is_none()
    }

    /// The tab does not answer.
    pub(super) fn stall(&self) {
        self.iter().for_each(|place| place.shard.stall(place.number));
    }

    /// When what was gathered is to be told.
    pub(super) fn digest_due_at(&self) -> Option<u64> {
        self.iter().filter_map(|place| place.storm.as_ref()?.due_at()).min()
    }

    /// Whether the other log has the same notification, and the tab or its browser has had it from there: its sender has tried
    /// twice, and its ingest had moved in between. Where neither has had it yet, the first that comes is sent.
    pub(super) fn has_had(&self, layout: Layout, id: &NotificationId) -> bool {
        let (Some(also), Some(place)) = (&self.also, self.get(layout.other())) else { return false };
        let reached = (place.generation, also.ledger.written(layout.other()));
        place.shard.has_had(&place.user, &place.browser, reached, id)
    }

    /// The cursor of what stands there, and of what was sent before it from the other log: an event stream's client may tell
    /// nothing but the last that it got.
    pub(super) fn token(&self, layout: Layout, offset: Offset) -> Option<String> {
        let token = native::cursor_token(self.get(layout)?.shard.name(), offset);
        let (Some(also), Some(other)) = (&self.also, self.get(layout.other())) else { return Some(token) };
        let before = also.ledger.written(layout.other()).last();
        let before = before.map(|offset| native::cursor_token(other.shard.name(), offset));
        [Some(token), before].into_iter().flatten().reduce(native::joined)
    }

    fn iter(&self) -> impl Iterator<Item = &Place> {
        Layout::ALL.into_iter().filter_map(|layout| self.get(layout))
    }

    fn pass(&self, layout: Layout) {
        if let (Some(place), Some(also)) = (self.get(layout), &self.also) {
            place.shard.pass(place.number, place.generation, also.ledger.proved(layout));
        }
    }

    fn confirm(&self, layout: Layout) {
        if let (Some(place), Some(also)) = (self.get(layout), &self.also) {
            place.confirm(also.ledger.proved(layout));
        }
    }
}

impl Place {
    /// What comes next behind `position`.
    pub(super) fn next(&self, position: Position, max: usize) -> Next<Frames> {
        self.shard.next(self.number, position, max)
    }

    pub(super) fn is_in(&self, log: &str) -> bool {
        self.shard.name() == log
    }

    fn confirm(&self, upto: Position) {
        self.shard.confirm(self.number, self.generation, upto);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shard.close(self.number);
    }
}
