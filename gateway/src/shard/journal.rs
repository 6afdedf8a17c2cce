//! What a shard keeps for `bellwire trace`, and what it shows of it.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};

use bellwire_common::ids::{UnixMillis, UserId};

use super::Shard;
use crate::delivery::BrowserLook;
use crate::relay::duty::Duty;
use crate::trace::story::Scene;
use crate::trace::{Journal, Sent, Wanted};

impl Shard {
    /// A session wrote what is in a span of the log, in positions of `generation`.
    pub(crate) fn sent(&self, generation: u32, sent: Sent) {
        self.journal().sent(generation, sent);
    }

    /// Another log stands where the old one was.
    pub(super) fn on_replaced(&self) {
        let mut state = self.lock();
        state.replica.on_replaced();
        state.duty = state.duty.as_ref().map(|_| Duty::new(self.node));
        self.journal().on_replaced(state.replica.reached().generation, UnixMillis::now());
    }

    /// Everything that is known of what is wanted.
    pub(crate) fn look(&self, wanted: &Wanted) -> Scene<'_> {
        let found = self.journal().find(wanted);
        let users: HashSet<&UserId> =
            found.notifications.iter().map(|accepted| &accepted.user).chain(wanted.user.as_ref()).collect();
        // The fold before the journal: what has happened in between is in the journal, and none of it is missed.
        let (browsers, applied, time, sending) = {
            let state = self.lock();
            let machine = state.replica.machine();
            let browsers: HashMap<UserId, Vec<BrowserLook>> =
                users.iter().map(|&user| (user.clone(), machine.browsers(user).collect())).collect();
            (browsers, machine.applied(), machine.time(), state.replica.may_send())
        };
        let (events, since) = {
            let journal = self.journal();
            (journal.of(&found), journal.since())
        };
        let (node, shard, log) = (self.node, self.id.0, self.name.as_str());
        Scene { node, shard, log, applied, time, sending, since, found, browsers, events }
    }

    /// Its lock is taken after the state's, or without it.
    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
