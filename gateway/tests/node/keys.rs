//! Who may listen: origins, failed attempts, keys that change, tokens, and revocation.

use std::io::Write;

use bellwire_common::settings::{self, Jwt, JwtKeys};
use bellwire_testkit::bellwire::KEY;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http::{self, request};
use bellwire_testkit::tab::PATIENCE;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tempfile::NamedTempFile;

use super::access::{UPGRADE, answered, keys, start, terms, v2};
use super::*;

#[tokio::test]
async fn pages_of_other_sites_do_not_connect() {
    let terms = settings::Access { origins: Some(vec!["https://monitoring.example".to_owned()]), ..terms() };
    let node = start(&log(), &terms, keys()).await;
    for (lines, status) in [
        ("", 101),
        ("origin: https://monitoring.example\r\n", 101),
        ("origin: http://x\r\n", 101),
        ("origin: https://evil.example\r\n", 403),
        ("origin: null\r\n", 403),
        ("origin: https://monitoring.example\r\norigin: https://evil.example\r\n", 403),
    ] {
        assert_eq!(v2(&node, "7", KEY, lines).await.0, status, "V2 {lines}");
        assert_eq!(answered(&node, "/", &format!("{UPGRADE}{lines}")).await.0, status, "V1 {lines}");
        let native = format!("{UPGRADE}sec-websocket-protocol: bellwire.v1, {KEY}\r\n{lines}");
        assert_eq!(answered(&node, "/", &native).await.0, status, "native {lines}");
        let bearer = format!("authorization: Bearer {KEY}\r\n{lines}");
        let status = if status == 101 { 200 } else { status };
        assert_eq!(answered(&node, "/events?user=7&browser=b", &bearer).await.0, status, "events {lines}");
    }
}

#[tokio::test]
async fn who_fails_too_often_is_told_to_wait_and_who_is_right_gets_in() {
    let terms = settings::Access { failures_per_address: 3, ..terms() };
    let access = Access::open(&terms, keys()).expect("access");
    let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let node = Node::start_as(&log(), GatewaySettings { access, trusted_proxies, ..settings() }).await;
    let from = |address: &str| format!("x-forwarded-for: {address}\r\n");
    // A V1 tab says its key later.
    let wrong = Profile { key: "wrong".to_owned(), ..profile(Front::V1, "7", "b", &node) };
    let tab = wrong.header("x-forwarded-for", "192.0.2.7").start();
    tab.wait("its end", |seen| seen.ends == [Some(1008)]).await.expect("refused");
    assert_eq!(v2(&node, "7", "wrong", &from("192.0.2.7")).await.0, 401);
    let bearer = format!("authorization: Bearer wrong\r\n{}", from("192.0.2.7"));
    assert_eq!(answered(&node, "/events?user=7&browser=b", &bearer).await.0, 401);
    for (target, lines) in [("/push_notifications?userId=7&browserUuid=b", UPGRADE), ("/events?user=7&browser=b", "")] {
        let ask = async |key: &str, from: &str| {
            let key = format!("authorization: Bearer {key}\r\nsec-websocket-protocol: access_token, {key}\r\n");
            answered(&node, target, &format!("{lines}{key}{from}")).await
        };
        let (status, head) = ask("wrong", &from("192.0.2.7")).await;
        assert!(status == 429 && head.contains("retry-after: "), "{head}");
        assert!(matches!(ask(KEY, &from("192.0.2.7")).await.0, 101 | 200), "another tab behind the same address");
        assert_eq!(ask("wrong", "").await.0, 401, "who is not known is not counted");
    }
    assert_eq!(
        answered(&node, "/", &format!("{UPGRADE}{}", from("192.0.2.7"))).await.0,
        101,
        "V1 has said nothing yet"
    );
    let post = async |key: &str| {
        let (bearer, from) = (format!("Bearer {key}"), ("x-forwarded-for", "192.0.2.7"));
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), from];
        request(node.address, "POST", "/events", &headers, b"{}").await.expect("an answer").status
    };
    assert_eq!((post("wrong").await, post(KEY).await), (429, 400), "what sessions say gets through");
}

