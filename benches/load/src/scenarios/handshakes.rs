//! Connections per second, from the first packet to the server's greeting, and what each costs the server.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::report::{Measured, micros_each, per, rounded};
use crate::scenarios::Bench;
use crate::tabs::{Protocol, open_all};

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let tabs = bench.load.tabs;
    let mut figures = Map::new();
    // A page that registers costs more than the handshake: it becomes a session in the log.
    for (register, suffix) in [(false, ""), (true, "_registered")] {
        // The native protocol greets only those that have said who they are.
        if !register && bench.protocol == Protocol::Native {
            continue;
        }
        let (rate, cpu) = median(bench, register).await?;
        figures.insert(format!("per_second{suffix}"), json!(rate));
        figures.insert(format!("cpu_us_each{suffix}"), json!(cpu));
    }
    let parameters = json!({ "tabs": tabs, "rounds": bench.load.rounds });
    Ok(bench.measured(parameters, Value::Object(figures), Vec::new()))
}

/// Rate and processor time each, in microseconds: of each the median of the rounds.
async fn median(bench: &Bench<'_>, register: bool) -> anyhow::Result<(f64, f64)> {
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..bench.load.rounds {
        bench.server.settle().await?;
        let before = bench.server.usage()?;
        let begun = Instant::now();
        let tabs = open_all(&bench.plan(bench.load.tabs, 1, register)).await?;
        rates.push(per(tabs.len() as f64, begun.elapsed().as_secs_f64()));
        if register {
            // What the server does with the registrations ends after the last greeting.
            bench.server.settle().await?;
        }
        let after = bench.server.usage()?;
        costs.push(micros_each(after.cpu.saturating_sub(before.cpu), tabs.len() as u64));
        drop(tabs);
    }
    Ok((middle(&mut rates).round(), rounded(middle(&mut costs))))
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(middle(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(middle(&mut [5.0]), 5.0);
    }
}
