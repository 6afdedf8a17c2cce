//! Who may send: one test for each refusal.

use std::io::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt;

use bellwire_common::http::{ClientCertificate, Peer};
use bellwire_ingest::{FAILURES_PER_MINUTE_MAX, Ingest, Tokens, router};

use crate::support::{Answer, Bench, LOCAL, post};

const GOOD: &str = r#"{"id":"a","user":"7","title":"t"}"#;
const MESSAGE: &str = r#"{"timestamp":1699999999,"userId":7,"user":"7","title":"t","type":"Host","hostUuid":"h"}"#;

#[tokio::test]
async fn without_tokens_other_machines_are_refused() {
    let bench = Bench::new();
    for path in ["/v1/notifications", "/message"] {
        let request = |peer: Option<&str>| {
            let request = Request::post(path).header("host", "localhost");
            let request = match peer {
                Some(peer) => request.extension(Peer(peer.parse().unwrap())),
                None => request,
            };
            request.body(Body::from(MESSAGE)).unwrap()
        };
        bench.answer(request(Some("10.0.0.1:1000"))).await.assert_problem(403);
        bench.answer(request(Some("[2001:db8::1]:1000"))).await.assert_problem(403);
        bench.answer(request(None)).await.assert_problem(403);
        assert_ne!(bench.answer(request(Some("[::1]:1000"))).await.status, 403);
    }
}

macro_rules! refuses {
    ($($test:ident: $name:literal = $value:literal;)*) => { $(
        #[tokio::test]
        async fn $test() {
            for path in ["/v1/notifications", "/message"] {
                let bench = Bench::new();
                let request = post(path).header($name, $value).body(Body::from(MESSAGE)).unwrap();
                let problem = bench.answer(request).await.assert_problem(403);
                assert!(problem["detail"].as_str().unwrap().contains($name), "{problem}");
                assert_eq!(bench.log.appends(), 0);
            }
        }
    )* };
}

refuses! {
    a_page_of_another_origin_is_refused: "origin" = "https://example.org";
    a_page_without_an_origin_is_refused: "origin" = "null";
    what_a_browser_fetches_is_refused: "sec-fetch-site" = "cross-site";
    what_a_browser_navigates_to_is_refused: "sec-fetch-mode" = "navigate";
    what_a_proxy_forwards_is_refused: "forwarded" = "for=10.0.0.1";
    what_a_proxy_forwards_for_others_is_refused: "x-forwarded-for" = "10.0.0.1";
    what_a_proxy_forwards_by_https_is_refused: "x-forwarded-proto" = "https";
    what_a_proxy_forwards_to_a_name_is_refused: "x-forwarded-host" = "example.org";
    what_came_via_a_proxy_is_refused: "via" = "1.1 proxy";
    what_nginx_passes_on_is_refused: "x-real-ip" = "10.0.0.1";
    a_second_host_is_refused: "host" = "127.0.0.1";
}

#[tokio::test]
async fn a_host_that_is_not_loopback_is_refused() {
    let bench = Bench::new();
    for (host, status) in
        [("example.org", 403), ("example.org:8083", 403), ("localhost:8083", 202), ("[::1]:8083", 202)]
    {
        let request = Request::post("/v1/notifications").header("host", host).extension(Peer(LOCAL.parse().unwrap()));
        assert_eq!(bench.answer(request.body(Body::from(GOOD)).unwrap()).await.status, status, "{host}");
    }
    let without = Request::post("/v1/notifications").extension(Peer(LOCAL.parse().unwrap()));
    bench.answer(without.body(Body::from(GOOD)).unwrap()).await.assert_problem(403);
    let absolute = post("http://example.org/v1/notifications").body(Body::from(GOOD)).unwrap();
    bench.answer(absolute).await.assert_problem(403);
}

#[tokio::test]
async fn with_tokens_a_token_is_what_counts() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"poller: 0123456789abcdef\n").unwrap();
    let bench = Bench::with_tokens(Tokens::load(file.path()).unwrap());
    for path in ["/v1/notifications", "/message"] {
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdefg",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            let request = post(path).header("authorization", bad).body(Body::from(MESSAGE)).unwrap();
            let answer = bench.answer(request).await;
            answer.assert_problem(401);
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{bad}");
        }
        bench.answer(post(path).body(Body::from(MESSAGE)).unwrap()).await.assert_problem(401);
        // From another machine, behind a proxy.
        let request = Request::post(path)
            .header("x-forwarded-for", "10.0.0.1")
            .header("authorization", "bearer 0123456789abcdef");
        let request = request.extension(Peer("10.0.0.1:1".parse().unwrap())).body(Body::from(MESSAGE)).unwrap();
        assert_ne!(bench.answer(request).await.status, 401);
    }
    let twice = post("/message").header("authorization", "Bearer 0123456789abcdef").header("authorization", "Bearer x");
    bench.answer(twice.body(Body::from(MESSAGE)).unwrap()).await.assert_problem(401);
}