#[tokio::test]
async fn a_key_that_changes_counts_for_those_who_come_and_open_tabs_stay() {
    let log = log();
    let key = |text| Some(SharedKey::try_new(text).expect("a key"));
    let (writer, keys) = KeyRing::with_writer(key(KEY));
    let node = start(&log, &terms(), keys).await;
    let mut tabs = Vec::new();
    for front in FRONTS {
        tabs.push(profile(front, "7", &format!("{front:?}"), &node).open().await.expect("let in"));
    }
    assert!(writer.set(key("another")));
    assert_eq!(v2(&node, "7", KEY, "").await.0, 401);
    assert_eq!(v2(&node, "7", "another", "").await.0, 101);
    // V1 tabs say theirs again with each registration.
    settle(&log, "7", "mark", &tabs.iter().collect::<Vec<_>>()).await;
    for tab in &tabs {
        tab.settle().await.expect("answered");
        assert!(tab.seen().ends.is_empty());
    }
    let old = profile(Front::V1, "7", "old", &node).start();
    old.wait("its end", |seen| seen.ends == [Some(1008)]).await.expect("refused");
}

const SECRET: &[u8] = b"a secret of more than thirty-two bytes";

fn token(user: &str, seconds: i64) -> String {
    let now = (UnixMillis::now().0 / 1_000) as i64;
    let claims = json!({ "sub": user, "aud": "bellwire", "iat": now - 60, "exp": now + seconds });
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET)).expect("signed")
}

/// A node that takes tokens, and no key; the file has to stay.
async fn with_tokens(log: &SharedLog) -> (Node, NamedTempFile) {
    use base64::Engine;
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(SECRET);
    let mut file = NamedTempFile::new().expect("a file");
    write!(file, "{}", json!({ "keys": [{ "kty": "oct", "k": secret }] })).expect("written");
    let jwt = Jwt { keys: JwtKeys::File(file.path().to_owned()), audience: "bellwire".to_owned(), issuer: None };
    (start(log, &settings::Access { jwt: Some(jwt), ..terms() }, KeyRing::fixed(None)).await, file)
}

#[tokio::test]
async fn a_token_opens_its_own_user() {
    let log = log();
    let (node, _file) = with_tokens(&log).await;
    let tab = |user: &str, token: String| Profile { key: token, ..profile(Front::Native, user, "b", &node) };
    let mine = tab("ann", token("ann", 60)).open().await.expect("let in");
    settle(&log, "ann", "mark", &[&mine]).await;
    let other = tab("bob", token("ann", 60)).start();
    other.wait("its end", |seen| seen.ends == [Some(4202)]).await.expect("refused");
    for wrong in [token("ann", -60), format!("{}x", token("ann", 60)), "a.b.c".to_owned()] {
        let lines = format!("{UPGRADE}sec-websocket-protocol: bellwire.v1, {wrong}\r\n");
        assert_eq!(answered(&node, "/", &lines).await.0, 401, "{wrong}");
    }
    let alone = format!("{UPGRADE}sec-websocket-protocol: bellwire.v1\r\n");
    for (lines, status) in [
        (format!("cookie: bellwire_token={}\r\n", token("ann", 60)), 101),
        (format!("cookie: bellwire_token={}\r\norigin: https://evil.example\r\n", token("ann", 60)), 401),
        (format!("authorization: Bearer {}\r\n", token("ann", 60)), 101),
        (String::new(), 401),
    ] {
        assert_eq!(answered(&node, "/", &format!("{alone}{lines}")).await.0, status, "{lines}");
    }
    assert_eq!(v2(&node, "7", &token("7", 60), "").await.0, 401, "V2 takes the key alone");
    assert_eq!(answered(&node, "/", UPGRADE).await.0, 401, "and so does V1");
}

