//! What the fold counts: how notifications ended, and what became of sessions.

use bellwire_common::ids::{NodeId, SessionId};

use super::Touched;

/// How many notifications ended how, since the machine began. Each ends in exactly one of these (rule 9),
/// duplicates aside, which never began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Confirmed by a browser of their user, and shown there by themselves.
    pub delivered: u64,
    /// Confirmed by a browser of their user that shows them in a digest (rule 14).
    pub digested: u64,
    /// Expired before any browser of their user confirmed them.
    pub expired: u64,
    /// Gave way to newer ones of the same user, unconfirmed.
    pub user_bound: u64,
    /// Gave way to newer ones of the shard, unconfirmed.
    pub shard_bound: u64,
    /// Same user and id as one before.
    pub duplicate: u64,
}

/// What became of a node's own sessions while it folded some records. No part of the state: nothing is decided by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Announced for a browser that nobody knew.
    pub new: u64,
    /// Announced for a browser that was away: it goes on at its cursor.
    pub returned: u64,
    /// Announced for a browser that has another session.
    pub open: u64,
    /// Took over from a session that was closed.
    pub after_closed: u64,
    /// Took over from a session that does not answer.
    pub after_stalled: u64,
    /// Took over from a session whose node is lost.
    pub after_lost: u64,
    /// Times that the others took this node for lost.
    pub lost: u64,
}

/// What is known of a browser when a session is announced for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    New,
    Away,
    Open,
}

/// What became of the session that was taken over from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Former {
    Closed,
    Stalled,
    Lost,
}

// === impl Outcomes ===

impl Outcomes {
    /// What came since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            delivered: self.delivered - before.delivered,
            digested: self.digested - before.digested,
            expired: self.expired - before.expired,
            user_bound: self.user_bound - before.user_bound,
            shard_bound: self.shard_bound - before.shard_bound,
            duplicate: self.duplicate - before.duplicate,
        }
    }

    /// How many have ended, in whatever way.
    #[must_use]
    pub fn ended(self) -> u64 {
        self.delivered + self.digested + self.expired + self.user_bound + self.shard_bound
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            delivered: self.delivered + more.delivered,
            digested: self.digested + more.digested,
            expired: self.expired + more.expired,
            user_bound: self.user_bound + more.user_bound,
            shard_bound: self.shard_bound + more.shard_bound,
            duplicate: self.duplicate + more.duplicate,
        }
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn announced(&mut self, before: Before) {
        *match before {
            Before::New => &mut self.new,
            Before::Away => &mut self.returned,
            Before::Open => &mut self.open,
        } += 1;
    }
}

impl Touched {
    /// The owner of a browser was `from`, and is `to`: counted where that is a session of `node`.
    pub(super) fn took_over(&mut self, node: NodeId, from: SessionId, to: Option<SessionId>, former: Former) {
        if to.is_some_and(|to| to != from && to.node == node) {
            *match former {
                Former::Closed => &mut self.tally.after_closed,
                Former::Stalled => &mut self.tally.after_stalled,
                Former::Lost => &mut self.tally.after_lost,
            } += 1;
        }
    }
}
