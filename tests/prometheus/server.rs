//! A private Prometheus: its own data, a free port, and what the tests ask it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::process::Process;
use bellwire_testkit::{http, ports};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// A start, and whatever a rule waits for, on a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Rules come each second, scrapes every other one.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A node to scrape.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) job: &'static str,
    /// As Kubernetes would have it; empty outside.
    pub(crate) namespace: &'static str,
    pub(crate) admin: SocketAddr,
}

#[derive(Debug)]
pub(crate) struct Prometheus {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

/// One series of an answer, with one value or the values of a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    /// Seconds since 1970, and the value then.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Series {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    pub(crate) fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |point| point.1)
    }

    pub(crate) fn max(&self) -> f64 {
        self.points.iter().map(|point| point.1).fold(f64::MIN, f64::max)
    }

    /// The first and the last time at which the value was such a one.
    pub(crate) fn span(&self, is: impl Fn(f64) -> bool) -> Option<(f64, f64)> {
        let mut times = self.points.iter().filter(|point| is(point.1)).map(|point| point.0);
        let first = times.next()?;
        Some((first, times.last().unwrap_or(first)))
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

impl Prometheus {
    pub(crate) async fn start(targets: &[Target], rules: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bellwire-prometheus-").tempdir()?;
        fs::write(folder.path().join("rules.yaml"), rules)?;
        fs::write(folder.path().join("prometheus.yaml"), config(targets))?;
        let address = ports::free();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", folder.path().join("prometheus.yaml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.args([&format!("--web.listen-address={address}"), "--log.level=warn"]);
        let process = Process::spawn("prometheus", command)?;
        let this = Self { address, process, _folder: folder };
        eventually("prometheus", PATIENCE, || async {
            Ok((http::get(address, "/-/ready").await?.status == 200).then_some(()))
        })
        .await
        .with_context(|| this.process.output())?;
        Ok(this)
    }

    /// What `expr` is now.
    pub(crate) async fn query(&self, expr: &str) -> Result<Vec<Series>> {
        series(&self.ask("/api/v1/query", &[("query", expr)]).await?["result"])
    }

    /// What `expr` was, second by second.
    pub(crate) async fn range(&self, expr: &str, from: f64, to: f64) -> Result<Vec<Series>> {
        let (from, to) = (from.to_string(), to.to_string());
        let form = [("query", expr), ("start", &from), ("end", &to), ("step", "1")];
        series(&self.ask("/api/v1/query_range", &form).await?["result"])
    }

    /// Whether anything was ever scraped or recorded that `selector` names.
    pub(crate) async fn knows(&self, selector: &str) -> Result<bool> {
        let found = self.ask("/api/v1/series", &[("match[]", selector)]).await?;
        Ok(found.as_array().is_some_and(|found| !found.is_empty()))
    }

    /// Its rules as it has read them: name, kind (`alerting`, `recording`) and query.
    pub(crate) async fn rules(&self) -> Result<Vec<(String, String, String)>> {
        let answer = self.ask("/api/v1/rules", &[]).await?;
        let groups = answer["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
        let text = |rule: &Value, name: &str| rule[name].as_str().unwrap_or_default().to_owned();
        Ok(rules.map(|rule| (text(&rule, "name"), text(&rule, "type"), text(&rule, "query"))).collect())
    }

    /// Rules whose last evaluation failed, with their error.
    pub(crate) async fn failed_rules(&self) -> Result<Vec<String>> {
        let answer = self.ask("/api/v1/rules", &[]).await?;
        let groups = answer["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
        Ok(rules.filter(|rule| rule["health"] == "err").map(|rule| rule.to_string()).collect())
    }

    /// Waits until `expr` has an answer that is wanted, and returns it.
    pub(crate) async fn wait(&self, what: &str, expr: &str, wanted: impl Fn(&[Series]) -> bool) -> Vec<Series> {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.query(expr).await.unwrap_or_else(|error| panic!("{what}: {error:#}"));
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}: {expr} is {answer:#?}");
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until an alert fires, of those with these labels (`namespace="a"`, or nothing).
    pub(crate) async fn fires(&self, alert: &str, labels: &str) -> Vec<Series> {
        let expr = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",{labels}}}");
        let fired = self.wait(&format!("{alert} fires"), &expr, |found| !found.is_empty()).await;
        println!("{alert} fires");
        fired
    }

    /// Waits until it fires no longer.
    pub(crate) async fn ends(&self, alert: &str, labels: &str) {
        let expr = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",{labels}}}");
        self.wait(&format!("{alert} ends"), &expr, <[Series]>::is_empty).await;
    }

    async fn ask(&self, path: &str, form: &[(&str, &str)]) -> Result<Value> {
        let pairs: Vec<_> = form.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let body = pairs.join("&");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let method = if form.is_empty() { "GET" } else { "POST" };
        let answer = http::request(self.address, method, path, &headers, body.as_bytes()).await?;
        let json = answer.json()?;
        ensure!(json["status"] == "success", "{path} {form:?}: {json}");
        Ok(json["data"].clone())
    }
}

fn config(targets: &[Target]) -> String {
    let mut text =
        "global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\nscrape_configs:\n"
            .to_owned();
    let jobs: std::collections::BTreeSet<&str> = targets.iter().map(|target| target.job).collect();
    for job in jobs {
        let _ = writeln!(text, "  - job_name: {job}\n    static_configs:");
        for Target { namespace, admin, .. } in targets.iter().filter(|target| target.job == job) {
            let labels = if namespace.is_empty() { String::new() } else { format!("namespace: {namespace}") };
            let _ = writeln!(text, "      - {{targets: [\"{admin}\"], labels: {{{labels}}}}}");
        }
    }
    text
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(byte.into()),
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

fn series(result: &Value) -> Result<Vec<Series>> {
    let point = |pair: &Value| {
        let value = pair[1].as_str().and_then(|value| value.parse().ok());
        pair[0].as_f64().zip(value).with_context(|| format!("no point: {pair}"))
    };
    // A scalar has no labels.
    if result[0].is_number() {
        return Ok(vec![Series { labels: BTreeMap::new(), points: vec![point(result)?] }]);
    }
    let found = result.as_array().with_context(|| format!("no result: {result}"))?;
    let one = |found: &Value| {
        let labels = serde_json::from_value(found["metric"].clone())?;
        let points = match found["values"].as_array() {
            Some(values) => values.iter().map(point).collect::<Result<_>>()?,
            None => vec![point(&found["value"])?],
        };
        Ok(Series { labels, points })
    };
    found.iter().map(one).collect()
}
