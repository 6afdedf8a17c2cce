//! Memory of the server for each tab that is open and has nothing to do.

use serde_json::json;
use tokio::time::sleep;

use crate::report::{Measured, per, rounded};
use crate::scenarios::Bench;

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let tabs = bench.load.tabs;
    bench.server.settle().await?;
    let before = bench.server.usage()?;
    let (ledger, running) = bench.tabs(tabs, 1).await?;
    let after = bench.server.usage()?;
    sleep(bench.load.seconds).await;
    let rested = bench.server.usage()?;
    let figures = json!({
        "bytes_per_tab": per(after.rss_bytes.saturating_sub(before.rss_bytes) as f64, tabs.into()).round(),
        "rss_bytes_before": before.rss_bytes,
        "rss_bytes_after": after.rss_bytes,
        "cpu_percent_at_rest":
            rounded(100.0 * per(rested.cpu.saturating_sub(after.cpu).as_secs_f64(), bench.load.seconds.as_secs_f64())),
    });
    let mut measured = bench.measured(json!({ "tabs": tabs }), figures, Vec::new());
    let ended = ledger.ended();
    if ended > 0 {
        measured.faults.push(format!("{ended} tabs closed by the server"));
    }
    drop(running);
    Ok(measured)
}
