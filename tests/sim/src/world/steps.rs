//! What a plan's steps do, and the end of all trouble.

use bellwire_common::ids::{BrowserId, SessionId, UserId};

use super::network::SLOW_MS_MAX;
use super::{Event, Node, State, World};
use crate::history::Ms;
use crate::oracle::ids_of;
use crate::plan::{Kind, Step, What};

const HOUR_MS: i64 = 3_600_000;

impl World {
    pub(super) fn on_step(&mut self, step: Step) {
        match step.what {
            What::Notify => self.notify((step.pick % self.plan.users as u64) as usize),
            What::Open(protocol) => {
                let browsers = self.history.browsers.len() as u64;
                self.open_tab((step.pick % browsers) as usize, protocol);
            }
            What::Fault(kind, lasts) => {
                if !self.calm && self.strike(kind, step.pick, lasts) {
                    self.tell(|| format!("fault: {kind} for {lasts} ms"));
                    self.happened(kind);
                }
            }
        }
    }

    /// Whether there was something to strike.
    fn strike(&mut self, kind: Kind, pick: u64, lasts: Ms) -> bool {
        match kind {
            // These strike appends while they may happen at all.
            Kind::ReportFails | Kind::ReportUnknown | Kind::ReportTwice | Kind::NotifyFails | Kind::NotifyUnknown => {
                false
            }
            Kind::Crash | Kind::PowerCut | Kind::Drain => self.strike_out(kind, pick),
            Kind::Freeze | Kind::Forgotten | Kind::Deaf | Kind::Dumb | Kind::Stuck | Kind::Lag => {
                self.strike_node(kind, pick, lasts)
            }
            Kind::Outage => {
                self.outage(lasts);
                true
            }
            Kind::Replaced => {
                self.replace_log();
                true
            }
            Kind::LateStart => {
                self.start_node(true);
                true
            }
            Kind::Skew => {
                self.producer_skew = (pick % 7_000) as i64 - 3_500;
                true
            }
            Kind::WrongClock => {
                let Some(node) = self.pick_node(pick) else { return false };
                self.nodes[node].skew = if pick.is_multiple_of(3) { -HOUR_MS } else { HOUR_MS };
                true
            }
            Kind::Repeat => {
                let accepted: Vec<usize> =
                    (0..self.history.sent.len()).filter(|&n| self.history.sent[n].accepted.is_some()).collect();
                let Some(&number) = accepted.get((pick % accepted.len().max(1) as u64) as usize) else { return false };
                self.repeat_notification(number);
                true
            }
            _ => self.strike_tab(kind, pick, lasts),
        }
    }

    fn pick_node(&self, pick: u64) -> Option<usize> {
        let there: Vec<usize> = (0..self.nodes.len()).filter(|&n| self.nodes[n].state == State::Serving).collect();
        there.get((pick % there.len().max(1) as u64) as usize).copied()
    }

    /// A node goes; another one comes.
    fn strike_out(&mut self, kind: Kind, pick: u64) -> bool {
        let serving = self.nodes.iter().filter(|node| node.state == State::Serving).count();
        let Some(node) = self.pick_node(pick).filter(|_| serving > 1) else { return false };
        match kind {
            Kind::Drain => self.drain(node),
            _ => self.crash(node, kind == Kind::Crash),
        }
        let soon = self.rng.u64(200..6_000);
        self.after(soon, Event::Start { late: true });
        true
    }

    fn strike_node(&mut self, kind: Kind, pick: u64, lasts: Ms) -> bool {
        let Some(index) = self.pick_node(pick) else { return false };
        let until = self.now + lasts;
        let node = &mut self.nodes[index];
        node.stays_deaf = pick.is_multiple_of(2);
        let field = match kind {
            Kind::Deaf => &mut node.deaf_until,
            Kind::Dumb => &mut node.dumb_until,
            Kind::Stuck => &mut node.stuck_until,
            Kind::Lag => &mut node.lag_until,
            _ => &mut node.frozen_until,
        };
        *field = (*field).max(until);
        self.history.nodes[index].broken.push(((self.now, until), kind));
        self.tell(|| format!("node {index}: {kind}"));
        true
    }

    /// Nobody reaches the broker; the nodes come back one after the other.
    fn outage(&mut self, lasts: Ms) {
        let until = self.now + lasts;
        self.outage_until = self.outage_until.max(until);
        for index in 0..self.nodes.len() {
            let back = until + self.rng.u64(0..4_000);
            let node = &mut self.nodes[index];
            node.deaf_until = node.deaf_until.max(back);
            node.dumb_until = node.dumb_until.max(back);
            node.reattaches = true;
            self.history.nodes[index].broken.push(((self.now, back), Kind::Outage));
        }
    }

