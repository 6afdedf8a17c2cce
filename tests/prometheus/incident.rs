//! A replayed incident, read from the dashboard alone: a gateway killed, RabbitMQ away for 30 s, one slow tab.

use std::time::Duration;

use bellwire_testkit::bellwire::Bellwire;
use bellwire_testkit::http;
use bellwire_testkit::tab::{Front, Profile, Tab};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::SCALE;
use crate::alerts::rules;
use crate::board::Board;
use crate::queries;
use crate::scale::quicker;
use crate::server::{Prometheus, Series, now};
use crate::site::{Engine, Site, USERS, all_shown};
use crate::spare::Spare;

/// Alerts that this incident makes, each waited for below.
pub(crate) const FIRED: [&str; 4] =
    ["BellwireNodeDown", "BellwireLogAway", "BellwireAppendsFailing", "BellwireReportsFailing"];

const AWAY: Duration = Duration::from_secs(30);
/// The nodes of the cluster, as the variable `job` has them when two jobs are chosen.
const JOBS: &str = "(gateway|ingest)";
/// More than the kernel holds for a connection, so that the slow tab's socket is full.
const BACKLOG: usize = 300;
const TEXT_BYTES: usize = 6 * 1024;
const SLOW_USER: &str = "9001";
/// A scrape comes every other second, and a rule each second; a busy machine is late by some.
const SLACK_SECONDS: f64 = 8.0;
/// Points, one each second, that a curve may have where two scrapes failed on a busy machine.
const MISSED_POINTS: usize = 4;

/// What a reader knows afterwards without the dashboard, to compare it with.
struct Truth {
    from: f64,
    to: f64,
    killed: String,
    /// Tabs that the killed gateway had.
    tabs: f64,
    /// From when to when RabbitMQ was away.
    away: (f64, f64),
    /// Open until everything is read: their end is no part of the story.
    _tabs: Vec<Tab>,
}

/// The dashboard as somebody reads it who has chosen a time and the cluster's jobs.
struct Reader<'a> {
    board: &'a Board,
    prometheus: &'a Prometheus,
    from: f64,
    to: f64,
}

impl Reader<'_> {
    /// The curves of a panel, all of its queries together.
    async fn curves(&self, title: &str) -> Vec<Series> {
        let mut all = Vec::new();
        for query in self.board.queries(title, JOBS, self.seconds()) {
            all.extend(self.prometheus.range(&query, self.from, self.to).await.unwrap());
        }
        all
    }

    /// The values of a panel that shows those of the whole time.
    async fn values(&self, title: &str) -> Vec<Series> {
        let mut all = Vec::new();
        for query in self.board.queries(title, JOBS, self.seconds()) {
            all.extend(self.prometheus.query(&query).await.unwrap());
        }
        all
    }

    async fn value(&self, title: &str) -> f64 {
        let values = self.values(title).await;
        assert_eq!(values.len(), 1, "{title}: {values:#?}");
        values[0].last()
    }

    fn seconds(&self) -> u64 {
        (self.to - self.from).ceil() as u64
    }
}

fn of<'a>(curves: &'a [Series], label: &str, value: &str) -> Vec<&'a Series> {
    curves.iter().filter(|series| series.label(label) == value).collect()
}

