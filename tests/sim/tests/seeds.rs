//! Many seeds, and each promise kept in all of them.

use bellwire_sim::coverage::{Coverage, Weather, story, sweep};
use bellwire_sim::plan::{KINDS_MIN, Kind, NODES_MIN, Plan, STEPS_MIN};

/// `make chaos` runs more.
fn seeds() -> u64 {
    let given = std::env::var("BELLWIRE_TEST_SEEDS").ok().and_then(|text| text.parse().ok());
    given.unwrap_or(20_000)
}

fn keeps_its_promises(weather: Weather, seeds: u64) -> Coverage {
    let (coverage, broken) = sweep(0..seeds, weather, None);
    println!("{weather:?}: {}", coverage.table());
    if let Some(seed) = broken {
        panic!("{}", story(seed, weather, None));
    }
    coverage
}

#[test]
fn every_promise_is_kept_with_many_faults_at_once() {
    let coverage = keeps_its_promises(Weather::Foul, seeds());
    assert_eq!(coverage.missing(), [], "kinds of fault that never happened");
    assert!(coverage.kinds_min >= Some(KINDS_MIN), "a run had only {:?} kinds of fault", coverage.kinds_min);
}

/// With one kind of fault at the most hardly anything excuses a repeat.
#[test]
fn every_promise_is_kept_with_one_fault_or_none() {
    let coverage = keeps_its_promises(Weather::Calm, seeds() / 4);
    assert_eq!(coverage.missing(), [], "kinds of fault that never happened");
}

#[test]
fn plans_are_as_large_as_is_said() {
    for plan in (0..500).map(Plan::of) {
        assert!(plan.nodes >= NODES_MIN && plan.steps.len() >= STEPS_MIN && plan.kinds.len() > KINDS_MIN);
    }
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 0..20 {
        let runs = [(); 2].map(|()| bellwire_sim::coverage::run(Plan::of(seed)));
        assert_eq!((runs[0].events, &runs[0].kinds), (runs[1].events, &runs[1].kinds));
    }
    assert!(Kind::ALL.len() > 20);
}
