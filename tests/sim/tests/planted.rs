//! The oracle finds faults: each one that is planted is found within the seeds that `make test` runs.

use bellwire_sim::coverage::{Weather, run, sweep};
use bellwire_sim::delivery::bug::Bug;
use bellwire_sim::plant;

/// As many as `make test` runs of the true program; most faults are found within some tens.
const SEEDS: u64 = 20_000;

#[test]
fn every_planted_fault_is_found() {
    let mut missed = Vec::new();
    for (rule, bug) in Bug::ALL {
        match sweep(0..SEEDS, Weather::Foul, Some(bug)) {
            (coverage, Some(seed)) => {
                plant(Some(bug));
                let broken = run(Weather::Foul.plan(seed)).violations;
                plant(None);
                let first = broken.first().map(ToString::to_string).unwrap_or_default();
                println!("rule {rule:>2} {bug:?}: found within {} runs, seed {seed}: {first}", coverage.runs);
            }
            (_, None) => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

#[test]
fn every_rule_has_a_planted_fault() {
    for rule in 0..=13 {
        assert!(Bug::ALL.iter().any(|(of, _)| *of == rule), "rule {rule} has none");
    }
}
