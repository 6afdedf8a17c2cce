//! A gateway's process around its replica: what `shard/driver.rs` does.

use std::collections::BTreeMap;

use bellwire_common::ids::{NodeId, UnixMillis};
use bellwire_common::record::{Record, Report};

use super::{Event, Node, ReaderPlace, State, World};
use crate::delivery::{Doubt, Outcomes, Position, Replica, Timing, Touched, Wake};
use crate::history::{Ms, NodeLife};
use crate::liveness::Liveness;
use crate::plan::Kind;

/// A reader begins this much more than two rounds before the TTL, as a gateway's does.
const READ_BACK_EXTRA_MS: Ms = 3_000;
/// An append that gets no answer has failed.
const APPEND_WITHIN_MS: Ms = 4_000;
/// Sessions are told to go within this time.
const DRAIN_MS: Ms = 3_000;

impl World {
    pub(super) fn start_node(&mut self, late: bool) {
        let timing = Timing { round_every: self.plan.round_every, ..Timing::default() };
        let read_back = self.plan.ttl + 2 * self.plan.round_every + READ_BACK_EXTRA_MS;
        let id = NodeId(self.rng.u64(1..));
        let first_round = self.rng.u64(1_000..self.plan.round_every);
        let replica = Replica::new(id, self.limits(), timing, self.now, first_round);
        let next = self.log.since(self.now.saturating_sub(read_back));
        let until = self.log.records.len();
        let reader = ReaderPlace { next, until, epoch: self.log.epoch, caught_up: false, scheduled: false };
        self.nodes.push(Node {
            id,
            replica,
            state: State::Starting,
            frozen_until: 0,
            deaf_until: 0,
            stays_deaf: false,
            dumb_until: 0,
            stuck_until: 0,
            lag_until: 0,
            reattaches: false,
            skew: self.rng.i64(-1_500..1_500),
            reader,
            late,
            tick_at: 0,
            sessions: BTreeMap::new(),
            numbers: 0,
        });
        self.history.nodes.push(NodeLife { started: self.now, crashed: None, left: None, broken: Vec::new() });
        let node = self.nodes.len() - 1;
        self.schedule_read(node);
        self.schedule_tick(node);
    }

    // --- reading ---

    pub(super) fn schedule_read(&mut self, index: usize) {
        let lagging = self.nodes[index].lag_until > self.now;
        let lag = if lagging { self.rng.u64(200..2_500) } else { self.rng.u64(1..12) };
        let node = &mut self.nodes[index];
        if node.reader.scheduled || node.state == State::Dead {
            return;
        }
        node.reader.scheduled = true;
        let at = (self.now + lag).max(node.deaf_until);
        self.at(at, Event::Read { node: index });
    }

    pub(super) fn on_read(&mut self, index: usize) {
        self.nodes[index].reader.scheduled = false;
        if self.nodes[index].state == State::Dead {
            return;
        }
        if self.nodes[index].deaf_until > self.now {
            return self.schedule_read(index);
        }
        if self.nodes[index].reader.epoch != self.log.epoch {
            self.on_replaced(index);
        } else if std::mem::take(&mut self.nodes[index].reattaches) {
            self.nodes[index].replica.on_reattached(self.now);
            self.nodes[index].reader.until = self.log.records.len();
            self.nodes[index].reader.caught_up = false;
        }
        let batch = self.rng.usize(1..=60);
        let mut touched = Touched::default();
        let (from, end) = (self.nodes[index].reader.next, self.log.records.len());
        let to = (from + batch).min(end);
        for place in from..to {
            let (_, offset, record) = self.log.records[place].clone();
            self.nodes[index].replica.apply(self.now, offset, record, || (), &mut touched);
        }
        self.nodes[index].reader.next = to;
        let outcomes = self.nodes[index].replica.take_outcomes();
        let Outcomes { delivered, digested, expired, user_bound, shard_bound, duplicate } = outcomes;
        let ended = [delivered, digested, expired, user_bound, shard_bound, duplicate];
        for (sum, more) in self.history.counted.iter_mut().zip(ended) {
            *sum += more;
        }
        let wake = self.nodes[index].replica.wake(touched);
        self.wake_sessions(index, &wake);
        self.look_caught_up(index);
        if to < self.log.records.len() {
            self.schedule_read(index);
        }
        self.look_left(index);
        self.look(index);
    }

    fn look_caught_up(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.reader.caught_up || node.reader.next < node.reader.until {
            return;
        }
        node.reader.caught_up = true;
        node.replica.on_caught_up(now);
        if node.state == State::Starting {
            node.state = State::Serving;
        }
    }

    /// Another log: what was read is void.
    fn on_replaced(&mut self, index: usize) {
        let (epoch, until) = (self.log.epoch, self.log.records.len());
        let node = &mut self.nodes[index];
        node.reader = ReaderPlace { next: 0, until, epoch, caught_up: false, scheduled: node.reader.scheduled };
        node.replica.on_replaced();
    }

    /// The reader attaches anew right behind what it read last.
    fn attach(&mut self, index: usize) {
        let until = self.log.records.len();
        let node = &mut self.nodes[index];
        node.reader.until = until;
        node.reader.caught_up = false;
        // What keeps a reader from reading does not always keep a new one.
        if !node.stays_deaf {
            node.deaf_until = node.deaf_until.min(self.now + 200);
        }
        node.lag_until = node.lag_until.min(self.now);
        self.schedule_read(index);
    }

    // --- rhythm and appends ---

