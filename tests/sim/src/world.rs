//! Runs a plan: a heap of events, true time, and everything that is not pure in production as a model.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use bellwire_common::ids::{NodeId, UnixMillis};
use bellwire_common::record::Record;
use bellwire_gateway::protocol::Protocol;

use crate::delivery::{Limits, Position, Reached, Replica};
use crate::history::{Browser, History, Ms};
use crate::liveness::Liveness;
use crate::log::Log;
use crate::plan::Plan;

mod ingest;
mod network;
mod node;
mod session;
mod steps;

/// When the simulated world begins, for the records' clocks.
pub(crate) const EPOCH_MS: u64 = 1_800_000_000_000;

/// From the end of trouble to the judgement: dead links (37 s), stalls, losses and reconnects have settled by then.
pub const SETTLE_MS: Ms = 60_000;

/// A run has some ten thousand events.
const EVENTS_MAX: u64 = 200_000;

/// A run in progress, or at its end.
pub struct World {
    pub(crate) now: Ms,
    pub(crate) plan: Plan,
    rng: fastrand::Rng,
    heap: BinaryHeap<Due>,
    sequence: u64,
    pub(crate) log: Log,
    pub(crate) nodes: Vec<Node>,
    tabs: Vec<Tab>,
    /// What each browser keeps in its storage: the last native cursor, with its log.
    kept: Vec<Option<(u32, u64)>>,
    /// Ingests cannot append until then.
    outage_until: Ms,
    /// A producer's clock is off by this.
    producer_skew: i64,
    calm: bool,
    pub(crate) history: History,
    /// Events so far.
    pub(crate) events: u64,
    /// Tells what happens, as it happens.
    pub(crate) trace: bool,
}

/// One gateway process.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) replica: Replica<()>,
    pub(crate) state: State,
    frozen_until: Ms,
    deaf_until: Ms,
    /// A new attachment would bring no more either.
    stays_deaf: bool,
    dumb_until: Ms,
    stuck_until: Ms,
    lag_until: Ms,
    /// Its reader lost the log, and attaches anew when it can.
    reattaches: bool,
    skew: i64,
    /// Index in the log of the next record that its reader yields, in which log, and where it has caught up.
    reader: ReaderPlace,
    pub(crate) late: bool,
    tick_at: Ms,
    sessions: BTreeMap<u64, Session>,
    numbers: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Has not read the log to its end yet.
    Starting,
    Serving,
    Draining,
    /// Has told its last; reads until it sees that.
    Leaving,
    Dead,
}

struct ReaderPlace {
    next: usize,
    until: usize,
    epoch: u32,
    caught_up: bool,
    /// A read is scheduled.
    scheduled: bool,
}

struct Session {
    connection: usize,
    protocol: Protocol,
    liveness: Liveness,
    greeted_at: Reached,
    /// What its positions belong to; none before it is announced.
    generation: Option<u32>,
    /// The log that the generation stands for.
    epoch: u32,
    leaving: Option<Ms>,
    tick_at: Ms,
    /// The first answer to the greeting announces it.
    wants: bool,
}

/// One tab: its page, and its connection if it has one.
struct Tab {
    browser: usize,
    protocol: Protocol,
    open: bool,
    connection: Option<usize>,
    /// The page handles nothing until then.
    hung_until: Ms,
    /// The page answers so late until then.
    slow_until: Ms,
    /// The page shows what comes and answers nothing.
    silent: bool,
    /// What a hung page has not handled yet.
    waiting: Vec<Frame>,
    link: Vec<Link>,
}

/// The two directions of a connection.
#[derive(Default)]
struct Link {
    dark_until: Ms,
    /// What waits for the light, for the tab and for the node.
    held: Vec<Frame>,
    said: Vec<Message>,
    last_to_tab: Ms,
    last_to_node: Ms,
}

/// What a node sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Greeting(Option<(u32, u64)>),
    Notification { sent: Ms, epoch: u32, offset: u64, number: usize },
    Ping(Position),
    NativePing,
    End,
}

/// What a tab sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    /// V1 and V2 registration with the greeting's position; native hello with the cursor that it kept.
    Register(Option<(u32, u64)>),
    Hello(Option<(u32, u64)>),
    Ack(u32, u64),
    Pong(Position),
    NativePong,
    KeepAlive,
    Close,
    Broken,
}

enum Event {
    Step(usize),
    Calm,
    Land { record: Record, notification: Option<usize>, epoch: u32 },
    Retry { number: usize },
    Accepted { number: usize },
    Resolved { node: usize, written: bool },
    Read { node: usize },
    Tick { node: usize },
    SessionTick { node: usize, number: u64 },
    Accept { connection: usize },
    ToNode { connection: usize, message: Message },
    ToTab { connection: usize, frame: Frame },
    Page { tab: usize },
    Connect { tab: usize },
    KeepAlive { connection: usize },
    DrainNext { node: usize },
    Start { late: bool },
    Light { connection: usize },
    Snap { connection: usize },
}

