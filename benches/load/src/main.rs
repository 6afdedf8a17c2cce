//! Bellwire's load generator: tabs and publishers in one process, for every row of `docs/performance.md`.
//!
//! It starts the server that it measures, in each shape, opens the tabs, publishes, and reports rates, latencies,
//! and the server's processor time and memory. Every measurement is a test too: the exit code is 1 when anything
//! accepted was lost, or anything came twice. Loopback only.

mod args;
mod ledger;
mod process;
mod publish;
mod report;
mod scenarios;
mod server;
mod tabs;

use std::process::ExitCode;

use anyhow::Context;

use self::args::Args;
use self::report::Measured;

fn main() -> ExitCode {
    let args = match Args::from_env() {
        Ok(args) => args,
        Err(error) => return failed(&error, 2),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(args.threads).enable_all().build();
    let run = runtime.context("starting the runtime").and_then(|runtime| {
        // On a worker: the thread that waits here would be one more.
        runtime.block_on(async { tokio::spawn(run(args)).await? })
    });
    match run {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&error, 1),
    }
}

fn failed(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("bellwire-load: {error:#}");
    ExitCode::from(code)
}

/// Runs everything; whether nothing was lost or repeated.
async fn run(args: Args) -> anyhow::Result<bool> {
    let mut all = Vec::new();
    for shape in &args.shapes {
        for scenario in args::SCENARIOS.iter().filter(|name| args.scenarios.iter().any(|wanted| wanted == *name)) {
            for protocol in &args.protocols {
                // A row that cannot be measured is a fault of its own; what the others found is kept.
                let measured = scenarios::run(scenario, shape, *protocol, &args.load)
                    .await
                    .unwrap_or_else(|error| Measured::failed(shape.name(), scenario, protocol.name(), &error));
                eprint!(
                    "{}",
                    report::table(std::slice::from_ref(&measured)).lines().skip(1).collect::<String>() + "\n"
                );
                all.push(measured);
            }
        }
    }
    let document = serde_json::to_string_pretty(&report::document(&all))?;
    match &args.json {
        Some(path) => std::fs::write(path, document + "\n").with_context(|| path.display().to_string())?,
        None => println!("{document}"),
    }
    eprint!("\n{}", report::table(&all));
    Ok(all.iter().all(|measured| measured.faults.is_empty()))
}
