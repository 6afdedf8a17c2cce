//! One gateway, as the log shows it (rule 7).

use std::collections::{HashMap, VecDeque};

use bellwire_common::ids::{BrowserId, Offset, UnixMillis, UserId};

use super::LOST_AFTER_BEATS;

#[derive(Debug, PartialEq)]
pub(super) struct Node {
    /// Its clock at its last report.
    pub(super) at: UnixMillis,
    /// Number of its last report.
    pub(super) reported: u64,
    /// Where it appeared, or made its last heartbeat.
    pub(super) last_sign: Offset,
    /// Where its last heartbeats stand, [`LOST_AFTER_BEATS`] at the most, and the number of the last.
    beats: VecDeque<Offset>,
    beaten: u64,
    /// Log time when it was lost; none while it is not.
    pub(super) lost_since: Option<UnixMillis>,
    /// Where its last round ended.
    pub(super) round: Option<Offset>,
    /// Its sessions by number: whose they are.
    pub(super) sessions: HashMap<u64, (UserId, BrowserId)>,
}

impl Node {
    pub(super) fn new(appeared: Offset) -> Self {
        Self {
            at: UnixMillis(0),
            reported: 0,
            last_sign: appeared,
            beats: VecDeque::new(),
            beaten: 0,
            lost_since: None,
            round: None,
            sessions: HashMap::new(),
        }
    }

    pub(super) fn on_report(&mut self, number: u64, at: UnixMillis) {
        self.reported = self.reported.max(number);
        self.at = self.at.max(at);
    }

    /// Whether it counts: a heartbeat that was delayed behind a later one is no sign of life.
    pub(super) fn on_beat(&mut self, offset: Offset, number: u64) -> bool {
        if number <= self.beaten {
            return false;
        }
        self.beaten = number;
        self.last_sign = offset;
        self.beats.push_back(offset);
        if self.beats.len() > LOST_AFTER_BEATS {
            self.beats.pop_front();
        }
        true
    }

    /// Whoever has shown no sign since then is lost.
    pub(super) fn third_last_beat(&self) -> Option<Offset> {
        (self.beats.len() == LOST_AFTER_BEATS).then(|| self.beats.front().copied()).flatten()
    }

    pub(super) fn lose(&mut self, now: UnixMillis) {
        self.lost_since = Some(now);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost_since.is_some()
    }

    pub(super) fn is_living(&self) -> bool {
        self.beaten > 0 && !self.is_lost()
    }
}
