//! How notifications, reports, status values and the passing of log time change the fold.

use std::sync::Arc;

use bellwire_common::ids::{BrowserId, NodeId, Offset, SessionId, UnixMillis, UserId};
use bellwire_common::record::{Entry as Line, Notify, Opened, Report, Status};

use super::browser::Browser;
use super::bug::Bug;
use super::clock::Passed;
use super::counts::{Before, Former};
use super::node::Node;
use super::user::User;
use super::{Accepted, DUPLICATE_GRACE_MS, Happened, Held, Machine, Moved, Position, Reason, Touched};
use crate::planted;

impl<X> Machine<X> {
    // --- notifications ---

    pub(super) fn on_notify(
        &mut self,
        offset: Offset,
        notify: Notify,
        extra: impl FnOnce() -> X,
        touched: &mut Touched,
    ) {
        let is_new = self.window.remember(&notify.user, &notify.id, notify.expires_at, offset);
        let Notify { id, user, accepted_at, expires_at, payload } = notify;
        let came_at = self.clock.now();
        let storm = self.users.get(&user).is_some_and(|user| user.is_storm(came_at));
        let accepted = Accepted { user: user.clone(), id: id.clone(), offset, accepted_at, expires_at, storm };
        if !is_new {
            self.outcomes.duplicate += 1;
            touched.happened.push(Happened::Repeated(accepted));
            return;
        }
        touched.happened.push(Happened::Accepted(accepted));
        self.begun += 1;
        if expires_at <= came_at {
            self.outcomes.expired += 1;
            self.tell_dropped(user, offset, Reason::Expired, true, touched);
            return;
        }
        self.window.bytes += payload.len();
        self.window.oldest.push_back((offset, user.clone()));
        let held = Arc::new(Held { offset, id, expires_at, came_at, storm, payload, extra: extra() });
        self.users.entry(user.clone()).or_default().hold(held);
        self.keep_bounds(&user, touched);
        touched.users.push(user);
    }

    /// What must give way is the oldest.
    fn keep_bounds(&mut self, user: &UserId, touched: &mut Touched) {
        if planted(Bug::NoBounds) {
            return;
        }
        while self.users.get(user).is_some_and(|u| u.over(self.limits.user_entries, self.limits.user_bytes)) {
            let lost = self.drop_oldest_of(user, Reason::UserBound, touched);
            self.outcomes.user_bound += u64::from(lost);
        }
        while self.window.bytes > self.limits.shard_bytes {
            let Some((offset, user)) = self.window.oldest.pop_front() else { break };
            if self.users.get(&user).and_then(User::oldest) == Some(offset) {
                let lost = self.drop_oldest_of(&user, Reason::ShardBound, touched);
                self.outcomes.shard_bound += u64::from(lost);
            }
        }
    }

    /// Whether what was dropped had been confirmed by nobody.
    fn drop_oldest_of(&mut self, id: &UserId, reason: Reason, touched: &mut Touched) -> bool {
        let Some(user) = self.users.get_mut(id) else { return false };
        let Some(held) = user.give_way() else { return false };
        self.window.bytes -= held.payload.len();
        let unseen = !user.seen.covers(held.offset);
        self.tell_dropped(id.clone(), held.offset, reason, unseen, touched);
        unseen
    }

    fn tell_dropped(&self, user: UserId, offset: Offset, reason: Reason, unseen: bool, touched: &mut Touched) {
        touched.happened.push(Happened::Dropped { user, offset, reason, unseen, at: self.clock.now() });
    }

    // --- reports ---

