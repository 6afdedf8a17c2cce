//! The cluster, its tabs, the stream of notifications, and the books.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http;
use bellwire_testkit::tab::{Front, Profile, Shown, Tab};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// The whole of a recovery, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_millis(200);

/// Bellwire's processes around a broker: a node, or a cluster.
pub(crate) struct Field<B = Broker> {
    pub(crate) broker: B,
    pub(crate) ingests: Vec<Bellwire>,
    pub(crate) gateways: Vec<Bellwire>,
}

impl Field {
    pub(crate) async fn start(ingests: usize, gateways: usize) -> Self {
        let broker = Broker::start().await.unwrap();
        let log = broker.url();
        Self::around(broker, &log, ingests, gateways).await
    }
}

impl<B> Field<B> {
    pub(crate) async fn around(broker: B, log: &str, ingests: usize, gateways: usize) -> Self {
        let mut field = Self { broker, ingests: Vec::new(), gateways: Vec::new() };
        for _ in 0..ingests {
            field.ingests.push(Setup::new("ingest", log).start().await.unwrap());
        }
        for _ in 0..gateways {
            field.gateways.push(Setup::new("gateway", log).start().await.unwrap());
        }
        field
    }

    /// A V2 browser for each user, its only tab now on one gateway, now on the other.
    pub(crate) async fn tabs(&self, users: usize) -> Vec<Tab> {
        let addresses: Vec<SocketAddr> = self.gateways.iter().map(|gateway| gateway.listen).collect();
        let mut tabs = Vec::new();
        for user in 0..users {
            let mut profile = Profile::new(Front::V2, &(user + 1).to_string(), "browser", addresses[0]);
            profile.addresses.clone_from(&addresses);
            profile.addresses.rotate_left(user % addresses.len());
            tabs.push(profile.start());
            if user % 50 == 49 {
                registered(&tabs[user - 49..]).await;
            }
        }
        registered(&tabs).await;
        tabs
    }

    /// Another tab of the same browsers, on one gateway only.
    pub(crate) async fn second_tabs(&self, users: usize, gateway: usize) -> Vec<Tab> {
        let address = self.gateways[gateway].listen;
        let start = |user: usize| Profile::new(Front::V2, &(user + 1).to_string(), "browser", address).start();
        let tabs: Vec<Tab> = (0..users).map(start).collect();
        registered(&tabs).await;
        tabs
    }

    pub(crate) fn stream(&self, users: usize, per_second: usize) -> Stream {
        Stream::start(self.ingests.iter().map(|ingest| ingest.listen).collect(), users, per_second)
    }
}

/// Waits until each tab has been greeted and has registered.
pub(crate) async fn registered(tabs: &[Tab]) {
    let all = || async { Ok(tabs.iter().all(|tab| tab.seen().proofs > 0).then_some(())) };
    eventually("registered tabs", PATIENCE, all).await.unwrap();
}

/// A notification that was answered with 202.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) user: usize,
    pub(crate) title: String,
    pub(crate) sent: Instant,
    pub(crate) at: Instant,
}

/// Sends notifications at a steady pace, each batch again and again until all of it is accepted.
pub(crate) struct Stream {
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<Accepted>>,
}

impl Stream {
    pub(crate) fn start(ingests: Vec<SocketAddr>, users: usize, per_second: usize) -> Self {
        static STREAMS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("s{}n", STREAMS.fetch_add(1, Ordering::Relaxed));
        let (stop, stopped) = watch::channel(false);
        let batch = per_second * TICK.as_millis() as usize / 1000;
        let task = tokio::spawn(async move {
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut batches = JoinSet::new();
            let mut next = 0;
            while !*stopped.borrow() {
                ticks.tick().await;
                batches.spawn(send(ingests.clone(), name.clone(), next..next + batch, users));
                next += batch;
            }
            batches.join_all().await.into_iter().flatten().collect()
        });
        Self { stop, task }
    }

    /// Stops, waits until all that was sent is accepted, and says what it was.
    pub(crate) async fn stop(self) -> Vec<Accepted> {
        self.stop.send_replace(true);
        self.task.await.unwrap()
    }
}

