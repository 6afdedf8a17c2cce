use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use serde_json::json;

use crate::server::{Reply, Server, accept, problem, refusing, result};
use crate::{Notify, spooled, testdata};

#[test]
fn a_taken_notification_is_silent() {
    let server = Server::accepting();
    Notify::problem(&server.address).run().silent();
    let [request] = &server.received()[..] else { panic!() };
    assert!(request.head.starts_with("POST /v1/notifications HTTP/1.1\r\n"), "{}", request.head);
    assert!(request.head.to_ascii_lowercase().contains("content-type: application/json"), "{}", request.head);
    let mut body = request.body.clone();
    let body = body.as_object_mut().unwrap();
    assert_eq!(body.remove("id").unwrap().as_str().unwrap().len(), 32);
    assert!(body.remove("timestamp").unwrap().as_u64().unwrap() > 1_700_000_000);
    let wanted = json!({
        "user": "7", "kind": "service", "type": "PROBLEM", "state": 2,
        "host": { "id": "h" }, "service": { "id": "s" }, "output": "no answer",
    });
    assert_eq!(*body, *wanted.as_object().unwrap());
}

#[test]
fn awkward_texts_arrive_unharmed() {
    let server = Server::accepting();
    let long = "ä".repeat(50 * 1024);
    let cut = "ä".repeat(2048);
    for (given, wanted) in [
        (&b"\"it's\" $(reboot) `reboot` \\n ; & | <b>"[..], "\"it's\" $(reboot) `reboot` \\n ; & | <b>"),
        (b"two\nlines\r\n\ttab \x01\x7f", "two\nlines\r\n\ttab \x01\x7f"),
        (b"-t", "-t"),
        (b"Z\xfcrich", "Z\u{fffd}rich"),
        (long.as_bytes(), cut.as_str()),
    ] {
        Notify::problem(&server.address).arg("--output").arg(OsStr::from_bytes(given)).run().silent();
        assert_eq!(server.received()[0].body["output"], wanted);
    }
}

#[test]
fn the_deadline_holds() {
    for reply in [|| Reply::Silence, || Reply::Half] {
        let server = Server::start(move |_| reply());
        let ended = Notify::problem(&server.address).args(["--deadline", "300ms"]).run();
        ended.said(1, "no answer within");
        ended.said(1, "lost, because no --spool is given");
        assert!(ended.took >= Duration::from_millis(300), "{:?}", ended.took);
        assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
    }
}

#[test]
fn a_silent_first_address_leaves_time_for_the_second() {
    let silent = Server::start(|_| Reply::Silence);
    let second = Server::accepting();
    let ended = Notify::problem(&format!("{},{}", silent.address, second.address)).args(["--deadline", "4"]).run();
    ended.silent();
    assert!(ended.took >= Duration::from_secs(2) && ended.took < Duration::from_secs(4), "{:?}", ended.took);
    assert_eq!(silent.received()[0].body["id"], second.received()[0].body["id"], "one id in all attempts");
}

#[test]
fn addresses_that_fail_at_once_cost_no_time() {
    let closing = Server::start(|_| Reply::Close);
    let second = Server::accepting();
    let ended = Notify::problem(&format!("{},{},{}", refusing(), closing.address, second.address)).run();
    ended.silent();
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
    assert_eq!(second.received().len(), 1);
}

#[test]
fn a_refusal_is_final_and_names_the_field() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = json!({ "title": "Bad Request", "errors": [{ "field": "state", "message": "must be at most 255" }] });
    let server = Server::start(move |_| problem(400, &refusal));
    let second = Server::accepting();
    let both = format!("{},{}", server.address, second.address);
    let ended = Notify::problem(&both).spool(dir.path()).run();
    ended.said(1, "refused: HTTP status 400: Bad Request: state: must be at most 255");
    assert!(second.received().is_empty() && spooled(dir.path()).is_empty());
}

#[test]
fn answers_that_another_address_may_mend() {
    let page = || Reply::Http(200, "text/html", "<h1>Welcome</h1>".into());
    let unavailable = json!({ "title": "Service Unavailable", "results": [{ "id": "x", "status": "unavailable" }] });
    let unauthorized = json!({ "title": "Unauthorized" });
    let first = Server::start(move |_| problem(503, &unavailable));
    let second = Server::start(move |_| problem(401, &unauthorized));
    let third = Server::start(move |_| page());
    let fourth = Server::start(|_| Reply::Http(302, "text/plain", String::new()));
    let all = [&first, &second, &third, &fourth].map(|server| server.address.as_str()).join(",");
    let ended = Notify::problem(&all).run();
    ended.said(1, "503");
    ended.said(1, "401: Unauthorized (see --token-file)");
    ended.said(1, "is it an ingest?");
    ended.said(1, "302, which is not followed");
    let last = Server::accepting();
    Notify::problem(&format!("{all},{}", last.address)).run().silent();
}

