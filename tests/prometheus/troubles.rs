//! Trouble is made, one alert after the other, and each fires.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::http;
use bellwire_testkit::login::{Login, Mood};
use bellwire_testkit::ports;
use bellwire_testkit::tab::{Front, Profile};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{interval, sleep};

use crate::SCALE;
use crate::alerts::{alerts, rules};
use crate::incident::FIRED;
use crate::scale::quicker;
use crate::server::{Prometheus, Target};
use crate::spare::{NAMESPACE, SESSIONS_MAX, Spare};

/// Alerts of the tests below.
const MADE: [&str; 32] = [
    "BellwireAcceptsFailing",
    "BellwireAlertsDropped",
    "BellwireCertificateEnds",
    "BellwireCertificateEndsSoon",
    "BellwireConfirmsMissing",
    "BellwireDatabaseAway",
    "BellwireFailedAttempts",
    "BellwireFileDescriptors",
    "BellwireFileReloadFailed",
    "BellwireGatewayMissing",
    "BellwireGatewaysNotReady",
    "BellwireHandshakesRefused",
    "BellwireIngestMissing",
    "BellwireIngestRefusing",
    "BellwireIngestsNotReady",
    "BellwireLoginChecksSlow",
    "BellwireLoginChecksUnclear",
    "BellwireMobileRelayBacklog",
    "BellwireMobileRelayFailing",
    "BellwireMostNotificationsExpire",
    "BellwireNodeNotReady",
    "BellwireNodeRestarts",
    "BellwireNotificationsDropped",
    "BellwireNotificationsExpired",
    "BellwireNotificationsRejected",
    "BellwireOpenItCockpitAway",
    "BellwireSessionsLost",
    "BellwireSessionsNearLimit",
    "BellwireSessionsUnchecked",
    "BellwireTabsGone",
    "BellwireTlsHandshakesFailing",
    "BellwireTokensRefused",
];

/// Alerts that only promtool sees fire, and why.
const ONLY_IN_VIRTUAL_TIME: [(&str, &str); 16] = [
    ("BellwireAppendsSlow", "a log that is slow and not away"),
    ("BellwireDatabaseRefuses", "a database with a right taken away; tests/e2e/directory.rs makes it"),
    ("BellwireDeliverySlow", "a log or machine that is slow for minutes"),
    ("BellwireDrainCutTabs", "is counted in a process' last moment, which a scrape does not meet by will"),
    ("BellwireDrainTooLong", "a node that hangs at its end"),
    ("BellwireGatewaysDisagree", "a gateway that reads another log"),
    ("BellwireInternalErrors", "a bug"),
    ("BellwireLogLag", "a processor that is full for minutes"),
    ("BellwireLogReconnects", "seven lost connections in half a minute"),
    ("BellwireLoginChecksLate", "its threshold is 5 min, and thresholds are not scaled"),
    ("BellwireNotSending", "a log that is there and does not carry reports"),
    ("BellwireReadsLate", "a gateway that is slow for minutes"),
    ("BellwireRecordsUnreadable", "a future version"),
    ("BellwireSessionCheckOff", "an hour, scaled 2 min: longer than all others together"),
    ("BellwireSharedKeyRefused", "a database with the factory's key; tests/e2e/access.rs makes it"),
    ("BellwireVersionSkew", "a second build"),
];

/// No alert is forgotten: each fires here, in the incident, or is said not to.
#[test]
fn every_alert_is_made_to_fire_or_it_is_said_why_not() {
    let all: BTreeSet<String> = alerts(&rules()).into_iter().map(|alert| alert.name).collect();
    let known: Vec<&str> = MADE.into_iter().chain(FIRED).chain(ONLY_IN_VIRTUAL_TIME.map(|(name, _)| name)).collect();
    let told: BTreeSet<String> = known.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(told.len(), known.len(), "one is in two lists");
    assert_eq!(told, all);
    // And what is said to fire is waited for.
    let here = include_str!("troubles.rs").to_owned() + include_str!("incident.rs");
    let waits = |name: &str| here.contains(&format!("fires(\"{name}\""));
    assert!(MADE.into_iter().chain(FIRED).all(waits), "an alert is listed and not waited for");
}

/// Does the same again and again until the alert fires.
async fn until<F: Future<Output = ()>>(every_ms: u64, again: impl Fn(usize) -> F, fires: impl Future<Output = ()>) {
    let go_on = async {
        let mut ticks = interval(Duration::from_millis(every_ms));
        for n in 0.. {
            ticks.tick().await;
            again(n).await;
        }
    };
    tokio::select! {
        () = go_on => unreachable!("it goes on for ever"),
        () = fires => {}
    }
}

struct World {
    spare: Spare,
    prometheus: Prometheus,
}

impl World {
    /// Waits until an alert of the spare node fires.
    async fn fires(&self, alert: &str, labels: &str) {
        self.prometheus.fires(alert, &format!("namespace=\"{NAMESPACE}\",{labels}")).await;
    }