fn with_tokens(text: &str) -> Bench {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Bench::with_tokens(Tokens::load(file.path()).unwrap())
}

fn with_token(path: &str, body: &str) -> Request<Body> {
    post(path).header("authorization", "Bearer 0123456789abcdef").body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_token_may_send_only_where_its_scope_says() {
    let bench = with_tokens("0123456789abcdef paths=/message");
    assert_eq!(bench.answer(with_token("/message", MESSAGE)).await.status, 200);
    let problem = bench.answer(with_token("/v1/notifications", GOOD)).await.assert_problem(403);
    assert_eq!(problem["detail"], "this token may not send here: its scope (paths=) names other paths");
    assert_eq!(bench.log.appends(), 1);
}

#[tokio::test]
async fn a_token_may_send_only_to_whom_its_scope_says() {
    let bench = with_tokens("0123456789abcdef users=7,alice");
    assert_eq!(bench.answer(with_token("/message", MESSAGE)).await.status, 200);
    let other = MESSAGE.replace("\"userId\":7", "\"userId\":8");
    let problem = bench.answer(with_token("/message", &other)).await.assert_problem(400);
    let wanted = "must be one of the users that this token may send to";
    assert_eq!(problem["errors"], serde_json::json!([{"field": "userId", "message": wanted}]));
    let batch = r#"[{"id":"a","user":"alice","title":"t"},{"id":"b","user":"bob","title":"t"}]"#;
    let answer = bench.answer(with_token("/v1/notifications", batch)).await;
    assert_eq!(answer.status, 207);
    assert_eq!(answer.json()["results"][1]["errors"], serde_json::json!([{"field": "user", "message": wanted}]));
    let users: Vec<_> = bench.log.notifications().iter().map(|notify| notify.user.to_string()).collect();
    assert_eq!(users, ["7", "alice"]);
}

#[tokio::test]
async fn who_tries_tokens_is_held_up() {
    let bench = with_tokens("0123456789abcdef");
    let ingest = Ingest::new(bench.settings.clone(), Arc::clone(&bench.log) as _);
    let answer = async |peer: &str, token: &str| {
        let request = Request::post("/v1/notifications").header("authorization", format!("Bearer {token}"));
        let request = request.extension(Peer(peer.parse().unwrap())).body(Body::from(GOOD)).unwrap();
        Answer::of(router(ingest.clone()).oneshot(request).await.unwrap()).await
    };
    for _ in 0..FAILURES_PER_MINUTE_MAX {
        answer("192.0.2.1:1", "wrong").await.assert_problem(401);
    }
    let held_up = answer("192.0.2.1:2", "wrong").await;
    held_up.assert_problem(429);
    assert_eq!(held_up.header("retry-after"), "40");
    // Behind one load balancer, a stranger must not stop all who may send.
    assert_eq!(answer("192.0.2.1:3", "0123456789abcdef").await.status, 202);
    assert_eq!(answer("192.0.2.2:1", "0123456789abcdef").await.status, 202);
    for _ in 0..=FAILURES_PER_MINUTE_MAX {
        answer(LOCAL, "wrong").await.assert_problem(401);
    }
}

#[tokio::test]
async fn where_a_certificate_is_needed_it_stands_beside_the_token_and_for_this_machine() {
    let certificate = ClientCertificate { fingerprint: [7; 32] };
    let mut bench = Bench::new();
    bench.settings.needs_certificate = true;
    let problem = bench.post("/v1/notifications", GOOD).await.assert_problem(403);
    assert!(problem["detail"].as_str().unwrap().contains("ingest-client-ca-file"), "{problem}");
    let elsewhere = || {
        let request = Request::post("/v1/notifications").header("host", "bellwire.example.org");
        request.extension(Peer("10.0.0.1:1".parse().unwrap())).extension(certificate)
    };
    assert_eq!(bench.answer(elsewhere().body(Body::from(GOOD)).unwrap()).await.status, 202);
    for name in ["origin", "sec-fetch-site", "x-forwarded-for"] {
        let request = elsewhere().header(name, "x").body(Body::from(GOOD)).unwrap();
        bench.answer(request).await.assert_problem(403);
    }

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"poller: 0123456789abcdef\n").unwrap();
    bench.settings.tokens = Tokens::load(file.path()).unwrap();
    bench.answer(elsewhere().body(Body::from(GOOD)).unwrap()).await.assert_problem(401);
    let token = ("authorization", "Bearer 0123456789abcdef");
    let both = elsewhere().header(token.0, token.1).body(Body::from(GOOD)).unwrap();
    assert_eq!(bench.answer(both).await.status, 202);
    let alone = post("/v1/notifications").header(token.0, token.1).body(Body::from(GOOD)).unwrap();
    bench.answer(alone).await.assert_problem(403);
}