    pub(super) fn on_report(&mut self, offset: Offset, report: Report, touched: &mut Touched) {
        let (node, at) = (report.node, report.at);
        if self.left.contains_key(&node) {
            return;
        }
        self.nodes.entry(node).or_insert_with(|| Node::new(offset)).on_report(report.number, report.at);
        for line in report.entries {
            match line {
                Line::Opened(opened) => self.on_opened(offset, (node, at), opened, touched),
                Line::Closed { session } => self.remove(SessionId { node, number: session }, touched),
                Line::Confirmed { session, upto } => {
                    self.on_confirmed(offset, (SessionId { node, number: session }, at), upto, touched);
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

    fn on_opened(&mut self, offset: Offset, (node, at): (NodeId, UnixMillis), opened: Opened, touched: &mut Touched) {
        let session = SessionId { node, number: opened.session };
        if !self.nodes.contains_key(&node) {
            return;
        }
        let user = self.users.entry(opened.user.clone()).or_default();
        let before = user.browser(&opened.browser).map_or(Before::New, Browser::before);
        let browser = user.browser_for(&opened, offset, self.limits.browsers);
        let from = browser.cursor;
        let is_new = browser.on_opened(offset, session, &opened);
        let place = (opened.user.clone(), browser.id.clone());
        let cursor = browser.cursor;
        let owner = if is_new { browser.owner(&self.nodes) } else { None };
        user.saw(cursor.min(Position::after_optional(opened.cursor)), opened.digests, &mut self.outcomes);
        if is_new {
            touched.prove.extend(owner);
            if node == self.node {
                touched.tally.announced(before);
            }
        }
        if from < cursor {
            let (user, browser) = place.clone();
            let digests = opened.digests;
            touched.moved(Moved { user, browser, session, from, upto: cursor, before: true, digests, at });
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

    fn on_confirmed(
        &mut self,
        offset: Offset,
        (session, at): (SessionId, UnixMillis),
        upto: Offset,
        touched: &mut Touched,
    ) {
        if upto >= offset {
            return;
        }
        let Some((user_id, browser_id)) = self.place_of(session) else { return };
        let Some(user) = self.users.get_mut(&user_id) else { return };
        let Some(browser) = user.browser_mut(&browser_id) else { return };
        let from = browser.cursor;
        browser.on_confirmed(offset, session, Position::after(upto));
        let digests = browser.session(session).is_some_and(|session| session.digests);
        let upto = Position::after(upto);
        user.saw(upto, digests, &mut self.outcomes);
        let (user, browser) = (user_id.clone(), browser_id);
        touched.moved(Moved { user, browser, session, from, upto, before: false, digests, at });
        touched.users.push(user_id);
    }

    fn on_stalled(&mut self, session: SessionId, touched: &mut Touched) {
        let Some((user_id, browser_id)) = self.place_of(session) else { return };
        let Some(browser) = self.users.get_mut(&user_id).and_then(|user| user.browser_mut(&browser_id)) else { return };
        let owned = browser.owner(&self.nodes) == Some(session);
        if let Some(known) = browser.session_mut(session) {
            known.stalled = true;
            touched.prove.extend(browser.sessions().filter(|other| *other != session));
            if owned {
                touched.took_over(self.node, session, browser.owner(&self.nodes), Former::Stalled);
            }
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
        let silent = self.nodes.iter().filter(|(id, other)| **id != node && !other.is_lost());
        let lost: Vec<NodeId> = silent.filter(|(_, other)| other.last_sign < third_last).map(|(&id, _)| id).collect();
        if !lost.is_empty() {
            self.lose(&lost, touched);
        }
    }

    fn lose(&mut self, lost: &[NodeId], touched: &mut Touched) {
        let now = self.clock.now();
        let owned: Vec<SessionId> = lost.iter().flat_map(|&node| self.owners_among_others(node)).collect();
        for (_, node) in self.nodes.iter_mut().filter(|(id, _)| lost.contains(id)) {
            node.lose(now);
        }
        for session in owned {
            let owner = self.browser_of(session).and_then(|(_, browser)| browser.owner(&self.nodes));
            touched.took_over(self.node, session, owner, Former::Lost);
        }
        for &node in lost {
            self.touch_users_of(node, touched);
        }
    }

    /// Sessions of a node that own a browser which has others too.
    fn owners_among_others(&self, node: NodeId) -> impl Iterator<Item = SessionId> + '_ {
        self.sessions_of(node).filter(|&session| {
            let browser = self.browser_of(session).map(|(_, browser)| browser);
            browser.is_some_and(|browser| browser.sessions().len() > 1 && browser.owner(&self.nodes) == Some(session))
        })
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
        if let Some(browser) = user.browser_mut(&browser_id) {
            let owned = browser.owner(&self.nodes) == Some(session);
            if browser.remove(session, self.clock.now()) {
                self.window.away.insert((self.clock.now(), user_id.clone(), browser_id));
            } else if owned {
                touched.took_over(self.node, session, browser.owner(&self.nodes), Former::Closed);
            }
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
                let unseen = !user.seen.covers(offset);
                self.outcomes.expired += u64::from(unseen);
                self.tell_dropped(user_id.clone(), offset, Reason::Expired, unseen, touched);
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
