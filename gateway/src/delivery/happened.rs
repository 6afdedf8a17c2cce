//! What the fold tells of notifications and cursors, for whoever keeps a journal of it. No part of the state: nothing is
//! decided by it.

use bellwire_common::ids::{BrowserId, NotificationId, Offset, SessionId, UnixMillis, UserId};

use super::{Position, Touched};

/// One of the things that happened, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// A notification began.
    Accepted(Accepted),
    /// The same user and id as one before: it never began.
    Repeated(Accepted),
    /// A notification ended.
    Dropped {
        /// Whose it was.
        user: UserId,
        /// Which.
        offset: Offset,
        /// Why.
        reason: Reason,
        /// No browser of the user had confirmed it.
        unseen: bool,
        /// Log time.
        at: UnixMillis,
    },
    /// A browser's cursor moved.
    Moved(Moved),
}

/// What the log says of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Who receives.
    pub user: UserId,
    /// Which.
    pub id: NotificationId,
    /// Where it stands.
    pub offset: Offset,
    /// By the clock of who accepted it.
    pub accepted_at: UnixMillis,
    /// When it is dropped.
    pub expires_at: UnixMillis,
    /// One too many to be shown by itself (rule 14).
    pub storm: bool,
}

/// A browser is known to have what it was not known to have before: one span, whatever is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Whose browser.
    pub user: UserId,
    /// Which.
    pub browser: BrowserId,
    /// Whose proof it is.
    pub session: SessionId,
    /// From here...
    pub from: Position,
    /// ...to here.
    pub upto: Position,
    /// It was told with the tab's name, and not as its proof: the browser had it before.
    pub before: bool,
    /// The session shows what a storm brings in digests.
    pub digests: bool,
    /// The clock of the node that reported it.
    pub at: UnixMillis,
}

/// Why a notification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Log time has passed its end.
    Expired,
    /// It gave way to newer ones of the same user.
    UserBound,
    /// It gave way to newer ones of the shard.
    ShardBound,
}

impl Reason {
    /// As the metrics name it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::UserBound => "user_bound",
            Self::ShardBound => "shard_bound",
        }
    }
}

impl Moved {
    /// Whether the span has `offset` in it.
    #[must_use]
    pub fn covers(&self, offset: Offset) -> bool {
        self.upto.covers(offset) && !self.from.covers(offset)
    }
}

impl Touched {
    /// Notes a cursor that may have moved.
    pub(super) fn moved(&mut self, moved: Moved) {
        if moved.from < moved.upto {
            self.happened.push(Happened::Moved(moved));
        }
    }
}
