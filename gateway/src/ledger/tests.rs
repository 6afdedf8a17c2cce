use proptest::prelude::*;

use super::Layout::{Also, Own};
use super::*;

const P: fn(u64) -> Position = Position::from_u64;

#[test]
fn a_proof_takes_the_session_forward_in_both_logs() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.on_written(Own, P(7)), P(1));
    assert_eq!(ledger.on_written(Also, P(3)), P(2));
    assert_eq!(ledger.on_written(Own, P(9)), P(3));
    assert_eq!((ledger.written(Own), ledger.written(Also)), (P(9), P(3)));
    ledger.on_proved(P(2));
    assert_eq!((ledger.proved(Own), ledger.proved(Also)), (P(7), P(3)));
    ledger.on_proved(P(3));
    assert_eq!((ledger.proved(Own), ledger.proved(Also)), (P(9), P(3)));
}

/// One acknowledgement stands for everything that came before it on the connection, also out of the other log.
#[test]
fn an_acknowledgement_of_one_log_stands_for_what_was_written_before_it() {
    let mut ledger = Ledger::default();
    ledger.on_written(Own, P(7));
    ledger.on_written(Also, P(3));
    ledger.on_written(Own, P(9));
    assert_eq!(ledger.number_of(Also, P(3)), P(2));
    assert_eq!(ledger.number_of(Own, P(8)), P(1));
    assert_eq!(ledger.number_of(Own, P(99)), P(0), "never written");
    ledger.on_proved(P(2));
    assert_eq!(ledger.number_of(Also, P(3)), P(2), "once more");
    assert_eq!(ledger.number_of(Own, P(9)), P(3));
}

#[test]
fn what_is_passed_over_is_had_with_what_came_before_it() {
    let mut ledger = Ledger::default();
    assert!(ledger.on_skipped(Also, P(2)));
    assert_eq!(ledger.proved(Also), P(2));
    ledger.on_written(Own, P(5));
    assert!(!ledger.on_skipped(Also, P(4)));
    assert_eq!((ledger.written(Also), ledger.proved(Also)), (P(4), P(2)));
    ledger.on_proved(P(1));
    assert_eq!((ledger.proved(Own), ledger.proved(Also)), (P(5), P(4)));
}

#[test]
fn a_log_that_is_replaced_takes_only_its_own_with_it() {
    let mut ledger = Ledger::default();
    ledger.on_written(Own, P(50));
    ledger.on_written(Also, P(3));
    ledger.on_written(Own, P(60));
    ledger.on_replaced(Own);
    assert_eq!((ledger.written(Own), ledger.written(Also)), (P(0), P(3)));
    assert_eq!(ledger.on_written(Own, P(1)), P(4), "numbers go on: an old proof is none of the new log");
    ledger.on_proved(P(3));
    assert_eq!((ledger.proved(Own), ledger.proved(Also)), (P(0), P(3)));
    ledger.on_proved(P(4));
    assert_eq!(ledger.proved(Own), P(1));
}

#[test]
fn a_page_that_proves_nothing_holds_little() {
    let mut ledger = Ledger::default();
    for number in 1..=10 * WRITES_MAX as u64 {
        ledger.on_written(if number % 2 == 0 { Own } else { Also }, P(number));
    }
    assert_eq!(ledger.writes.len(), WRITES_MAX);
    ledger.on_proved(P(WRITES_MAX as u64 + 5));
    assert_eq!((ledger.proved(Own), ledger.proved(Also)), (P(254), P(255)), "less than it might be");
    ledger.on_proved(P(10 * WRITES_MAX as u64));
    assert_eq!((ledger.proved(Own), ledger.proved(Also)), (P(2_560), P(2_559)));
}

/// Only the last of many writes is remembered; that it was of the log that went must not make the others had.
#[test]
fn what_is_owed_of_the_other_log_is_owed_when_one_is_replaced() {
    let mut ledger = Ledger::default();
    let last = WRITES_MAX as u64 + 10;
    for number in 1..=last {
        ledger.on_written(Own, P(number));
    }
    ledger.on_written(Also, P(1));
    ledger.on_proved(P(WRITES_MAX as u64 - 1));
    ledger.on_replaced(Also);
    assert_eq!(ledger.proved(Own), P(WRITES_MAX as u64 - 1), "ten are on their way");
    ledger.on_proved(P(last + 1));
    assert_eq!(ledger.proved(Own), P(last));
}

/// What a session does, and what its tab answers; positions of proofs and acknowledgements are such as the tab was told.
#[derive(Debug, Clone)]
enum Step {
    Write(Layout, u64),
    Skip(Layout, u64),
    /// The n-th write, by its number, as pages of V1 and V2 and pongs do.
    Prove(prop::sample::Index),
    /// The n-th write, by its place in its log, as native pages do.
    Acknowledge(prop::sample::Index),
    /// Something that nobody was told.
    Lie(Layout, u64),
    Replace(Layout),
}

