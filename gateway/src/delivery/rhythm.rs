//! When a node tells, beats, names all its sessions, and doubts itself (rules 7, 8 and 12). Times are milliseconds of
//! the node's steady clock.

use super::LOST_AFTER_BEATS;
use super::bug::Bug;
use crate::planted;

/// Openings and closings wait this long for company, so that a reconnect storm is some hundred reports.
const GATHER_MS: u64 = 20;
/// Progress is told at most this often: every gateway reads every report.
const CONFIRM_EVERY_MS: u64 = 1_000;
/// A heartbeat at most this often (rule 7).
const BEAT_EVERY_MS: u64 = 1_000;
/// Every open session is named once in this time (rule 8).
const ROUND_EVERY_MS: u64 = 120_000;
/// A reader that has not brought a report of this node for this long attaches anew (rule 7).
const UNSEEN_MAX_MS: u64 = 5_000;
/// The node's own loop is late by this much: it was frozen, and others may have taken over (rule 12). Half a second, so that
/// who wakes just before it is lost still has time to be heard; a barrier for nothing costs some 25 ms.
const CLOCK_GAP_MS: u64 = 500;

/// A new reader begins this much before the TTL, so that it meets every session that is open.
pub const READ_BACK_EXTRA_MS: u64 = 5 * 60 * 1_000;

const _: () = {
    assert!(GATHER_MS < BEAT_EVERY_MS && CONFIRM_EVERY_MS <= BEAT_EVERY_MS);
    // Whoever attaches anew for want of its own heartbeats has been demoted by then: the barrier that follows costs nothing.
    assert!(UNSEEN_MAX_MS > (LOST_AFTER_BEATS as u64 + 1) * BEAT_EVERY_MS);
    // A freeze must be found before the others can have taken over: two heartbeats after this node's last at the earliest.
    assert!(BEAT_EVERY_MS + CLOCK_GAP_MS < (LOST_AFTER_BEATS as u64 - 1) * BEAT_EVERY_MS);
    // A late reader meets two ends of a round of each node, and so drops the zombies that others forgot.
    assert!(2 * ROUND_EVERY_MS < READ_BACK_EXTRA_MS);
};

/// The times of a node, in milliseconds. A gateway uses the default; the simulation names its sessions more often.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Openings and closings wait this long for company.
    pub gather: u64,
    /// Progress is told at most this often.
    pub confirm_every: u64,
    /// A heartbeat at most this often.
    pub beat_every: u64,
    /// Every open session is named once in this time.
    pub round_every: u64,
    /// Without a report of its own for this long a reader attaches anew.
    pub unseen_max: u64,
    /// By how much the loop may be late before that is taken for a freeze.
    pub clock_gap: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            gather: GATHER_MS,
            confirm_every: CONFIRM_EVERY_MS,
            beat_every: BEAT_EVERY_MS,
            round_every: ROUND_EVERY_MS,
            unseen_max: UNSEEN_MAX_MS,
            clock_gap: CLOCK_GAP_MS,
        }
    }
}

/// Why a node must doubt what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Its loop is late: the process stood still.
    StoodStill,
    /// It has not read a report of its own for too long: its reader is to attach anew.
    Unseen,
}

/// What is to be told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) confirms: bool,
    pub(super) beat: bool,
    pub(super) round: bool,
}

/// One node's clockwork for one shard.
#[derive(Debug)]
pub(super) struct Rhythm {
    timing: Timing,
    /// The log has been read to its end once.
    live: bool,
    /// An append is under way: reports are never queued behind each other.
    appending: bool,
    /// The last append failed.
    failing: bool,
    gather_until: Option<u64>,
    confirm_at: u64,
    beat_at: u64,
    round_at: u64,
    seen_own: u64,
    ticked: u64,
}

impl Rhythm {
    /// `first_round` spreads the rounds of nodes that start together.
    pub(super) fn new(timing: Timing, now: u64, first_round: u64) -> Self {
        Self {
            timing,
            live: false,
            appending: false,
            failing: false,
            gather_until: None,
            confirm_at: now,
            beat_at: now,
            round_at: now + first_round.min(timing.round_every),
            seen_own: now,
            ticked: now,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Whether this was the first time.
    pub(super) fn on_caught_up(&mut self, now: u64) -> bool {
        self.seen_own = now;
        let first = !std::mem::replace(&mut self.live, true);
        if first {
            // Nothing was due on the way here, so nothing is late.
            self.beat_at = self.beat_at.max(now);
            self.ticked = now;
        }
        first
    }

    pub(super) fn on_replaced(&mut self) {
        self.live = false;
    }

    /// Something changed that others should learn soon.
    pub(super) fn on_changed(&mut self, now: u64) {
        self.gather_until.get_or_insert(now + self.timing.gather);
    }

    pub(super) fn on_read_back(&mut self, now: u64) {
        self.seen_own = now;
        self.on_changed(now);
    }

    pub(super) fn on_appended(&mut self, now: u64, written: bool) {
        self.appending = false;
        self.failing = !written;
        if !written {
            self.seen_own = now;
        }
    }

    /// Looks at the clock; to be called at [`Rhythm::deadline`] at the latest.
    pub(super) fn tick(&mut self, now: u64) -> Option<Doubt> {
        let stood_still = self.stood_still(now);
        self.ticked = now;
        let unseen = self.live && !self.failing && now > self.seen_own + self.timing.unseen_max;
        if stood_still || unseen {
            self.seen_own = now;
            self.on_changed(now);
        }
        match (stood_still, unseen) {
            (true, _) => Some(Doubt::StoodStill),
            (false, true) => Some(Doubt::Unseen),
            (false, false) => None,
        }
    }

    /// The clock was not looked at when it should have been.
    pub(super) fn stood_still(&self, now: u64) -> bool {
        self.live && !planted(Bug::NoBarrier) && now > self.deadline() + self.timing.clock_gap
    }

    /// What is to be told now, if anything; all sessions only if that is allowed now.
    pub(super) fn turn(&mut self, now: u64, may_name: bool) -> Option<Turn> {
        if self.appending || !self.live {
            return None;
        }
        let gathered = self.gather_until.is_some_and(|at| at <= now);
        let round = may_name && self.round_at <= now && !planted(Bug::NoRounds);
        let turn = Turn { confirms: self.confirm_at <= now, beat: self.beat_at <= now, round };
        if !(gathered || turn.beat || turn.round) {
            return None;
        }
        self.gather_until = None;
        let next = |at: &mut u64, due: bool, every: u64| *at = if due { now + every } else { *at };
        next(&mut self.confirm_at, turn.confirms, self.timing.confirm_every);
        next(&mut self.beat_at, turn.beat, self.timing.beat_every);
        next(&mut self.round_at, turn.round, self.timing.round_every);
        Some(turn)
    }

    pub(super) fn on_append_started(&mut self) {
        self.appending = true;
    }

    /// When to look again although nothing happens. An append under way is waited for, but the clock is looked at.
    pub(super) fn deadline(&self) -> u64 {
        let look = self.ticked + self.timing.beat_every;
        if self.appending || !self.live {
            return look;
        }
        // A round that waits for the barrier comes with what is read back, or the next heartbeat.
        let round = if self.round_at > self.ticked { self.round_at } else { self.beat_at };
        let rhythm = self.beat_at.min(round);
        self.gather_until.map_or(rhythm, |at| at.min(rhythm)).min(look)
    }
}
