//! One user with many browsers, each of which gets every notification.

use serde_json::{Value, json};

use crate::report::{Measured, Run};
use crate::scenarios::{Bench, Step};

/// How many notifications wait for each tab is what lets the server join them in one write.
const STEPS: [Step; 4] = [
    Step { publishers: 4, window: 4 },
    Step { publishers: 16, window: 16 },
    Step { publishers: 32, window: 64 },
    Step { publishers: 64, window: 256 },
];

/// As many as the server delivers.
pub(super) async fn max(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let (ledger, _running) = bench.tabs(1, bench.load.browsers).await?;
    let runs = bench.raise(&ledger, &STEPS).await?;
    let figures = runs.first().map(figures);
    Ok(bench.measured(parameters(bench), figures.unwrap_or_default(), runs))
}

/// A steady rate.
pub(super) async fn rate(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let (ledger, _running) = bench.tabs(1, bench.load.browsers).await?;
    let run = bench.paced(&ledger, bench.load.fanout_rate, bench.load.seconds).await?;
    let mut figures = figures(&run);
    figures["p50_ms"] = run.latency_ms["p50"].clone();
    figures["p99_ms"] = run.latency_ms["p99"].clone();
    Ok(bench.measured(parameters(bench), figures, vec![run]))
}

fn parameters(bench: &Bench<'_>) -> Value {
    json!({ "browsers": bench.load.browsers, "bytes": bench.load.bytes })
}

/// Microseconds each are seconds for a million.
fn figures(run: &Run) -> Value {
    json!({ "deliveries_per_second": run.deliveries_per_second, "cpu_s_per_million": run.server_cpu_us_per_delivery })
}