fn step() -> impl Strategy<Value = Step> {
    let layout = || prop::sample::select(Layout::ALL.as_slice());
    prop_oneof![
        8 => (layout(), 1..4u64).prop_map(|(layout, more)| Step::Write(layout, more)),
        2 => (layout(), 1..4u64).prop_map(|(layout, more)| Step::Skip(layout, more)),
        3 => any::<prop::sample::Index>().prop_map(Step::Prove),
        3 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
        1 => (layout(), any::<u64>()).prop_map(|(layout, upto)| Step::Lie(layout, upto)),
        1 => layout().prop_map(Step::Replace),
    ]
}

/// A write as the tab got it, or what was passed over behind it.
#[derive(Debug, Clone, Copy)]
struct Told {
    number: u64,
    layout: Layout,
    upto: Position,
    /// Of the log that stood there then.
    generation: u32,
}

#[derive(Debug, Default)]
struct Tab {
    told: Vec<Told>,
    passed: Vec<Told>,
    /// The number of the last write that it has answered for.
    had: u64,
    generations: [u32; 2],
}

impl Tab {
    fn tell(&self, layout: Layout, upto: Position, number: u64) -> Told {
        Told { number, layout, upto, generation: self.generations[layout as usize] }
    }

    fn lives(&self, told: &Told) -> bool {
        told.generation == self.generations[told.layout as usize]
    }

    /// What it has of the log that stands there now.
    fn has(&self, layout: Layout) -> Position {
        let of_it = |told: &&Told| told.number <= self.had && told.layout == layout && self.lives(told);
        self.told.iter().chain(&self.passed).filter(of_it).map(|told| told.upto).max().unwrap_or_default()
    }

    /// Up to this number there is something that it has not answered for.
    fn owes(&self, upto: u64) -> bool {
        self.told.iter().any(|told| (self.had + 1..=upto).contains(&told.number) && self.lives(told))
    }

    fn owes_any(&self) -> bool {
        self.owes(self.told.len() as u64)
    }
}

proptest! {
    #[test]
    fn no_proof_is_worth_more_than_what_the_tab_has(steps in prop::collection::vec(step(), 1..400)) {
        let (mut ledger, mut tab) = (Ledger::default(), Tab::default());
        for step in steps {
            match step {
                Step::Write(layout, more) => {
                    let upto = P(ledger.written(layout).as_u64() + more);
                    let number = ledger.on_written(layout, upto).as_u64();
                    prop_assert_eq!(number, tab.told.len() as u64 + 1, "numbers never come twice");
                    tab.told.push(tab.tell(layout, upto, number));
                }
                Step::Skip(layout, more) => {
                    let upto = P(ledger.written(layout).as_u64() + more);
                    let is_had = ledger.on_skipped(layout, upto);
                    prop_assert!(is_had != tab.owes_any() || tab.told.len() >= WRITES_MAX);
                    tab.passed.push(tab.tell(layout, upto, tab.told.len() as u64));
                }
                Step::Prove(index) if !tab.told.is_empty() => {
                    let told = *index.get(&tab.told);
                    tab.had = tab.had.max(told.number);
                    ledger.on_proved(P(told.number));
                }
                Step::Acknowledge(index) if !tab.told.is_empty() => {
                    let told = *index.get(&tab.told);
                    // What is on its way when the log is replaced may be taken for the new one: a known limit.
                    if tab.lives(&told) {
                        tab.had = tab.had.max(told.number);
                        let number = ledger.number_of(told.layout, told.upto);
                        prop_assert!(!tab.owes(number.as_u64()));
                        ledger.on_proved(number);
                    }
                }
                Step::Lie(layout, upto) if P(upto) > ledger.written(layout) => {
                    let number = ledger.number_of(layout, P(upto));
                    prop_assert!(!tab.owes(number.as_u64()));
                    ledger.on_proved(number);
                }
                Step::Replace(layout) => {
                    tab.generations[layout as usize] += 1;
                    ledger.on_replaced(layout);
                }
                Step::Prove(_) | Step::Acknowledge(_) | Step::Lie(..) => {}
            }
            if !tab.owes_any() {
                tab.had = tab.told.len() as u64;
            }
            for layout in Layout::ALL {
                prop_assert!(ledger.proved(layout) <= tab.has(layout), "{layout:?}");
                // As long as each write is remembered, nothing that the tab has answered for is left out.
                if !tab.owes_any() && tab.told.len() < WRITES_MAX {
                    prop_assert_eq!(ledger.proved(layout), ledger.written(layout), "{:?}", layout);
                }
            }
            prop_assert!(ledger.writes.len() <= WRITES_MAX);
        }
    }
}