#[tokio::test]
async fn a_token_opens_an_event_stream_of_its_own_user() {
    let (node, _file) = with_tokens(&log()).await;
    let ask =
        async |user: &str, lines: String| answered(&node, &format!("/events?user={user}&browser=b"), &lines).await.0;
    assert_eq!(ask("ann", format!("authorization: Bearer {}\r\n", token("ann", 60))).await, 200);
    assert_eq!(ask("ann", format!("cookie: bellwire_token={}\r\n", token("ann", 60))).await, 200);
    assert_eq!(ask("bob", format!("authorization: Bearer {}\r\n", token("ann", 60))).await, 401);
    assert_eq!(ask("ann", format!("authorization: Bearer {}\r\n", token("ann", -60))).await, 401);
    let bearer = format!("Bearer {}", token("ann", -60));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let said = request(node.address, "POST", "/events", &headers, b"{}").await.expect("an answer");
    assert_eq!(said.status, 401);
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let log = log();
    let (node, _file) = with_tokens(&log).await;
    // It counts for five seconds more than it says. A machine that stands still for longer than a token lives lets nobody in:
    // that proves nothing, and a token that lives longer is tried.
    for seconds in [-1, 5, 30] {
        let short = Profile { key: token("ann", seconds), ..profile(Front::Native, "ann", "b", &node) };
        let tab = short.start();
        let seen = tab.wait("its end", |seen| !seen.ends.is_empty()).await.expect("ended");
        if seen.greeted > 0 {
            assert_eq!(seen.ends[0], Some(4210), "{seconds}");
            return;
        }
    }
    panic!("no token was let in");
}

#[tokio::test]
async fn who_has_not_said_for_whom_it_listens_is_revoked_by_its_token() {
    let log = log();
    let (node, _file) = with_tokens(&log).await;
    let lines = format!("{UPGRADE}sec-websocket-protocol: bellwire.v1, {}\r\n", token("ann", 60));
    let opened = http::open(node.address, &format!("GET / HTTP/1.1\r\nhost: x\r\n{lines}\r\n")).await.expect("a head");
    assert_eq!(opened.status, 101);
    let seated = || async { Ok((node.gateway.sessions() == 1).then_some(())) };
    eventually("a session", PATIENCE, seated).await.expect("let in");
    let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let admin = listener.local_addr().expect("bound");
    let server = tokio::spawn(serve(listener, node.gateway.admin_router(), Limits::default(), None, node.stop.clone()));
    for (user, count) in [("bob", 0), ("ann", 1)] {
        let answer = request(admin, "POST", &format!("/revoke?user={user}"), &[], b"").await.expect("an answer");
        assert_eq!(answer.json().expect("JSON")["sessions"].as_u64(), Some(count), "{user}");
    }
    let gone = || async { Ok((node.gateway.sessions() == 0).then_some(())) };
    eventually("its end", PATIENCE, gone).await.expect("ended");
    node.stop.cancel();
    server.await.expect("the server ends");
}

#[tokio::test]
async fn a_user_is_revoked() {
    let log = log();
    let node = start(&log, &terms(), keys()).await;
    let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let admin = listener.local_addr().expect("bound");
    let server = tokio::spawn(serve(listener, node.gateway.admin_router(), Limits::default(), None, node.stop.clone()));
    let mut tabs = Vec::new();
    for (front, code) in [(Front::V1, Some(1008)), (Front::V2, None), (Front::Native, Some(4204))] {
        tabs.push((profile(front, "7", &format!("{front:?}"), &node).open().await.expect("let in"), code));
    }
    let other = profile(Front::V1, "8", "o", &node).open().await.expect("let in");
    settle(&log, "7", "mark", &tabs.iter().map(|(tab, _)| tab).collect::<Vec<_>>()).await;
    settle(&log, "8", "mark8", &[&other]).await;
    let revoke = async |method: &str, query: &str| {
        let answer = request(admin, method, &format!("/revoke?{query}"), &[], b"").await.expect("an answer");
        (answer.status, answer.json().ok().and_then(|json| json["sessions"].as_u64()))
    };
    assert_eq!(revoke("GET", "user=7").await, (405, None));
    assert_eq!(revoke("POST", "user=").await, (400, None));
    assert_eq!(revoke("POST", "user=7&browser=V1").await, (200, Some(1)));
    assert_eq!(revoke("POST", "user=7").await, (200, Some(2)));
    for (tab, code) in &tabs {
        let seen = tab.wait("its end", |seen| !seen.ends.is_empty()).await.expect("ended");
        assert_eq!(seen.ends[0], *code, "V2 without a close frame");
    }
    settle(&log, "8", "mark9", &[&other]).await;
    assert!(other.seen().ends.is_empty());
    node.stop.cancel();
    server.await.expect("the server ends");
}
