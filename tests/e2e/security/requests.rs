//! Requests that are too large, too slow, too many, or not what they seem.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bellwire_testkit::bellwire::{Bellwire, KEY, Setup};
use bellwire_testkit::certs::{Authority, connect};
use bellwire_testkit::http::request;
use bellwire_testkit::login::Login;
use bellwire_testkit::ports;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Ear, UPGRADE, answered, get};
use crate::support::{PATIENCE, standalone};

const BODY: &str = r#"{"user":"7","title":"smuggled"}"#;

fn post(target: &str, lines: &str) -> String {
    format!("POST {target} HTTP/1.1\r\n{lines}content-length: {}\r\n\r\n{BODY}", BODY.len())
}

async fn accepted(node: &Bellwire) -> f64 {
    node.metric("bellwire_ingest_notifications_total", &["result=\"accepted\""]).await.unwrap()
}

#[tokio::test]
async fn what_is_for_this_machine_is_not_reached_by_another_name_or_path() {
    let node = standalone("memory:").await;
    let here = "host: localhost\r\nconnection: close\r\n";
    let good = answered(node.listen, &post("/v1/notifications", here)).await;
    assert!(good.starts_with("HTTP/1.1 202") && accepted(&node).await == 1.0, "{good}");
    for target in [
        "//v1/notifications",
        "/v1//notifications",
        "/v1/notifications/",
        "/v1/./notifications",
        "/x/../v1/notifications",
        "/v1/notifications/../../push_notifications",
        "/%761/notifications",
        "/v1%2fnotifications",
        "/v1/notifications%00",
        "/v1/notifications;x",
        "/V1/NOTIFICATIONS",
        "/push_notifications/v1/notifications",
        "/push_notifications/message",
        "/push_notifications/../message",
        "//message",
        "/message/",
        "/%6dessage",
        "/message%3f/../push_notifications",
        "*",
        "localhost:8083",
    ] {
        let answer = answered(node.listen, &post(target, here)).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{target}: {answer}");
    }
    for (target, lines) in [
        ("/v1/notifications", "host: monitoring.example\r\n"),
        ("/v1/notifications", "host: localhost.evil.example\r\n"),
        ("/v1/notifications", "host: localhost\r\nhost: localhost\r\n"),
        ("/v1/notifications", "host: localhost\r\nhost: monitoring.example\r\n"),
        ("/v1/notifications", "host: localhost@monitoring.example\r\n"),
        ("/v1/notifications", ""),
        ("http://monitoring.example/v1/notifications", "host: localhost\r\n"),
        ("http://localhost/v1/notifications", "host: monitoring.example\r\n"),
        ("http://localhost@monitoring.example/v1/notifications", "host: localhost\r\n"),
        ("/v1/notifications", "host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n"),
        ("/v1/notifications", "host: localhost\r\nx-real-ip: 127.0.0.1\r\n"),
        ("/v1/notifications", "host: localhost\r\nforwarded: for=127.0.0.1\r\n"),
        ("/v1/notifications", "host: localhost\r\nvia: 1.1 localhost\r\n"),
        ("/v1/notifications", "host: localhost\r\norigin: http://localhost\r\n"),
        ("/v1/notifications", "host: localhost\r\nsec-fetch-site: same-origin\r\n"),
        ("/message", "host: localhost\r\norigin: null\r\n"),
        ("/v1/alertmanager/7", "host: localhost\r\nx-forwarded-proto: https\r\n"),
    ] {
        let answer = answered(node.listen, &post(target, &format!("{lines}connection: close\r\n"))).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{target} {lines}: {answer}");
        for path in ["/trace?user=7", "/revoke?user=7"] {
            let target = target.replace("/v1/notifications", path).replace("/message", path);
            let answer = answered(node.admin, &post(&target, &format!("{lines}connection: close\r\n"))).await;
            let is_none = target.contains("alertmanager");
            assert!(
                answer.starts_with(if is_none { "HTTP/1.1 404" } else { "HTTP/1.1 403" }),
                "{target} {lines}: {answer}"
            );
        }
    }
    for target in ["//trace?user=7", "/trace/?user=7", "/%74race?user=7", "/x/../trace?user=7", "//revoke?user=7"] {
        let answer = answered(node.admin, &post(target, here)).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{target}: {answer}");
    }
    let trace = answered(node.listen, &get("/trace?user=7", "connection: close\r\n")).await;
    assert!(trace.starts_with("HTTP/1.1 404"), "the port of browsers tells nothing: {trace}");
    assert_eq!(accepted(&node).await, 1.0);
}

