//! What a node has to tell the others about its own sessions of one shard: the difference between its sockets and
//! the fold (rule 8). Pure; the caller appends what it is given and says what became of it.
//!
//! Nothing is retried: a report that was lost shows as a difference that a later report of the node, once read back,
//! still has. Only then is the difference told again.

use std::collections::HashMap;

use bellwire_common::ids::{BrowserId, NodeId, Offset, SessionId, UnixMillis, UserId};
use bellwire_common::record::{Entry as Line, Opened, Report};

use super::bug::Bug;
use super::{Machine, Position, View};
use crate::planted;

/// Lines of one report at the most: some 40 KB of the longest kind, below what a log takes as one record.
pub const REPORT_LINES_MAX: usize = 200;

/// What a node knows of a session of its own that wants notifications.
#[derive(Debug, Clone)]
pub struct Mine {
    /// Whose tab it is.
    pub user: UserId,
    /// Which browser.
    pub browser: BrowserId,
    /// What had been applied when the tab was greeted.
    pub from: Option<Offset>,
    /// What it has proved to have, or claims to have when it opens.
    pub confirmed: Position,
    /// It does not answer at present.
    pub stalled: bool,
    /// It shows what a storm brings in digests.
    pub digests: bool,
}

/// One node's side of one shard.
#[derive(Debug)]
pub struct Reporter {
    node: NodeId,
    /// Of the last report made.
    number: u64,
    sessions: HashMap<u64, Mine>,
    /// What sessions that have ended had proved, as long as the fold shows them.
    ended: HashMap<u64, Position>,
    /// Sessions that may differ from the fold, with the report that told the difference last (0: none yet).
    dirty: HashMap<u64, u64>,
    /// Number of the last heartbeat made, and whether it has not been read back yet.
    beat: u64,
    beating: bool,
    /// The append of that heartbeat failed: it may land yet.
    failed: bool,
    /// Nothing may be sent before this report was read back (rule 12).
    barrier: u64,
}

impl Reporter {
    /// A node that has told nothing. It may send nothing until its first report is read back.
    #[must_use]
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            number: 0,
            sessions: HashMap::new(),
            ended: HashMap::new(),
            dirty: HashMap::new(),
            beat: 0,
            beating: false,
            failed: false,
            barrier: 1,
        }
    }

    /// A tab of this node wants notifications.
    pub fn open(&mut self, number: u64, mine: Mine) {
        self.sessions.insert(number, mine);
        self.dirty.insert(number, 0);
    }

    /// A tab's connection has ended.
    pub fn close(&mut self, number: u64) {
        if let Some(mine) = self.sessions.remove(&number) {
            self.ended.insert(number, mine.confirmed);
            self.dirty.insert(number, 0);
        }
    }

    /// A tab has proved that it has everything below `upto`; whether that ends a stall.
    pub fn confirm(&mut self, number: u64, upto: Position) -> bool {
        let Some(mine) = self.sessions.get_mut(&number) else { return false };
        mine.confirmed = mine.confirmed.max(upto);
        self.dirty.entry(number).or_insert(0);
        std::mem::take(&mut mine.stalled)
    }

    /// A tab's browser has had everything below `upto`, which says nothing of the tab. While it is stalled this is not told:
    /// the others would take it for a proof that it lives (rule 11), and its next proof tells it.
    pub fn pass(&mut self, number: u64, upto: Position) {
        if let Some(mine) = self.sessions.get_mut(&number).filter(|mine| !mine.stalled) {
            mine.confirmed = mine.confirmed.max(upto);
            self.dirty.entry(number).or_insert(0);
        }
    }

    /// A tab does not answer.
    pub fn stall(&mut self, number: u64) {
        if let Some(mine) = self.sessions.get_mut(&number) {
            mine.stalled = true;
            self.dirty.insert(number, 0);
        }
    }

    /// The fold dropped this session: it may differ now.
    pub fn check(&mut self, number: u64) {
        self.dirty.entry(number).or_insert(0);
    }

    /// Another log stands where the old one was: what tabs proved and were greeted with is void (rule 13).
    pub fn on_replaced(&mut self) {
        self.ended.clear();
        for mine in self.sessions.values_mut() {
            mine.confirmed = Position::default();
            mine.from = None;
        }
        self.dirty = self.sessions.keys().map(|&number| (number, 0)).collect();
        self.beating = false;
        self.raise_barrier();
    }

    /// The fold has read a report of this node: what it names may differ now.
    pub fn on_read_back(&mut self, report: &Report) {
        for line in &report.entries {
            if let Line::Beat { number } = line {
                self.beating &= *number < self.beat;
                self.failed &= *number < self.beat;
            }
            let (Line::Opened(Opened { session, .. })
            | Line::Closed { session }
            | Line::Confirmed { session, .. }
            | Line::Stalled { session }) = line
            else {
                continue;
            };
            self.dirty.entry(*session).or_insert(0);
        }
    }

    /// Everything may differ.
    pub fn recheck<X>(&mut self, machine: &Machine<X>) {
        let known = machine.sessions_of(self.node).map(|session| session.number);
        self.dirty = known.chain(self.sessions.keys().copied()).map(|number| (number, 0)).collect();
    }

    /// From now on nothing may be sent until a report that is yet to be made was read back (rule 12).
    pub fn raise_barrier(&mut self) {
        self.barrier = self.number + 1;
    }

    /// Sessions of this user, of one browser or of all.
    pub fn numbers_of<'a>(
        &'a self,
        user: &'a UserId,
        browser: Option<&'a BrowserId>,
    ) -> impl Iterator<Item = u64> + 'a {
        let is_meant = move |mine: &Mine| mine.user == *user && browser.is_none_or(|browser| mine.browser == *browser);
        self.sessions.iter().filter(move |(_, mine)| is_meant(mine)).map(|(number, _)| *number)
    }

    /// Whether this node may send, and count.
    #[must_use]
    pub fn may_send<X>(&self, machine: &Machine<X>) -> bool {
        (machine.read_back(self.node) >= self.barrier && !machine.is_lost(self.node)) || planted(Bug::NoBarrier)
    }

    /// Whether the barrier waits for a report that was not made yet.
    #[must_use]
    pub fn owes_barrier(&self) -> bool {
        self.barrier > self.number
    }

    /// A heartbeat, if the previous one was read back (rule 7). Remembered here and not asked of the fold, which may have
    /// forgotten the node in between.
    pub fn beat(&mut self) -> Option<Line> {
        if self.beating && !planted(Bug::BeatBlindly) {
            return None;
        }
        // One whose append failed is made again with its number: those that land late, all at once, are one sign of life.
        self.beat = if self.failed && !planted(Bug::BeatAnew) { self.beat } else { self.beat + 1 };
        self.beating = true;
        self.failed = false;
        Some(Line::Beat { number: self.beat })
    }

    /// An append failed, or its end is not known: the heartbeat in it is not waited for any longer.
    pub fn on_append_failed(&mut self) {
        self.failed = self.beating;
        self.beating = false;
    }

    /// The differences that are to be told now: of all kinds, or (`confirms` false) all but mere progress.
    pub fn differences<X>(&mut self, machine: &Machine<X>, confirms: bool) -> Vec<Line> {
        let read_back = machine.read_back(self.node);
        let (node, sessions, ended, next) = (self.node, &self.sessions, &mut self.ended, self.number + 1);
        let mut lines = Vec::new();
        self.dirty.retain(|&number, told| {
            let view = machine.view(SessionId { node, number });
            let Some(line) = difference(number, sessions.get(&number), view.as_ref()) else {
                ended.remove(&number);
                return false;
            };
            let due = *told <= read_back && (confirms || !matches!(line, Line::Confirmed { .. }));
            if due {
                *told = next;
                lines.extend(last_proof(&line, ended, view.as_ref()));
                lines.push(line);
            }
            !(due && planted(Bug::TellOnce))
        });
        lines.sort_by_key(session_of);
        lines
    }

    /// Every open session, named completely, and the end of the round (rule 8).
    #[must_use]
    pub fn round<X>(&self, machine: &Machine<X>) -> Vec<Line> {
        let mut lines: Vec<Line> = self
            .sessions
            .iter()
            .map(|(&number, mine)| {
                let view = machine.view(SessionId { node: self.node, number });
                opened(number, mine, view.as_ref())
            })
            .collect();
        lines.sort_unstable_by_key(session_of);
        lines.push(Line::Round);
        lines
    }

    /// Makes reports of the lines, as many as their limit asks for, at least one.
    pub fn reports(&mut self, lines: Vec<Line>, at: UnixMillis) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut lines = lines.into_iter();
        loop {
            let entries: Vec<Line> = lines.by_ref().take(REPORT_LINES_MAX).collect();
            if entries.is_empty() && !reports.is_empty() {
                return reports;
            }
            self.number += 1;
            reports.push(Report { node: self.node, number: self.number, at, entries });
        }
    }

    /// How many sessions of this node want notifications of this shard.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
}

