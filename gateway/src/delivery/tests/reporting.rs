//! What a node tells of its own sessions (rules 7, 8 and 12).

use super::*;
use crate::delivery::reporter::Reporter;

/// One node whose appends are carried by hand.
struct Desk {
    world: World,
    reporter: Reporter,
}

impl Desk {
    fn new() -> Self {
        Self { world: World::new(), reporter: Reporter::new(A) }
    }

    fn open(&mut self, number: u64) {
        self.reporter.open(number, mine());
    }

    fn make(&mut self) -> Vec<Report> {
        let lines = self.reporter.differences(&self.world.machine, true);
        self.reporter.reports(lines, UnixMillis(self.world.now))
    }

    fn read(&mut self, reports: Vec<Report>) {
        for report in reports {
            self.reporter.on_read_back(&report);
            self.world.push(Record::Report(report));
        }
    }

    fn lines(&mut self) -> Vec<Line> {
        self.reporter.differences(&self.world.machine, true)
    }
}

#[test]
fn nothing_is_sent_before_the_barrier_was_read_back() {
    let mut desk = Desk::new();
    assert!(desk.reporter.owes_barrier());
    assert!(!desk.reporter.may_send(&desk.world.machine));
    let reports = desk.make();
    assert_eq!(reports.len(), 1, "a report is made though there is nothing to tell");
    assert!(!desk.reporter.may_send(&desk.world.machine));
    desk.read(reports);
    assert!(desk.reporter.may_send(&desk.world.machine));
    desk.reporter.raise_barrier();
    assert!(!desk.reporter.may_send(&desk.world.machine));
}

#[test]
fn a_difference_is_told_once_until_a_later_report_was_read_back() {
    let mut desk = Desk::new();
    desk.open(1);
    let lost = desk.make();
    assert!(matches!(lost[0].entries[..], [Line::Opened(_)]));
    assert!(desk.lines().is_empty(), "it is under way");
    let later = desk.make();
    desk.read(later);
    assert!(matches!(desk.lines()[..], [Line::Opened(_)]), "a later report shows that it was lost");
}

#[test]
fn an_opening_that_arrives_behind_its_closing_is_closed_again() {
    let mut desk = Desk::new();
    desk.open(1);
    let late = desk.make();
    desk.reporter.close(1);
    assert!(desk.lines().is_empty(), "the fold knows nothing of it");
    desk.read(late);
    assert_eq!(desk.lines(), [Line::Closed { session: 1 }]);
}

#[test]
fn what_a_tab_proved_last_is_told_before_its_end() {
    let mut desk = Desk::new();
    desk.open(1);
    let reports = desk.make();
    desk.read(reports);
    let n = desk.world.notify("n");
    desk.reporter.confirm(1, Position::after(n));
    desk.reporter.close(1);
    assert_eq!(desk.lines(), [Line::Confirmed { session: 1, upto: n }, Line::Closed { session: 1 }]);
}

#[test]
fn progress_and_stalls_are_told() {
    let mut desk = Desk::new();
    desk.open(1);
    let reports = desk.make();
    desk.read(reports);
    let n = desk.world.notify("n");
    desk.reporter.stall(1);
    let reports = desk.make();
    assert_eq!(reports[0].entries, [Line::Stalled { session: 1 }]);
    desk.read(reports);
    assert!(desk.reporter.confirm(1, Position::after(n)), "it was stalled");
    let reports = desk.make();
    assert_eq!(reports[0].entries, [Line::Confirmed { session: 1, upto: n }]);
    desk.read(reports);
    assert!(desk.lines().is_empty());
    assert!(!desk.world.machine.view(tab(A, 1)).unwrap().stalled);
}

/// What a session passes over says that its browser has it, not that the tab lives.
#[test]
fn what_is_passed_over_ends_no_stall_and_is_told_with_the_next_proof() {
    let mut desk = Desk::new();
    desk.open(1);
    let reports = desk.make();
    desk.read(reports);
    let n = desk.world.notify("n");
    desk.reporter.pass(1, Position::after(n));
    let reports = desk.make();
    assert_eq!(reports[0].entries, [Line::Confirmed { session: 1, upto: n }]);
    desk.read(reports);
    desk.reporter.stall(1);
    let reports = desk.make();
    desk.read(reports);
    let m = desk.world.notify("m");
    desk.reporter.pass(1, Position::after(m));
    assert!(desk.lines().is_empty(), "the others would take it for a proof");
    assert!(desk.reporter.confirm(1, Position::after(m)), "it is stalled until then");
    assert_eq!(desk.lines(), [Line::Confirmed { session: 1, upto: m }]);
}

#[test]
fn a_tab_that_lives_but_has_had_nothing_is_good_again() {
    let mut desk = Desk::new();
    desk.open(1);
    let reports = desk.make();
    desk.read(reports);
    desk.reporter.stall(1);
    let reports = desk.make();
    desk.read(reports);
    desk.reporter.confirm(1, Position::default());
    let reports = desk.make();
    desk.read(reports);
    assert!(!desk.world.machine.view(tab(A, 1)).unwrap().stalled);
}

#[test]
fn heartbeats_wait_for_the_one_before() {
    let mut desk = Desk::new();
    let first = desk.reporter.beat().unwrap();
    assert!(desk.reporter.beat().is_none());
    let reports = desk.reporter.reports(vec![first], UnixMillis(1));
    desk.read(reports);
    assert_eq!(desk.reporter.beat(), Some(Line::Beat { number: 2 }));
    desk.reporter.on_append_failed();
    assert_eq!(desk.reporter.beat(), Some(Line::Beat { number: 2 }), "it may land yet, and is one sign of life only");
    let reports = desk.reporter.reports(vec![Line::Beat { number: 2 }], UnixMillis(1));
    desk.read(reports);
    assert_eq!(desk.reporter.beat(), Some(Line::Beat { number: 3 }));
}

#[test]
fn a_round_names_all_and_long_ones_are_split() {
    let mut desk = Desk::new();
    (1..=500).for_each(|number| desk.open(number));
    let lines = desk.reporter.round(&desk.world.machine);
    assert_eq!(lines.len(), 501);
    assert_eq!(lines.last(), Some(&Line::Round));
    let reports = desk.reporter.reports(lines, UnixMillis(1));
    assert_eq!(reports.iter().map(|report| report.entries.len()).collect::<Vec<_>>(), [200, 200, 101]);
    assert!(reports.iter().all(|r| Record::Report(r.clone()).encode().len() < 64 * 1024));
}
