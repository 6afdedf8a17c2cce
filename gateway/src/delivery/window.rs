//! What a shard remembers, in the order in which it may forget it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bellwire_common::ids::{BrowserId, NotificationId, Offset, UnixMillis, UserId};

use super::DUPLICATE_GRACE_MS;
use super::bug::Bug;
use crate::planted;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Window {
    /// Ids that were seen, and where first (rule 6).
    ids: HashMap<(UserId, NotificationId), Offset>,
    /// By expiry: what is held, or was.
    expiring: BTreeMap<(UnixMillis, Offset), (UserId, NotificationId)>,
    /// Ids whose notification has expired, by the time when they are forgotten.
    fading: BTreeMap<(UnixMillis, Offset), (UserId, NotificationId)>,
    /// By offset: what is held; entries whose notification is gone are skipped.
    pub(super) oldest: VecDeque<(Offset, UserId)>,
    /// Browsers without a session, by the time when the last one ended; those that came back are skipped.
    pub(super) away: BTreeSet<(UnixMillis, UserId, BrowserId)>,
    /// Of all payloads held.
    pub(super) bytes: usize,
}

impl Window {
    /// Whether the id is new for the user.
    pub(super) fn remember(&mut self, user: &UserId, id: &NotificationId, expires: UnixMillis, offset: Offset) -> bool {
        let key = (user.clone(), id.clone());
        match self.ids.entry(key.clone()) {
            Entry::Occupied(_) if !planted(Bug::ForgetIds) => return false,
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => {
                free.insert(offset);
            }
        }
        self.expiring.insert((expires, offset), key);
        true
    }

    /// Where the notification with this id stands; none when it is not known, or not any more.
    pub(super) fn offset_of(&self, user: &UserId, id: &NotificationId) -> Option<Offset> {
        self.ids.get(&(user.clone(), id.clone())).copied()
    }

    /// The next notification whose time has come; its id fades from then on.
    pub(super) fn pop_expired(&mut self, now: UnixMillis) -> Option<(Offset, UserId)> {
        self.forget_faded(now);
        let entry = self.expiring.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((expires, offset), (user, id)) = entry.remove_entry();
        self.fading.insert((expires.plus(DUPLICATE_GRACE_MS), offset), (user.clone(), id));
        Some((offset, user))
    }

    fn forget_faded(&mut self, now: UnixMillis) {
        while let Some(entry) = self.fading.first_entry().filter(|entry| entry.key().0 <= now) {
            self.ids.remove(&entry.remove());
        }
    }

    /// The next browser that is away since before `before`.
    pub(super) fn pop_away(&mut self, before: UnixMillis) -> Option<(UnixMillis, UserId, BrowserId)> {
        if self.away.first()?.0 >= before {
            return None;
        }
        self.away.pop_first()
    }

    /// Drops from the front what is no longer held.
    pub(super) fn trim_oldest(&mut self, holds: impl Fn(&UserId, Offset) -> bool) {
        while let Some((offset, user)) = self.oldest.front() {
            if holds(user, *offset) {
                break;
            }
            self.oldest.pop_front();
        }
    }
}
