//! A node's copy over time: what no single record shows (rules 7, 8, 12 and 13).

use super::*;
use crate::delivery::{Doubt, Reached, Replica, Timing};

/// One replica whose appends land at once, and others who write by hand.
struct Node {
    replica: Replica<()>,
    now: u64,
    next: u64,
    /// Entries of the last reports.
    told: Vec<Line>,
    /// How often it read that it is lost.
    lost: u64,
}

impl Node {
    fn new() -> Self {
        let replica = Replica::new(A, limits(), Timing::default(), 0, 60_000);
        let mut node = Self { replica, now: 0, next: 0, told: Vec::new(), lost: 0 };
        node.replica.on_caught_up(0);
        node
    }

    fn land(&mut self, record: Record) {
        let mut touched = Touched::default();
        self.replica.apply(self.now, Offset(self.next), record, || (), &mut touched);
        self.lost += touched.tally.lost;
        self.next += 1;
    }

    /// Runs until `until`; reports land, and are read back if `reads`.
    fn run(&mut self, until: u64, reads: bool) -> Option<Doubt> {
        let mut doubt = None;
        while self.now < until {
            self.now = self.replica.deadline().clamp(self.now + 1, until);
            doubt = doubt.or(self.replica.tick(self.now));
            let reports = self.replica.due(self.now, UnixMillis(1_000_000 + self.now));
            if !reports.is_empty() {
                self.told = reports.iter().flat_map(|report| report.entries.clone()).collect();
                self.replica.on_appended(self.now, true);
            }
            for report in reports.into_iter().filter(|_| reads) {
                self.land(Record::Report(report));
            }
        }
        doubt
    }

    fn other_beats(&mut self, times: u64, from: u64, now: u64) {
        for number in from..from + times {
            let at = UnixMillis(1_000_000 + now + number * 1_000);
            self.land(Record::Report(Report { node: B, number, at, entries: vec![Line::Beat { number }] }));
        }
    }

    fn open(&mut self, number: u64, reached: Reached) {
        self.replica.open(self.now, number, reached, mine());
    }

    fn may_send(&self) -> bool {
        let opened = self.replica.machine().sessions_of(A).next();
        opened.is_some_and(|s| !self.replica.next(self.now, s.number, Position::default(), 10).held.is_empty())
    }

    fn notify(&mut self, id: &str) {
        self.land(Record::Notify(Notify {
            id: NotificationId::try_new(id).unwrap(),
            user: user(),
            accepted_at: UnixMillis(1_000_000),
            expires_at: UnixMillis(1_000_000 + self.now + TTL_MS),
            payload: Bytes::from_static(b"x"),
        }));
    }

    fn with_a_tab() -> Self {
        let mut node = Self::new();
        node.run(1_500, true);
        node.open(1, node.replica.reached());
        node.run(1_600, true);
        node.notify("n");
        assert!(node.may_send());
        node
    }
}

#[test]
fn a_long_way_to_the_end_of_the_log_is_no_freeze() {
    let mut replica: Replica<()> = Replica::new(A, limits(), Timing::default(), 0, 60_000);
    for now in (0..5_000).step_by(500) {
        assert_eq!(replica.tick(now), None);
    }
    replica.on_caught_up(5_300);
    assert_eq!(replica.tick(5_310), None);
    assert!(!replica.due(5_310, UnixMillis(1)).is_empty(), "it says at once that it lives");
}

#[test]
fn a_late_loop_is_a_freeze_even_before_it_is_looked_at() {
    let mut node = Node::with_a_tab();
    node.now += 2_000;
    assert!(!node.may_send(), "a session runs before the loop does");
    assert_eq!(node.replica.tick(node.now), Some(Doubt::StoodStill));
    assert!(!node.may_send(), "the barrier stands");
    node.run(node.now + 100, true);
    assert!(node.may_send());
}

#[test]
fn who_reads_nothing_of_its_own_attaches_anew_and_sends_nothing_until_then() {
    let mut node = Node::with_a_tab();
    assert_eq!(node.run(8_500, false), Some(Doubt::Unseen));
    assert!(!node.may_send());
}

#[test]
fn a_heartbeat_waits_for_the_one_before_to_be_read() {
    let mut node = Node::with_a_tab();
    node.run(2_700, false);
    node.told.clear();
    node.run(6_000, false);
    assert!(!node.told.iter().any(|line| matches!(line, Line::Beat { .. })), "{:?}", node.told);
}

#[test]
fn a_node_that_was_forgotten_beats_again_and_names_its_sessions() {
    let mut node = Node::with_a_tab();
    // It stands still, the others go on, and forget it.
    let frozen = node.now;
    let others = TTL_MS / 1_000 + 10;
    node.other_beats(others, 1, frozen);
    assert!(!node.replica.machine().knows(A));
    assert_eq!(node.lost, 1, "told once");
    node.now = frozen + TTL_MS + 60_000;
    node.replica.tick(node.now);
    node.run(node.now + 3_000, true);
    assert_eq!(node.replica.machine().sessions_of(A).count(), 1);
    assert!(node.replica.machine().living().any(|node| node == A));
}

#[test]
fn a_round_waits_for_the_barrier() {
    let mut node = Node::with_a_tab();
    // The round is due in the middle of a freeze.
    node.now = 100_000;
    assert_eq!(node.replica.tick(node.now), Some(Doubt::StoodStill));
    node.run(node.now + 900, false);
    assert!(!node.told.contains(&Line::Round), "{:?}", node.told);
    node.replica.on_reattached(node.now);
    node.run(node.now + 2_500, true);
    assert!(node.replica.machine().knows(A));
}

#[test]
fn where_a_tab_was_greeted_means_nothing_in_another_log() {
    let mut node = Node::new();
    node.run(5_500, true);
    let greeted = node.replica.reached();
    assert!(greeted.applied > Some(Offset(3)));
    node.replica.on_replaced();
    node.next = 0;
    node.replica.on_caught_up(node.now);
    node.notify("n");
    node.open(1, greeted);
    node.run(7_000, true);
    assert!(node.may_send(), "what stands before the old place is not skipped");
}

/// A position in a log that is gone covers offsets of the next one by chance.
#[test]
fn positions_of_a_log_that_is_gone_say_nothing_of_what_was_had() {
    let mut node = Node::with_a_tab();
    let id = NotificationId::try_new("n").unwrap();
    let had = |node: &Node, generation, position| {
        node.replica.has_had(&user(), &browser_id("x"), (generation, Position::from_u64(position)), &id)
    };
    let old = node.replica.reached().generation;
    assert!(had(&node, old, 1_000));
    node.replica.on_replaced();
    node.next = 0;
    node.replica.on_caught_up(node.now);
    node.run(node.now + 2_000, true);
    node.notify("n");
    let new = node.replica.reached().generation;
    assert!(!had(&node, old, 1_000), "of the old log");
    assert!(!had(&node, new, 0));
    assert!(had(&node, new, 1_000));
}
