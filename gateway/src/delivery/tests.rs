//! The rules of the design, one by one, and what must hold for every log.

use std::collections::BTreeMap;

use bytes::Bytes;

use bellwire_common::ids::{BrowserId, NodeId, NotificationId, Offset, SessionId, UnixMillis, UserId};
use bellwire_common::record::{Entry as Line, Notify, Opened, Record, Report};

use super::reporter::Mine;
use super::{
    DUPLICATE_GRACE_MS, Happened, Limits, Machine, Position, STORM_SINGLES_MAX, STORM_WINDOW_MS, Tally, Touched,
};

mod counting;
mod happened;
mod properties;
mod replica;
mod reporting;
mod rules;
mod time;

pub(super) const TTL_MS: u64 = 600_000;
const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

/// A log that is written by hand and folded at once.
pub(super) struct World {
    machine: Machine<()>,
    next: u64,
    numbers: BTreeMap<NodeId, (u64, u64)>,
    /// Clock of the reports, in milliseconds.
    now: u64,
    happened: Vec<Happened>,
    /// Of the last record.
    tally: Tally,
}

impl World {
    fn new() -> Self {
        Self::with(limits())
    }

    fn with(limits: Limits) -> Self {
        let machine = Machine::new(limits, A);
        Self {
            machine,
            next: 0,
            numbers: BTreeMap::new(),
            now: 1_000_000,
            happened: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn push(&mut self, record: Record) -> Offset {
        let offset = Offset(self.next);
        // Offsets grow, but skip.
        self.next += 1 + self.next % 2;
        let mut touched = Touched::default();
        self.machine.apply(offset, record, || (), &mut touched);
        self.happened.append(&mut touched.happened);
        self.tally = touched.tally;
        offset
    }

    fn notify(&mut self, id: &str) -> Offset {
        self.notify_until(id, self.now + TTL_MS)
    }

    fn notify_until(&mut self, id: &str, expires_at: u64) -> Offset {
        self.push(Record::Notify(Notify {
            id: NotificationId::try_new(id).unwrap(),
            user: user(),
            accepted_at: UnixMillis(self.now),
            expires_at: UnixMillis(expires_at),
            payload: Bytes::from_static(b"0123456789"),
        }))
    }

    fn report(&mut self, node: NodeId, entries: Vec<Line>) -> Offset {
        let numbers = self.numbers.entry(node).or_default();
        numbers.0 += 1;
        let number = numbers.0;
        self.push(Record::Report(Report { node, number, at: UnixMillis(self.now), entries }))
    }

    fn beat(&mut self, node: NodeId) -> Offset {
        self.now += 1000;
        let numbers = self.numbers.entry(node).or_default();
        numbers.1 += 1;
        let number = numbers.1;
        self.report(node, vec![Line::Beat { number }])
    }

    /// Three heartbeats: log time begins.
    fn begin(&mut self, node: NodeId) {
        for _ in 0..3 {
            self.beat(node);
        }
    }

    /// Heartbeats of a node for so long.
    fn pass(&mut self, node: NodeId, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.beat(node);
        }
    }

    /// Opens a tab; its greeting saw all that there is.
    fn open(&mut self, session: SessionId, browser: &str) -> Offset {
        let from = self.machine.applied().last();
        self.open_from(session, browser, from)
    }

    fn open_from(&mut self, session: SessionId, browser: &str, from: Option<Offset>) -> Offset {
        self.report(session.node, vec![Line::Opened(opened(session, browser, from))])
    }

    fn close(&mut self, session: SessionId) {
        self.report(session.node, vec![Line::Closed { session: session.number }]);
    }

    fn confirm(&mut self, session: SessionId, upto: Offset) -> Offset {
        self.report(session.node, vec![Line::Confirmed { session: session.number, upto }])
    }

    fn stall(&mut self, session: SessionId) {
        self.report(session.node, vec![Line::Stalled { session: session.number }]);
    }

    /// Ids that the session is to be sent from its beginning.
    fn next(&self, session: SessionId) -> Vec<String> {
        self.next_after(session, Position::default())
    }

    fn next_after(&self, session: SessionId, position: Position) -> Vec<String> {
        self.machine.next(session, position, 100).held.iter().map(|held| held.id.to_string()).collect()
    }

    fn owner(&self, browser: &str) -> Option<SessionId> {
        self.machine.owner(&user(), &browser_id(browser))
    }
}

fn limits() -> Limits {
    Limits { resume_ms: TTL_MS, browsers: 16, user_entries: 100, user_bytes: 10_000, shard_bytes: 100_000 }
}

fn tab(node: NodeId, number: u64) -> SessionId {
    SessionId { node, number }
}

fn user() -> UserId {
    UserId::try_new("7").unwrap()
}

fn browser_id(text: &str) -> BrowserId {
    BrowserId::try_new(text).unwrap()
}

/// What a node knows of a tab that has opened.
fn mine() -> Mine {
    let (user, browser, confirmed) = (user(), browser_id("x"), Position::default());
    Mine { user, browser, from: None, confirmed, stalled: false, digests: false }
}

fn opened(session: SessionId, browser: &str, from: Option<Offset>) -> Opened {
    Opened {
        session: session.number,
        user: user(),
        browser: browser_id(browser),
        since: None,
        cursor: None,
        from,
        stalled: false,
        digests: false,
    }
}
