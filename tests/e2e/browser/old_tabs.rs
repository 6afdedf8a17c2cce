//! The front ends of openITCOCKPIT in real browsers, alone and with the helper for old tabs.

use bellwire_testkit::bellwire::{Bellwire, KEY, Setup};
use bellwire_testkit::farewell::Farewell;
use bellwire_testkit::http;
use bellwire_testkit::webdriver::{Browser, Kind, Notice};
use serde_json::{Value, json};

use super::oitc::{Oitc, Page, USER};
use crate::support::{PATIENCE, embedded, send, standalone};

/// Waits until a page's registration has made it a tab of the browser.
async fn registered(node: &Bellwire, page: Page, tabs: f64) {
    let protocol = if page == Page::V1 { r#"protocol="v1""# } else { r#"protocol="v2""# };
    node.wait_metric("bellwire_gateway_sessions", &[protocol], tabs, PATIENCE).await.unwrap();
}

fn titles(notices: &[Notice]) -> Vec<&str> {
    notices.iter().map(|notice| notice.title.as_str()).collect()
}

/// Waits for the last title, which comes behind all others, and tells all that were shown.
async fn shown_up_to(browser: &Browser, last: &str) -> Vec<String> {
    let there = format!(
        "return Object.entries(localStorage).some(([name, text]) => name.startsWith('recorded ') && \
         JSON.parse(text).title === '{last}')"
    );
    browser.wait_for(&format!("the notification {last}"), &there, PATIENCE).await.unwrap();
    titles(&browser.notices().await.unwrap()).into_iter().map(str::to_owned).collect()
}

/// Two windows show each notification once, before and after the gateway is killed and started again.
async fn comes_back(browser: Browser, page: Page, helper: bool) {
    let dir = tempfile::tempdir().unwrap();
    let mut node = standalone(&embedded(&dir)).await;
    let oitc = if helper { Oitc::start_with_helper(node.listen).await } else { Oitc::start(node.listen).await };
    oitc.visit(&browser).await;
    let windows = oitc.two_windows(&browser, page).await;
    registered(&node, page, 2.0).await;
    send(node.listen, USER, "before").await;
    assert_eq!(shown_up_to(&browser, "before").await, ["before"]);
    // What is not known to be shown comes again after a kill.
    node.wait_metric("bellwire_gateway_notifications_delivered_total", &[], 1.0, PATIENCE).await.unwrap();
    let mut greetings = Vec::new();
    for window in &windows {
        browser.switch(window).await.unwrap();
        greetings.push(browser.run("return page.greetings").await.unwrap().as_u64().unwrap());
    }

    node.kill().await.unwrap();
    node.restart().await.unwrap();
    send(node.listen, USER, "while away").await;
    for (window, greetings) in windows.iter().zip(greetings) {
        browser.switch(window).await.unwrap();
        let again = format!("return page.greetings > {greetings}");
        browser.wait_for("a greeting after the restart", &again, PATIENCE).await.unwrap();
    }
    registered(&node, page, 2.0).await;
    send(node.listen, USER, "after").await;
    assert_eq!(shown_up_to(&browser, "after").await, ["before", "while away", "after"]);
    browser.quit().await.unwrap();
}

#[tokio::test]
async fn v1_with_the_helper_comes_back() {
    comes_back(Browser::start().await.unwrap(), Page::V1, true).await;
}

#[tokio::test]
async fn v2_comes_back_from_a_broken_connection() {
    comes_back(Browser::start().await.unwrap(), Page::V2, false).await;
}

#[tokio::test]
async fn v2_with_the_helper_comes_back() {
    comes_back(Browser::start().await.unwrap(), Page::V2, true).await;
}

#[tokio::test]
async fn v2_in_firefox_comes_back() {
    comes_back(Browser::start_firefox().await.unwrap(), Page::V2, false).await;
}

#[tokio::test]
async fn v1_with_the_helper_in_firefox_comes_back() {
    comes_back(Browser::start_firefox().await.unwrap(), Page::V1, true).await;
}

/// What openITCOCKPIT's manual admits, and why there is a helper.
#[tokio::test]
async fn v1_alone_is_silent_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = standalone(&embedded(&dir)).await;
    let oitc = Oitc::start(node.listen).await;
    let browser = Browser::start().await.unwrap();
    oitc.visit(&browser).await;
    let old = browser.window().await.unwrap();
    oitc.load(&browser, Page::V1).await;
    registered(&node, Page::V1, 1.0).await;
    node.kill().await.unwrap();
    browser.wait_for("the end", "return page.socket.readyState === WebSocket.CLOSED", PATIENCE).await.unwrap();
    node.restart().await.unwrap();
    send(node.listen, USER, "unseen by the old page").await;
    // A page that is loaded anew shows it: it did not get lost, the old page is not there.
    browser.open(Kind::Window).await.unwrap();
    oitc.load(&browser, Page::V1).await;
    shown_up_to(&browser, "unseen by the old page").await;
    browser.switch(&old).await.unwrap();
    let state = browser.run("return [page.shown.length, page.socket.readyState]").await.unwrap();
    assert_eq!(state, json!([0, 3]));
    browser.quit().await.unwrap();
}

#[tokio::test]
async fn v2_alone_is_deaf_after_a_closing_handshake() {
    let node = standalone("memory:").await;
    let farewell = Farewell::start(node.listen).await.unwrap();
    let oitc = Oitc::start(farewell.address).await;
    let browser = Browser::start().await.unwrap();
    oitc.visit(&browser).await;
    oitc.load(&browser, Page::V2).await;
    browser.wait_for("the end of all messages", "return page.isComplete", PATIENCE).await.unwrap();
    send(node.listen, USER, "unheard").await;
    // The same page, loaded again.
    oitc.load(&browser, Page::V2).await;
    assert_eq!(shown_up_to(&browser, "unheard").await, ["unheard"]);
    browser.quit().await.unwrap();
}

