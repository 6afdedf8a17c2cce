//! One shard on one node: reads its log, folds it, wakes the sessions, and appends what the node has to report.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use bellwire_common::ids::{self, BrowserId, NodeId, NotificationId, Offset, UnixMillis, UserId};
use bellwire_common::log::{AppendError, Safety, SharedLog};
use bellwire_common::record::{Record, Report, Status};
use bellwire_common::spans::{self, Span, Step, Traced};

use crate::delivery::reporter::Mine;
use crate::delivery::{Happened, Limits, Next, Position, Reached, Replica, Timing, Touched};
use crate::frames::Frames;
use crate::ledger::Layout;
use crate::meters::Meters;
use crate::relay::Relay;
use crate::relay::duty::{Duty, Item};
use crate::tab::Tab;
use crate::trace::{self, Journal};

mod driver;
mod journal;

pub(crate) use self::driver::Signals;

/// Records folded under one lock: some tenths of a millisecond, so that sessions do not wait for long.
const FOLD_RECORDS_MAX: usize = 128;

/// What all shards of a node have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) node: NodeId,
    pub(crate) limits: Limits,
    pub(crate) meters: Arc<Meters>,
    pub(crate) relay: Option<Relay>,
    /// How many there are, of both layouts.
    pub(crate) shards: u16,
}

/// See the module.
pub(crate) struct Shard {
    id: ids::Shard,
    layout: Layout,
    node: NodeId,
    log: SharedLog,
    name: String,
    meters: Arc<Meters>,
    /// Its place among those whose reports are awaited.
    read_back: usize,
    started: Instant,
    state: Mutex<State>,
    journal: Mutex<Journal>,
    relay: Option<Relay>,
    /// Something that others should learn soon has changed.
    changed: Notify,
    /// When its loop last came round, on the replica's clock.
    turned: AtomicU64,
}

struct State {
    replica: Replica<Frames>,
    tabs: HashMap<u64, Arc<Tab>>,
    /// Where there is a mobile relay.
    duty: Option<Duty>,
    /// What the gauges were told last.
    told: Told,
}

/// What gauges show of a shard.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    /// Notifications that nobody has confirmed.
    pub(crate) waiting: u64,
    /// Bytes of what is held.
    pub(crate) bytes: usize,
    /// The node may send.
    pub(crate) sending: bool,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("log", &self.name).field("node", &self.node).finish_non_exhaustive()
    }
}

impl Shard {
    pub(crate) fn new(common: Common, log: SharedLog, layout: Layout, id: ids::Shard) -> Arc<Self> {
        let Common { node, limits, meters, relay, shards } = common;
        let timing = Timing::default();
        let first_round = fastrand::u64(timing.round_every / 2..timing.round_every);
        // What is read back beyond that is known in parts only.
        let since = UnixMillis::now().minus(limits.resume_ms);
        let journal = Mutex::new(Journal::new(trace::events_max(shards), since));
        let replica = Replica::new(node, limits, timing, 0, first_round);
        let duty = relay.as_ref().map(|_| Duty::new(node));
        let state = Mutex::new(State { replica, tabs: HashMap::new(), duty, told: Told::default() });
        let read_back = meters.shard_added();
        let name = log.name(id);
        let (started, changed, turned) = (Instant::now(), Notify::new(), AtomicU64::new(0));
        Arc::new(Self {
            id,
            layout,
            node,
            log,
            name,
            meters,
            read_back,
            started,
            state,
            journal,
            relay,
            changed,
            turned,
        })
    }

    /// Name and epoch of the log, for cursors.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Which shard, and on which node.
    pub(crate) fn place(&self) -> (ids::Shard, NodeId) {
        (self.id, self.node)
    }

    /// How far this node has read, and in which log.
    pub(crate) fn reached(&self) -> Reached {
        self.lock().replica.reached()
    }