/// A tab that takes nothing, although much is sent to it.
async fn slow_tab(site: &Site) -> Tab {
    let tab = Profile::new(Front::V2, SLOW_USER, "slow", site.gateways[1].listen).open().await.unwrap();
    tab.mute().unwrap();
    let one = |n: usize| json!({ "id": format!("slow-{n}"), "user": SLOW_USER, "kind": "message", "title": "x", "body": "x".repeat(TEXT_BYTES) });
    for batch in (0..BACKLOG).collect::<Vec<_>>().chunks(50) {
        let body: Value = batch.iter().map(|n| one(*n)).collect();
        let answer = http::post(site.ingest.listen, "/v1/notifications", &body).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    tab
}

fn tabs_of(node: &Bellwire) -> String {
    format!("sum(bellwire_gateway_sessions{{instance=\"{}\"}})", node.admin)
}

/// Makes the incident, and waits for each alert.
async fn happen(site: &mut Site, prometheus: &Prometheus) -> Truth {
    let mut people = site.people().await;
    let engine = Engine::start(site.ingest.listen);
    let delivered = "sum(bellwire_gateway_notifications_delivered_total{job=\"gateway\"}) > 20";
    prometheus.wait("alerts are delivered", delivered, |found| !found.is_empty()).await;
    let from = now();

    let slow = slow_tab(site).await;
    let ended = "sum(bellwire_gateway_sessions_closed_total{job=\"gateway\",reason=\"write_timeout\"}) >= 1";
    prometheus.wait("the slow tab's end", ended, |found| !found.is_empty()).await;

    let killed = site.gateways[0].admin.to_string();
    let tabs = prometheus.query(&tabs_of(&site.gateways[0])).await.unwrap()[0].last();
    site.gateways[0].kill().await.unwrap();
    prometheus.fires("BellwireNodeDown", &format!("instance=\"{killed}\",role=\"gateway\"")).await;
    let back = format!("{} >= {USERS}", tabs_of(&site.gateways[1]));
    prometheus.wait("the tabs are back at the other gateway", &back, |found| !found.is_empty()).await;

    site.broker.settle().await.unwrap();
    let since = Instant::now();
    site.broker.stop().await.unwrap();
    let gone = now();
    prometheus.fires("BellwireLogAway", &format!("instance=\"{}\"", site.ingest.admin)).await;
    prometheus.fires("BellwireLogAway", &format!("instance=\"{}\"", site.gateways[1].admin)).await;
    prometheus.fires("BellwireAppendsFailing", &format!("instance=\"{}\"", site.ingest.admin)).await;
    prometheus.fires("BellwireReportsFailing", &format!("instance=\"{}\"", site.gateways[1].admin)).await;
    // A fault is no event: it lasts.
    sleep_until(since + AWAY).await;
    site.broker.restart().await.unwrap();
    let returned = now();
    prometheus.ends("BellwireLogAway", "").await;
    let made = engine.stop().await;
    all_shown(&people, made).await;
    prometheus.ends("BellwireAppendsFailing", "").await;

    let to = now();
    people.push(slow);
    site.gateways[0].restart().await.unwrap();
    prometheus.ends("BellwireNodeDown", "").await;
    Truth { from, to, killed, tabs, away: (gone, returned), _tabs: people }
}

/// Which node went, with how many tabs, and that they came back.
async fn tells_of_the_gateway(reader: &Reader<'_>, truth: &Truth, site: &Site) {
    let answers = reader.curves("Which nodes answer?").await;
    let is_down = |node: &&Series| node.points.iter().filter(|point| point.1 == 0.0).count() > MISSED_POINTS;
    let down: Vec<&str> = answers.iter().filter(is_down).map(|node| node.label("instance")).collect();
    assert_eq!(down, [truth.killed.as_str()], "{answers:#?}");
    assert_eq!(of(&answers, "instance", &truth.killed)[0].last(), 0.0, "{answers:#?}");
    assert_eq!(answers.len(), 3, "every node has its line");

    let mut went = reader.curves("Tabs that went with their gateway").await;
    went.retain(|node| node.points.len() > MISSED_POINTS);
    let tabs: Vec<(&str, f64)> = went.iter().map(|node| (node.label("instance"), node.max())).collect();
    assert_eq!(tabs, [(truth.killed.as_str(), truth.tabs)]);

    let open = reader.curves("Open tabs of each gateway").await;
    let other = site.gateways[1].admin.to_string();
    assert!(of(&open, "instance", &other)[0].max() >= USERS as f64, "they are at the other one: {open:#?}");
    // Their browsers are known: they go on where they were.
    let back = reader.curves("Do tabs come back, and where?").await;
    assert!(of(&back, "instance", &other).iter().any(|series| series.max() > 0.0), "{back:#?}");
    let known = ["returned", "open"].map(|browser| of(&back, "browser", browser)[0].max());
    assert!(known[0] + known[1] > 0.0, "{back:#?}");

    // The marks: one start of each node before, and one of that which was killed.
    let starts = reader.board.annotation("A node started", JOBS);
    // Steps are a second: the last one must not lie before what was scraped last.
    let starts = reader.prometheus.range(&starts, truth.from, now() + 1.0).await.unwrap();
    let marks = |instance: &str| {
        let times = of(&starts, "instance", instance).into_iter().flat_map(|one| &one.points);
        times.map(|point| point.1 as u64).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((marks(&truth.killed).len(), marks(&other).len()), (2, 1), "{starts:#?}");
    let last = *marks(&truth.killed).last().unwrap() as f64 / 1000.0;
    assert!(last > truth.to - SLACK_SECONDS, "it started again at {last}, not after {}", truth.to);
    let silent = reader.board.annotation("A node does not answer", JOBS);
    let silent = reader.prometheus.range(&silent, truth.from, truth.to).await.unwrap();
    assert!(!of(&silent, "instance", &truth.killed).is_empty(), "{silent:#?}");
}

/// When RabbitMQ was away, and that it was away for all.
async fn tells_of_the_broker(reader: &Reader<'_>, truth: &Truth, site: &Site) {
    let log = reader.curves("Was the log there?").await;
    for node in [&site.ingest, &site.gateways[1]] {
        let curve = of(&log, "instance", &node.admin.to_string())[0];
        let (first, last) = curve.span(|up| up == 0.0).expect("red at this node");
        // A node connects anew up to 2 s after the broker is back.
        let (gone, back) = (truth.away.0 - SLACK_SECONDS, truth.away.1 + SLACK_SECONDS);
        assert!(first > gone && last < back, "red from {first} to {last}, away {:?}", truth.away);
        assert!(last - first > AWAY.as_secs_f64() - 2.0 * SLACK_SECONDS, "red for {} s", last - first);
    }
    let answers = reader.curves("What does ingest answer?").await;
    let refused = of(&answers, "result", "unavailable")[0];
    let (first, last) = refused.span(|rate| rate > 0.0).expect("alerts were not accepted in that time");
    // A rate shows what was within its window.
    let window = 10.0 + SLACK_SECONDS;
    assert!(
        first > truth.away.0 - SLACK_SECONDS && last < truth.away.1 + window,
        "{first} to {last}, {:?}",
        truth.away
    );
    let appends = reader.curves("What does the log not confirm?").await;
    assert!(appends.iter().any(|one| one.label("instance") == site.ingest.admin.to_string() && one.max() > 0.0));
}

/// The slow tab's end and reason; that it was the only one; and that nothing was lost.
async fn tells_of_the_tab_and_that_nothing_was_lost(reader: &Reader<'_>) {
    let lost = reader.curves("Tabs that were lost").await;
    let reasons: Vec<(&str, &str)> = lost.iter().map(|one| (one.label("initiator"), one.label("reason"))).collect();
    assert_eq!(reasons, [("network", "write_timeout")], "{lost:#?}");
    let ends = reader.values("All ends of tabs").await;
    let ends: Vec<_> = ends
        .iter()
        .map(|one| (one.label("protocol"), one.label("initiator"), one.label("reason"), one.last().round()))
        .collect();
    assert_eq!(ends, [("v2", "network", "write_timeout", 1.0)]);

    assert_eq!(reader.value("Alerts that nobody was shown").await, 0.0);
    assert_eq!(reader.value("Alerts that were shown").await, 1.0);
    let dropped = reader.curves("Alerts that no browser confirmed").await;
    assert!(!dropped.is_empty() && dropped.iter().all(|one| one.max() == 0.0), "{dropped:#?}");
    // What was sent to the slow tab waits for its user.
    let waits = reader.value("Alerts that wait").await;
    assert!(waits > 0.0 && waits <= BACKLOG as f64, "{waits}");
}

/// In the longer run: a gateway that is stopped in good order looks different from one that was killed.
async fn tells_of_a_drain(site: &mut Site, prometheus: &Prometheus, board: &Board) {
    let (from, drained) = (now(), site.gateways[1].admin.to_string());
    assert!(site.gateways[1].stop().await.unwrap().success());
    let back = format!("{} >= {USERS}", tabs_of(&site.gateways[0]));
    prometheus.wait("the tabs are at the other gateway", &back, |found| !found.is_empty()).await;
    let reader = Reader { board, prometheus, from, to: now() };
    let doing = reader.curves("What is each node doing?").await;
    assert!(of(&doing, "instance", &drained).iter().any(|one| one.span(|value| value == 2.0).is_some()), "{doing:#?}");
    let lost = reader.curves("Tabs that were lost").await;
    let reasons: Vec<(&str, &str)> = lost.iter().map(|one| (one.label("initiator"), one.label("reason"))).collect();
    assert_eq!(reasons, [("server", "drain")], "{lost:#?}");
    assert_eq!(reader.value("Alerts that nobody was shown").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_the_dashboard_can_tell_what_happened() {
    let mut site = Site::start().await;
    let spare = Spare::start().await;
    let targets: Vec<_> = site.targets().into_iter().chain([spare.target()]).collect();
    let prometheus = Prometheus::start(&targets, &quicker(&rules(), SCALE)).await.unwrap();
    let board = Board::read();
    let truth = happen(&mut site, &prometheus).await;
    let reader = Reader { board: &board, prometheus: &prometheus, from: truth.from, to: truth.to };
    tells_of_the_gateway(&reader, &truth, &site).await;
    tells_of_the_broker(&reader, &truth, &site).await;
    tells_of_the_tab_and_that_nothing_was_lost(&reader).await;
    queries::all_are_answered(&board, &prometheus, truth.from).await;
    if std::env::var_os("BELLWIRE_TEST_FULL").is_some() {
        tells_of_a_drain(&mut site, &prometheus, &board).await;
    }
}
