//! The delivery state machine: who gets what, when, from which node. Pure: no clock, no I/O, no randomness.
//!
//! One [`Machine`] per shard and gateway. [`Machine::apply`] folds the records of the shard's log; equal logs
//! give equal machines on every gateway, which is all that gateways know of each other. It is level, not edge:
//! whoever holds sessions asks [`Machine::next`] what is next for each of them whenever the fold has moved.
//! Time is what records say ([`Clock`]).
//!
//! Positions instead of offsets: a [`Position`] says "everything below has been had", so that "nothing yet" needs
//! no case of its own.
//!
//! The rules are numbered as in `docs/delivery.md`.

mod browser;
pub mod bug;
mod clock;
mod counts;
mod fold;
mod happened;
mod look;
mod node;
mod position;
mod replica;
pub mod reporter;
mod rhythm;
mod user;
mod window;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use bellwire_common::ids::{BrowserId, NodeId, NotificationId, Offset, SessionId, UnixMillis, UserId};
use bellwire_common::record::{Record, Status};

use self::bug::Bug;
use self::clock::Clock;
pub use self::counts::{Outcomes, Tally};
pub use self::happened::{Accepted, Happened, Moved, Reason};
pub use self::look::{BrowserLook, SessionLook};
use self::node::Node;
pub use self::position::Position;
pub use self::replica::{Reached, Replica, Wake};
pub use self::rhythm::{Doubt, READ_BACK_EXTRA_MS, Timing};
use self::user::User;
use self::window::Window;
use crate::planted;

/// Heartbeats that one other node makes before a silent one counts as lost (rule 7). Two could be one lost report.
pub const LOST_AFTER_BEATS: usize = 3;

/// An id is remembered this long after its notification's expiry, in milliseconds of log time (rule 6): what an
/// ingest repeats after an unknown append comes within its request's time limit.
pub const DUPLICATE_GRACE_MS: u64 = 30_000;

/// Of a user's notifications, one is shown by itself unless so many came within [`STORM_WINDOW_MS`] before it (rule 14).
/// Constants and no settings: every gateway must decide the same.
pub const STORM_SINGLES_MAX: usize = 5;

/// See [`STORM_SINGLES_MAX`]. Milliseconds of log time.
pub const STORM_WINDOW_MS: u64 = 30_000;

/// Bounds of a machine (rule 10) and the window in which a browser may come back.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a browser that is away (and [`DUPLICATE_GRACE_MS`] more), and the sessions of a lost node, are remembered;
    /// the TTL. Milliseconds.
    pub resume_ms: u64,
    /// Browsers of one user above which those that are away are forgotten, the longest away first; open ones are
    /// bounded by the gateways' limits on sessions.
    pub browsers: usize,
    /// Notifications held for one user, and their bytes.
    pub user_entries: usize,
    /// See [`Limits::user_entries`].
    pub user_bytes: usize,
    /// Bytes of notifications held for all users of the shard.
    pub shard_bytes: usize,
}

/// A notification that is held for delivery. `X` is for the caller: what it has made of the payload.
#[derive(Debug, PartialEq)]
pub struct Held<X> {
    /// Where it stands in the log.
    pub offset: Offset,
    /// Its id.
    pub id: NotificationId,
    /// When it is dropped.
    pub expires_at: UnixMillis,
    /// Log time when it was folded.
    pub came_at: UnixMillis,
    /// One too many to be shown by itself (rule 14).
    pub storm: bool,
    /// The notification as JSON, opaque here.
    pub payload: Bytes,
    /// The caller's own.
    pub extra: X,
}

/// What the fold knows of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its browser's cursor.
    pub cursor: Position,
    /// Its age: the smaller, the older.
    pub since: Offset,
    /// It was reported not to answer.
    pub stalled: bool,
    /// It is the one of its browser that shows the next notification.
    pub owner: bool,
}