    /// A session that was greeted at `reached` wants notifications from now on. Gives the generation that its positions
    /// belong to.
    pub(crate) fn open(&self, number: u64, reached: Reached, mine: Mine, tab: Arc<Tab>) -> u32 {
        let now = self.now();
        let mut state = self.lock();
        state.tabs.insert(number, tab);
        let generation = state.replica.open(now, number, reached, mine);
        drop(state);
        self.changed.notify_one();
        generation
    }

    /// A session's connection has ended.
    pub(crate) fn close(&self, number: u64) {
        let now = self.now();
        let mut state = self.lock();
        state.replica.close(now, number);
        state.tabs.remove(&number);
        drop(state);
        self.changed.notify_one();
    }

    /// A session has proved that it has everything below `upto`, a position of `generation`.
    pub(crate) fn confirm(&self, number: u64, generation: u32, upto: Position) {
        let now = self.now();
        let good_again = self.lock().replica.confirm(now, number, generation, upto);
        if good_again {
            self.changed.notify_one();
        }
    }

    /// A session has passed over everything below `upto`, a position of `generation`, which its browser has had.
    pub(crate) fn pass(&self, number: u64, generation: u32, upto: Position) {
        self.lock().replica.pass(number, generation, upto);
    }

    /// A session does not answer.
    pub(crate) fn stall(&self, number: u64) {
        let now = self.now();
        self.lock().replica.stall(now, number);
        self.changed.notify_one();
    }

    /// Sessions of this user, of one browser or of all.
    pub(crate) fn tabs_of(&self, user: &UserId, browser: Option<&BrowserId>) -> Vec<Arc<Tab>> {
        let state = self.lock();
        state.replica.numbers_of(user, browser).filter_map(|number| state.tabs.get(&number).cloned()).collect()
    }

    /// What a session at `position` is to be sent now.
    pub(crate) fn next(&self, number: u64, position: Position, max: usize) -> Next<Frames> {
        let now = self.now();
        self.lock().replica.next(now, number, position, max)
    }

    /// Whether a session of this browser that is at `place`, a generation and a position of it, or the browser before it, has
    /// had the notification with this id.
    pub(crate) fn has_had(
        &self,
        user: &UserId,
        browser: &BrowserId,
        place: (u32, Position),
        id: &NotificationId,
    ) -> bool {
        self.lock().replica.has_had(user, browser, place, id)
    }

    /// The last values that every session is told.
    pub(crate) fn status(&self) -> Vec<Status> {
        self.lock().replica.machine().status().cloned().collect()
    }

