//! A cluster with people and a light, steady stream of alerts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http;
use bellwire_testkit::tab::{Front, Profile, Tab};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::server::{PATIENCE, Target};

pub(crate) const USERS: usize = 40;
/// One alert in this time.
const PACE: Duration = Duration::from_millis(100);

pub(crate) struct Site {
    pub(crate) broker: Broker,
    pub(crate) ingest: Bellwire,
    pub(crate) gateways: Vec<Bellwire>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let broker = Broker::start().await.unwrap();
        let log = broker.url();
        let ingest = Setup::new("ingest", &log).start().await.unwrap();
        let mut gateways = Vec::new();
        for _ in 0..2 {
            gateways.push(Setup::new("gateway", &log).start().await.unwrap());
        }
        Self { broker, ingest, gateways }
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        let target = |job, node: &Bellwire| Target { job, namespace: "", admin: node.admin };
        let gateways = self.gateways.iter().map(|node| target("gateway", node));
        gateways.chain([target("ingest", &self.ingest)]).collect()
    }

    /// A V2 browser for each user, half of them on each gateway; who loses one comes back at the other.
    pub(crate) async fn people(&self) -> Vec<Tab> {
        let mut tabs = Vec::new();
        for user in 1..=USERS {
            let mut profile = Profile::new(Front::V2, &user.to_string(), "browser", self.gateways[0].listen);
            profile.addresses = self.gateways.iter().map(|gateway| gateway.listen).collect();
            profile.addresses.rotate_left(user % self.gateways.len());
            tabs.push(profile.open().await.unwrap());
        }
        tabs
    }
}

/// The monitoring engine: an alert each tenth of a second, for one user after the other. What is not accepted is kept and
/// sent again, as `bellwire-notify` does with its spool.
pub(crate) struct Engine {
    stop: watch::Sender<bool>,
    task: JoinHandle<usize>,
}

impl Engine {
    pub(crate) fn start(ingest: SocketAddr) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut ticks = interval(PACE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let (mut made, mut kept) = (0, Vec::new());
            while !*stopped.borrow() || !kept.is_empty() {
                ticks.tick().await;
                if !*stopped.borrow() {
                    kept.push(alert(made));
                    made += 1;
                }
                let answer = http::post(ingest, "/v1/notifications", &Value::Array(kept.clone())).await;
                if answer.is_ok_and(|answer| answer.status == 202) {
                    kept.clear();
                }
            }
            made
        });
        Self { stop, task }
    }

    /// Stops, and waits until all is accepted; how many alerts there were.
    pub(crate) async fn stop(self) -> usize {
        self.stop.send_replace(true);
        timeout(PATIENCE, self.task).await.expect("ingest accepts what was kept").unwrap()
    }
}

fn alert(number: usize) -> Value {
    let title = format!("alert {number}");
    json!({ "id": format!("alert-{number}"), "user": (number % USERS + 1).to_string(), "kind": "message", "title": title, "body": "x" })
}

/// Waits until each of so many alerts of an [`Engine`] is shown by its user's tab.
pub(crate) async fn all_shown(tabs: &[Tab], made: usize) {
    let mut wanted: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    (0..made).for_each(|number| wanted.entry(number % USERS).or_default().push(format!("alert {number}")));
    for (user, wanted) in wanted {
        let shown = || async {
            let titles: std::collections::BTreeSet<String> = tabs[user].titles().into_iter().collect();
            Ok(wanted.iter().all(|title| titles.contains(title)).then_some(()))
        };
        eventually(&format!("all alerts of user {}", user + 1), PATIENCE, shown).await.unwrap();
    }
}