#[tokio::test]
async fn no_request_hides_in_another() {
    let node = standalone("memory:").await;
    let hidden = post("/v1/notifications", "host: localhost\r\n");
    let chunked = "transfer-encoding: chunked\r\n";
    let begin = "POST /nowhere HTTP/1.1\r\nhost: x\r\n";
    for (what, request) in [
        ("two lengths", format!("{begin}content-length: 0\r\ncontent-length: 5\r\n\r\n{hidden}")),
        ("a length of two", format!("{begin}content-length: 0, 5\r\n\r\n{hidden}")),
        ("a signed length", format!("{begin}content-length: +0\r\n\r\n{hidden}")),
        ("a length and chunks", format!("{begin}content-length: 5\r\n{chunked}\r\n0\r\n\r\n{hidden}")),
        ("chunks and a length", format!("{begin}{chunked}content-length: 5\r\n\r\n0\r\n\r\n{hidden}")),
        ("no chunks after all", format!("{begin}{chunked}transfer-encoding: identity\r\n\r\n0\r\n\r\n{hidden}")),
        ("another coding", format!("{begin}transfer-encoding: chunkedx\r\n\r\n0\r\n\r\n{hidden}")),
        ("a space before the colon", format!("{begin}content-length : 0\r\n\r\n{hidden}")),
        ("a folded line", format!("{begin}x: y\r\n content-length: 0\r\n\r\n{hidden}")),
        ("chunks in HTTP/1.0", format!("POST / HTTP/1.0\r\nhost: x\r\n{chunked}\r\n0\r\n\r\n{hidden}")),
        ("a bad key", get("/", &format!("{UPGRADE}sec-websocket-protocol: access_token, wrong\r\n")) + &hidden),
        ("a bad version", get("/", &UPGRADE.replace("13", "777")) + &hidden),
        (
            "another upgrade",
            get("/", "upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: x\r\n") + &hidden,
        ),
        ("an upgrade of the probe", get("/healthz", UPGRADE) + &hidden),
        ("a WebSocket", get("/", UPGRADE) + &hidden),
        ("HTTP/2", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}")),
    ] {
        let answer = answered(node.listen, &request).await;
        assert!(answer.matches("HTTP/1.").count() <= 1 && !answer.contains(" 202 "), "{what}: {answer}");
    }
    assert_eq!(accepted(&node).await, 0.0);
}