    fn schedule_tick(&mut self, index: usize) {
        let at = self.nodes[index].replica.deadline().max(self.now);
        if self.nodes[index].tick_at == at && at > self.now {
            return;
        }
        self.nodes[index].tick_at = at;
        self.at(at, Event::Tick { node: index });
    }

    pub(super) fn on_tick(&mut self, index: usize) {
        // A deadline that has moved has an event of its own; a frozen node meets its old ones late.
        if self.nodes[index].tick_at <= self.now {
            self.look(index);
        }
    }

    /// What the loop does after whatever woke it.
    pub(super) fn look(&mut self, index: usize) {
        let state = self.nodes[index].state;
        if state == State::Dead || state == State::Leaving {
            return;
        }
        let at = self.wall(self.nodes[index].skew);
        if self.nodes[index].replica.tick(self.now) == Some(Doubt::Unseen) {
            self.attach(index);
        }
        let reports = self.nodes[index].replica.due(self.now, at);
        if !reports.is_empty() {
            self.append(index, reports);
        }
        if state == State::Draining && self.nodes[index].sessions.is_empty() {
            self.leave(index, at);
        }
        self.schedule_tick(index);
    }

    fn append(&mut self, index: usize, reports: Vec<Report>) {
        let dumb = self.nodes[index].dumb_until > self.now;
        let stuck_until = self.nodes[index].stuck_until;
        let mut written = !dumb;
        let mut delay = self.rng.u64(1..8);
        for report in reports {
            let epoch = self.log.epoch;
            let record = Record::Report(report);
            if stuck_until > self.now {
                written = false;
                self.at(stuck_until + delay, Event::Land { record, notification: None, epoch });
                delay += 1;
                continue;
            }
            if dumb || self.chance(Kind::ReportFails, 20) {
                written = false;
                continue;
            }
            if self.chance(Kind::ReportUnknown, 20) {
                written = false;
                let late = self.rng.u64(1..6_000);
                self.after(late, Event::Land { record, notification: None, epoch });
                continue;
            }
            if self.chance(Kind::ReportTwice, 20) {
                let again = self.rng.u64(1..4_000);
                self.after(again, Event::Land { record: record.clone(), notification: None, epoch });
            }
            self.after(delay, Event::Land { record, notification: None, epoch });
            delay += 1;
        }
        if !written {
            self.tell(|| format!("node {index}: a report fails"));
            self.history.writes_broken.push((self.now, self.now + APPEND_WITHIN_MS + 3_000));
            delay = self.rng.u64(1..APPEND_WITHIN_MS);
        }
        self.after(delay + 1, Event::Resolved { node: index, written });
    }

    pub(super) fn on_resolved(&mut self, index: usize, written: bool) {
        if self.nodes[index].state != State::Dead {
            self.nodes[index].replica.on_appended(self.now, written);
            self.look(index);
        }
    }

    // --- the end ---

    pub(super) fn crash(&mut self, index: usize, tabs_see_it: bool) {
        let node = &mut self.nodes[index];
        if node.state == State::Dead {
            return;
        }
        node.state = State::Dead;
        self.history.nodes[index].crashed = Some(self.now);
        let connections: Vec<usize> = node.sessions.values().map(|session| session.connection).collect();
        node.sessions.clear();
        for connection in connections {
            self.history.connections[connection].ended.get_or_insert(self.now);
            if tabs_see_it {
                let soon = self.rng.u64(1..50);
                self.after(soon, Event::Snap { connection });
            } else {
                let late = self.rng.u64(5_000..40_000);
                self.after(late, Event::Snap { connection });
            }
        }
    }

    pub(super) fn drain(&mut self, index: usize) {
        self.nodes[index].state = State::Draining;
        self.after(1, Event::DrainNext { node: index });
    }

    pub(super) fn drain_next(&mut self, index: usize) {
        if self.nodes[index].state != State::Draining {
            return;
        }
        let waiting: Vec<u64> =
            self.nodes[index].sessions.iter().filter(|(_, s)| s.leaving.is_none()).map(|(&number, _)| number).collect();
        let Some(&number) = waiting.first() else { return self.look(index) };
        self.tell_to_go(index, number);
        let pause = DRAIN_MS / (waiting.len() as u64 + 1);
        self.after(pause, Event::DrainNext { node: index });
    }

    fn leave(&mut self, index: usize, at: UnixMillis) {
        let reports = self.nodes[index].replica.leave(at);
        self.nodes[index].state = State::Leaving;
        for (place, report) in reports.into_iter().enumerate() {
            let (record, epoch) = (Record::Report(report), self.log.epoch);
            self.after(2 + place as u64, Event::Land { record, notification: None, epoch });
        }
    }

    fn look_left(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.state == State::Leaving && node.replica.has_left() {
            node.state = State::Dead;
            self.history.nodes[index].left = Some(self.now);
        }
    }

    // --- sessions ---

    fn wake_sessions(&mut self, index: usize, wake: &Wake) {
        let all: Vec<u64> = if wake.all { self.nodes[index].sessions.keys().copied().collect() } else { Vec::new() };
        for number in &wake.prove {
            let now = self.now;
            if let Some(session) = self.nodes[index].sessions.get_mut(number) {
                Liveness::ask(&mut session.liveness, now);
            }
        }
        for number in all.into_iter().chain(wake.next.iter().copied()).chain(wake.prove.iter().copied()) {
            self.serve(index, number);
        }
    }

    pub(super) fn applied(&self, index: usize) -> Position {
        self.nodes[index].replica.machine().applied()
    }
}
