//! The oracle finds faults: each one that is planted is found within the usual seeds.

use bellwire_sim::coverage::run;
use bellwire_sim::delivery::bug::Bug;
use bellwire_sim::plan::Plan;
use bellwire_sim::plant;

/// Far fewer than `make test` runs of the true program.
const SEEDS: u64 = 3_000;

#[test]
fn every_planted_fault_is_found() {
    let next = std::sync::Mutex::new(Bug::ALL.into_iter());
    let missed = std::sync::Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((rule, bug)) = next.lock().expect("no panic").next() {
                    plant(Some(bug));
                    match found(bug) {
                        Some((seed, text)) => println!("rule {rule:>2} {bug:?}: found at seed {seed}: {text}"),
                        None => missed.lock().expect("no panic").push(bug),
                    }
                    plant(None);
                }
            });
        }
    });
    let missed = missed.into_inner().expect("no panic");
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

fn found(_: Bug) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        let plan = if seed % 2 == 0 { Plan::of(seed) } else { Plan::calm(seed) };
        run(plan).violations.first().map(|violation| (seed, violation.to_string()))
    })
}

/// Rules 0 to 13 have at least one each.
#[test]
fn every_rule_has_a_planted_fault() {
    for rule in 0..=13 {
        assert!(Bug::ALL.iter().any(|(of, _)| *of == rule), "rule {rule} has none");
    }
}
