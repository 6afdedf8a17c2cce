//! The mobile relay: a real database with devices, and a server that speaks https.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::post;
use bellwire_common::directory::Directory;
use bellwire_common::ids::Offset;
use bellwire_common::log::{Event, Start};
use bellwire_common::record::Entry;
use bellwire_common::settings::TlsFiles;
use bellwire_gateway::app::Relay;
use bellwire_testkit::certs::Authority;
use bellwire_testkit::mariadb::MariaDb;
use bellwire_testkit::proxy::Proxy;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;

const PATH: &str = "/notifications/send-notification.json";

/// A relay that answers as it is told, device by device, and 200 to those that it was told nothing of.
struct Phone {
    address: SocketAddr,
    authority: Authority,
    heard: watch::Receiver<Vec<Value>>,
    answers: Answers,
}

type Answers = Arc<Mutex<HashMap<String, Vec<u16>>>>;

#[derive(Clone)]
struct Told {
    heard: watch::Sender<Vec<Value>>,
    answers: Answers,
}

impl Phone {
    async fn start() -> Self {
        let (authority, folder) = (Authority::try_new("relays").expect("a CA"), tempfile::tempdir().expect("a folder"));
        let pair = authority.server().expect("a certificate");
        let (cert, key) = pair.write(folder.path(), "relay").expect("written");
        let (tls, _watch) = Tls::open(&TlsFiles { cert, key, admin: false }, None).expect("TLS");
        let (heard, hears) = watch::channel(Vec::new());
        let answers = Answers::default();
        let told = Told { heard, answers: Arc::clone(&answers) };
        let router = Router::new().route(PATH, post(take)).with_state(told);
        let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(serve(listener, router, Limits::default(), Some(tls), CancellationToken::new()));
        Self { address, authority, heard: hears, answers }
    }

    /// The device's next pushes are answered so.
    fn answer(&self, device: &str, statuses: &[u16]) {
        self.answers.lock().expect("no panic").insert(device.to_owned(), statuses.to_vec());
    }

    /// What was pushed, when there are so many.
    async fn pushes(&self, count: usize) -> Vec<Value> {
        let mut heard = self.heard.clone();
        let enough = heard.wait_for(|heard| heard.len() >= count);
        timeout(WITHIN, enough).await.expect("in time").expect("the relay runs").clone()
    }
}

async fn take(State(told): State<Told>, uri: Uri, headers: HeaderMap, body: String) -> StatusCode {
    let mut push: Value = serde_json::from_str(&body).unwrap_or_default();
    let keys: Vec<&str> =
        body.split(",\"").filter_map(|part| part.trim_start_matches("{\"").split('"').next()).collect();
    assert!(keys.is_sorted(), "{body}");
    push["x-api-key"] = headers["x-api-key"].to_str().unwrap_or("").into();
    push["content-type"] = headers["content-type"].to_str().unwrap_or("").into();
    push["path"] = uri.path().into();
    let device = push["token"].as_str().unwrap_or("").to_owned();
    let status = told
        .answers
        .lock()
        .expect("no panic")
        .get_mut(&device)
        .and_then(|next| (!next.is_empty()).then(|| next.remove(0)));
    told.heard.send_modify(|heard| heard.push(push));
    StatusCode::from_u16(status.unwrap_or(200)).expect("a status")
}

const WITHIN: Duration = Duration::from_secs(30);

async fn database(phone: &Phone, devices: &[(i32, &str)]) -> MariaDb {
    let database = MariaDb::start().await.expect("a database");
    let relay = format!(
        "INSERT INTO push_notifications_relay (address, port, auth_key, enabled) VALUES ('https://127.0.0.1/x', {}, 'relay-key', 1)",
        phone.address.port()
    );
    database.run(&relay).await.expect("a relay");
    for (user, device) in devices {
        let row = format!("INSERT INTO mobile_devices (user_id, device_id) VALUES ({user}, '{device}')");
        database.run(&row).await.expect("a device");
    }
    database
}

fn relay(database: &MariaDb, ca: &str) -> Relay {
    let directory = Directory::open(&database.cnf()).expect("credentials");
    Relay::start(directory, Some(ca.to_owned())).expect("a relay")
}

