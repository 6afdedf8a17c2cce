//! Many users with one tab each.

use serde_json::json;

use crate::report::Measured;
use crate::scenarios::{Bench, Step};

const STEPS: [Step; 5] = [
    Step { publishers: 16, window: 2_000 },
    Step { publishers: 32, window: 4_000 },
    Step { publishers: 64, window: 8_000 },
    Step { publishers: 128, window: 8_000 },
    Step { publishers: 256, window: 16_000 },
];

/// As many as the server takes and delivers.
pub(super) async fn max(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let users = bench.load.users;
    let (ledger, _running) = bench.tabs(users, 1).await?;
    let runs = bench.raise(&ledger, &STEPS).await?;
    let figures = runs.first().map(|best| {
        json!({
            "per_second": best.deliveries_per_second,
            "cpu_us_each": best.server_cpu_us_per_delivery,
            "publishers": best.parameters["publishers"],
        })
    });
    Ok(bench.measured(json!({ "users": users, "bytes": bench.load.bytes }), figures.unwrap_or_default(), runs))
}

/// A steady rate, far below what is possible: how long each takes.
pub(super) async fn rate(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let (users, rate) = (bench.load.users, bench.load.rate);
    let (ledger, _running) = bench.tabs(users, 1).await?;
    let run = bench.paced(&ledger, rate, bench.load.seconds).await?;
    let figures = json!({
        "p50_ms": run.latency_ms["p50"],
        "p99_ms": run.latency_ms["p99"],
        "cpu_us_each": run.server_cpu_us_per_delivery,
        "generator_late_p99_ms": run.generator_lateness_ms.as_ref().map(|late| late["p99"].clone()),
    });
    let parameters = json!({ "users": users, "rate": rate, "bytes": bench.load.bytes });
    Ok(bench.measured(parameters, figures, vec![run]))
}