#[tokio::test]
async fn v2_with_the_helper_lives_with_a_closing_handshake() {
    for browser in [Browser::start().await.unwrap(), Browser::start_firefox().await.unwrap()] {
        let node = standalone("memory:").await;
        let farewell = Farewell::start(node.listen).await.unwrap();
        let oitc = Oitc::start_with_helper(farewell.address).await;
        oitc.visit(&browser).await;
        oitc.load(&browser, Page::V2).await;
        browser.wait_for("one more greeting", "return page.greetings > 1", PATIENCE).await.unwrap();
        let state = browser.run("return [page.isComplete, page.errors]").await.unwrap();
        assert_eq!(state, json!([false, 1]));
        send(node.listen, USER, "heard").await;
        assert_eq!(shown_up_to(&browser, "heard").await, ["heard"]);
        browser.quit().await.unwrap();
    }
}

/// A changed key must not be silence for ever: the page sees that its socket is closed.
#[tokio::test]
async fn v1_with_the_helper_sees_that_its_key_counts_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    let setup = Setup::default().arg("standalone").env("BELLWIRE_LOG", embedded(&dir));
    let setup = setup.env("BELLWIRE_SHARED_KEY_FILE", file.display().to_string());
    let setup = setup.env("BELLWIRE_SESSION_CHECK", "key-only");
    let mut node = setup.start().await.unwrap();
    let oitc = Oitc::start_with_helper(node.listen).await;
    let browser = Browser::start().await.unwrap();
    oitc.visit(&browser).await;
    oitc.load(&browser, Page::V1).await;
    node.kill().await.unwrap();
    std::fs::write(&file, "another-key-that-no-open-page-knows-0123456789").unwrap();
    node.restart().await.unwrap();
    // Each question ends the wait before the next attempt, as a network that comes back does.
    let closed = "dispatchEvent(new Event('online')); return page.socket.readyState === WebSocket.CLOSED";
    browser.wait_for("a page that sees it", closed, PATIENCE).await.unwrap();
    let errors = browser.run("return page.errors").await.unwrap();
    assert!(errors.as_u64() >= Some(2), "{errors}");
    browser.quit().await.unwrap();
}

/// The page's script hangs, and its browser answers pings all the same: the browser's next tab shows what comes. What had
/// been sent to the page that hung nobody can take back: it shows that when it goes on.
#[tokio::test]
async fn a_page_that_hangs_hands_over() {
    for page in [Page::V1, Page::V2] {
        let node = standalone("memory:").await;
        let oitc = Oitc::start(node.listen).await;
        let browser = Browser::start().await.unwrap();
        oitc.visit(&browser).await;
        let [hanging, next] = oitc.two_windows(&browser, page).await;
        registered(&node, page, 2.0).await;
        browser.switch(&hanging).await.unwrap();
        browser.run(HANG_WHEN_TOLD).await.unwrap();
        handled(&browser).await;
        browser.switch(&next).await.unwrap();
        browser.run("localStorage.setItem('hang', 'now')").await.unwrap();
        browser.wait_for("a page that hangs", "return localStorage.getItem('hangs')", PATIENCE).await.unwrap();
        send(node.listen, USER, "one").await;
        assert_eq!(shown_up_to(&browser, "one").await, ["one"]);
        send(node.listen, USER, "two").await;
        assert_eq!(shown_up_to(&browser, "two").await, ["one", "two"]);
        assert_eq!(browser.run("return page.shown").await.unwrap(), json!(["one", "two"]));
        browser.switch(&hanging).await.unwrap();
        assert_eq!(handled(&browser).await, json!(["one"]));
        browser.quit().await.unwrap();
    }
}

/// From another window's word on: a driver would wait for a script that hangs.
const HANG_WHEN_TOLD: &str = "addEventListener('storage', ({ key }) => {
    if (key !== 'hang') return;
    localStorage.setItem('hangs', 'yes');
    const end = performance.now() + 20_000;
    while (performance.now() < end);
})";

/// What the current window's page has shown, once it has handled everything that was sent to it: the answer to a keep-alive
/// of either front end comes behind.
async fn handled(browser: &Browser) -> Value {
    let keep_alive = json!({
        "task": "keepAlive", "key": KEY, "uuid": "any", "type": "KeepAlive", "message": "KeepAlive",
    });
    let script = format!(
        "return new Promise((resolve) => {{ page.socket.addEventListener('message', ({{ data }}) => \
         /^keepalive$/i.test(JSON.parse(data).type) && resolve(page.shown)); page.socket.send('{keep_alive}'); }})"
    );
    browser.run(&script).await.unwrap()
}

#[tokio::test]
async fn the_documented_lines_put_the_helper_first() {
    let node = standalone("memory:").await;
    let oitc = Oitc::start_with_helper(node.listen).await;
    let page = http::get(oitc.nginx.address, "/a/v1.html").await.unwrap().text();
    let tag = r#"<script src="/openitcockpit-tabs.js"></script>"#;
    assert_eq!(page.matches(tag).count(), 1, "{page}");
    assert!(page.find(tag) < page.find("common.js"), "{page}");
    let script = http::get(oitc.nginx.address, "/openitcockpit-tabs.js").await.unwrap();
    assert_eq!((script.status, script.header("cache-control")), (200, Some("no-cache")));
    assert_eq!(script.header("content-type"), Some("application/javascript"));
    let plain = Oitc::start(node.listen).await;
    assert!(!http::get(plain.nginx.address, "/a/v1.html").await.unwrap().text().contains(tag));
}
