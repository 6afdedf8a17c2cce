//! What happened to notifications, for `bellwire trace`: a bounded journal beside each shard's fold, and the answer to a
//! question that is made from it and the fold. Titles and texts are not kept.
//!
//! The journal is a ring. What the log brings comes from the fold ([`Happened`]), what this node sent from its sessions
//! ([`Sent`]). Questions are rare, so they look through all of it; what is kept costs little.
//!
//! The order of the ring is used: whatever happened to a notification came after its [`Happened::Accepted`], so that as
//! long as this is there, all of it is; and a span that stands behind its [`Happened::Dropped`] says nothing of it.

use std::collections::{HashMap, VecDeque};

use bellwire_common::ids::{BrowserId, NotificationId, Offset, UnixMillis, UserId};

use crate::delivery::{Accepted, Happened, Position};
use crate::protocol::Protocol;

pub mod answer;
pub(crate) mod http;
pub(crate) mod story;

use self::answer::LISTED_MAX;

/// What a node keeps, in events of all shards: four for each notification (accepted, sent, confirmed by one browser, and
/// ended) through the default time to live of 600 s at 100 a second, as its other bounds have it. An event takes some 80
/// bytes and a notification's two ids 60 to 160: 25 MB when full.
const EVENTS_MAX: usize = 262_144;

/// What a node of `shards` shards keeps of each.
pub(crate) fn events_max(shards: u16) -> usize {
    EVENTS_MAX / usize::from(shards.max(1))
}

/// One shard's.
#[derive(Debug)]
pub(crate) struct Journal {
    events: VecDeque<Event>,
    /// How many were there before them.
    gone: u64,
    max: usize,
    /// What was accepted before is not taken in: what happened to it may have been before what is read.
    begins: UnixMillis,
    /// What happened before is not known any more.
    since: UnixMillis,
    /// What the positions of the events belong to.
    generation: u32,
}

/// See [`Journal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Happened(Happened),
    Sent(Sent),
}

/// A session of this node wrote all of its user's notifications in a span of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) user: UserId,
    pub(crate) browser: BrowserId,
    pub(crate) session: u64,
    pub(crate) protocol: Protocol,
    pub(crate) from: Offset,
    pub(crate) upto: Position,
    pub(crate) at: UnixMillis,
}

/// What is asked for; without either it is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) user: Option<UserId>,
    pub(crate) id: Option<NotificationId>,
}

/// The newest notifications that are wanted, oldest first, and how many older ones there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) notifications: Vec<Accepted>,
    pub(crate) left_out: usize,
    /// Where the first of them is in the journal.
    first: u64,
}

impl Journal {
    /// An empty one of a node that knows everything of what was accepted since then.
    pub(crate) fn new(max: usize, since: UnixMillis) -> Self {
        Self { events: VecDeque::new(), gone: 0, max, begins: since, since, generation: 0 }
    }

    /// What the fold tells now.
    pub(crate) fn happened(&mut self, now: UnixMillis, happened: impl Iterator<Item = Happened>) {
        let begins = self.begins;
        let is_known = |happened: &Happened| match happened {
            Happened::Accepted(accepted) => accepted.accepted_at >= begins,
            _ => true,
        };
        happened.filter(is_known).for_each(|happened| self.push(now, Event::Happened(happened)));
    }

    /// What a session wrote, in positions of `generation`.
    pub(crate) fn sent(&mut self, generation: u32, sent: Sent) {
        if generation == self.generation {
            self.push(sent.at, Event::Sent(sent));
        }
    }

    /// Another log stands where the old one was: what is known says nothing of it.
    pub(crate) fn on_replaced(&mut self, generation: u32, now: UnixMillis) {
        self.gone += self.events.len() as u64;
        self.events = VecDeque::new();
        self.since = now;
        self.generation = generation;
    }

    /// What happened before this time is not known any more.
    pub(crate) fn since(&self) -> UnixMillis {
        self.since
    }

    /// The notifications that are wanted.
    pub(crate) fn find(&self, wanted: &Wanted) -> Found {
        let mut found = Found::default();
        for (index, event) in self.events.iter().enumerate().rev() {
            let Event::Happened(Happened::Accepted(accepted)) = event else { continue };
            if !wanted.has(accepted) {
                continue;
            }
            if found.notifications.len() < LISTED_MAX {
                found.notifications.push(accepted.clone());
                found.first = self.gone + index as u64;
            } else {
                found.left_out += 1;
            }
        }
        found.notifications.reverse();
        found
    }

    /// All that happened to what was found, beside its acceptance, by user.
    pub(crate) fn of(&self, found: &Found) -> HashMap<UserId, Vec<Event>> {
        let mut asked: HashMap<&UserId, Vec<&Accepted>> = HashMap::new();
        for accepted in &found.notifications {
            asked.entry(&accepted.user).or_default().push(accepted);
        }
        let mut events: HashMap<UserId, Vec<Event>> = HashMap::new();
        // What is gone meanwhile is gone from the front.
        let first = usize::try_from(found.first.saturating_sub(self.gone)).unwrap_or(usize::MAX);
        for event in self.events.iter().skip(first) {
            let asked = asked.get(event.user()).map(Vec::as_slice).unwrap_or_default();
            if asked.iter().any(|accepted| event.touches(accepted)) {
                events.entry(event.user().clone()).or_default().push(event.clone());
            }
        }
        events
    }

    fn push(&mut self, now: UnixMillis, event: Event) {
        if self.events.len() >= self.max
            && let Some(oldest) = self.events.pop_front()
        {
            self.gone += 1;
            // A clock that is ahead must not make what is there unknown.
            self.since = self.since.max(oldest.at().min(now));
        }
        self.events.push_back(event);
    }
}

impl Event {
    fn user(&self) -> &UserId {
        match self {
            Self::Happened(Happened::Accepted(accepted) | Happened::Repeated(accepted)) => &accepted.user,
            Self::Happened(Happened::Dropped { user, .. }) => user,
            Self::Happened(Happened::Moved(moved)) => &moved.user,
            Self::Sent(sent) => &sent.user,
        }
    }

    /// It happened, or may have happened, to this notification of its user.
    fn touches(&self, accepted: &Accepted) -> bool {
        match self {
            Self::Happened(Happened::Accepted(_)) => false,
            Self::Happened(Happened::Repeated(again)) => again.id == accepted.id,
            Self::Happened(Happened::Dropped { offset, .. }) => *offset == accepted.offset,
            Self::Happened(Happened::Moved(moved)) => moved.covers(accepted.offset),
            Self::Sent(sent) => sent.covers(accepted.offset),
        }
    }

    fn at(&self) -> UnixMillis {
        match self {
            Self::Happened(Happened::Accepted(accepted) | Happened::Repeated(accepted)) => accepted.accepted_at,
            Self::Happened(Happened::Dropped { at, .. }) => *at,
            Self::Happened(Happened::Moved(moved)) => moved.at,
            Self::Sent(sent) => sent.at,
        }
    }
}

impl Sent {
    fn covers(&self, offset: Offset) -> bool {
        self.from <= offset && self.upto.covers(offset)
    }
}

impl Wanted {
    fn has(&self, accepted: &Accepted) -> bool {
        let asked = self.user.is_some() || self.id.is_some();
        let same_user = self.user.as_ref().is_none_or(|user| *user == accepted.user);
        asked && same_user && self.id.as_ref().is_none_or(|id| *id == accepted.id)
    }
}

#[cfg(test)]
mod tests;
