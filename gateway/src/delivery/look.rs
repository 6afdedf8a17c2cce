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

    /// Whether a session of this browser that is at `position`, or the browser before it, has had the notification with this
    /// id. The fold need not know the session yet. One that is behind what is not held any more may have passed over it, so
    /// that only the browser's proof counts then.
    #[must_use]
    pub fn has_had(&self, user: &UserId, browser: &BrowserId, position: Position, id: &NotificationId) -> bool {
        let Some(offset) = self.window.offset_of(user, id) else { return false };
        let Some(user) = self.users.get(user) else { return false };
        let is_proved = user.browser(browser).is_some_and(|browser| browser.cursor.covers(offset));
        is_proved || (position.covers(offset) && user.holds(offset))
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