#[tokio::test]
async fn what_is_too_large_is_refused_on_every_listener() {
    let ingest = ports::free();
    let node =
        Setup::new("standalone", "memory:").env("BELLWIRE_INGEST_LISTEN", ingest.to_string()).start().await.unwrap();
    for address in [node.listen, ingest, node.admin] {
        for lines in [format!("x: {}\r\n", "y".repeat(17 * 1024)), "x: y\r\n".repeat(101)] {
            let answer = answered(address, &get("/healthz", &lines)).await;
            assert!(answer.starts_with("HTTP/1.1 431"), "{address}: {answer}");
        }
        let target = format!("/{}", "y".repeat(17 * 1024));
        let answer = answered(address, &get(&target, "")).await;
        assert!(answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"), "{address}: {answer}");
    }
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for (what, address, target, lines) in [
        ("a body that says so", ingest, "/v1/notifications", "content-length: 1048577\r\n\r\n".to_owned()),
        ("a body of a lie", ingest, "/v1/notifications", "content-length: 18446744073709551615\r\n\r\n".to_owned()),
        (
            "a body without an end",
            ingest,
            "/message",
            format!("transfer-encoding: chunked\r\n\r\n{}", chunk.repeat(17)),
        ),
        (
            "an event's body",
            node.listen,
            "/events",
            format!(
                "authorization: Bearer {KEY}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{}",
                chunk.repeat(3)
            ),
        ),
    ] {
        let mut ear =
            Ear::open(address, what, &format!("POST {target} HTTP/1.1\r\nhost: localhost\r\n{lines}"), &[]).await;
        ear.until("\r\n").await;
        assert!(matches!(ear.status(), 413 | 431), "{what}: {}", ear.text());
    }
    assert!(node.metric("process_resident_memory_bytes", &[]).await.unwrap() < 200e6);
}

/// Sends a byte now and then, for ever. Returns what was answered when the other end has had enough.
async fn drip(address: SocketAddr, tls: Option<Arc<ClientConfig>>, begin: String) -> String {
    let mut stream = connect(address, tls.as_ref()).await.unwrap();
    stream.write_all(begin.as_bytes()).await.unwrap();
    let (mut read, mut write) = split(stream);
    let mut heard = Vec::new();
    let drip = async {
        while write.write_all(b"y").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = drip => {}
        _ = read.read_to_end(&mut heard) => {}
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn who_sends_a_byte_now_and_then_is_given_up_on_every_listener() {
    let authority = Authority::try_new("servers").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = authority.server().unwrap().write(folder.path(), "server").unwrap();
    let client = authority.trusting(None).unwrap();
    let ingests = [ports::free(), ports::free()];
    let setup =
        |ingest: SocketAddr| Setup::new("standalone", "memory:").env("BELLWIRE_INGEST_LISTEN", ingest.to_string());
    let plain = setup(ingests[0]).start().await.unwrap();
    let secure = setup(ingests[1])
        .env("BELLWIRE_TLS_CERT_FILE", cert.display().to_string())
        .env("BELLWIRE_TLS_KEY_FILE", key.display().to_string())
        .env("BELLWIRE_ADMIN_TLS", "on")
        .admin_tls(Arc::clone(&client))
        .start()
        .await
        .unwrap();
    let mut drips = JoinSet::new();
    let head = "GET /healthz HTTP/1.1\r\nhost: x\r\nx: ";
    for address in [plain.listen, ingests[0], plain.admin] {
        drips.spawn(drip(address, None, head.to_owned()));
    }
    for address in [secure.listen, ingests[1], secure.admin] {
        drips.spawn(drip(address, Some(Arc::clone(&client)), head.to_owned()));
        // The head of a first message of TLS that never comes.
        drips.spawn(drip(address, None, "\x16\x03\x01\x02".to_owned()));
    }
    let body = "host: localhost\r\ncontent-length: 1000\r\n\r\n";
    drips.spawn(drip(ingests[0], None, format!("POST /v1/notifications HTTP/1.1\r\n{body}")));
    drips.spawn(drip(ingests[1], Some(client), format!("POST /message HTTP/1.1\r\n{body}")));
    let events = format!("authorization: Bearer {KEY}\r\ncontent-type: application/json\r\n{body}");
    drips.spawn(drip(plain.listen, None, format!("POST /events HTTP/1.1\r\n{events}")));
    let answers = timeout(PATIENCE, drips.join_all()).await.expect("all of them are given up");
    assert_eq!(answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 408")).count(), 3, "{answers:?}");
    assert!(!answers.iter().any(|answer| answer.contains(" 200 ")), "{answers:?}");
}

/// The status of a V2 handshake of user 7.
async fn handshake(node: &Bellwire, key: &str, lines: &str) -> u16 {
    let lines = format!("{UPGRADE}sec-websocket-protocol: access_token, {key}\r\n{lines}");
    Ear::open(node.listen, lines.trim_end(), &get("/?userId=7&browserUuid=b", &lines), &[]).await.status()
}

#[tokio::test]
async fn a_flood_of_failed_attempts_is_told_to_wait_whatever_it_says_of_others() {
    let login = Login::start().await.unwrap();
    login.log_in("PHPSESSID=seven", 7);
    let setup = Setup::default().arg("standalone").env("BELLWIRE_LOG", "memory:").env("BELLWIRE_SHARED_KEY", KEY);
    let setup = setup.env("BELLWIRE_OPENITCOCKPIT_URL", login.url()).env("BELLWIRE_MAX_FAILURES_PER_ADDRESS", "5");
    // What connects is nobody's proxy: what it says of others is not believed.
    let node = setup.env("BELLWIRE_TRUSTED_PROXIES", "192.0.2.1").start().await.unwrap();
    let mut statuses = Vec::new();
    for n in 0..50 {
        let lines =
            format!("cookie: PHPSESSID=guess-{n}\r\nx-forwarded-for: 198.51.100.{n}\r\nx-real-ip: 203.0.113.{n}\r\n");
        statuses.push(handshake(&node, KEY, &lines).await);
    }
    // If what they say of others counted, each would be the first of its address.
    assert_eq!(statuses[..5], [401; 5]);
    assert!(statuses.contains(&429) && statuses.iter().all(|status| matches!(status, 401 | 429)), "{statuses:?}");
    for lines in ["", "x-forwarded-for: 198.51.100.1\r\n"] {
        let right = handshake(&node, KEY, &format!("cookie: PHPSESSID=seven\r\n{lines}")).await;
        assert_eq!(right, 101, "who is right gets in from the same address: {lines}");
    }
    let held_up = statuses.iter().filter(|status| **status == 429).count();
    let refused = node.metric("bellwire_gateway_handshakes_refused_total", &["reason=\"failures\""]).await.unwrap();
    assert_eq!(refused, held_up as f64);
}

#[tokio::test]
async fn ingest_takes_a_token_and_nothing_that_poses_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "sender:a-token-of-a-sender-that-is-long\n").unwrap();
    let setup = Setup::new("standalone", "memory:").env("BELLWIRE_INGEST_TOKENS_FILE", tokens.display().to_string());
    let node = setup.start().await.unwrap();
    let send = async |headers: &[(&str, &str)]| {
        request(node.listen, "POST", "/v1/notifications", headers, BODY.as_bytes()).await.unwrap().status
    };
    let right = ("authorization", "Bearer a-token-of-a-sender-that-is-long");
    for headers in [
        &[][..],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer a-token-of-a-sender-that-is-lon")],
        &[("authorization", "Basic a-token-of-a-sender-that-is-long")],
        &[right, ("authorization", "Bearer wrong")],
        &[("cookie", "bellwire_token=a-token-of-a-sender-that-is-long")],
        &[("authorization", &format!("Bearer {KEY}")[..])],
        &[("x-forwarded-for", "127.0.0.1"), ("host", "localhost")],
    ] {
        assert_eq!(send(headers).await, 401, "{headers:?}");
    }
    assert_eq!(send(&[right]).await, 202);
}
