use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use bellwire_common::ids::{NotificationId, Offset, UserId};
use bellwire_testkit::certs::Authority;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::mariadb::MariaDb;
use bytes::Bytes;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::*;

const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn the_text_of_an_answer_is_not_logged() {
    let answer = Ok(Answer { status: 503, body: br#"{"auth_key":"secret"}"#.to_vec(), location: None });
    assert_eq!(told(&answer), "status 503");
}

#[test]
fn the_answer_says_whether_it_is_worth_another_try() {
    let outcome = |status| judge(&Ok(Answer { status, body: Vec::new(), location: None }));
    assert_eq!(
        (outcome(200), outcome(204), outcome(410)),
        (Some(Outcome::Sent), Some(Outcome::Sent), Some(Outcome::Gone))
    );
    for status in [301, 400, 401, 404] {
        assert_eq!(outcome(status), Some(Outcome::Refused), "{status}");
    }
    for status in [408, 429, 500, 503] {
        assert_eq!(outcome(status), None, "{status}");
    }
    assert_eq!(judge(&Err(FetchError::Failed("x".into()))), None);
}

/// User 7 has these devices, and the relay this address.
async fn database(address: &str, devices: &[&str]) -> MariaDb {
    let database = MariaDb::start().await.unwrap();
    let relay = format!(
        "INSERT INTO push_notifications_relay (address, port, auth_key, enabled) VALUES ('{address}', 0, 'relay-key', 1)"
    );
    database.run(&relay).await.unwrap();
    for device in devices {
        let row = format!("INSERT INTO mobile_devices (user_id, device_id) VALUES (7, '{device}')");
        database.run(&row).await.unwrap();
    }
    database
}

fn relay(database: &MariaDb) -> Relay {
    let authority = Authority::try_new("relays").unwrap();
    Relay::start(Directory::open(&database.cnf()).unwrap(), Some(authority.pem().to_owned())).unwrap()
}

fn item() -> Item {
    let payload = Bytes::from_static(br#"{"timestamp":1,"kind":"message","title":"t","body":"b"}"#);
    let (id, user) = (NotificationId::try_new("n").unwrap(), UserId::try_new("7").unwrap());
    Item { offset: Offset(1), id, user, expires_at: UnixMillis(u64::MAX), payload }
}

/// What was counted, but nothing that is 0.
fn counted(handle: &PrometheusHandle) -> Vec<String> {
    let text = handle.render();
    let lines = text.lines().filter_map(|line| line.strip_prefix("bellwire_gateway_relay_pushes_total{result=\""));
    let mut counted: Vec<_> = lines.filter(|line| !line.ends_with(" 0")).map(|line| line.replace("\"}", "")).collect();
    counted.sort_unstable();
    counted
}

#[tokio::test]
async fn each_device_that_a_stop_cuts_off_counts_one() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    // It takes the pushes of one device, and never those of the two others.
    let answer = async |body: String| match body.contains(r#""token":"good""#) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    let database = database(&address, &["good", "bad", "worse"]).await;
    let relay = relay(&database);
    relay.pass(item());
    let sent = || async { Ok((counted(&handle) == ["sent 1"]).then_some(())) };
    eventually("the good one is sent", WITHIN, sent).await.unwrap();
    relay.drain(Duration::ZERO).await;
    assert_eq!(counted(&handle), ["cut 2", "sent 1"]);
    server.abort();
}

#[tokio::test]
async fn an_address_of_no_use_fails_each_device() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let database = database("ftp://relay", &["phone", "tablet"]).await;
    let relay = relay(&database);
    relay.pass(item());
    assert!(relay.settle(WITHIN).await);
    assert_eq!(counted(&handle), ["failed 2"]);
}

#[test]
fn of_an_address_of_no_use_the_log_is_told_once() {
    let told = Told::default();
    let is_news = |address: &str| told.is_news(Some(&address.to_owned()));
    assert_eq!([is_news("ftp://a"), is_news("ftp://a"), is_news("ftp://b")], [true, false, true]);
    assert!(!told.is_news(None) && is_news("ftp://b"), "it was mended between");
}