async fn send(ingests: Vec<SocketAddr>, name: String, numbers: std::ops::Range<usize>, users: usize) -> Vec<Accepted> {
    let item = |number: usize| {
        let user = (number % users + 1).to_string();
        let title = format!("{name}{number}");
        json!({ "id": title, "user": user, "kind": "message", "title": title, "body": "x" })
    };
    let body: Value = numbers.clone().map(item).collect();
    let begin = Instant::now();
    for attempt in 0.. {
        let address = ingests[(numbers.start / numbers.len().max(1) + attempt) % ingests.len()];
        match http::post(address, "/v1/notifications", &body).await {
            Ok(answer) if answer.status == 202 => break,
            _ => assert!(begin.elapsed() < PATIENCE, "{address} takes nothing for {PATIENCE:?}"),
        }
        sleep(RETRY).await;
    }
    let at = Instant::now();
    let accepted = |number: usize| Accepted { user: number % users, title: format!("{name}{number}"), sent: begin, at };
    numbers.map(accepted).collect()
}

/// What became of it all.
#[derive(Debug)]
pub(crate) struct Books {
    /// From the answer to the first showing, in milliseconds: the median, that of all but the slowest hundredth, and the
    /// slowest.
    pub(crate) median_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) slowest_ms: f64,
    /// The slowest from the first attempt to send it: what an outage of the broker takes in all.
    pub(crate) outage_ms: f64,
    /// Notifications that a browser showed again: when it did first.
    pub(crate) repeated: Vec<Instant>,
}

/// Waits until every browser has all that was accepted for its user. `tabs` are the tabs of each user's browser.
pub(crate) async fn settle(accepted: &[Accepted], tabs: &[Vec<&Tab>]) -> Books {
    let mut wanted: BTreeMap<usize, Vec<&Accepted>> = BTreeMap::new();
    accepted.iter().for_each(|accepted| wanted.entry(accepted.user).or_default().push(accepted));
    for (&user, wanted) in &wanted {
        let all = || async {
            let has: Vec<String> = tabs[user].iter().flat_map(|tab| tab.titles()).collect();
            let has: std::collections::BTreeSet<&str> = has.iter().map(String::as_str).collect();
            Ok(wanted.iter().all(|one| has.contains(one.title.as_str())).then_some(()))
        };
        eventually(&format!("everything for user {user}"), PATIENCE, all).await.unwrap_or_else(|error| {
            panic!("{error}: {:#?}", tabs[user].iter().map(|tab| tab.seen().ends).collect::<Vec<_>>());
        });
    }
    let mut delays = Vec::new();
    let mut outage_ms = 0.0_f64;
    let mut repeated = Vec::new();
    for (user, wanted) in wanted {
        let mut shows: HashMap<String, Vec<Instant>> = HashMap::new();
        for Shown { at, title, .. } in tabs[user].iter().flat_map(|tab| tab.seen().shown) {
            shows.entry(title).or_default().push(at);
        }
        for one in wanted {
            let mut at = shows.remove(&one.title).unwrap_or_default();
            at.sort();
            delays.push(at[0].saturating_duration_since(one.at).as_secs_f64() * 1e3);
            outage_ms = outage_ms.max((at[0] - one.sent).as_secs_f64() * 1e3);
            repeated.extend((at.len() > 1).then_some(at[0]));
        }
    }
    delays.sort_by(f64::total_cmp);
    let (median_ms, p99_ms) = (delays[delays.len() / 2], delays[delays.len() * 99 / 100]);
    Books { median_ms, p99_ms, slowest_ms: delays[delays.len() - 1], outage_ms, repeated }
}

impl Books {
    pub(crate) fn print(&self, what: &str, accepted: usize) {
        println!(
            "{what}: {accepted} accepted, all shown; {} repeated; median {:.1} ms, p99 {:.1} ms, slowest {:.0} ms, from the first attempt {:.0} ms",
            self.repeated.len(),
            self.median_ms,
            self.p99_ms,
            self.slowest_ms,
            self.outage_ms
        );
    }

    /// Only what was shown in this time may have been shown again.
    pub(crate) fn repeats_lie_between(&self, from: Instant, to: Instant) {
        let outside: Vec<_> = self.repeated.iter().filter(|at| **at < from || **at > to).collect();
        assert!(outside.is_empty(), "{} repeats that nothing excuses", outside.len());
    }
}
