//! Runs plans, and counts what happened in them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::delivery::bug::Bug;
use crate::oracle::{Violation, judge, judge_end};
use crate::plan::{Kind, Plan};
use crate::plant;
use crate::shrink::shrink;
use crate::world::World;

/// What a run showed.
#[derive(Debug)]
pub struct Run {
    /// What must not be.
    pub violations: Vec<Violation>,
    /// Kinds of fault that happened, with how often.
    pub kinds: BTreeMap<Kind, usize>,
    /// Events of the run: steps, frames, reads, appends.
    pub events: u64,
}

/// Runs a plan and judges it.
#[must_use]
pub fn run(plan: Plan) -> Run {
    run_world(World::new(plan))
}

/// Runs a world that may have been told to print what happens.
#[must_use]
pub fn run_world(mut world: World) -> Run {
    let to_the_end = world.plan.to_the_end;
    let judged_at = world.judged_at();
    world.run(judged_at);
    let mut violations = judge(&world);
    if to_the_end && violations.is_empty() {
        let expired_at = world.expired_at();
        world.run(expired_at);
        violations = judge_end(&world);
    }
    let mut kinds = BTreeMap::new();
    for &kind in &world.history.faults {
        *kinds.entry(kind).or_default() += 1;
    }
    Run { violations, kinds, events: world.events }
}

/// How often each kind has happened over many runs.
#[derive(Debug, Default)]
pub struct Coverage {
    /// Runs.
    pub runs: u64,
    /// Events of all runs.
    pub events: u64,
    /// The fewest kinds in a run.
    pub kinds_min: Option<usize>,
    /// Runs in which a kind happened, and how often in all.
    pub kinds: BTreeMap<Kind, (u64, u64)>,
}

impl Coverage {
    /// Adds a run.
    pub fn add(&mut self, run: &Run) {
        self.runs += 1;
        self.events += run.events;
        self.kinds_min = Some(self.kinds_min.map_or(run.kinds.len(), |min| min.min(run.kinds.len())));
        for (&kind, &times) in &run.kinds {
            let sum = self.kinds.entry(kind).or_default();
            sum.0 += 1;
            sum.1 += times as u64;
        }
    }

    /// Adds what another thread has counted.
    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.events += other.events;
        self.kinds_min = [self.kinds_min, other.kinds_min].into_iter().flatten().min();
        for (&kind, &(runs, times)) in &other.kinds {
            let sum = self.kinds.entry(kind).or_default();
            sum.0 += runs;
            sum.1 += times;
        }
    }

    /// Kinds that never happened.
    #[must_use]
    pub fn missing(&self) -> Vec<Kind> {
        Kind::ALL.iter().copied().filter(|kind| !self.kinds.contains_key(kind)).collect()
    }

    /// A line for each kind.
    #[must_use]
    pub fn table(&self) -> String {
        let line = |kind: &Kind| {
            let (runs, times) = self.kinds.get(kind).copied().unwrap_or_default();
            format!("  {:<24} {runs:>7} runs {times:>9} times\n", kind.text())
        };
        let events = self.events.checked_div(self.runs).unwrap_or_default();
        let kinds = self.kinds_min.unwrap_or_default();
        let head = format!("{} runs, {events} events each, at least {kinds} kinds of fault in each\n", self.runs);
        head + &Kind::ALL.iter().map(line).collect::<String>()
    }
}

/// How plans are made of seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// [`Plan::of`].
    Foul,
    /// [`Plan::calm`].
    Calm,
}

impl Weather {
    /// The plan of a seed.
    #[must_use]
    pub fn plan(self, seed: u64) -> Plan {
        match self {
            Self::Foul => Plan::of(seed),
            Self::Calm => Plan::calm(seed),
        }
    }
}

/// Runs many seeds on all processors, until one breaks a promise; says what was covered, and the smallest seed that broke
/// one.
#[must_use]
pub fn sweep(seeds: Range<u64>, weather: Weather, bug: Option<Bug>) -> (Coverage, Option<u64>) {
    let next = AtomicU64::new(seeds.start);
    let broken = Mutex::new(None::<u64>);
    let coverage = Mutex::new(Coverage::default());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                plant(bug);
                let mut mine = Coverage::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || broken.lock().is_ok_and(|broken| broken.is_some()) {
                        break;
                    }
                    let run = run(weather.plan(seed));
                    mine.add(&run);
                    if !run.violations.is_empty()
                        && let Ok(mut broken) = broken.lock()
                    {
                        *broken = Some(broken.map_or(seed, |first| first.min(seed)));
                    }
                }
                if let Ok(mut coverage) = coverage.lock() {
                    coverage.merge(&mine);
                }
            });
        }
    });
    (coverage.into_inner().unwrap_or_default(), broken.into_inner().ok().flatten())
}

/// What a seed breaks, and the smallest replay of the first of it.
#[must_use]
pub fn story(seed: u64, weather: Weather, bug: Option<Bug>) -> String {
    plant(bug);
    let plan = weather.plan(seed);
    let violations = run(plan.clone()).violations;
    let mut text: String = violations.iter().map(|violation| format!("seed {seed} breaks {violation}\n")).collect();
    if let Some(first) = violations.first() {
        let kept = shrink(&plan, first.promise);
        let list = kept.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let calm = if weather == Weather::Calm { " --calm" } else { "" };
        let planted = bug.map(|bug| format!(" --plant {bug:?}")).unwrap_or_default();
        text += &format!("smallest replay: bellwire-sim --seed {seed}{calm}{planted} --keep {list}\n");
    }
    plant(None);
    text
}