#[test]
fn another_servers_refusal_is_not_final() {
    let spring = r#"{"timestamp":1,"status":400,"error":"Bad Request"}"#;
    let problem = r#"{"title":"Bad Request","status":400}"#;
    let other = r#"{"title":"Bad Request","status":404}"#;
    for (content_type, body) in [
        ("application/json", spring),
        ("application/json", problem),
        ("application/problem+json", "{}"),
        ("application/problem+json", "[]"),
        ("application/problem+json", other),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let stranger = Server::start(move |_| Reply::Http(400, content_type, body.into()));
        Notify::problem(&stranger.address).spool(dir.path()).run().said(0, "kept in");
        assert_eq!(spooled(dir.path()).len(), 1, "{content_type} {body}");
        let ingest = Server::accepting();
        Notify::problem(&format!("{},{}", stranger.address, ingest.address)).run().silent();
    }
}

#[test]
fn who_may_not_send_keeps_it() {
    for status in [401, 403] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(move |_| problem(status, &json!({ "title": "No" })));
        let ended = Notify::problem(&server.address).spool(dir.path()).run();
        ended.said(0, &format!("HTTP status {status}: No (see --token-file)"));
        assert_eq!(spooled(dir.path()).len(), 1);
    }
}

#[test]
fn a_stale_notification_is_dropped() {
    let server = Server::start(|request| result(422, request, "stale"));
    Notify::problem(&server.address).run().said(0, "dropped because it has expired: service \"h\" \"s\" \"PROBLEM\"");
}

#[test]
fn the_token_is_sent_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "s3cret\n").unwrap();
    let refused = json!({ "title": "Unauthorized" });
    let server = Server::start(move |request| {
        let authorized = request.head.to_ascii_lowercase().contains("authorization: bearer s3cret");
        if authorized { accept(request) } else { problem(401, &refused) }
    });
    Notify::problem(&server.address).arg("--token-file").arg(&token).run().silent();
    Notify::problem(&server.address).env("BELLWIRE_TOKEN_FILE", token.to_str().unwrap()).run().silent();
    // The file that opens a standalone's ingest opens it to its own command.
    fs::write(&token, "# who\n\npoller: s3cret\nother: 0ther\n").unwrap();
    Notify::problem(&server.address).arg("--token-file").arg(&token).run().silent();
    fs::write(&token, "wr0ng").unwrap();
    let ended = Notify::problem(&server.address).arg("--token-file").arg(&token).run();
    ended.said(1, "401");
    assert!(!ended.stderr.contains("wr0ng"));
    let ended =
        Notify::problem(&server.address).arg("--token-file").arg(dir.path().join("none")).spool(dir.path()).run();
    ended.said(0, "kept in");
    assert_eq!(spooled(dir.path()).len(), 1);
}

#[test]
fn addresses_come_from_the_environment_and_proxies_do_not() {
    let server = Server::accepting();
    let call = || Notify::bare().args(["--hostuuid", "h", "--user-id", "7", "--deadline", "5"]);
    let proxied = |call: Notify| call.env("http_proxy", &refusing()).env("ALL_PROXY", &refusing());
    proxied(call().env("BELLWIRE_INGEST", &server.address).env("OITC_ADDRESS", &refusing())).run().silent();
    proxied(call().env("OITC_ADDRESS", &server.address)).run().silent();
    assert_eq!(server.received().len(), 2);
}

#[test]
fn names_are_looked_up() {
    let server = Server::accepting();
    let port = server.address.rsplit_once(':').unwrap().1;
    Notify::problem(&format!("localhost:{port}")).run().silent();
    Notify::problem("does-not-exist.invalid").args(["--deadline", "5"]).run().said(1, "does-not-exist.invalid:8083:");
}

/// An engine at the limit of its processes: no system gives a thread this stack.
#[test]
fn without_a_thread_for_the_lookup_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let call =
        |ingest: &str| Notify::problem(ingest).spool(dir.path()).env("RUST_MIN_STACK", "1000000000000000000").run();
    call("does-not-exist.invalid").said(0, "no thread to look up does-not-exist.invalid");
    assert_eq!(spooled(dir.path()).len(), 1);
    let server = Server::accepting();
    call(&format!("does-not-exist.invalid,{}", server.address)).silent();
    assert!(spooled(dir.path()).is_empty());
}

#[test]
fn https_trusts_only_the_given_authority() {
    let server = Server::start_tls(accept);
    let address = format!("https://{}", server.address);
    Notify::problem(&address).arg("--ca-file").arg(testdata("tls/ca.pem")).run().silent();
    let named = address.replace("127.0.0.1", "localhost");
    Notify::problem(&named).arg("--ca-file").arg(testdata("tls/ca.pem")).run().silent();
    assert_eq!(server.received().len(), 2);
    Notify::problem(&address).run().said(1, "certificate");
    Notify::problem(&address).arg("--ca-file").arg(testdata("tls/server.key")).run().said(1, "holds no certificate");
    assert!(server.received().is_empty());
}
