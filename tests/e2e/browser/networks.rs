//! Bellwire's page behind proxies as they are: under a path of theirs, and with WebSockets that do not come through.

use std::time::Duration;

use bellwire_testkit::nginx::Nginx;

use super::desk::{CONNECTED, Desk};

/// Three WebSockets are tried before, with a growing wait between them.
const FALLS_BACK_WITHIN: Duration = Duration::from_secs(120);
const TRANSPORT: &str = "return document.querySelector('[data-about=transport]').textContent";

impl Desk {
    /// The page as it is under a path of an nginx with these lines beside its `proxy_pass`.
    async fn behind(&mut self, lines: &str) -> Nginx {
        let upstream = self.trial.listen;
        let nginx =
            Nginx::start(&format!("location /on/call/ {{ proxy_pass http://{upstream}/; {lines} }}")).await.unwrap();
        let origin = format!("http://{}", nginx.address);
        self.browser.allow_notifications(&origin).await.unwrap();
        self.trial.page = self.trial.page.replace(&format!("http://{upstream}/"), &format!("{origin}/on/call/"));
        nginx
    }

    async fn is_silent(&self) {
        let console = self.browser.console().await.unwrap();
        assert!(console.is_empty(), "the browser complains: {console:#?}");
    }
}

#[tokio::test]
async fn under_a_path_of_a_proxy() {
    let mut desk = Desk::new().await;
    let upgrade =
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    let _nginx = desk.behind(upgrade).await;
    desk.open().await;
    let transport = desk.browser.run(TRANSPORT).await.unwrap();
    assert!(transport.as_str().unwrap().contains("WebSocket"), "{transport}");
    desk.notify(&["web1"]).await;
    desk.shown_once(1).await;
    desk.until_listed(1).await;
    desk.is_silent().await;
    desk.browser.quit().await.unwrap();
}

#[tokio::test]
async fn where_websockets_do_not_come_through_an_event_stream_does() {
    let mut desk = Desk::new().await;
    let _nginx = desk.behind("").await;
    desk.browser.go(&desk.trial.page).await.unwrap();
    desk.browser.wait_for("a connected page", CONNECTED, FALLS_BACK_WITHIN).await.unwrap();
    let transport = desk.browser.run(TRANSPORT).await.unwrap();
    assert!(transport.as_str().unwrap().contains("vent stream"), "{transport}");
    let window = desk.browser.window().await.unwrap();
    desk.pages.push(window);
    desk.notify(&["web1", "web2"]).await;
    desk.shown_once(2).await;
    // Its acknowledgements have come: a page that is loaded anew gets nothing twice, and its test comes back.
    desk.browser.run("document.querySelector('.bw-trial').open = true").await.unwrap();
    desk.browser.click("[data-test=message]").await.unwrap();
    desk.shown_once(3).await;
    let delivered = "bellwire_gateway_notifications_delivered_total";
    let all = || async { Ok((desk.trial.metric(delivered, &[]).await > 2.5).then_some(())) };
    bellwire_testkit::eventually::eventually("three are confirmed", crate::support::PATIENCE, all).await.unwrap();
    let streams = desk.trial.metric("bellwire_gateway_sessions", &[r#"protocol="events""#]).await;
    assert!((streams - 1.0).abs() < 0.1, "{streams}");
    desk.browser.quit().await.unwrap();
}

/// What README tells people to write into a page of their own, at their own web server.
#[tokio::test]
async fn the_lines_of_the_readme_show_notifications() {
    let desk = Desk::new().await;
    let readme = include_str!("../../../README.md");
    let lines = readme.split("```html\n").nth(1).and_then(|rest| rest.split("```").next()).expect("lines in README");
    let (user, key) = desk.trial.user_and_key();
    assert!(lines.contains("user: 7, key,"), "{lines}");
    let page = lines.replace("user: 7, key,", &format!("user: {user}, key: '{key}',"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), format!("<!doctype html><title>Mine</title>{page}")).unwrap();
    let upgrade =
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    let bellwire = format!("location /bellwire/ {{ proxy_pass http://{}/; {upgrade} }}", desk.trial.listen);
    let nginx = Nginx::start(&format!("root {}; {bellwire}", folder.path().display())).await.unwrap();
    let origin = format!("http://{}", nginx.address);
    desk.browser.allow_notifications(&origin).await.unwrap();
    desk.browser.go(&format!("{origin}/")).await.unwrap();
    let sessions = || async {
        let native = desk.trial.metric("bellwire_gateway_sessions", &[r#"protocol="native""#]).await;
        Ok((native > 0.5).then_some(()))
    };
    bellwire_testkit::eventually::eventually("a session", crate::support::PATIENCE, sessions).await.unwrap();
    desk.notify(&["web1"]).await;
    desk.shown_once(1).await;
    desk.browser.quit().await.unwrap();
}