/// What the fold must be told about one session.
fn difference(number: u64, mine: Option<&Mine>, view: Option<&View>) -> Option<Line> {
    match (mine, view) {
        (None, None) => None,
        (None, Some(_)) => Some(Line::Closed { session: number }),
        (Some(mine), None) => Some(opened(number, mine, None)),
        (Some(mine), Some(view)) if mine.stalled && !view.stalled => Some(Line::Stalled { session: number }),
        (Some(mine), Some(view)) if mine.confirmed > view.cursor || (view.stalled && !mine.stalled) => {
            let upto = mine.confirmed.max(view.cursor).last();
            // A tab that proved to live before there was anything to have.
            Some(
                upto.map_or_else(|| opened(number, mine, Some(view)), |upto| Line::Confirmed { session: number, upto }),
            )
        }
        _ => None,
    }
}

/// What a session had proved when it ended and the others do not know yet: it goes before its closing.
fn last_proof(line: &Line, ended: &HashMap<u64, Position>, view: Option<&View>) -> Option<Line> {
    let Line::Closed { session } = line else { return None };
    let proved = ended.get(session).filter(|proved| view.is_some_and(|view| **proved > view.cursor))?;
    proved.last().map(|upto| Line::Confirmed { session: *session, upto })
}

fn opened(number: u64, mine: &Mine, view: Option<&View>) -> Line {
    let cursor = view.map_or(mine.confirmed, |view| view.cursor.max(mine.confirmed));
    Line::Opened(Opened {
        session: number,
        user: mine.user.clone(),
        browser: mine.browser.clone(),
        since: view.map(|view| view.since),
        cursor: cursor.last(),
        from: mine.from,
        stalled: mine.stalled,
        digests: mine.digests,
    })
}

fn session_of(line: &Line) -> u64 {
    match line {
        Line::Opened(Opened { session, .. })
        | Line::Closed { session }
        | Line::Confirmed { session, .. }
        | Line::Stalled { session } => *session,
        Line::Beat { number } => *number,
        Line::Round | Line::Leave => u64::MAX,
    }
}