async fn node(log: &SharedLog, database: &MariaDb, phone: &Phone) -> Node {
    Node::start_as(log, GatewaySettings { relay: Some(relay(database, phone.authority.pem())), ..settings() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_device_gets_one_push_from_one_of_two_gateways() {
    let phone = Phone::start().await;
    let database = database(&phone, &[(7, "phone"), (7, "tablet"), (8, "other")]).await;
    let log = log();
    let nodes = [node(&log, &database, &phone).await, node(&log, &database, &phone).await];
    send(&log, "7", "first").await;
    let pushes = phone.pushes(2).await;
    let push = &pushes[0];
    assert_eq!((push["x-api-key"].as_str(), push["auth_key"].as_str()), (Some("relay-key"), Some("relay-key")));
    assert_eq!((push["content-type"].as_str(), push["path"].as_str()), (Some("application/json"), Some(PATH)));
    assert_eq!((push["title"].as_str(), push["type"].as_str()), (Some("first"), Some("host")));
    assert_eq!((push["current_state"].as_i64(), push["user_id"].as_i64()), (Some(1), Some(7)));
    // A later one shows that nothing came twice before.
    send(&log, "8", "second").await;
    let pushes = phone.pushes(3).await;
    let mut devices: Vec<&str> = pushes.iter().filter_map(|push| push["token"].as_str()).collect();
    devices.sort_unstable();
    assert_eq!(devices, ["other", "phone", "tablet"]);
    for node in nodes {
        node.drain(Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_tried_again_and_a_device_that_is_gone_is_removed_for_its_user() {
    let phone = Phone::start().await;
    let database = database(&phone, &[(7, "gone"), (8, "gone"), (7, "slow"), (7, "odd")]).await;
    phone.answer("gone", &[410]);
    phone.answer("slow", &[503, 429]);
    phone.answer("odd", &[400]);
    let log = log();
    let node = node(&log, &database, &phone).await;
    send(&log, "7", "first").await;
    let count = |pushes: &[Value], device: &str| pushes.iter().filter(|push| push["token"] == device).count();
    let pushes = phone.pushes(5).await;
    assert_eq!((count(&pushes, "gone"), count(&pushes, "odd"), count(&pushes, "slow")), (1, 1, 3), "{pushes:?}");
    let directory = Directory::open(&database.cnf()).expect("credentials");
    let devices = async |user: &str| {
        let user = UserId::try_new(user).expect("a user");
        let mut devices: Vec<String> =
            directory.devices(&user).await.expect("an answer").into_iter().map(|d| d.id).collect();
        devices.sort_unstable();
        devices
    };
    // The answer comes before the removal.
    bellwire_testkit::eventually::eventually("the device is removed", WITHIN, || async {
        Ok((devices("7").await == ["odd", "slow"]).then_some(()))
    })
    .await
    .expect("removed");
    assert_eq!(devices("8").await, ["gone"]);
    node.drain(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_do_not_take_their_pushes_hold_up_nobody() {
    const BAD: usize = 40;
    let phone = Phone::start().await;
    let database = database(&phone, &[(7, "phone"), (8, "bad")]).await;
    phone.answer("bad", &[503; 5 * BAD]);
    let log = log();
    let node = node(&log, &database, &phone).await;
    for number in 0..BAD {
        send(&log, "8", &format!("bad-{number}")).await;
    }
    // Now all of them pause before their second try, or have made it.
    phone.pushes(BAD).await;
    send(&log, "7", "good").await;
    let mut heard = phone.heard.clone();
    let good = heard.wait_for(|heard| heard.iter().any(|push| push["token"] == "phone"));
    timeout(WITHIN, good).await.expect("in time").expect("the relay runs");
    drop(node);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_without_devices_cost_few_queries() {
    let phone = Phone::start().await;
    let database = database(&phone, &[(7, "phone")]).await;
    let log = log();
    let node = node(&log, &database, &phone).await;
    let before = database.status("Com_select").await.expect("a status");
    for number in 0..50 {
        send(&log, "9", &format!("nowhere-{number}")).await;
    }
    send(&log, "7", "phone").await;
    phone.pushes(1).await;
    node.drain(Duration::ZERO).await;
    let selects = database.status("Com_select").await.expect("a status") - before;
    assert!((3..=10).contains(&selects), "{selects} queries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_only_when_its_pushes_have_ended() {
    let phone = Phone::start().await;
    let database = database(&phone, &[(7, "phone")]).await;
    phone.answer("phone", &[503]);
    let log: SharedLog = MemoryLog::new(1);
    let node = node(&log, &database, &phone).await;
    let mut reader = log.read(Shard(0), Start::Offset(Offset(0)));
    send(&log, "7", "first").await;
    phone.pushes(1).await;
    let drained = tokio::spawn(node.drain(Duration::ZERO));
    let has_left = |record: &Record| matches!(record, Record::Report(report) if report.entries.contains(&Entry::Leave));
    loop {
        let event = timeout(WITHIN, reader.next()).await.expect("in time").expect("the log runs");
        if let Event::Records(records) = event
            && records.iter().any(|(_, record)| has_left(record))
        {
            break;
        }
    }
    assert_eq!(phone.heard.borrow().len(), 2, "the second try comes first");
    drained.await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_a_tab_asks_for_reaches_the_phone() {
    let phone = Phone::start().await;
    let database = database(&phone, &[(7, "phone")]).await;
    let log = log();
    let node = node(&log, &database, &phone).await;
    let tab = profile(Front::V2, "7", "b", &node).open().await.expect("a tab");
    let test = serde_json::json!({"type": "TestPushNotification", "message": "", "payload": {"title": "from a tab"}});
    tab.send(&test.to_string()).expect("sent");
    let push = &phone.pushes(1).await[0];
    assert_eq!((push["title"].as_str(), push["token"].as_str()), (Some("from a tab"), Some("phone")));
    assert_eq!((push["notification_type"].as_str(), push["type"].as_str()), (Some("CUSTOM"), Some("host")));
    tab.close().await.expect("closed");
    node.drain(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_with_a_strange_certificate_is_told_nothing() {
    let mut phone = Phone::start().await;
    // So that attempts can be seen which say nothing.
    let proxy = Proxy::start(phone.address).await.expect("a proxy");
    phone.address = proxy.address;
    let database = database(&phone, &[(7, "phone")]).await;
    let stranger = Authority::try_new("strangers").expect("a CA");
    let strange = log();
    let strict = relay(&database, stranger.pem());
    let node_of_others = Node::start_as(&strange, GatewaySettings { relay: Some(strict), ..settings() }).await;
    send(&strange, "7", "refused").await;
    // A second attempt is made when the first one has failed.
    timeout(WITHIN, proxy.accepted(2)).await.expect("in time").expect("the proxy runs");
    assert!(phone.heard.borrow().is_empty());
    drop(node_of_others);

    // The same way, by one who trusts the relay's authority.
    let log = log();
    let node = node(&log, &database, &phone).await;
    send(&log, "7", "told").await;
    let pushes = phone.pushes(1).await;
    assert!(pushes.iter().all(|push| push["title"] == "told"), "{pushes:?}");
    node.drain(Duration::ZERO).await;
}
