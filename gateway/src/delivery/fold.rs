//! How reports, status values and the passing of log time change the fold.

use bellwire_common::ids::{BrowserId, NodeId, Offset, SessionId, UserId};
use bellwire_common::record::{Entry as Line, Opened, Report, Status};

use super::bug::Bug;
use super::clock::Passed;
use super::node::Node;
use super::user::User;
use super::{DUPLICATE_GRACE_MS, Machine, Position, Touched};
use crate::planted;

impl<X> Machine<X> {
    // --- reports ---

    pub(super) fn on_report(&mut self, offset: Offset, report: Report, touched: &mut Touched) {
        let node = report.node;
        if self.left.contains_key(&node) {
            return;
        }
        self.nodes.entry(node).or_insert_with(|| Node::new(offset)).on_report(report.number, report.at);
        for line in report.entries {
            match line {
                Line::Opened(opened) => self.on_opened(offset, node, opened, touched),
                Line::Closed { session } => self.remove(SessionId { node, number: session }, touched),
                Line::Confirmed { session, upto } => {
                    self.on_confirmed(offset, SessionId { node, number: session }, upto, touched);
                }
                Line::Stalled { session } => self.on_stalled(SessionId { node, number: session }, touched),
                Line::Beat { number } => self.on_beat(offset, node, number, touched),
                Line::Round => self.on_round(offset, node, touched),
                Line::Leave => {
                    self.forget_node(node, touched);
                    self.left.insert(node, self.clock.now());
                }
            }
        }
        // Whose clock is read first may be the wrong one: time begins when every node that lives must have been heard.
        self.all_heard |= self.nodes.get(&node).is_some_and(|node| node.third_last_beat().is_some());
        let times = self.nodes.values().filter(|n| !n.is_lost()).map(|n| n.at);
        let others = self.nodes.len() > 1 || !self.left.is_empty();
        let passed = if self.all_heard { self.clock.advance(times, others) } else { Passed::Nothing };
        if passed == Passed::Anew {
            self.date_anew();
        }
        if passed != Passed::Nothing {
            self.expire(touched);
        }
    }

    fn on_opened(&mut self, offset: Offset, node: NodeId, opened: Opened, touched: &mut Touched) {
        let session = SessionId { node, number: opened.session };
        if !self.nodes.contains_key(&node) {
            return;
        }
        let user = self.users.entry(opened.user.clone()).or_default();
        let browser = user.browser_for(&opened, offset, self.limits.browsers);
        let is_new = browser.on_opened(offset, session, &opened);
        let place = (opened.user.clone(), browser.id.clone());
        let cursor = browser.cursor;
        let owner = if is_new { browser.owner(&self.nodes) } else { None };
        user.saw(cursor.min(Position::after_optional(opened.cursor)), &mut self.outcomes);
        if is_new {
            touched.prove.extend(owner);
        }
        let Some(known) = self.nodes.get_mut(&node) else { return };
        if let Some(old) = known.sessions.insert(session.number, place.clone())
            && old != place
        {
            // A number names one tab of one browser for a node's whole life: believe the later word.
            known.sessions.insert(session.number, old);
            self.remove(session, touched);
            if let Some(known) = self.nodes.get_mut(&node) {
                known.sessions.insert(session.number, place);
            }
        }
        touched.users.push(opened.user);
    }

    fn on_confirmed(&mut self, offset: Offset, session: SessionId, upto: Offset, touched: &mut Touched) {
        if upto >= offset {
            return;
        }
        let Some((user_id, browser_id)) = self.place_of(session) else { return };
        let Some(user) = self.users.get_mut(&user_id) else { return };
        let Some(browser) = user.browser_mut(&browser_id) else { return };
        browser.on_confirmed(offset, session, Position::after(upto));
        user.saw(Position::after(upto), &mut self.outcomes);
        touched.users.push(user_id);
    }

    fn on_stalled(&mut self, session: SessionId, touched: &mut Touched) {
        let Some((user_id, browser_id)) = self.place_of(session) else { return };
        let Some(browser) = self.users.get_mut(&user_id).and_then(|user| user.browser_mut(&browser_id)) else { return };
        if let Some(known) = browser.session_mut(session) {
            known.stalled = true;
            touched.prove.extend(browser.sessions().filter(|other| *other != session));
            touched.users.push(user_id);
        }
    }