/// What a session is to be sent.
#[derive(Debug)]
pub struct Next<X> {
    /// In order.
    pub held: Vec<Arc<Held<X>>>,
    /// The user has no other browser: what is made of these notifications serves nobody else.
    pub alone: bool,
    /// How many notifications the browser missed for want of room, in all (rule 10).
    pub missed: u64,
    /// How many of them the browser was told of for sure: it proved to have what came behind.
    pub told: u64,
    /// Positions of another generation mean nothing ([`Replica::open`]).
    pub generation: u32,
}

/// Collects for whom [`Machine::next`] may now say something new (a hint: asking more often is harmless), and what
/// happened.
#[derive(Debug, Default)]
pub struct Touched {
    /// Users with new notifications or other owners.
    pub users: Vec<UserId>,
    /// These should prove that they live (rule 11): the owner of a browser that has opened another session, and all of
    /// one that has a stalled one, so that several dead ones are found out at the same time.
    pub prove: Vec<SessionId>,
    /// Sessions that are gone from the fold.
    pub removed: Vec<SessionId>,
    /// A status value changed.
    pub status: bool,
    /// For whoever keeps a journal.
    pub happened: Vec<Happened>,
    /// What became of the sessions of the node whose fold it is.
    pub tally: Tally,
}

/// The fold of one shard's log.
#[derive(Debug)]
pub struct Machine<X> {
    limits: Limits,
    applied: Position,
    clock: Clock,
    /// Some node has made [`LOST_AFTER_BEATS`] heartbeats: whoever has said nothing meanwhile does not live.
    all_heard: bool,
    nodes: BTreeMap<NodeId, Node>,
    /// Nodes that have left, and when by log time: a late report must not bring them back.
    left: BTreeMap<NodeId, UnixMillis>,
    users: HashMap<UserId, User<X>>,
    window: Window,
    status: BTreeMap<String, Status>,
    outcomes: Outcomes,
    /// How many notifications have begun: each ends in one of the outcomes.
    begun: u64,
    /// Whose fold it is, and what of the outcomes is its to count: the only part that differs between nodes.
    node: NodeId,
    to_count: Outcomes,
}

// === impl Next ===

impl<X> Next<X> {
    pub(crate) fn none() -> Self {
        Self { held: Vec::new(), alone: true, missed: 0, told: 0, generation: 0 }
    }
}

// === impl Machine ===

impl<X> Machine<X> {
    /// A machine that has read nothing, on `node`.
    #[must_use]
    pub fn new(limits: Limits, node: NodeId) -> Self {
        Self {
            limits,
            applied: Position::default(),
            clock: Clock::default(),
            all_heard: false,
            nodes: BTreeMap::new(),
            left: BTreeMap::new(),
            users: HashMap::new(),
            window: Window::default(),
            status: BTreeMap::new(),
            outcomes: Outcomes::default(),
            begun: 0,
            node,
            to_count: Outcomes::default(),
        }
    }

    /// Folds the next record; `extra` makes the caller's part of a notification that is held. A record at or below the
    /// last one is ignored: a log that attaches anew may repeat.
    pub fn apply(&mut self, offset: Offset, record: Record, extra: impl FnOnce() -> X, touched: &mut Touched) {
        if self.applied.covers(offset) {
            return;
        }
        self.applied = Position::after(offset);
        // Where all are taken for lost, one that may live counts all the same.
        let counts = self.living().next().or(self.nodes.keys().next().copied()) == Some(self.node);
        let before = self.outcomes;
        match record {
            Record::Notify(notify) => self.on_notify(offset, notify, extra, touched),
            Record::Report(report) => self.on_report(offset, report, touched),
            Record::Status(status) => self.on_status(status, touched),
        }
        if counts || planted(Bug::EveryNodeCounts) {
            self.to_count = self.to_count.plus(self.outcomes.since(before));
        }
    }

