//! TLS on every listener, with certificates of the test's own.

use std::process::Output;

use bellwire_testkit::bellwire::{Bellwire, KEY, Setup};
use bellwire_testkit::certs::{Authority, Pair};
use bellwire_testkit::http::request_over;
use bellwire_testkit::tab::{Front, Profile, Tab};
use bellwire_testkit::webdriver::Browser;
use tempfile::TempDir;

use crate::support::{FRONTS, PATIENCE, message, program};

/// An authority of servers, one of senders, and a folder with certificates and a token.
struct Place {
    servers: Authority,
    senders: Authority,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let [servers, senders] = ["servers", "senders"].map(|name| Authority::try_new(name).unwrap());
        let place = Self { servers, senders, folder: tempfile::tempdir().unwrap() };
        place.servers.server().unwrap().write(place.folder.path(), "server").unwrap();
        place.senders.client("poller").unwrap().write(place.folder.path(), "poller").unwrap();
        for (name, text) in [("servers.ca", place.servers.pem()), ("senders.ca", place.senders.pem())] {
            std::fs::write(place.folder.path().join(name), text).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn setup(&self) -> Setup {
        Setup::new("standalone", "memory:")
            .env("BELLWIRE_TLS_CERT_FILE", self.path("server.pem"))
            .env("BELLWIRE_TLS_KEY_FILE", self.path("server.key"))
    }

    fn asking(&self) -> Setup {
        self.setup().env("BELLWIRE_INGEST_CLIENT_CA_FILE", self.path("senders.ca"))
    }

    async fn open(&self, front: Front, node: &Bellwire) -> Tab {
        let tls = Some(self.servers.trusting(None).unwrap());
        Profile { tls, ..Profile::new(front, "7", &format!("{front:?}"), node.listen) }.open().await.unwrap()
    }

    /// Posts as somebody with this certificate.
    async fn post(&self, node: &Bellwire, sender: Option<&Pair>, title: &str) -> (u16, String) {
        let client = self.servers.trusting(sender).unwrap();
        let (headers, body) = ([("content-type", "application/json")], message("7", title).to_string());
        let path = "/v1/notifications";
        let answer = request_over(Some(&client), node.listen, "POST", path, &headers, body.as_bytes()).await.unwrap();
        (answer.status, answer.text())
    }

    async fn notify(&self, node: &Bellwire, title: &str, with: &[&str]) -> Output {
        let mut command = program("bellwire-notify");
        command.args(["--ingest", &format!("https://{}", node.listen), "--ca-file", &self.path("servers.ca")]);
        command.args(["--type", "message", "--user-id", "7", "--title", title]).args(with);
        command.output().await.unwrap()
    }
}

#[tokio::test]
async fn senders_show_their_certificate_and_tabs_need_none() {
    let place = Place::new();
    let node = place.asking().start().await.unwrap();
    let mut tabs = Vec::new();
    for front in FRONTS {
        tabs.push(place.open(front, &node).await);
    }
    let (cert, key) = (place.path("poller.pem"), place.path("poller.key"));
    let sent = place.notify(&node, "from the command", &["--client-cert", &cert, "--client-key", &key]).await;
    assert!(sent.status.success() && sent.stderr.is_empty(), "{sent:?}");
    let poller = place.senders.client("poller").unwrap();
    let (status, answer) = place.post(&node, Some(&poller), "by http").await;
    assert_eq!(status, 202, "{answer}");
    for tab in &tabs {
        tab.wait_shown(2).await.unwrap();
        assert_eq!(tab.titles(), ["from the command", "by http"]);
    }

    let (status, answer) = place.post(&node, None, "from nobody").await;
    assert!(status == 403 && answer.contains("ingest-client-ca-file"), "{status} {answer}");
    let refused = place.notify(&node, "from nobody", &[]).await;
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("client certificate"), "{said}");
    assert_eq!(refusals(&node).await, 2.0);
    let page = [("sec-fetch-site", "cross-site")];
    let client = place.servers.trusting(Some(&poller)).unwrap();
    let path = "/v1/notifications";
    let by_page = request_over(Some(&client), node.listen, "POST", path, &page, b"{}").await.unwrap();
    assert_eq!(by_page.status, 403, "{}", by_page.text());
    assert_eq!(node.metric("bellwire_ingest_requests_refused_total", &["forwarded"]).await.unwrap(), 1.0);

    let strangers = Authority::try_new("senders").unwrap().client("poller").unwrap();
    strangers.write(place.folder.path(), "stranger").unwrap();
    let (cert, key) = (place.path("stranger.pem"), place.path("stranger.key"));
    let refused = place.notify(&node, "from a stranger", &["--client-cert", &cert, "--client-key", &key]).await;
    assert!(!refused.status.success(), "{refused:?}");
    let failed = "bellwire_http_tls_handshakes_failed_total";
    node.wait_metric(failed, &["client_certificate"], 1.0, PATIENCE).await.unwrap();
    assert_eq!(tabs[0].titles().len(), 2);
}