    fn on_beat(&mut self, offset: Offset, node: NodeId, number: u64, touched: &mut Touched) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        if !known.on_beat(offset, number) {
            return;
        }
        if known.is_lost() {
            known.lost_since = None;
            if !planted(Bug::KeepAge) {
                self.make_youngest(node, offset, touched);
            }
        }
        let Some(third_last) = self.nodes.get(&node).and_then(Node::third_last_beat) else { return };
        let now = self.clock.now();
        let silent = self.nodes.iter_mut().filter(|(id, other)| **id != node && !other.is_lost());
        let lost: Vec<NodeId> = silent
            .filter(|(_, other)| other.last_sign < third_last)
            .map(|(&id, other)| {
                other.lose(now);
                id
            })
            .collect();
        for node in lost {
            self.touch_users_of(node, touched);
        }
    }

    /// The sessions of a node that is back stand behind all others (rule 7).
    fn make_youngest(&mut self, node: NodeId, offset: Offset, touched: &mut Touched) {
        let sessions: Vec<SessionId> = self.sessions_of(node).collect();
        for session in sessions {
            let Some((user_id, browser_id)) = self.place_of(session) else { continue };
            let browser = self.users.get_mut(&user_id).and_then(|user| user.browser_mut(&browser_id));
            if let Some(known) = browser.and_then(|browser| browser.session_mut(session)) {
                known.since = offset;
            }
            touched.users.push(user_id);
        }
    }

    /// Sessions that a whole round did not name are gone (rule 8).
    fn on_round(&mut self, offset: Offset, node: NodeId, touched: &mut Touched) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        let Some(previous) = known.round.replace(offset) else { return };
        let sessions: Vec<SessionId> = self.sessions_of(node).collect();
        for session in sessions {
            let named = self.browser_of(session).and_then(|(_, browser)| browser.session(session)).map(|s| s.named);
            if named.is_none_or(|named| named < previous) {
                self.remove(session, touched);
            }
        }
    }

    fn forget_node(&mut self, node: NodeId, touched: &mut Touched) {
        let sessions: Vec<SessionId> = self.sessions_of(node).collect();
        for session in sessions {
            self.remove(session, touched);
        }
        self.nodes.remove(&node);
    }

    fn remove(&mut self, session: SessionId, touched: &mut Touched) {
        let Some(node) = self.nodes.get_mut(&session.node) else { return };
        let Some((user_id, browser_id)) = node.sessions.remove(&session.number) else { return };
        touched.removed.push(session);
        let Some(user) = self.users.get_mut(&user_id) else { return };
        if let Some(browser) = user.browser_mut(&browser_id)
            && browser.remove(session, self.clock.now())
        {
            self.window.away.insert((self.clock.now(), user_id.clone(), browser_id));
        }
        touched.users.push(user_id);
    }

    fn touch_users_of(&self, node: NodeId, touched: &mut Touched) {
        let places = self.nodes.get(&node).into_iter().flat_map(|n| n.sessions.values());
        touched.users.extend(places.map(|(user, _)| user.clone()));
    }

    fn place_of(&self, session: SessionId) -> Option<(UserId, BrowserId)> {
        self.nodes.get(&session.node)?.sessions.get(&session.number).cloned()
    }

    // --- status ---

    pub(super) fn on_status(&mut self, status: Status, touched: &mut Touched) {
        if self.status.get(&status.key).is_none_or(|known| known.version < status.version) {
            self.status.insert(status.key.clone(), status);
            touched.status = true;
        }
    }

    // --- time ---

    /// What happened before there was log time, or while it was wrong, happened now.
    fn date_anew(&mut self) {
        let now = self.clock.now();
        self.nodes.values_mut().filter(|node| node.is_lost()).for_each(|node| node.lose(now));
        self.left.values_mut().for_each(|left| *left = now);
        for (_, user_id, browser_id) in std::mem::take(&mut self.window.away) {
            let browser = self.users.get_mut(&user_id).and_then(|user| user.browser_mut(&browser_id));
            if browser.is_some_and(|browser| browser.date_away(now)) {
                self.window.away.insert((now, user_id, browser_id));
            }
        }
    }

    /// Drops what log time has passed: notifications, ids, browsers that are away, and lost nodes.
    fn expire(&mut self, touched: &mut Touched) {
        let now = self.clock.now();
        while let Some((offset, user_id)) = self.window.pop_expired(now) {
            let Some(user) = self.users.get_mut(&user_id) else { continue };
            if let Some(held) = user.take(offset) {
                self.window.bytes -= held.payload.len();
                self.outcomes.expired += u64::from(!user.seen.covers(offset));
            }
            self.forget_if_empty(&user_id);
        }
        self.window.trim_oldest(|user, offset| self.users.get(user).is_some_and(|u| u.holds(offset)));
        let gone = now.minus(self.limits.resume_ms);
        let lost = |node: &Node| node.lost_since.is_some_and(|since| since < gone);
        let nodes: Vec<NodeId> = self.nodes.iter().filter(|(_, n)| lost(n)).map(|(&id, _)| id).collect();
        for node in nodes {
            self.forget_node(node, touched);
        }
        self.left.retain(|_, left| *left >= gone);
        // By then everything that the browser has had is long gone, whatever the nodes' clocks.
        while let Some((since, user_id, browser_id)) = self.window.pop_away(gone.minus(DUPLICATE_GRACE_MS)) {
            if let Some(user) = self.users.get_mut(&user_id) {
                user.forget_browser_away_since(&browser_id, since);
            }
            self.forget_if_empty(&user_id);
        }
    }

    fn forget_if_empty(&mut self, id: &UserId) {
        if self.users.get(id).is_some_and(User::is_empty) {
            self.users.remove(id);
        }
    }
}
