//! Producers, ingests, and records on their way into the log.

use bellwire_common::ids::{NotificationId, UserId};
use bellwire_common::record::{Notify, Record};
use bytes::Bytes;

use super::{EPOCH_MS, Event, World};
use crate::history::{Landed, Ms, Sent};
use crate::plan::Kind;

/// A client that got no answer tries again after this.
const RETRY_MS: Ms = 400;
/// So long it tries.
const RETRY_FOR_MS: Ms = 8_000;

impl World {
    pub(super) fn notify(&mut self, user: usize) {
        let skewed = self.wall(self.producer_skew).0.min(EPOCH_MS + self.now);
        let expires_at = skewed + self.plan.ttl - EPOCH_MS;
        let number = self.history.sent.len();
        let sent = Sent { user, taken: self.now, accepted: None, first: None, records: 0, expires_at };
        self.history.sent.push(sent);
        self.append_notification(number);
    }

    pub(super) fn append_notification(&mut self, number: usize) {
        let sent = &self.history.sent[number];
        if sent.accepted.is_some() || self.now > sent.taken + RETRY_FOR_MS {
            return;
        }
        let record = Record::Notify(Notify {
            id: NotificationId::of_bits(number as u128),
            user: user_id(sent.user),
            accepted_at: self.wall(0),
            expires_at: bellwire_common::ids::UnixMillis(EPOCH_MS + sent.expires_at),
            payload: Bytes::from_static(b"0123456789"),
        });
        let fails = self.outage_until > self.now || self.chance(Kind::NotifyFails, 40);
        let unknown = !fails && self.chance(Kind::NotifyUnknown, 60);
        let delay = self.rng.u64(1..6);
        let epoch = self.log.epoch;
        if !fails {
            let land = if unknown { self.rng.u64(1..3_000) } else { delay };
            self.after(land, Event::Land { record, notification: Some(number), epoch });
        }
        if fails || unknown {
            self.after(RETRY_MS, Event::Retry { number });
        } else {
            self.after(delay + 1, Event::Accepted { number });
        }
    }

    /// The same notification comes again from an engine.
    pub(super) fn repeat_notification(&mut self, number: usize) {
        let sent = &mut self.history.sent[number];
        if sent.accepted.take().is_some() {
            let taken = std::mem::replace(&mut sent.taken, self.now);
            self.append_notification(number);
            self.history.sent[number].taken = taken;
            self.history.sent[number].accepted = Some(taken);
        }
    }

    pub(super) fn on_land(&mut self, record: Record, notification: Option<usize>, epoch: u32) {
        if epoch != self.log.epoch {
            return;
        }
        let skip = self.rng.u8(..) < 8;
        let told = self.trace.then(|| format!("{record:?}"));
        let offset = self.log.land(self.now, record, skip);
        self.tell(|| format!("log {offset}: {}", told.unwrap_or_default()));
        if let Some(number) = notification {
            let sent = &mut self.history.sent[number];
            sent.records += 1;
            sent.first.get_or_insert(Landed { at: self.now, epoch, offset: offset.0 });
        }
        for node in 0..self.nodes.len() {
            self.schedule_read(node);
        }
    }

    /// Whether a kind of fault strikes now: `of_256` in 256, while there is trouble.
    pub(super) fn chance(&mut self, kind: Kind, of_256: u8) -> bool {
        if self.calm || !self.plan.kinds.contains(&kind) || self.rng.u8(..) >= of_256 {
            return false;
        }
        self.history.faults.push(kind);
        true
    }
}

pub(super) fn user_id(user: usize) -> UserId {
    UserId::try_new(&(user + 1).to_string()).expect("a number")
}
