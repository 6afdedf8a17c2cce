//! What is taken, what is refused, and what is said about it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tower::ServiceExt;

use bellwire_common::ids::{Offset, Shard, UnixMillis, UserId};
use bellwire_common::log::memory::MemoryLog;
use bellwire_common::log::{AppendError, Event, Start};
use bellwire_common::notification::Notification;
use bellwire_common::record::Record;
use bellwire_ingest::http::BODY_BYTES_MAX;
use bellwire_ingest::{BATCH_ITEMS_MAX, Ingest, IngestSettings, Tokens};

use crate::support::{Act, Answer, Bench, NOW, TTL_MS, post};

const GOOD: &str = r#"{"id":"a","user":"7","title":"t"}"#;

#[tokio::test]
async fn one_notification_is_appended_and_accepted() {
    let bench = Bench::new();
    let answer = bench.post("/v1/notifications", GOOD).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.body, r#"{"results":[{"id":"a","status":"accepted","errors":[]}]}"#);
    let notify = bench.log.notifications().pop().unwrap();
    assert_eq!((notify.id.as_str(), notify.user.as_str()), ("a", "7"));
    assert_eq!(notify.expires_at, NOW.plus(TTL_MS));
    let notification: Notification = serde_json::from_slice(&notify.payload).unwrap();
    assert_eq!(notification.title, "t");
}

