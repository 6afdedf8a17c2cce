//! The fold as somebody wants to see it who asks what is wrong with a user's browsers, or what one of them has had.

use bellwire_common::ids::{BrowserId, NotificationId, SessionId, UnixMillis, UserId};

use super::browser::Browser;
use super::{Machine, Position};

/// A browser of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserLook {
    /// Which.
    pub id: BrowserId,
    /// The furthest that any of its sessions confirmed, or where it started.
    pub cursor: Position,
    /// Log time when its last session ended; none while one is there.
    pub away_since: Option<UnixMillis>,
    /// Its sessions, the owner first.
    pub sessions: Vec<SessionLook>,
}

/// A session of a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLook {
    /// Which.
    pub id: SessionId,
    /// It is the one that shows the next notification.
    pub owner: bool,
    /// It was reported not to answer.
    pub stalled: bool,
    /// Its node is lost.
    pub node_lost: bool,
}

impl<X> Machine<X> {
    /// The browsers of a user, by their ids.
    pub fn browsers<'a>(&'a self, user: &UserId) -> impl Iterator<Item = BrowserLook> + 'a {
        self.users.get(user).into_iter().flat_map(|user| user.browsers.iter()).map(|browser| self.look_at(browser))
    }

    /// Whether a session at `position`, or its browser before it, has had the notification with this id.
    #[must_use]
    pub fn has_had(&self, session: SessionId, position: Position, id: &NotificationId) -> bool {
        let place = self.nodes.get(&session.node).and_then(|node| node.sessions.get(&session.number));
        let Some((user, browser)) = place else { return false };
        let Some(offset) = self.window.offset_of(user, id) else { return false };
        let browser = self.users.get(user).and_then(|user| user.browser(browser));
        position.max(browser.map_or(position, |browser| browser.cursor)).covers(offset)
    }

    fn look_at(&self, browser: &Browser) -> BrowserLook {
        let owner = browser.owner(&self.nodes);
        let mut sessions: Vec<SessionLook> = browser
            .sessions()
            .map(|id| SessionLook {
                id,
                owner: owner == Some(id),
                stalled: browser.session(id).is_some_and(|session| session.stalled),
                node_lost: !self.knows(id.node) || self.is_lost(id.node),
            })
            .collect();
        sessions.sort_by_key(|session| (!session.owner, session.id));
        BrowserLook { id: browser.id.clone(), cursor: browser.cursor, away_since: browser.away_since(), sessions }
    }
}
