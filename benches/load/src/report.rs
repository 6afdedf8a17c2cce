//! What a measurement found, as JSON for programs and as a table for people.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::ledger::Outcome;
use crate::process::Usage;
use crate::publish::Published;

/// One scenario on one server with one kind of tab.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) shape: &'static str,
    pub(crate) scenario: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) parameters: Value,
    /// What the row of the table shows; named with its unit.
    pub(crate) figures: Map<String, Value>,
    /// The step that the figures come from, and the others of a raised run.
    pub(crate) runs: Vec<Run>,
    /// What went wrong; empty is good.
    pub(crate) faults: Vec<String>,
}

impl Measured {
    /// A row that could not be measured: it has no figures, and the error as its fault.
    pub(crate) fn failed(
        shape: &'static str,
        scenario: &'static str,
        protocol: &'static str,
        error: &anyhow::Error,
    ) -> Self {
        let faults = vec![format!("not measured: {error:#}")];
        Self { shape, scenario, protocol, parameters: Value::Null, figures: Map::new(), runs: Vec::new(), faults }
    }

    /// The faults in one line each; the JSON has them whole.
    fn shown_faults(&self) -> String {
        let first_lines: Vec<&str> = self.faults.iter().filter_map(|fault| fault.lines().next()).collect();
        if first_lines.is_empty() { String::new() } else { format!("  FAILED: {}", first_lines.join(", ")) }
    }
}

/// One run of publishers and tabs.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) parameters: Value,
    pub(crate) sent: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) refused_statuses: Vec<u16>,
    pub(crate) unanswered: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) tabs_ended: u64,
    pub(crate) bad_frames: u64,
    pub(crate) frame_bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) server_cpu_us_per_delivery: f64,
    pub(crate) server_rss_bytes: u64,
    pub(crate) latency_ms: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generator_lateness_ms: Option<Value>,
}

impl Run {
    /// What a run's books and the kernel say.
    pub(crate) fn new(parameters: Value, published: Published, outcome: &Outcome, before: Usage, after: Usage) -> Self {
        let (seconds, cpu) = (outcome.span.as_secs_f64(), after.cpu.saturating_sub(before.cpu));
        Self {
            parameters,
            sent: published.sent(),
            accepted: published.accepted,
            refused: published.refused.len() as u64,
            refused_statuses: published.statuses,
            unanswered: published.unanswered,
            received: outcome.received,
            lost: outcome.lost,
            repeated: outcome.repeated,
            tabs_ended: outcome.ended,
            bad_frames: outcome.bad_frames,
            frame_bytes: outcome.frame_bytes,
            seconds: rounded(seconds),
            deliveries_per_second: per(outcome.received as f64, seconds).round(),
            server_cpu_seconds: rounded(cpu.as_secs_f64()),
            server_cpu_us_per_delivery: rounded(micros_each(cpu, outcome.received)),
            server_rss_bytes: after.rss_bytes,
            latency_ms: percentiles(&outcome.latency),
            generator_lateness_ms: None,
        }
    }

    /// What went wrong in it. A server may refuse what is too much, and must deliver what it accepted.
    pub(crate) fn faults(&self) -> Vec<String> {
        let counts = [
            ("lost", self.lost),
            ("repeated", self.repeated),
            ("publishes not answered", self.unanswered),
            ("tabs closed by the server", self.tabs_ended),
            ("bad frames", self.bad_frames),
            ("runs without any delivery", u64::from(self.received == 0)),
        ];
        counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect()
    }
}

/// The distribution in milliseconds.
pub(crate) fn percentiles(histogram: &Histogram<u64>) -> Value {
    let at = |quantile| millis(histogram.value_at_quantile(quantile));
    json!({
        "count": histogram.len(), "mean": millis(histogram.mean() as u64), "p50": at(0.5), "p90": at(0.9),
        "p99": at(0.99), "p999": at(0.999), "max": millis(histogram.max()),
    })
}

/// A quotient; zero by zero is zero.
pub(crate) fn per(amount: f64, of: f64) -> f64 {
    if of > 0.0 { amount / of } else { 0.0 }
}

/// Processor time for each of `count`, in microseconds.
pub(crate) fn micros_each(cpu: Duration, count: u64) -> f64 {
    per(cpu.as_secs_f64() * 1e6, count as f64)
}

/// Three decimals are more than the measurement knows.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn millis(nanos: u64) -> f64 {
    rounded(nanos as f64 / 1e6)
}

/// Everything as one JSON document.
pub(crate) fn document(all: &[Measured]) -> Value {
    let first = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let load = std::thread::available_parallelism().map_or(0, usize::from);
    json!({
        "format": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "machine": { "cores": load, "kernel": first("/proc/sys/kernel/osrelease") },
        "results": all,
    })
}

/// A line for each measurement.
pub(crate) fn table(all: &[Measured]) -> String {
    let mut table = format!("{:<10} {:<12} {:<7} figures\n", "shape", "scenario", "tabs");
    for one in all {
        let figures: Vec<String> = one.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let faults = one.shown_faults();
        let line =
            format!("{:<10} {:<12} {:<7} {}{faults}\n", one.shape, one.scenario, one.protocol, figures.join(", "));
        table.push_str(&line);
    }
    table
}
