//! Which node passes a shard's notifications on to the mobile relay. Pure.
//!
//! The one that lives longest does. Every node finds that out alone: in its own view it is the longest-living if nobody
//! who lives was there before it, and those who were there before it are in what it read back. The others keep what the
//! longest-living may not have passed on: what stands behind its third-last heartbeat, because it makes a heartbeat only after
//! it has read its previous one. When it is lost, the next one passes that on. So at worst two nodes do, one more for each loss in
//! a row.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use bellwire_common::ids::{NodeId, NotificationId, Offset, UnixMillis, UserId};
use bellwire_common::record::{Entry, Notify, Report};

use crate::delivery::LOST_AFTER_BEATS;

/// Most notifications that are kept for the case that their node is lost, and their bytes.
const KEPT_LEN_MAX: usize = 10_000;
/// See [`KEPT_LEN_MAX`].
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A notification to be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Where it stands in the log.
    pub(crate) offset: Offset,
    /// Its id.
    pub(crate) id: NotificationId,
    /// Who receives.
    pub(crate) user: UserId,
    /// When it is no longer worth showing.
    pub(crate) expires_at: UnixMillis,
    /// The notification as JSON.
    pub(crate) payload: Bytes,
}

impl Item {
    /// What stands at an offset.
    pub(crate) fn new(offset: Offset, notify: Notify) -> Self {
        let Notify { id, user, expires_at, payload, .. } = notify;
        Self { offset, id, user, expires_at, payload }
    }
}

/// What a node knows of the others' duty and its own; one for each shard.
#[derive(Debug)]
pub(crate) struct Duty {
    me: NodeId,
    members: BTreeMap<NodeId, Member>,
    /// The longest-living as of the last report, and since when.
    senior: Option<(NodeId, Offset)>,
    kept: VecDeque<Item>,
    kept_bytes: usize,
}

#[derive(Debug)]
struct Member {
    appeared: Offset,
    beats: VecDeque<Offset>,
}

impl Duty {
    /// The duty of node `me`, which has read nothing.
    #[must_use]
    pub(crate) fn new(me: NodeId) -> Self {
        Self { me, members: BTreeMap::new(), senior: None, kept: VecDeque::new(), kept_bytes: 0 }
    }

    /// A notification that was not there before: to be passed on now if that is this node's duty, else kept.
    pub(crate) fn on_notify(&mut self, item: Item) -> Option<Item> {
        if self.is_senior(self.me) {
            return Some(item);
        }
        self.kept_bytes += item.payload.len();
        self.kept.push_back(item);
        while self.kept.len() > KEPT_LEN_MAX || self.kept_bytes > KEPT_BYTES_MAX {
            self.pop();
        }
        None
    }

    /// The report of a node, after the fold has it; `lives` says who lives in the fold, `knows` whom it knows. What is to be
    /// passed on now, in order.
    pub(crate) fn on_report(
        &mut self,
        offset: Offset,
        report: &Report,
        lives: impl Fn(NodeId) -> bool,
        knows: impl Fn(NodeId) -> bool,
    ) -> Vec<Item> {
        if report.entries.contains(&Entry::Leave) {
            // It has read its own last report before it went, and passed on what stands before that.
            if self.is_senior(report.node) && report.node != self.me {
                self.forget_before(offset);
            }
        } else {
            self.note(offset, report);
        }
        self.members.retain(|&node, _| knows(node));
        let living = self.members.iter().filter(|(node, _)| lives(**node));
        let Some((&senior, member)) = living.min_by_key(|(_, member)| member.appeared) else {
            self.senior = None;
            return Vec::new();
        };
        let since = self.senior.filter(|(node, _)| *node == senior).map_or(offset, |(_, since)| since);
        self.senior = Some((senior, since));
        if senior == self.me {
            self.kept_bytes = 0;
            return self.kept.drain(..).collect();
        }
        // One that became it may have gone before it read that: heartbeats from before prove nothing.
        let proof =
            member.beats.front().copied().filter(|&beat| member.beats.len() == LOST_AFTER_BEATS && beat >= since);
        if let Some(beat) = proof {
            self.forget_before(beat);
        }
        Vec::new()
    }

    fn is_senior(&self, node: NodeId) -> bool {
        self.senior.is_some_and(|(senior, _)| senior == node)
    }

