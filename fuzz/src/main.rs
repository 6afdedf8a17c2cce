//! `bellwire-fuzz [--seconds N] [--seed N] [TARGET ...]`: replays the corpora, then tries new inputs.
//!
//! Exit codes: 0 nothing found, 1 a promise is broken (the input is kept in the corpus), 2 wrong usage.

use std::process::ExitCode;
use std::time::Duration;

use bellwire_fuzz::{TARGETS, Target, run};

const USAGE: &str = "usage: bellwire-fuzz [--seconds N] [--seed N] [TARGET ...]";
const SECONDS: u64 = 10;

struct Settings {
    /// For each target.
    seconds: u64,
    seed: u64,
    targets: Vec<Target>,
}

fn main() -> ExitCode {
    let settings = match settings(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(error) => {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("bellwire-fuzz: {error}\n{USAGE}\ntargets: {}", names.join(" "));
            return ExitCode::from(2);
        }
    };
    // An input that fails is tried again and again while it is made small; its message is told once, at the end.
    std::panic::set_hook(Box::new(|_| {}));
    let mut found = false;
    for target in &settings.targets {
        match run(*target, settings.seed, Duration::from_secs(settings.seconds)) {
            Ok(done) => println!("{}: {done}", target.name),
            Err(broken) => {
                println!("{}: {broken}", target.name);
                found = true;
            }
        }
    }
    ExitCode::from(u8::from(found))
}

fn settings(mut arguments: impl Iterator<Item = String>) -> Result<Settings, String> {
    let mut settings = Settings { seconds: SECONDS, seed: fastrand::u64(..), targets: Vec::new() };
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a number"))?;
            value.parse().map_err(|_| format!("{argument} needs a number, not {value:?}"))
        };
        match argument.as_str() {
            "--seconds" => settings.seconds = number()?,
            "--seed" => settings.seed = number()?,
            name => {
                let target = TARGETS.iter().find(|target| target.name == name);
                settings.targets.push(*target.ok_or_else(|| format!("no such target or option: {name:?}"))?);
            }
        }
    }
    if settings.targets.is_empty() {
        settings.targets = TARGETS.to_vec();
    }
    Ok(settings)
}
