//! One browser of a user: its sessions, which of them shows the next notification, and its cursor.

use std::collections::BTreeMap;

use bellwire_common::ids::{BrowserId, NodeId, Offset, SessionId, UnixMillis};
use bellwire_common::record::Opened;

use super::Position;
use super::bug::Bug;
use super::counts::Before;
use super::node::Node;
use crate::planted;

/// How much a session is to be trusted with the next notification (rule 1); the smallest is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Nothing speaks against it.
    Good,
    /// It does not answer.
    Stalled,
    /// Its node is lost.
    Lost,
}

#[derive(Debug, PartialEq)]
pub(super) struct Browser {
    pub(super) id: BrowserId,
    /// The furthest that any of its sessions confirmed, or where it started; never falls (rule 3).
    pub(super) cursor: Position,
    sessions: Vec<Session>,
    /// Log time when its last session ended; none while one is there.
    away_since: Option<UnixMillis>,
    /// Notifications that gave way before it had them.
    pub(super) missed: u64,
    /// How many of those it knows of: a tab is told before it is sent what comes behind, which it has proved to have.
    pub(super) told: u64,
    /// Up to and with the last of them.
    missed_upto: Position,
}

#[derive(Debug, PartialEq)]
pub(super) struct Session {
    id: SessionId,
    /// Its age: where it was announced first, or was good again last.
    pub(super) since: Offset,
    pub(super) stalled: bool,
    /// It shows what a storm brings in digests (rule 14).
    pub(super) digests: bool,
    /// Where it was named last (rule 8).
    pub(super) named: Offset,
}

// === impl Browser ===

impl Browser {
    /// A browser that nobody knows starts at `start`.
    pub(super) fn new(id: BrowserId, start: Position) -> Self {
        Self {
            id,
            cursor: start,
            sessions: Vec::new(),
            away_since: None,
            missed: 0,
            told: 0,
            missed_upto: Position::default(),
        }
    }

    /// What it is to a session that is about to be announced.
    pub(super) fn before(&self) -> Before {
        if self.sessions.is_empty() { Before::Away } else { Before::Open }
    }

    /// Names a session, for the first time or again; whether it is new. A claimed cursor beyond the log is ignored.
    pub(super) fn on_opened(&mut self, offset: Offset, id: SessionId, opened: &Opened) -> bool {
        if let Some(claimed) = opened.cursor.filter(|claimed| *claimed < offset) {
            self.cursor = self.cursor.max(Position::after(claimed));
        }
        self.away_since = None;
        if let Some(known) = self.session_mut(id) {
            known.named = offset;
            if known.stalled && !opened.stalled {
                known.since = offset;
            }
            known.stalled = opened.stalled;
            known.digests = opened.digests;
            return false;
        }
        let since = opened.since.unwrap_or(offset).min(offset);
        self.sessions.reserve_exact(usize::from(self.sessions.is_empty()));
        self.sessions.push(Session { id, since, stalled: opened.stalled, digests: opened.digests, named: offset });
        true
    }

    /// A proof raises the cursor, and makes a stalled session good again, behind all others (rule 11).
    pub(super) fn on_confirmed(&mut self, offset: Offset, id: SessionId, upto: Position) {
        self.cursor = if planted(Bug::CursorFalls) { upto } else { self.cursor.max(upto) };
        if self.cursor > self.missed_upto {
            self.told = self.missed;
        }
        if let Some(known) = self.session_mut(id).filter(|known| known.stalled) {
            known.stalled = false;
            known.since = offset;
        }
    }

    /// A notification gave way; a browser that did not have it missed it (rule 10).
    pub(super) fn on_gave_way(&mut self, offset: Offset) {
        if !self.cursor.covers(offset) {
            self.missed += 1;
            self.missed_upto = Position::after(offset);
        }
    }

    /// Ends a session; whether it was the last one.
    pub(super) fn remove(&mut self, id: SessionId, now: UnixMillis) -> bool {
        self.sessions.retain(|session| session.id != id);
        if self.sessions.is_empty() && self.away_since.is_none() {
            self.away_since = Some(now);
            return true;
        }
        false
    }

    /// The session with the best rank, the oldest within it; if all are bad, the best bad one (rule 1: nobody else
    /// can serve the browser).
    pub(super) fn owner(&self, nodes: &BTreeMap<NodeId, Node>) -> Option<SessionId> {
        let order = |session: &&Session| (session.rank(nodes), session.since, session.id);
        let best = self.sessions.iter().min_by_key(order)?;
        if planted(Bug::BadTabsOwnNothing) && best.rank(nodes) != Rank::Good {
            return None;
        }
        Some(best.id)
    }

    pub(super) fn sessions(&self) -> impl ExactSizeIterator<Item = SessionId> + '_ {
        self.sessions.iter().map(|session| session.id)
    }

    pub(super) fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }

    pub(super) fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id == id)
    }

    /// Gives its absence another beginning; whether it is away.
    pub(super) fn date_away(&mut self, now: UnixMillis) -> bool {
        let away = self.away_since.is_some();
        self.away_since = away.then_some(now);
        away
    }

    /// Log time since when it has no session; none while it has one.
    pub(super) fn away_since(&self) -> Option<UnixMillis> {
        self.away_since
    }
}

// === impl Session ===

impl Session {
    fn rank(&self, nodes: &BTreeMap<NodeId, Node>) -> Rank {
        if nodes.get(&self.id.node).is_none_or(Node::is_lost) {
            Rank::Lost
        } else if self.stalled {
            Rank::Stalled
        } else {
            Rank::Good
        }
    }
}