    fn note(&mut self, offset: Offset, report: &Report) {
        let new = || Member { appeared: offset, beats: VecDeque::new() };
        let member = self.members.entry(report.node).or_insert_with(new);
        if report.entries.iter().any(|entry| matches!(entry, Entry::Beat { .. })) {
            member.beats.push_back(offset);
            if member.beats.len() > LOST_AFTER_BEATS {
                member.beats.pop_front();
            }
        }
    }

    fn forget_before(&mut self, offset: Offset) {
        while self.kept.front().is_some_and(|item| item.offset < offset) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(item) = self.kept.pop_front() {
            self.kept_bytes -= item.payload.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bellwire_common::record::Record;
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::{Limits, Machine, Touched};

    const LIMITS: Limits =
        Limits { resume_ms: 600_000, browsers: 16, user_entries: 100, user_bytes: 1 << 20, shard_bytes: 1 << 20 };

    /// A node as it reads the shared log.
    struct Node {
        id: NodeId,
        machine: Machine<()>,
        duty: Duty,
        read: usize,
        /// Number of its last heartbeat, and whether it has read it back.
        beat: (u64, bool),
        reports: u64,
        alive: bool,
    }

    struct World {
        log: Vec<Record>,
        nodes: Vec<Node>,
        passed: BTreeMap<Offset, Vec<NodeId>>,
        notified: Vec<Offset>,
    }

    impl World {
        fn new() -> Self {
            Self { log: Vec::new(), nodes: Vec::new(), passed: BTreeMap::new(), notified: Vec::new() }
        }

        fn start(&mut self) {
            let id = NodeId(self.nodes.len() as u64 + 1);
            self.nodes.push(Node {
                id,
                machine: Machine::new(LIMITS, id),
                duty: Duty::new(id),
                read: 0,
                beat: (0, true),
                reports: 0,
                alive: true,
            });
        }

        fn notify(&mut self) {
            self.notified.push(Offset(self.log.len() as u64));
            self.log.push(Record::Notify(Notify {
                id: NotificationId::try_new(&format!("n{}", self.log.len())).unwrap(),
                user: UserId::try_new("7").unwrap(),
                accepted_at: UnixMillis(1),
                expires_at: UnixMillis(u64::MAX),
                payload: Bytes::from_static(b"{}"),
            }));
        }

        fn read(&mut self, index: usize, records: usize) {
            let node = &mut self.nodes[index];
            for _ in 0..records {
                let Some(record) = self.log.get(node.read).filter(|_| node.alive) else { return };
                let offset = Offset(node.read as u64);
                node.read += 1;
                let mut touched = Touched::default();
                node.machine.apply(offset, record.clone(), || (), &mut touched);
                let machine = &node.machine;
                let passed = match record {
                    Record::Notify(notify) => Vec::from_iter(node.duty.on_notify(Item::new(offset, notify.clone()))),
                    Record::Report(report) => {
                        let own = |entry: &Entry| *entry == Entry::Beat { number: node.beat.0 };
                        node.beat.1 |= report.node == node.id && report.entries.iter().any(own);
                        node.alive &= !(report.node == node.id && report.entries.contains(&Entry::Leave));
                        let lives = |id| machine.living().any(|living| living == id);
                        node.duty.on_report(offset, report, lives, |id| machine.knows(id))
                    }
                    Record::Status(_) => Vec::new(),
                };
                passed.iter().for_each(|item| self.passed.entry(item.offset).or_default().push(node.id));
            }
        }

        /// Appends a heartbeat, if the previous one was read back (rule 7).
        fn beat(&mut self, index: usize) {
            let node = &mut self.nodes[index];
            if node.alive && node.beat.1 {
                node.beat = (node.beat.0 + 1, false);
                let number = node.beat.0;
                self.report(index, Entry::Beat { number });
            }
        }

        fn leave(&mut self, index: usize) {
            self.report(index, Entry::Leave);
            self.read(index, usize::MAX);
        }

        fn report(&mut self, index: usize, entry: Entry) {
            let node = &mut self.nodes[index];
            node.reports += 1;
            let (number, at) = (node.reports, UnixMillis(self.log.len() as u64));
            self.log.push(Record::Report(Report { node: node.id, number, at, entries: vec![entry] }));
        }

        fn turn(&mut self) {
            for index in 0..self.nodes.len() {
                self.read(index, usize::MAX);
                self.beat(index);
            }
        }

        fn who(&self, index: usize) -> &[NodeId] {
            self.passed.get(&self.notified[index]).map_or(&[], Vec::as_slice)
        }
    }

    #[test]
    fn the_longest_living_passes_on_and_the_next_takes_over() {
        let mut world = World::new();
        world.start();
        (0..4).for_each(|_| world.turn());
        world.start();
        (0..4).for_each(|_| world.turn());
        world.notify();
        (0..4).for_each(|_| world.turn());
        assert_eq!(world.who(0), [NodeId(1)]);
        world.nodes[0].alive = false;
        world.notify();
        (0..6).for_each(|_| world.turn());
        assert_eq!((world.who(0), world.who(1)), (&[NodeId(1)][..], &[NodeId(2)][..]));
    }

    #[test]
    fn one_that_goes_has_passed_on_what_stands_before_its_last_word() {
        let mut world = World::new();
        world.start();
        world.start();
        (0..4).for_each(|_| world.turn());
        world.notify();
        world.leave(0);
        world.notify();
        (0..4).for_each(|_| world.turn());
        assert_eq!((world.who(0), world.who(1)), (&[NodeId(1)][..], &[NodeId(2)][..]));
    }

    #[test]
    fn what_came_while_nobody_was_there_is_passed_on_by_the_first() {
        let mut world = World::new();
        world.notify();
        world.start();
        (0..4).for_each(|_| world.turn());
        assert_eq!(world.who(0), [NodeId(1)]);
        world.nodes[0].alive = false;
        world.notify();
        world.start();
        (0..6).for_each(|_| world.turn());
        assert_eq!((world.who(0), world.who(1)), (&[NodeId(1)][..], &[NodeId(2)][..]));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut duty = Duty::new(NodeId(1));
        for offset in 0..KEPT_LEN_MAX as u64 + 5 {
            let (id, user) = (NotificationId::try_new("x").unwrap(), UserId::try_new("7").unwrap());
            let item = Item {
                offset: Offset(offset),
                id,
                user,
                expires_at: UnixMillis(1),
                payload: Bytes::from_static(b"{}"),
            };
            assert_eq!(duty.on_notify(item), None);
        }
        assert_eq!(
            (duty.kept.len(), duty.kept_bytes, duty.kept[0].offset),
            (KEPT_LEN_MAX, 2 * KEPT_LEN_MAX, Offset(5))
        );
    }

    #[derive(Debug, Clone)]
    enum Step {
        Notify,
        Read(usize, usize),
        Beat(usize),
        Turn,
        Start,
        Crash(usize),
        Leave(usize),
    }

    /// Nodes that read all that there is and make their heartbeats, until they crash or leave.
    fn prompt() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Notify),
            6 => Just(Step::Turn),
            1 => Just(Step::Start),
            1 => (0..8usize).prop_map(Step::Crash),
            1 => (0..8usize).prop_map(Step::Leave),
        ]
    }

    /// And such that lag behind.
    fn any() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => prompt(),
            2 => (0..8usize, 1..6usize).prop_map(|(node, records)| Step::Read(node, records)),
            1 => (0..8usize).prop_map(Step::Beat),
        ]
    }

    /// The world after these steps, and how many nodes crashed.
    fn after(steps: Vec<Step>) -> (World, usize) {
        let mut world = World::new();
        world.start();
        let mut crashes = 0;
        for step in steps {
            let running = |world: &World, index: usize| world.nodes.get(index).is_some_and(|node| node.alive);
            match step {
                Step::Notify => world.notify(),
                Step::Turn => world.turn(),
                Step::Start => world.start(),
                Step::Read(node, records) if running(&world, node) => world.read(node, records),
                Step::Beat(node) if running(&world, node) => world.beat(node),
                Step::Crash(node) if running(&world, node) => {
                    crashes += 1;
                    world.nodes[node].alive = false;
                }
                Step::Leave(node) if running(&world, node) => {
                    world.read(node, usize::MAX);
                    world.leave(node);
                }
                _ => {}
            }
        }
        world.start();
        (0..8).for_each(|_| world.turn());
        (world, crashes)
    }

    proptest! {
        #[test]
        fn somebody_always_passes_on(steps in prop::collection::vec(any(), 1..120)) {
            let (world, _) = after(steps);
            for index in 0..world.notified.len() {
                prop_assert!(!world.who(index).is_empty(), "notification {index} was passed on by nobody");
            }
        }

        #[test]
        fn each_crash_makes_one_more_pass_on_at_the_most(steps in prop::collection::vec(prompt(), 1..120)) {
            let (world, crashes) = after(steps);
            for index in 0..world.notified.len() {
                let who = world.who(index);
                prop_assert!((1..=1 + crashes).contains(&who.len()), "notification {index} was passed on by {who:?}");
            }
        }
    }
}