#[tokio::test]
async fn the_check_shows_its_certificate_and_the_doctor_looks_at_the_nodes() {
    let place = Place::new();
    let client = place.servers.trusting(None).unwrap();
    let node = place.asking().env("BELLWIRE_ADMIN_TLS", "on").admin_tls(client).start().await.unwrap();
    let url = format!("https://{}", node.listen);
    let key = place.path("shared-key");
    std::fs::write(&key, KEY).unwrap();
    let check = async |with: &[&str]| {
        let mut command = program("bellwire");
        command.args(["check", "--gateway", &url, "--ingest", &url, "--ca-file", &place.path("servers.ca")]);
        command.args(["--key-file", &key, "-w", "60", "-c", "60", "-t", "60"]).args(with);
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let shown = ["--client-cert", &place.path("poller.pem"), "--client-key", &place.path("poller.key")];
    let (code, said) = check(&shown).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = check(&[]).await;
    assert!(code == Some(2) && said.contains("client certificate"), "{said}");
    for wrong in [&shown[..2], &["--client-cert", shown[1], "--client-key", &place.path("server.key")]] {
        let (code, said) = check(wrong).await;
        assert!(code == Some(3) && said.contains("--client-key"), "{said}");
    }

    let doctor = async |cert: &str| {
        let mut command = program("bellwire");
        command.args(["doctor", "--log", "memory:", "--admin-tls", "on"]);
        command.args(["--admin-listen", &node.admin.to_string(), "--listen", &node.listen.to_string()]);
        command.args(["--tls-cert-file", &place.path(cert), "--tls-key-file", &place.path("server.key")]);
        command.args(["--ingest-client-ca-file", &place.path("senders.ca")]);
        String::from_utf8(command.output().await.unwrap().stdout).unwrap()
    };
    let said = doctor("server.pem").await;
    for line in [" and is ready", "ok   tls: tls-cert-file ", "ok   tls: ingest-client-ca-file "] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let said = doctor("poller.pem").await;
    assert!(said.contains("FAIL tls: tls-cert-file ") && said.contains("is not that of the first"), "{said}");
}

async fn refusals(node: &Bellwire) -> f64 {
    node.metric("bellwire_ingest_requests_refused_total", &["client_certificate"]).await.unwrap()
}

#[tokio::test]
async fn where_notifications_have_a_listener_of_their_own_browsers_are_asked_for_nothing() {
    let place = Place::new();
    let ingest = bellwire_testkit::ports::free();
    let node = place.asking().env("BELLWIRE_INGEST_LISTEN", ingest.to_string()).start().await.unwrap();
    // Whoever is not asked shows none: even one that would be refused does not matter.
    let strangers = Authority::try_new("strangers").unwrap().client("tab").unwrap();
    let tls = Some(place.servers.trusting(Some(&strangers)).unwrap());
    let tab = Profile { tls, ..Profile::new(Front::V2, "7", "b", node.listen) }.open().await.unwrap();
    let client = place.servers.trusting(Some(&place.senders.client("poller").unwrap())).unwrap();
    let (path, body) = ("/v1/notifications", message("7", "n").to_string());
    let answer = request_over(Some(&client), ingest, "POST", path, &[], body.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    tab.wait_shown(1).await.unwrap();
}

#[tokio::test]
async fn the_admin_server_speaks_it_too_and_trace_finds_out() {
    let place = Place::new();
    let client = place.servers.trusting(None).unwrap();
    let node = place.setup().env("BELLWIRE_ADMIN_TLS", "on").admin_tls(client).start().await.unwrap();
    let tab = place.open(Front::Native, &node).await;
    place.post(&node, None, "traced").await;
    tab.wait_shown(1).await.unwrap();
    let admin = node.admin.to_string();
    let output = program("bellwire").args(["trace", "--admin", &admin, "7"]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("browser Native"), "{output:?}");
    let output = program("bellwire").args(["revoke", "--admin", &admin, "7"]).output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 session of user 7 was ended on this node\n");
    let not_after = node.metric("bellwire_tls_certificate_not_after_timestamp_seconds", &[]).await.unwrap();
    assert!(not_after > 64_000_000_000.0, "{not_after}");
    let plain = bellwire_testkit::http::get(node.listen, "/").await.unwrap();
    assert!(plain.status == 400 && plain.text().contains("this port speaks https"), "{}", plain.text());
    assert_eq!(node.metric("bellwire_http_tls_handshakes_failed_total", &["plain_http"]).await.unwrap(), 3.0);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_ends_the_start_and_is_named() {
    let place = Place::new();
    std::fs::write(place.folder.path().join("server.key"), "nothing").unwrap();
    for command in [&["config", "standalone"][..], &["standalone"]] {
        let mut node = program("bellwire");
        node.args(command).args(["--log", "memory:", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        node.args(["--tls-cert-file", &place.path("server.pem"), "--tls-key-file", &place.path("server.key")]);
        let output = node.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("tls-cert-file") && said.contains("server.key"), "{said}");
    }
}

#[tokio::test]
async fn a_real_browser_shows_what_comes() {
    let place = Place::new();
    let node = place.setup().start().await.unwrap();
    let browser = Browser::start().await.unwrap();
    browser.go(&format!("https://{}/#user=7&key={KEY}", node.listen)).await.unwrap();
    let connected = "return document.querySelector('.bw-state')?.dataset.state === 'connected'";
    browser.wait_for("a connected page", connected, PATIENCE).await.unwrap();
    place.post(&node, None, "over wss").await;
    let listed = "return document.querySelector('.bw-row')?.textContent";
    let listed = browser.wait_for("a notification", listed, PATIENCE).await.unwrap();
    assert!(listed.as_str().unwrap().contains("over wss"), "{listed}");
    browser.quit().await.unwrap();
}