    /// What comes next for a session at `position`, in order, `max` at the most: nothing unless it is the owner of
    /// its browser. It goes on at the larger of its position and the browser's cursor (rule 2).
    #[must_use]
    pub fn next(&self, session: SessionId, position: Position, max: usize) -> Next<X> {
        let mut next = Next::none();
        let Some((user, browser)) = self.browser_of(session) else { return next };
        if browser.owner(&self.nodes) == Some(session) || planted(Bug::EveryTabOwns) {
            let position = if planted(Bug::ForgetSent) { browser.cursor } else { position.max(browser.cursor) };
            next.held.extend(user.held_from(position).take(max).cloned());
            next.alone = user.browsers.len() == 1;
            (next.missed, next.told) = (browser.missed, browser.told);
        }
        next
    }

    /// What the fold knows of a session; none when it knows it not.
    #[must_use]
    pub fn view(&self, session: SessionId) -> Option<View> {
        let (_, browser) = self.browser_of(session)?;
        let known = browser.session(session)?;
        Some(View {
            cursor: browser.cursor,
            since: known.since,
            stalled: known.stalled,
            owner: browser.owner(&self.nodes) == Some(session),
        })
    }

    /// The owner of each of the user's browsers.
    pub fn owners<'a>(&'a self, user: &UserId) -> impl Iterator<Item = SessionId> + 'a {
        self.users.get(user).into_iter().flat_map(|user| user.browsers.iter()).filter_map(|b| b.owner(&self.nodes))
    }

    /// The owner of one browser.
    #[must_use]
    pub fn owner(&self, user: &UserId, browser: &BrowserId) -> Option<SessionId> {
        self.users.get(user)?.browser(browser)?.owner(&self.nodes)
    }

    /// Every session that the fold attributes to a node.
    pub fn sessions_of(&self, node: NodeId) -> impl Iterator<Item = SessionId> + '_ {
        let numbers = self.nodes.get(&node).into_iter().flat_map(|n| n.sessions.keys());
        numbers.map(move |&number| SessionId { node, number })
    }

    /// The bounds it was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How far the log has been folded.
    #[must_use]
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// Log time.
    #[must_use]
    pub fn time(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Number of the last report of a node that was folded; 0 before the first.
    #[must_use]
    pub fn read_back(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map_or(0, |n| n.reported)
    }

    /// Whether the fold knows the node at all.
    #[must_use]
    pub fn knows(&self, node: NodeId) -> bool {
        self.nodes.contains_key(&node)
    }

    /// Whether the others take the node for lost.
    #[must_use]
    pub fn is_lost(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(Node::is_lost)
    }

    /// The nodes that live, by id: they have made a heartbeat and are not lost.
    pub fn living(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().filter(|(_, node)| node.is_living()).map(|(&id, _)| id)
    }

    /// How notifications ended so far.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        self.outcomes
    }

    /// Notifications that have not ended: no browser of their user has confirmed them.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.begun - self.outcomes.ended()
    }

    /// What of it this node is to count: what happened while it was the living one with the smallest id (rule 9). A
    /// node that starts lives only from its own first heartbeat on, and so counts nothing of what it reads back.
    #[must_use]
    pub fn outcomes_to_count(&self) -> Outcomes {
        self.to_count
    }

    /// The last values that every session is told.
    pub fn status(&self) -> impl Iterator<Item = &Status> {
        self.status.values()
    }

    /// Whether both have folded the same: all but what differs between nodes is equal.
    #[must_use]
    pub fn same_state(&self, other: &Self) -> bool
    where
        X: PartialEq,
    {
        let of_log = |m: &'_ Self| (m.applied, m.outcomes, m.begun);
        of_log(self) == of_log(other)
            && self.clock == other.clock
            && self.nodes == other.nodes
            && self.left == other.left
            && self.users == other.users
            && self.window == other.window
            && self.status == other.status
    }

    /// Bytes of the notifications that are held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.window.bytes
    }

    fn browser_of(&self, session: SessionId) -> Option<(&User<X>, &browser::Browser)> {
        let (user, browser) = self.nodes.get(&session.node)?.sessions.get(&session.number)?;
        let user = self.users.get(user)?;
        Some((user, user.browser(browser)?))
    }
}
