//! The rows of the table, each on a server of its own.

mod fanout;
mod handshakes;
mod idle;
mod spread;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::args::Load;
use crate::ledger::Ledger;
use crate::publish::{Request, closed, paced};
use crate::report::{Measured, Run, percentiles};
use crate::server::{Server, Shape, random};
use crate::tabs::{Plan, Protocol, open_all, run_all};

/// Deliveries under way in an open loop, at most: enough never to be met by a server that keeps up.
const OPEN_WINDOW: u32 = 1 << 28;
/// A raised run ends after so many steps of which none gained this much: one alone may be noise.
const STEPS_WITHOUT_GAIN: u32 = 2;
const GAIN: f64 = 1.03;

/// Runs one scenario on a fresh server.
pub(crate) async fn run(
    scenario: &'static str,
    shape: &Shape,
    protocol: Protocol,
    load: &Load,
) -> anyhow::Result<Measured> {
    let bench = Bench { server: shape.start().await?, shape: shape.name(), scenario, protocol, load };
    match scenario {
        "idle" => idle::run(&bench).await,
        "handshakes" => handshakes::run(&bench).await,
        "spread-max" => spread::max(&bench).await,
        "spread-rate" => spread::rate(&bench).await,
        "fanout-max" => fanout::max(&bench).await,
        "fanout-rate" => fanout::rate(&bench).await,
        _ => bail!("there is no scenario {scenario}"),
    }
}

/// A server and what is to be done with it.
struct Bench<'a> {
    server: Server,
    shape: &'static str,
    scenario: &'static str,
    protocol: Protocol,
    load: &'a Load,
}

/// How a raised run limits itself.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Publishing connections.
    publishers: u32,
    /// Notifications under way, at most.
    window: u32,
}

impl Bench<'_> {
    fn plan(&self, users: u32, tabs_per_user: u32, register: bool) -> Arc<Plan> {
        Arc::new(Plan {
            protocol: self.protocol,
            gateways: self.server.gateways.clone(),
            key: self.server.key.clone(),
            salt: random() as u32,
            register,
            users,
            tabs_per_user,
        })
    }

    fn measured(&self, parameters: Value, figures: Value, runs: Vec<Run>) -> Measured {
        let figures = figures.as_object().cloned().unwrap_or_default();
        let faults = runs.iter().flat_map(Run::faults).collect();
        let (shape, scenario, protocol) = (self.shape, self.scenario, self.protocol.name());
        Measured { shape, scenario, protocol, parameters, figures, runs, faults }
    }

    /// Opens the tabs, lets them live as long as the result, and waits until the server has come to rest.
    async fn tabs(&self, users: u32, tabs_per_user: u32) -> anyhow::Result<(Arc<Ledger>, JoinSet<()>)> {
        let ledger = Arc::new(Ledger::new(users, tabs_per_user));
        let tabs = open_all(&self.plan(users, tabs_per_user, true)).await?;
        let running = run_all(tabs, &ledger);
        self.server.settle().await?;
        Ok((ledger, running))
    }

    fn request(&self) -> anyhow::Result<Request> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Request::new(self.server.ingest, self.load.bytes, now)
    }

    /// Raises from step to step until it gains nothing more: all steps, the best one first.
    async fn raise(&self, ledger: &Arc<Ledger>, steps: &[Step]) -> anyhow::Result<Vec<Run>> {
        let mut runs: Vec<Run> = Vec::new();
        let mut without_gain = 0;
        for step in steps {
            let run = self.closed(ledger, *step).await?;
            let best = runs.first().map_or(0.0, |best| best.deliveries_per_second);
            let (rate, faulty) = (run.deliveries_per_second, !run.faults().is_empty());
            runs.insert(if rate > best { 0 } else { runs.len() }, run);
            without_gain = if rate < best * GAIN { without_gain + 1 } else { 0 };
            if faulty || without_gain == STEPS_WITHOUT_GAIN {
                break;
            }
        }
        Ok(runs)
    }

    async fn closed(&self, ledger: &Arc<Ledger>, step: Step) -> anyhow::Result<Run> {
        let window = step.window * ledger.tabs_per_user();
        let request = self.request()?;
        let before = self.server.usage()?;
        ledger.begin(window);
        let (begun, end) = (ledger.nanos(), Instant::now() + self.load.seconds);
        let published = closed::run(self.server.ingest, &request, ledger, step.publishers, end).await?;
        let outcome = ledger.end(window, self.load.drain, &published.refused, begun).await;
        let after = self.server.usage()?;
        let parameters = json!({ "loop": "closed", "publishers": step.publishers, "window": step.window });
        self.server.settle().await?;
        Ok(Run::new(parameters, published, &outcome, before, after))
    }

    async fn paced(&self, ledger: &Arc<Ledger>, rate: u32, length: Duration) -> anyhow::Result<Run> {
        let request = self.request()?;
        let before = self.server.usage()?;
        ledger.begin(OPEN_WINDOW);
        let begun = ledger.nanos();
        let paced = paced::run(self.server.ingest, &request, ledger, rate, length).await?;
        let outcome = ledger.end(OPEN_WINDOW, self.load.drain, &paced.published.refused, begun).await;
        let after = self.server.usage()?;
        let parameters = json!({ "loop": "open", "rate": rate });
        let mut run = Run::new(parameters, paced.published, &outcome, before, after);
        run.generator_lateness_ms = Some(percentiles(&paced.lateness));
        Ok(run)
    }
}