    /// Sends to somebody who has no page open.
    async fn send(&self, user: &str, count: usize, ttl: u64) {
        let one = |_| json!({ "user": user, "kind": "message", "title": "x", "body": "x", "ttl": ttl });
        for batch in (0..count).collect::<Vec<_>>().chunks(1_000) {
            let body: Value = batch.iter().map(one).collect();
            assert_eq!(self.spare.post("/v1/notifications", &body).await, 202);
        }
    }
}

/// What is wrong from the start: no database, a certificate that ends soon.
async fn around(world: &World) {
    world.fires("BellwireDatabaseAway", "").await;
    world.fires("BellwireCertificateEndsSoon", "").await;
    world.spare.spoil_tokens();
    world.fires("BellwireFileReloadFailed", "file=\"tokens\"").await;
    world.spare.renew_for(1);
    world.fires("BellwireCertificateEnds", "").await;
}

/// What senders do wrong.
async fn senders(world: &World) {
    let spare = &world.spare;
    let mistakes = json!([{ "user": "", "title": "x" }, { "user": "7", "title": "x", "timestamp": 1_000_000_000 }]);
    assert_eq!(spare.post("/v1/notifications", &mistakes).await, 400);
    let webhook = json!({ "version": "4", "status": "firing", "receiver": "r", "groupLabels": {}, "commonLabels": {},
        "alerts": [{ "status": "firing", "labels": { "alertname": "A" }, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z" }] });
    spare.post("/v1/alertmanager", &webhook).await;
    world.fires("BellwireNotificationsRejected", "result=\"invalid\"").await;
    world.fires("BellwireNotificationsRejected", "result=\"stale\"").await;
    world.fires("BellwireAlertsDropped", "reason=\"no_user\"").await;
    let wrong = |_| async {
        assert_eq!(spare.post_as("a-token-that-is-wrong", "/v1/notifications", &json!([])).await, 401);
    };
    until(400, wrong, world.fires("BellwireIngestRefusing", "reason=\"token\"")).await;
}

/// Alerts for people who are not there, on the desktop or with a mobile device, while another one is.
async fn nobody_there(world: &World) {
    world.spare.login.log_in("PHPSESSID=six", 6);
    let another = world.spare.browser("6", "another", "PHPSESSID=six").open().await.unwrap();
    world.send("77", 12, 1).await;
    world.send("88", 260, 600).await;
    world.send("99", 11_000, 600).await;
    world.fires("BellwireNotificationsDropped", "reason=\"user_bound\"").await;
    world.fires("BellwireNotificationsExpired", "").await;
    world.fires("BellwireMostNotificationsExpire", "").await;
    world.fires("BellwireMobileRelayFailing", "").await;
    world.fires("BellwireMobileRelayBacklog", "").await;
    another.close().await.unwrap();
}

/// Who does not get in.
async fn strangers(world: &World) {
    let spare = &world.spare;
    let everywhere = |n: usize| async move {
        let address = format!("192.0.2.{}", n % 250);
        assert_eq!(spare.knock("a-key-that-is-wrong", &[("x-forwarded-for", &address)]).await, 401);
    };
    let one = |_| async {
        let status = spare.knock("a-key-that-is-wrong", &[("x-forwarded-for", "198.51.100.1")]).await;
        assert!([401, 429].contains(&status), "{status}");
    };
    let token = |_| async {
        spare.listen_with("not.a.token").await;
    };
    // Somebody has an address with http://.
    let plain = |_| async { drop(http::get(spare.node.listen, "/healthz").await) };
    tokio::join!(
        until(300, everywhere, world.fires("BellwireHandshakesRefused", "reason=\"key\"")),
        until(100, one, world.fires("BellwireFailedAttempts", "")),
        until(300, token, world.fires("BellwireTokensRefused", "")),
        until(300, plain, world.fires("BellwireTlsHandshakesFailing", "reason=\"plain_http\"")),
    );
}

/// Tabs that are too many, that prove nothing, and that go.
async fn tabs(world: &World) {
    let spare = &world.spare;
    spare.login.log_in("PHPSESSID=seven", 7);
    spare.login.log_in("PHPSESSID=eight", 8);
    let hung = spare.browser("8", "hung", "PHPSESSID=eight").open().await.unwrap();
    hung.hang().unwrap();
    world.send("8", 15, 600).await;
    let mut tabs = Vec::new();
    for n in 0..SESSIONS_MAX - 4 {
        tabs.push(spare.browser("7", &format!("browser-{n}"), "PHPSESSID=seven").open().await.unwrap());
    }
    tokio::join!(world.fires("BellwireSessionsNearLimit", ""), world.fires("BellwireConfirmsMissing", ""));
    for tab in tabs {
        tab.cut().await;
    }
    tokio::join!(
        world.fires("BellwireSessionsLost", "initiator=\"network\",reason=\"eof\""),
        world.fires("BellwireTabsGone", ""),
    );
}

/// openITCOCKPIT's answer to who is logged in: none of use, a late one, none.
async fn login(world: &World) {
    let spare = &world.spare;
    let knock = async |cookie: &str| {
        spare.knock(bellwire_testkit::bellwire::KEY, &[("cookie", &format!("PHPSESSID={cookie}"))]).await
    };
    spare.login.set(Mood::Cookies(200, "no JSON".to_owned()));
    knock("unclear").await;
    world.fires("BellwireLoginChecksUnclear", "").await;
    let slowly = |n: usize| async move {
        spare.login.set(Mood::Slow);
        // It answers, but late: that is the trouble, and takes its time.
        let answer = async {
            sleep(Duration::from_millis(1_500)).await;
            spare.login.set(Mood::Fine);
        };
        let cookie = format!("slow{n}");
        tokio::join!(knock(&cookie), answer);
    };
    until(100, slowly, world.fires("BellwireLoginChecksSlow", "")).await;
    spare.login.set(Mood::Away);
    assert_eq!(knock("away").await, 503);
    world.fires("BellwireOpenItCockpitAway", "").await;
}

/// A node of its own, which has no room, and starts again and again; in the end it is gone.
async fn fragile(prometheus: &Prometheus, node: &mut Bellwire, login: &Login) {
    let of = "namespace=\"fragile\"";
    login.set(Mood::Away);
    let tab = Profile::new(Front::V2, "7", "b", node.listen).header("cookie", "PHPSESSID=x").open().await.unwrap();
    prometheus.fires("BellwireSessionsUnchecked", of).await;
    tab.close().await.unwrap();

    let open = node.metric("process_open_fds", &[]).await.unwrap() as u64;
    limit_files(node, open + 2).await;
    prometheus.fires("BellwireFileDescriptors", of).await;
    // Connections that say nothing take what is left. Prometheus has its connection since before.
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(tokio::net::TcpStream::connect(node.listen).await.unwrap());
    }
    prometheus.fires("BellwireAcceptsFailing", of).await;
    limit_files(node, 10_000).await;
    drop(held);

    for _ in 0..4 {
        let started = "process_start_time_seconds{namespace=\"fragile\"}";
        let before = prometheus.query(started).await.unwrap().first().map(|one| one.last());
        node.kill().await.unwrap();
        node.restart().await.unwrap();
        prometheus
            .wait("its new start is seen", started, |now| now.first().is_some_and(|one| Some(one.last()) != before))
            .await;
    }
    prometheus.fires("BellwireNodeRestarts", of).await;
    node.kill().await.unwrap();
    prometheus.fires("BellwireGatewayMissing", of).await;
    prometheus.fires("BellwireIngestMissing", of).await;
}

async fn limit_files(node: &Bellwire, files: u64) {
    let (pid, limit) = (node.process().pid().to_string(), format!("--nofile={files}:10000"));
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().await.unwrap();
    assert!(status.success(), "prlimit {limit}");
}

/// A gateway and an ingest that wait for a RabbitMQ which is not there.
async fn waiting(prometheus: &Prometheus) {
    prometheus.fires("BellwireGatewaysNotReady", "namespace=\"waiting\"").await;
    prometheus.fires("BellwireIngestsNotReady", "namespace=\"waiting\"").await;
    prometheus.fires("BellwireNodeNotReady", "namespace=\"waiting\",job=\"ingest\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_alert_fires_when_its_trouble_is_made() {
    let spare = Spare::start().await;
    let other_login = Login::start().await.unwrap();
    let setup = Setup::default().arg("standalone").env("BELLWIRE_LOG", "memory:");
    let setup = setup.env("BELLWIRE_SHARED_KEY", bellwire_testkit::bellwire::KEY);
    let setup = setup.env("BELLWIRE_OPENITCOCKPIT_URL", other_login.url()).env("BELLWIRE_SESSION_CHECK", "key-if-away");
    let mut node = setup.start().await.unwrap();
    let nowhere = format!("amqp://{}", ports::free());
    let lonely = ["gateway", "ingest"].map(|role| Setup::new(role, &nowhere).begin().unwrap());
    let targets = [
        spare.target(),
        Target { job: "bellwire", namespace: "fragile", admin: node.admin },
        Target { job: "gateway", namespace: "waiting", admin: lonely[0].admin },
        Target { job: "ingest", namespace: "waiting", admin: lonely[1].admin },
    ];
    let prometheus = Prometheus::start(&targets, &quicker(&rules(), SCALE)).await.unwrap();
    let world = World { spare, prometheus };
    world.prometheus.wait("all are scraped", "count(up == 1) == 4", |found| !found.is_empty()).await;
    tokio::join!(
        async {
            tokio::join!(senders(&world), nobody_there(&world), strangers(&world));
            tabs(&world).await;
            // Last: from then on nobody gets in.
            tokio::join!(around(&world), login(&world));
        },
        fragile(&world.prometheus, &mut node, &other_login),
        waiting(&world.prometheus),
    );
}