#[tokio::test]
async fn an_id_is_made_and_told_where_there_is_none() {
    let bench = Bench::new();
    let answer = bench.post("/v1/notifications", r#"{"user":"7","title":"t"}"#).await.json();
    let id = answer["results"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!((id.len(), bench.log.notifications()[0].id.as_str()), (32, id.as_str()));
}

#[tokio::test]
async fn a_batch_is_one_append_per_shard_and_keeps_its_order() {
    let bench = Bench::new();
    let items: Vec<_> = (1..=100).map(|n| format!(r#"{{"id":"n{n}","user":"{}","title":"t"}}"#, n % 10)).collect();
    let answer = bench.post("/v1/notifications", format!("[{}]", items.join(","))).await;
    assert_eq!(answer.status, 202);
    let ids: Vec<_> =
        answer.json()["results"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, (1..=100).map(|n| format!("n{n}")).collect::<Vec<_>>());
    assert!(bench.log.appends() <= 4);
    let of_user = |user: &str| {
        let all = bench.log.notifications();
        all.iter().filter(|n| n.user.as_str() == user).map(|n| n.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of_user("3"), (0..10).map(|n| format!("n{}", n * 10 + 3)).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_empty_list_is_accepted() {
    let bench = Bench::new();
    let answer = bench.post("/v1/notifications", "[]").await;
    assert_eq!((answer.status, answer.body.as_str(), bench.log.appends()), (202, r#"{"results":[]}"#, 0));
}

#[tokio::test]
async fn a_mixed_batch_says_what_became_of_each() {
    let bench = Bench::new();
    bench.log.act(1, Act::Fail(AppendError::Unavailable("test".into())));
    // User 1 lives in shard 0, user 2 in shard 1.
    let body = r#"[{"id":"a","user":"1","title":"t"},{"id":"b","user":"2","title":"t"},{"id":"c","user":"1","title":"t","timestamp":1},{"id":"d","user":"1"},7]"#;
    let answer = bench.post("/v1/notifications", body).await;
    assert_eq!((answer.status, answer.header("retry-after")), (207, "2"));
    let json = answer.json();
    let statuses: Vec<_> =
        json["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["accepted", "unavailable", "stale", "invalid", "invalid"]);
    assert_eq!(json["results"][3]["errors"][0]["field"], "title");
    assert_eq!(json["results"][4]["id"], serde_json::Value::Null);
}

#[tokio::test]
async fn errors_of_a_batch_name_its_items() {
    let bench = Bench::new();
    let answer =
        bench.post("/v1/notifications", r#"[{"id":"c","user":"1","title":"t","timestamp":1},{"user":"1"},7]"#).await;
    let problem = answer.assert_problem(400);
    let fields: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["[1].title", "[2]"]);
    assert_eq!(problem["results"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_the_log_does_not_confirm_is_to_be_sent_again() {
    let errors = [
        Act::Fail(AppendError::Unavailable("test".into())),
        Act::Fail(AppendError::Unknown("test".into())),
        Act::Fail(AppendError::Overloaded),
        Act::Fail(AppendError::TooLarge),
        Act::Hang,
    ];
    for act in errors {
        let bench = Bench::new();
        bench.log.act(2, act.clone());
        for (path, body) in [("/v1/notifications", GOOD), ("/message", MESSAGE)] {
            let answer = bench.post(path, body).await;
            let problem = answer.assert_problem(503);
            assert_eq!(
                (answer.header("retry-after"), &problem["results"][0]["status"]),
                ("2", &"unavailable".into()),
                "{act:?}"
            );
            assert_eq!(problem["results"][0]["id"], bench.log.notifications().pop().unwrap().id.as_str());
        }
    }
}

#[tokio::test]
async fn repeating_is_harmless_because_the_id_is_kept() {
    let bench = Bench::new();
    for _ in 0..2 {
        assert_eq!(bench.post("/v1/notifications", GOOD).await.status, 202);
        assert_eq!(bench.post("/message", MESSAGE).await.status, 200);
    }
    let ids: Vec<_> = bench.log.notifications().into_iter().map(|notify| notify.id).collect();
    assert_eq!((&ids[0], &ids[1]), (&ids[2], &ids[3]));
    let later = MESSAGE.replace("1699999999", "1699999998");
    assert_eq!(bench.post("/message", later).await.status, 200);
    assert_ne!(bench.log.notifications().pop().unwrap().id, ids[1]);
}

const MESSAGE: &str = r#"{"timestamp":1699999999,"userId":7,"type":"Service","hostUuid":"h","serviceUuid":"s","icon":"","state":2,"notificationtype":"PROBLEM","output":"out","ackauthor":"","ackcomment":""}"#;

fn shown(bench: &Bench) -> Notification {
    serde_json::from_slice(&bench.log.notifications().pop().unwrap().payload).unwrap()
}

#[tokio::test]
async fn a_message_is_worded_here() {
    let bench = Bench::new();
    let answer = bench.post("/message", MESSAGE).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("accepted")));
    let notification = shown(&bench);
    assert_eq!((notification.title.as_str(), notification.body.as_str()), ("h/s is CRITICAL (PROBLEM)", "out"));
    assert_eq!(notification.icon.unwrap(), "/img/push_notifications/wh/ServicePushIconCRITICAL.png");
    assert_eq!(notification.timestamp, 1_699_999_999);
}

#[tokio::test]
async fn names_of_fields_are_known_in_any_case_and_null_is_absent() {
    let bench = Bench::new();
    let body = r#"{"TIMESTAMP":1700000000,"userid":7,"USERID":null,"Type":null,"HOSTUUID":"h","HostName":"web-1","State":1,"unknown":{"x":[1]},"NotificationType":"CUSTOM","output":null}"#;
    assert_eq!(bench.post("/message", body).await.status, 200);
    assert_eq!(shown(&bench).title, "web-1 is DOWN (CUSTOM)");
}

#[tokio::test]
async fn a_message_about_nothing_known_is_safe_all_the_same() {
    let bench = Bench::new();
    for (body, title) in [
        (r#"{"timestamp":1700000000,"userId":7}"#, "unknown host is UP"),
        (r#"{"timestamp":1700000000,"userId":7,"type":"service","hostUuid":"h"}"#, "h/unknown service is OK"),
        (r#"{"timestamp":1700000000,"userId":7,"type":"other","hostUuid":"h","serviceUuid":"s"}"#, "h is UP"),
        (r#"{"timestamp":1900000000,"userId":7,"hostUuid":"h","state":9}"#, "h is in state 9"),
    ] {
        assert_eq!(bench.post("/message", body).await.status, 200, "{body}");
        assert_eq!(shown(&bench).title, title);
    }
}

#[tokio::test]
async fn a_stale_message_is_not_appended() {
    let bench = Bench::new();
    for timestamp in ["1699999399", "0", "-5", "null"] {
        let body = format!(r#"{{"timestamp":{timestamp},"userId":7,"hostUuid":"h"}}"#);
        let answer = bench.post("/message", body).await;
        assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("stale")), "{timestamp}");
    }
    assert_eq!(bench.log.appends(), 0);
    assert_eq!(bench.post("/message", r#"{"timestamp":1699999400,"userId":7,"hostUuid":"h"}"#).await.status, 200);
}

#[tokio::test]
async fn bad_fields_of_a_message_are_named_as_they_were_sent() {
    let bench = Bench::new();
    for (body, fields) in [
        (r#"{"userId":"7"}"#, vec!["userId"]),
        (r#"{"userId":0}"#, vec!["userId"]),
        (r#"{"userId":-1}"#, vec!["userId"]),
        (r#"{"userId":7.5}"#, vec!["userId"]),
        (r#"{"userId":9223372036854775808}"#, vec!["userId"]),
        ("{}", vec!["userId"]),
        (r#"{"userId":7,"type":1}"#, vec!["type"]),
        (
            r#"{"userId":[],"timestamp":"x","notificationtype":1,"state":"1","hostUuid":{},"hostName":1,"output":1,"ackauthor":1,"ackcomment":1}"#,
            vec![
                "userId",
                "timestamp",
                "notificationtype",
                "state",
                "hostUuid",
                "hostName",
                "output",
                "ackauthor",
                "ackcomment",
            ],
        ),
        (r#"{"userId":7,"type":"service","serviceUuid":[],"serviceName":true}"#, vec!["serviceUuid", "serviceName"]),
    ] {
        let problem = bench.post("/message", body).await.assert_problem(400);
        let found: Vec<_> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(found, fields, "{body}");
    }
    for body in ["", "{", "null", "7", "[]", "\"x\"", "{\"userId\":7}x"] {
        bench.post("/message", body).await.assert_problem(400);
    }
    assert_eq!(bench.log.appends(), 0);
}

#[tokio::test]
async fn bytes_that_are_no_text_do_not_lose_a_notification() {
    let bench = Bench::new();
    let body =
        [b"{\"timestamp\":1700000000,\"userId\":7,\"hostUuid\":\"h\",\"output\":\"caf\xe9\\\\n\xf0\x9f\"}".as_slice()]
            .concat();
    assert_eq!(bench.post("/message", body).await.status, 200);
    assert_eq!(shown(&bench).body, "caf\u{fffd}\n\u{fffd}");
    let body = b"{\"user\":\"7\",\"title\":\"\xff\"}".to_vec();
    assert_eq!(bench.post("/v1/notifications", body).await.status, 202);
}

#[tokio::test]
async fn only_whole_paths_and_posts_are_taken() {
    let bench = Bench::new();
    for (path, allowed) in [("/v1/notifications", "POST"), ("/message", "POST"), ("/openapi.json", "GET,HEAD")] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            if allowed.contains(method) {
                continue;
            }
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let answer = bench.answer(request).await;
            let problem = answer.assert_problem(405);
            assert_eq!(answer.header("allow"), allowed, "{path}");
            let method = allowed.split(',').next().unwrap();
            assert_eq!(problem["detail"], format!("only {method} is taken here"), "{path}");
        }
    }
    for path in [
        "/",
        "/message/",
        "/v1/notifications/x",
        "/push_notifications/message",
        "//message",
        "/Message",
        "/%6dessage",
        "/v1",
    ] {
        assert_eq!(bench.post(path, GOOD).await.status, 404, "{path}");
    }
    Answer::of(bellwire_ingest::not_found().await).await.assert_problem(404);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let bench = Bench::new();
    let long = " ".repeat(BODY_BYTES_MAX - GOOD.len()) + GOOD;
    assert_eq!(bench.post("/v1/notifications", long.clone()).await.status, 202);
    let longer = long + " ";
    bench.post("/v1/notifications", longer.clone()).await.assert_problem(413);
    let pieces = stream::iter(
        longer
            .into_bytes()
            .chunks(1000)
            .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
            .collect::<Vec<_>>(),
    );
    bench.post("/v1/notifications", Body::from_stream(pieces)).await.assert_problem(413);
    let batch = |items| format!("[{}]", vec![r#"{"user":"7","title":"t"}"#; items].join(","));
    assert_eq!(bench.post("/v1/notifications", batch(BATCH_ITEMS_MAX)).await.status, 202);
    bench.post("/v1/notifications", batch(BATCH_ITEMS_MAX + 1)).await.assert_problem(413);
}

#[tokio::test]
async fn bodies_must_come_whole_and_in_time() {
    let bench = Bench::new();
    let first = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"{")) });
    let slow = Body::from_stream(first.chain(stream::pending()));
    bench.post("/v1/notifications", slow).await.assert_problem(408);
    let broken = Body::from_stream(stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))]));
    bench.post("/v1/notifications", broken).await.assert_problem(400);
    for body in ["", "{", "7", "{\"user\":}"] {
        bench.post("/v1/notifications", body).await.assert_problem(400);
    }
    let request = post("/v1/notifications").header("content-encoding", "gzip").body(Body::from(GOOD)).unwrap();
    bench.answer(request).await.assert_problem(415);
}

#[tokio::test]
async fn too_much_in_progress_is_refused() {
    let mut bench = Bench::new();
    bench.settings.limits.bodies_bytes_max = BODY_BYTES_MAX - 1;
    let unknown_length = Body::from_stream(stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"{}")) }));
    let answer = bench.post("/v1/notifications", unknown_length).await;
    answer.assert_problem(503);
    assert_eq!(answer.header("retry-after"), "2");
    assert_eq!(bench.post("/v1/notifications", GOOD).await.status, 202);
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let bench = Bench::new();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/json"] {
        let request = post("/message").header("content-type", content_type).body(Body::from(MESSAGE)).unwrap();
        assert_eq!(bench.answer(request).await.status, 200);
    }
}

#[tokio::test]
async fn reservations_are_given_back() {
    let mut bench = Bench::new();
    bench.settings.limits.bodies_bytes_max = 4096;
    bench.settings.limits.append_timeout = Duration::from_secs(60);
    let ingest = Ingest::new(bench.settings.clone(), Arc::clone(&bench.log) as _);
    let router = bellwire_ingest::router(ingest);
    let send = || router.clone().oneshot(post("/v1/notifications").body(Body::from(GOOD)).unwrap());
    assert_eq!(send().await.unwrap().status(), 202);
    bench.log.act(2, Act::Hang);
    let mut waiting = Box::pin(send());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(send().await.unwrap().status(), 503);
    drop(waiting);
    bench.log.acts.lock().unwrap().clear();
    assert_eq!(send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn what_was_accepted_is_read_back_from_a_real_log() {
    let log = MemoryLog::new(4);
    let user = UserId::try_new("7").unwrap();
    let mut reader = log.read(Shard::of(&user, 4), Start::Offset(Offset(0)));
    let settings = IngestSettings::new(TTL_MS, Tokens::none());
    let router = bellwire_ingest::router(Ingest::new(settings, Arc::clone(&log)));
    let before = UnixMillis::now();
    let request = post("/v1/notifications").body(Body::from(GOOD)).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), 202);
    let record = loop {
        match reader.next().await.unwrap() {
            Event::Records(records) => break records.into_iter().next().unwrap().1,
            Event::CaughtUp => {}
            other => panic!("{other:?}"),
        }
    };
    let Record::Notify(notify) = record else { panic!("{record:?}") };
    assert_eq!((notify.id.as_str(), &notify.user), ("a", &user));
    assert!((before.plus(TTL_MS)..=UnixMillis::now().plus(TTL_MS)).contains(&notify.expires_at));
    log.close().await;
}