struct Due {
    at: Ms,
    sequence: u64,
    event: Event,
}

impl World {
    /// A world in which nothing has happened yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let mut world = Self {
            now: 0,
            rng: fastrand::Rng::with_seed(plan.seed),
            heap: BinaryHeap::new(),
            sequence: 0,
            log: Log::default(),
            nodes: Vec::new(),
            tabs: Vec::new(),
            kept: vec![None; plan.users * plan.browsers],
            outage_until: 0,
            producer_skew: 0,
            calm: false,
            history: History::default(),
            events: 0,
            trace: false,
            plan,
        };
        let (users, browsers) = (world.plan.users, world.plan.browsers);
        world.history.browsers = (0..users * browsers).map(|index| Browser { user: index / browsers }).collect();
        for _ in 0..world.plan.nodes {
            world.start_node(false);
        }
        for index in 0..world.plan.steps.len() {
            world.at(world.plan.steps[index].at, Event::Step(index));
        }
        world.at(world.plan.calm_from, Event::Calm);
        world
    }

    /// Runs until `until`.
    pub fn run(&mut self, until: Ms) {
        while self.heap.peek().is_some_and(|due| due.at <= until) && !self.ran_away() {
            let Some(due) = self.heap.pop() else { break };
            self.now = self.now.max(due.at);
            self.events += 1;
            self.on(due.event);
        }
        self.now = until;
    }

    /// Something is done again and again.
    #[must_use]
    pub fn ran_away(&self) -> bool {
        self.events > EVENTS_MAX
    }

    /// When the judgement comes.
    #[must_use]
    pub fn judged_at(&self) -> Ms {
        self.plan.calm_from + SETTLE_MS
    }

    /// When everything has expired.
    #[must_use]
    pub fn expired_at(&self) -> Ms {
        self.judged_at() + self.plan.ttl + SETTLE_MS
    }

    fn at(&mut self, at: Ms, event: Event) {
        self.sequence += 1;
        self.heap.push(Due { at: at.max(self.now), sequence: self.sequence, event });
    }

    fn after(&mut self, ms: Ms, event: Event) {
        self.at(self.now + ms, event);
    }

    fn on(&mut self, event: Event) {
        if let Some(node) = self.node_of(&event)
            && self.nodes[node].frozen_until > self.now
        {
            // The kernel keeps what comes for a process that stands still.
            return self.at(self.nodes[node].frozen_until, event);
        }
        match event {
            Event::Step(index) => self.on_step(self.plan.steps[index]),
            Event::Calm => self.on_calm(),
            Event::Land { record, notification, epoch } => self.on_land(record, notification, epoch),
            Event::Retry { number } => self.append_notification(number),
            Event::Accepted { number } => {
                self.history.sent[number].accepted.get_or_insert(self.now);
            }
            Event::Resolved { node, written } => self.on_resolved(node, written),
            Event::Read { node } => self.on_read(node),
            Event::Tick { node } => self.on_tick(node),
            Event::SessionTick { node, number } => self.on_session_tick(node, number),
            Event::Accept { connection } => self.on_accept(connection),
            Event::ToNode { connection, message } => self.on_message(connection, message),
            Event::ToTab { connection, frame } => self.on_frame(connection, frame),
            Event::Page { tab } => self.on_page(tab),
            Event::Connect { tab } => self.connect(tab),
            Event::KeepAlive { connection } => self.keep_alive(connection),
            Event::DrainNext { node } => self.drain_next(node),
            Event::Start { late } => self.start_node(late),
            Event::Light { connection } => self.on_light(connection),
            Event::Snap { connection } => self.on_snap(connection),
        }
    }

    fn node_of(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Resolved { node, .. } | Event::Read { node } | Event::Tick { node } => Some(*node),
            Event::SessionTick { node, .. } | Event::DrainNext { node } => Some(*node),
            Event::Accept { connection } | Event::ToNode { connection, .. } => {
                Some(self.history.connections[*connection].node)
            }
            _ => None,
        }
    }

    /// A line of the story, if it is wanted.
    fn tell(&self, line: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>7} ms  {}", self.now, line());
        }
    }

    /// Prints what happens from now on.
    pub fn trace(&mut self) {
        self.trace = true;
    }

    fn limits(&self) -> Limits {
        let (user_entries, user_bytes) = if self.plan.bounded { (12, 200) } else { (10_000, 1 << 20) };
        Limits {
            resume_ms: self.plan.ttl,
            browsers: 16,
            user_entries,
            user_bytes,
            shard_bytes: if self.plan.bounded { 300 } else { 1 << 20 },
        }
    }

    /// A machine's clock.
    fn wall(&self, skew: i64) -> UnixMillis {
        UnixMillis((EPOCH_MS + self.now).saturating_add_signed(skew))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest: a heap gives its greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}
