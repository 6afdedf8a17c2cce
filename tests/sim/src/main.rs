//! Runs many seeds, or one with its story.

use std::process::ExitCode;

use bellwire_sim::coverage::{Weather, run_world, story, sweep};
use bellwire_sim::delivery::bug::Bug;
use bellwire_sim::plant;
use bellwire_sim::shrink::only;
use bellwire_sim::world::World;

const HELP: &str = "\
Runs the cluster simulation.

  bellwire-sim [--seeds N] [--from N] [--calm]    many seeds; stops at the first that breaks a promise, and makes it small
  bellwire-sim --seed N [--calm] [--keep 1,2,3]   one seed, with what happens; only these of its steps
  ... --plant BUG                                 with a fault planted (delivery/bug.rs)

Each seed is a run of its own; the same seed gives the same run.
";

struct Args {
    seeds: u64,
    from: u64,
    seed: Option<u64>,
    calm: bool,
    keep: Option<Vec<usize>>,
    bug: Option<Bug>,
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
    let mut args = Args { seeds: 20_000, from: 0, seed: None, calm: false, keep: None, bug: None };
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
            "--plant" => {
                let name = value()?;
                let bug = Bug::ALL.into_iter().map(|(_, bug)| bug).find(|bug| format!("{bug:?}") == name);
                args.bug = Some(bug.ok_or(format!("--plant: there is no {name}"))?);
            }
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

fn one(seed: u64, args: &Args) -> ExitCode {
    plant(args.bug);
    let mut plan = args.weather().plan(seed);
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
    let (coverage, broken) = sweep(args.from..args.from + args.seeds, args.weather(), args.bug);
    print!("{}", coverage.table());
    match broken {
        None => ExitCode::SUCCESS,
        Some(seed) => {
            print!("{}", story(seed, args.weather(), args.bug));
            ExitCode::FAILURE
        }
    }
}

impl Args {
    fn weather(&self) -> Weather {
        if self.calm { Weather::Calm } else { Weather::Foul }
    }
}
