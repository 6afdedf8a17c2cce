//! Runs many seeds, or one with its story.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bellwire_sim::coverage::{Coverage, run, run_world};
use bellwire_sim::plan::Plan;
use bellwire_sim::shrink::{only, shrink};
use bellwire_sim::world::World;

const HELP: &str = "\
Runs the cluster simulation.

  bellwire-sim [--seeds N] [--from N] [--calm]    many seeds; stops at the first that breaks a promise, and makes it small
  bellwire-sim --seed N [--calm] [--keep 1,2,3]   one seed, with what happens; only these of its steps

Each seed is a run of its own; the same seed gives the same run.
";

struct Args {
    seeds: u64,
    from: u64,
    seed: Option<u64>,
    calm: bool,
    keep: Option<Vec<usize>>,
}

fn main() -> ExitCode {
    match args() {
        Ok(None) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Some(args)) => match args.seed {
            Some(seed) => one(seed, &args),
            None => many(&args),
        },
        Err(message) => {
            eprintln!("{message}\n\n{HELP}");
            ExitCode::from(64)
        }
    }
}

fn args() -> Result<Option<Args>, String> {
    let mut args = Args { seeds: 20_000, from: 0, seed: None, calm: false, keep: None };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or(format!("{name} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{name}: {text} is not a number"));
        match name.as_str() {
            "-h" | "--help" => return Ok(None),
            "--calm" => args.calm = true,
            "--seeds" => args.seeds = number(value()?)?,
            "--from" => args.from = number(value()?)?,
            "--seed" => args.seed = Some(number(value()?)?),
            "--keep" => {
                let list = value()?;
                let parsed: Result<Vec<usize>, _> = list.split(',').map(str::parse).collect();
                args.keep = Some(parsed.map_err(|_| format!("--keep: {list} is not a list of numbers"))?);
            }
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(Some(args))
}

fn plan(seed: u64, calm: bool) -> Plan {
    if calm { Plan::calm(seed) } else { Plan::of(seed) }
}

fn one(seed: u64, args: &Args) -> ExitCode {
    let mut plan = plan(seed, args.calm);
    if let Some(keep) = &args.keep {
        plan = only(&plan, keep);
    }
    let mut world = World::new(plan);
    world.trace();
    let run = run_world(world);
    println!("{} events; faults: {:?}", run.events, run.kinds);
    run.violations.iter().for_each(|violation| println!("broken: {violation}"));
    if run.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(args: &Args) -> ExitCode {
    let next = AtomicU64::new(args.from);
    let broken = Mutex::new(None::<u64>);
    let coverage = Mutex::new(Coverage::default());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut mine = Coverage::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= args.from + args.seeds || broken.lock().is_ok_and(|broken| broken.is_some()) {
                        break;
                    }
                    let run = run(plan(seed, args.calm));
                    mine.add(&run);
                    if !run.violations.is_empty()
                        && let Ok(mut broken) = broken.lock()
                    {
                        *broken = Some(broken.map_or(seed, |first: u64| first.min(seed)));
                    }
                }
                if let Ok(mut coverage) = coverage.lock() {
                    coverage.merge(&mine);
                }
            });
        }
    });
    if let Ok(coverage) = coverage.lock() {
        print!("{}", coverage.table());
    }
    match broken.lock().ok().and_then(|broken| *broken) {
        None => ExitCode::SUCCESS,
        Some(seed) => story(seed, args.calm),
    }
}

fn story(seed: u64, calm: bool) -> ExitCode {
    let plan = plan(seed, calm);
    let violations = run(plan.clone()).violations;
    violations.iter().for_each(|violation| println!("seed {seed} breaks {violation}"));
    let Some(first) = violations.first() else { return ExitCode::FAILURE };
    let kept = shrink(&plan, first.promise);
    let list = kept.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    println!("smallest replay: bellwire-sim --seed {seed}{} --keep {list}", if calm { " --calm" } else { "" });
    ExitCode::FAILURE
}
