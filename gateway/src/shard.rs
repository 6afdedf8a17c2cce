//! One shard on one node: reads its log, folds it, wakes the sessions, and appends what the node has to report.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use bellwire_common::ids::{self, NodeId, Offset, SessionId, UnixMillis, UserId};
use bellwire_common::log::{AppendError, Safety, SharedLog};
use bellwire_common::record::{Entry as Line, Record};

use crate::delivery::reporter::{Mine, Reporter};
use crate::delivery::{Limits, Machine, Next, Outcomes, Position, Touched};
use crate::frames::Frames;
use crate::meters::Meters;
use crate::tab::Tab;

mod driver;

pub(crate) use self::driver::Signals;

/// Records folded under one lock: some tenths of a millisecond, so that sessions do not wait for long.
const FOLD_RECORDS_MAX: usize = 128;

/// See the module.
pub(crate) struct Shard {
    id: ids::Shard,
    node: NodeId,
    log: SharedLog,
    name: String,
    meters: Arc<Meters>,
    state: Mutex<State>,
    /// Something that others should learn soon has changed.
    changed: Notify,
}

struct State {
    machine: Machine<Frames>,
    reporter: Reporter,
    tabs: HashMap<u64, Arc<Tab>>,
    /// Outcomes up to which the metrics are told.
    counted: Outcomes,
    /// The barrier was passed when the fold was last looked at.
    sending: bool,
}

/// What reading a batch has brought.
#[derive(Debug, Default, Clone, Copy)]
struct Folded {
    status: bool,
    /// A report of this node was among it.
    read_back: bool,
    /// The others took this node for lost.
    lost: bool,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("id", &self.id).field("node", &self.node).finish_non_exhaustive()
    }
}

impl Shard {
    pub(crate) fn new(id: ids::Shard, node: NodeId, log: SharedLog, limits: Limits, meters: Arc<Meters>) -> Arc<Self> {
        let state = State {
            machine: Machine::new(limits),
            reporter: Reporter::new(node),
            tabs: HashMap::new(),
            counted: Outcomes::default(),
            sending: false,
        };
        let name = log.name(id);
        Arc::new(Self { id, node, log, name, meters, state: Mutex::new(state), changed: Notify::new() })
    }

    /// Name and epoch of the log, for cursors.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How far this node has read.
    pub(crate) fn applied(&self) -> Option<Offset> {
        self.lock().machine.applied().last()
    }

    /// A session wants notifications from now on.
    pub(crate) fn open(&self, number: u64, mine: Mine, tab: Arc<Tab>) {
        let mut state = self.lock();
        state.reporter.open(number, mine);
        state.tabs.insert(number, tab);
        drop(state);
        self.changed.notify_one();
    }

    /// A session's connection has ended.
    pub(crate) fn close(&self, number: u64) {
        let mut state = self.lock();
        state.reporter.close(number);
        state.tabs.remove(&number);
        drop(state);
        self.changed.notify_one();
    }

    /// A session has proved that it has everything below `upto`.
    pub(crate) fn confirm(&self, number: u64, upto: Position) {
        let good_again = self.lock().reporter.confirm(number, upto);
        if good_again {
            self.changed.notify_one();
        }
    }

    /// A session does not answer.
    pub(crate) fn stall(&self, number: u64) {
        self.lock().reporter.stall(number);
        self.changed.notify_one();
    }

    /// What a session at `position` is to be sent now.
    pub(crate) fn next(&self, number: u64, position: Position, max: usize) -> Next<Frames> {
        let state = self.lock();
        if !state.reporter.may_send(&state.machine) {
            return Next { held: Vec::new(), alone: true, missed: 0 };
        }
        state.machine.next(SessionId { node: self.node, number }, position, max)
    }

    /// The last values that every session is told, as key and JSON.
    pub(crate) fn status(&self) -> Vec<(String, Bytes)> {
        self.lock().machine.status().map(|status| (status.key.clone(), status.value.clone())).collect()
    }

    /// Appends a record of the node's own, such as a test.
    pub(crate) fn append(&self, record: &Record) -> BoxFuture<'static, Result<(), AppendError>> {
        self.log.append(self.id, vec![record.encode()], Safety::Safe)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in the fold is a bug that the panic hook has told of; the others' sessions go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds records and wakes whom they concern.
    fn fold(&self, records: Vec<(Offset, Record)>) -> Folded {
        let mut folded = Folded::default();
        self.meters.lag(records.len() as f64);
        let mut records = records.into_iter();
        while records.len() > 0 {
            let waiting = records.len();
            let mut state = self.lock();
            let mut touched = Touched::default();
            for (offset, record) in records.by_ref().take(FOLD_RECORDS_MAX) {
                folded.read_back |= state.apply(self.node, offset, record, &self.meters, &mut touched);
            }
            self.meters.lag(records.len() as f64 - waiting as f64);
            folded.status |= touched.status;
            folded.lost |= state.machine.is_lost(self.node);
            state.count(self.node, &self.meters);
            state.wake(self.node, touched);
        }
        if folded.read_back && self.id == ids::Shard(0) {
            // Every node reports to every shard: one of them tells who lives.
            self.meters.living_nodes(self.lock().machine.living().count());
        }
        folded
    }

    fn reports(&self, lines: impl FnOnce(&mut Reporter, &Machine<Frames>) -> Vec<Line>) -> Vec<Bytes> {
        let mut state = self.lock();
        let State { machine, reporter, .. } = &mut *state;
        let lines = lines(reporter, machine);
        if lines.is_empty() && !reporter.owes_barrier() {
            return Vec::new();
        }
        let reports = reporter.reports(lines, UnixMillis::now());
        reports.into_iter().map(|report| Record::Report(report).encode()).collect()
    }
}

impl State {
    /// Folds one record; whether it is a report of this node.
    fn apply(&mut self, node: NodeId, offset: Offset, record: Record, meters: &Meters, touched: &mut Touched) -> bool {
        let mut mine = false;
        match &record {
            Record::Report(report) if report.node == node => {
                self.reporter.on_read_back(report);
                mine = true;
            }
            Record::Notify(notify) if self.reporter.sessions() > 0 => meters.read(notify.accepted_at),
            _ => {}
        }
        self.machine.apply(offset, record, Frames::read_now, touched);
        mine
    }

    /// Tells the metrics how notifications ended, if that is this node's to do (rule 9).
    fn count(&mut self, node: NodeId, meters: &Meters) {
        let outcomes = self.machine.outcomes();
        if self.reporter.may_send(&self.machine) && self.machine.living().min() == Some(node) {
            meters.count_outcomes(self.counted, outcomes);
        }
        self.counted = outcomes;
    }

    fn wake(&mut self, node: NodeId, mut touched: Touched) {
        let sent_before = std::mem::replace(&mut self.sending, self.reporter.may_send(&self.machine));
        if !self.sending {
            return;
        }
        if !sent_before {
            self.tabs.values().for_each(|tab| tab.next());
        }
        touched.users.sort_unstable();
        touched.users.dedup();
        for user in &touched.users {
            self.wake_owners(node, user);
        }
        for (user, browser) in &touched.opened {
            let owner = self.machine.owner(user, browser).filter(|owner| owner.node == node);
            if let Some(tab) = owner.and_then(|owner| self.tabs.get(&owner.number)) {
                tab.prove();
            }
        }
    }

    fn wake_owners(&self, node: NodeId, user: &UserId) {
        for owner in self.machine.owners(user).filter(|owner| owner.node == node) {
            if let Some(tab) = self.tabs.get(&owner.number) {
                tab.next();
            }
        }
    }
}