    /// Appends a record of the node's own, such as a test.
    pub(crate) fn append(&self, record: &Record) -> BoxFuture<'static, Result<(), AppendError>> {
        self.log.append(self.id, vec![record.encode()], Safety::Safe)
    }

    /// How long ago its loop came round.
    pub(crate) fn rest(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.turned.load(Ordering::Relaxed)))
    }

    /// Its loop came round.
    fn turn(&self) {
        self.turned.store(self.now(), Ordering::Relaxed);
        let mut state = self.lock();
        let machine = state.replica.machine();
        let (waiting, bytes) = (machine.waiting(), machine.held_bytes());
        let now = Told { waiting, bytes, sending: state.replica.may_send() };
        let before = std::mem::replace(&mut state.told, now);
        drop(state);
        self.meters.shard_turned(before, now);
    }

    /// Milliseconds of the replica's clock.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in the fold is a bug that the panic hook has told of; the others' sessions go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds records and wakes whom they concern; whether a status value has changed.
    fn fold(&self, records: Vec<(Offset, Record)>) -> bool {
        let mut status = false;
        let mut own = false;
        self.meters.lag(records.len() as f64);
        let mut records = records.into_iter();
        while records.len() > 0 {
            let waiting = records.len();
            let now = self.now();
            let mut state = self.lock();
            let mut touched = Touched::default();
            let mut passed = Vec::new();
            for (offset, record) in records.by_ref().take(FOLD_RECORDS_MAX) {
                own |= state.apply(now, offset, record, &self.meters, &mut touched, &mut passed);
            }
            self.meters.lag(records.len() as f64 - waiting as f64);
            status |= touched.status;
            if spans::is_on() {
                self.trace_read(&state.replica, &touched.happened);
            }
            self.journal().happened(UnixMillis::now(), touched.happened.drain(..));
            self.meters.count_outcomes(state.replica.take_outcomes());
            self.meters.count_tally(self.layout, touched.tally);
            state.wake(touched);
            drop(state);
            if let Some(relay) = &self.relay {
                passed.into_iter().for_each(|item| relay.pass(item));
            }
        }
        if own {
            self.meters.report_read(self.read_back);
        }
        if own && self.id == ids::Shard(0) {
            // Every node reports to every shard: one of them tells who lives.
            self.meters.living_nodes(self.layout, self.lock().replica.machine().living().count());
        }
        status
    }

    /// Of notifications that somebody here waits for.
    fn trace_read(&self, replica: &Replica<Frames>, happened: &[Happened]) {
        let ended = SystemTime::now();
        for happened in happened {
            let Happened::Accepted(accepted) = happened else { continue };
            if replica.numbers_of(&accepted.user, None).next().is_none() {
                continue;
            }
            if let Some(traced) = Traced::of(&accepted.user, &accepted.id) {
                let began = UNIX_EPOCH + Duration::from_millis(accepted.accepted_at.0);
                traced.record(&Span { node: Some(self.node), ..Span::new(Step::Read, self.id, began, ended) });
            }
        }
    }

    /// What is to be appended now, as one append.
    fn due(&self) -> Vec<Bytes> {
        let now = self.now();
        encode(self.lock().replica.due(now, UnixMillis::now()))
    }

    fn leave(&self) -> Vec<Bytes> {
        encode(self.lock().replica.leave(UnixMillis::now()))
    }
}

fn encode(reports: Vec<Report>) -> Vec<Bytes> {
    reports.into_iter().map(|report| Record::Report(report).encode()).collect()
}

impl State {
    /// Folds one record; whether it is a report of this node. What is to go to the mobile relay is added to `passed`.
    fn apply(
        &mut self,
        now: u64,
        offset: Offset,
        record: Record,
        meters: &Meters,
        touched: &mut Touched,
        passed: &mut Vec<Item>,
    ) -> bool {
        let accepted_at = if let Record::Notify(notify) = &record { notify.accepted_at } else { UnixMillis(0) };
        if accepted_at.0 > 0 && self.replica.sessions() > 0 {
            meters.read(accepted_at);
        }
        let frames = || Frames::read_now(accepted_at);
        let Some(duty) = &mut self.duty else {
            return self.replica.apply(now, offset, record, frames, touched);
        };
        let (happened, copy) = (touched.happened.len(), record.clone());
        let own = self.replica.apply(now, offset, record, frames, touched);
        let machine = self.replica.machine();
        match copy {
            Record::Notify(notify) => {
                let is_new = |happened: &Happened| matches!(happened, Happened::Accepted(_));
                if touched.happened[happened..].iter().any(is_new) {
                    passed.extend(duty.on_notify(Item::new(offset, notify)));
                }
            }
            Record::Report(report) => {
                let lives = |node| machine.living().any(|living| living == node);
                passed.extend(duty.on_report(offset, &report, lives, |node| machine.knows(node)));
            }
            Record::Status(_) => {}
        }
        own
    }

    fn wake(&mut self, touched: Touched) {
        let wake = self.replica.wake(touched);
        if wake.all {
            self.tabs.values().for_each(|tab| tab.next());
        }
        wake.next.iter().filter_map(|number| self.tabs.get(number)).for_each(|tab| tab.next());
        wake.prove.iter().filter_map(|number| self.tabs.get(number)).for_each(|tab| tab.prove());
    }
}