    fn replace_log(&mut self) {
        self.log.replace();
        self.history.epoch = self.log.epoch;
        self.history.replaced.push(self.now);
        self.kept.fill(None);
        for sent in &mut self.history.sent {
            sent.records = 0;
        }
        for index in 0..self.nodes.len() {
            self.schedule_read(index);
        }
    }

    fn strike_tab(&mut self, kind: Kind, pick: u64, lasts: Ms) -> bool {
        let there: Vec<usize> = (0..self.tabs.len()).filter(|&t| self.tabs[t].connection.is_some()).collect();
        let Some(&index) = there.get((pick % there.len().max(1) as u64) as usize) else { return false };
        let Some(connection) = self.tabs[index].connection else { return false };
        let until = self.now + lasts;
        match kind {
            Kind::HalfOpen | Kind::Blackout => {
                self.history.connections[connection].broken.push((self.now, until));
                let link = &mut self.tabs[index].link[0];
                let light = kind == Kind::Blackout;
                // The node is never told of a half-open link.
                link.dark_until = link.dark_until.max(if light { until } else { Ms::MAX });
                self.at(until, if light { Event::Light { connection } } else { Event::Snap { connection } });
            }
            Kind::Hang | Kind::Slow => {
                // The last late answer comes after the page is quick again.
                let answered = if kind == Kind::Slow { until + SLOW_MS_MAX } else { until };
                self.history.connections[connection].broken.push((self.now, answered));
                let tab = &mut self.tabs[index];
                let field = if kind == Kind::Hang { &mut tab.hung_until } else { &mut tab.slow_until };
                *field = (*field).max(until);
                self.at(until, Event::Page { tab: index });
            }
            Kind::Silent => {
                self.tabs[index].silent = true;
                self.history.connections[connection].broken.push((self.now, Ms::MAX));
            }
            Kind::Break => self.on_snap(connection),
            Kind::Move => {
                let (browser, protocol) = (self.tabs[index].browser, self.tabs[index].protocol);
                self.close_tab(index);
                self.open_tab(browser, protocol);
            }
            _ => self.close_tab(index),
        }
        true
    }

    /// Everything that is broken is whole again, and stays so.
    pub(super) fn on_calm(&mut self) {
        self.calm = true;
        self.outage_until = 0;
        let now = self.now;
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            node.deaf_until = node.deaf_until.min(now);
            node.dumb_until = node.dumb_until.min(now);
            node.stuck_until = node.stuck_until.min(now);
            node.lag_until = node.lag_until.min(now);
            for (span, _) in &mut self.history.nodes[index].broken {
                span.1 = span.1.min(now);
            }
            self.nodes[index].reader.scheduled = false;
            self.schedule_read(index);
        }
        for index in 0..self.tabs.len() {
            self.tabs[index].hung_until = now;
            self.tabs[index].slow_until = now;
            if let Some(connection) = self.tabs[index].connection {
                for span in self.history.connections[connection].broken.iter_mut().filter(|span| span.1 < Ms::MAX) {
                    span.1 = span.1.min(now);
                }
                self.tabs[index].link[0].dark_until = now;
                self.at(now, Event::Light { connection });
            }
            self.at(now, Event::Page { tab: index });
        }
        // One last notification for everybody, when all is well again: nobody may be stuck.
        let last = self.plan.calm_from + super::SETTLE_MS * 3 / 4;
        for user in 0..self.plan.users {
            self.plan.steps.push(Step { at: last, pick: user as u64, what: What::Notify });
            self.at(last, Event::Step(self.plan.steps.len() - 1));
        }
    }

    /// The nodes that serve.
    pub(crate) fn serving(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.state == State::Serving)
    }

    /// Sessions with a socket that want notifications.
    pub(crate) fn live_sessions(&self) -> impl Iterator<Item = (UserId, BrowserId, SessionId)> {
        self.nodes.iter().filter(|node| node.state != State::Dead).flat_map(|node| {
            let announced = node.sessions.iter().filter(|(_, session)| session.generation.is_some());
            announced.map(|(&number, session)| {
                let (user, browser) = ids_of(&self.history, self.history.connections[session.connection].browser);
                (user, browser, SessionId { node: node.id, number })
            })
        })
    }

    /// Whether a tab of the browser is connected, announced and well, and since when.
    pub(crate) fn well_since(&self, browser: usize) -> Option<Ms> {
        let tabs = self.tabs.iter().filter(|tab| tab.browser == browser && tab.open);
        // A page that never answers cannot be told from a dead one: it is served as long as the browser has no other.
        let others = self.history.connections.iter().filter(|connection| connection.browser == browser).count() > 1;
        let well = tabs.filter(|tab| !(tab.silent && others));
        well.filter_map(|tab| self.history.connections[tab.connection?].announced).min()
    }
}
