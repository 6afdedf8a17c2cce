//! Bellwire's own client in real browsers: many tabs, one of which shows each notification, whatever happens.

use bellwire_testkit::proxy::Proxy;
use bellwire_testkit::webdriver::{Browser, Kind};

use super::desk::{CONNECTED, Desk};
use crate::support::PATIENCE;

/// The browsers that people have: one connection for all tabs by a worker, or by a tab that leads.
const WITHOUT_WORKERS: &str = "delete window.SharedWorker";
const LEAVES: &str = "return document.querySelector('.bw-state')?.dataset.state !== 'connected'";

fn about(field: &str) -> String {
    format!("return document.querySelector('[data-about={field}]').textContent")
}

#[tokio::test]
async fn two_windows_of_three_tabs_show_each_once() {
    two_windows(Desk::new().await).await;
}

#[tokio::test]
async fn two_windows_of_firefox_show_each_once() {
    two_windows(Desk::with(Browser::start_firefox().await.unwrap()).await).await;
}

async fn two_windows(mut desk: Desk) {
    desk.open_two_windows_of_three().await;
    desk.until("six tabs", "return document.querySelector('[data-about=tabs]').textContent === '6'").await;
    desk.notify(&["web1", "web2", "web3"]).await;
    assert_eq!(desk.shown_once(3).await, ["web1", "web2", "web3"]);
    desk.until_all_list(3).await;
    // One connection for all of them.
    let sessions = desk.trial.metric("bellwire_gateway_sessions", &[r#"protocol="native""#]).await;
    assert!((sessions - 1.0).abs() < 0.1, "{sessions}");
    desk.notify(&["web4"]).await;
    assert_eq!(desk.shown_once(4).await, ["web1", "web2", "web3", "web4"]);
    desk.browser.quit().await.unwrap();
}

#[tokio::test]
async fn after_a_crash_of_the_server_each_is_shown_once() {
    crash(Desk::new().await).await;
}

#[tokio::test]
async fn after_a_crash_of_the_server_firefox_shows_each_once() {
    crash(Desk::with(Browser::start_firefox().await.unwrap()).await).await;
}

async fn crash(mut desk: Desk) {
    desk.open().await;
    desk.open_in(Kind::Window).await;
    desk.notify(&["web1", "web2"]).await;
    desk.shown_once(2).await;
    desk.trial.process.kill().await.unwrap();
    desk.until("a page that says so", LEAVES).await;
    desk.trial.restart().await;
    desk.notify(&["web3"]).await;
    assert_eq!(desk.shown_once(3).await, ["web1", "web2", "web3"]);
    desk.notify(&["web4"]).await;
    assert_eq!(desk.shown_once(4).await, ["web1", "web2", "web3", "web4"]);
    desk.until_all_list(4).await;
    desk.browser.quit().await.unwrap();
}

#[tokio::test]
async fn when_the_tab_that_leads_is_closed_the_next_one_leads() {
    let mut desk = Desk::new().await;
    desk.browser.before_pages(WITHOUT_WORKERS).await.unwrap();
    // What the driver allows ends with the browser's first window, which stays.
    for _ in 0..3 {
        desk.open_in(Kind::Tab).await;
    }
    let sharing = desk.browser.run(&about("sharing")).await.unwrap();
    assert!(sharing.as_str().unwrap().contains("one of the tabs"), "{sharing}");
    desk.notify(&["web1"]).await;
    desk.shown_once(1).await;
    desk.until_all_list(1).await;
    let first = desk.pages.remove(0);
    desk.browser.switch(&first).await.unwrap();
    desk.browser.close().await.unwrap();
    desk.browser.switch(&desk.pages[0]).await.unwrap();
    desk.notify(&["web2", "web3"]).await;
    assert_eq!(desk.shown_once(3).await, ["web1", "web2", "web3"]);
    desk.until_all_list(3).await;
    desk.browser.quit().await.unwrap();
}

/// The worker's browser, and one without workers, where it is the tab that leads which hangs.
#[tokio::test]
async fn what_a_hanging_tab_does_not_show_the_next_one_shows() {
    for worker in [true, false] {
        let mut desk = Desk::new().await;
        if !worker {
            desk.browser.before_pages(WITHOUT_WORKERS).await.unwrap();
        }
        let first = desk.open().await;
        desk.notify(&["web1"]).await;
        desk.shown_once(1).await;
        let second = desk.open_in(Kind::Window).await;
        desk.browser.switch(&first).await.unwrap();
        desk.browser.show().await.unwrap();
        // Longer than anybody waits for its answer; its browser goes on answering pings meanwhile.
        let hang = "setTimeout(() => { const end = Date.now() + 14_000; while (Date.now() < end); }, 200)";
        desk.browser.run(hang).await.unwrap();
        desk.browser.switch(&second).await.unwrap();
        desk.until("the first page hangs", "return new Promise((r) => setTimeout(() => r(true), 300))").await;
        desk.notify(&["web2"]).await;
        desk.until_notice("web2", "is shown by the other page", |_| true).await;
        desk.browser.switch(&first).await.unwrap();
        desk.until("the first page goes on", CONNECTED).await;
        desk.notify(&["web3"]).await;
        assert_eq!(desk.shown_once(3).await, ["web1", "web2", "web3"], "worker: {worker}");
        desk.until_all_list(3).await;
        desk.browser.quit().await.unwrap();
    }
}

/// A network that is gone and tells nobody, and a browser that notices.
#[tokio::test]
async fn offline_and_back() {
    let mut desk = Desk::new().await;
    desk.browser.before_pages(WITHOUT_WORKERS).await.unwrap();
    let proxy = Proxy::start(desk.trial.listen).await.unwrap();
    desk.trial.page = desk.trial.page.replace(&desk.trial.listen.to_string(), &proxy.address.to_string());
    desk.browser.allow_notifications(&format!("http://{}", proxy.address)).await.unwrap();
    desk.open().await;
    desk.notify(&["web1"]).await;
    desk.shown_once(1).await;
    proxy.cut();
    desk.browser.set_offline(true).await.unwrap();
    desk.browser.wait_for("a page that says so", LEAVES, PATIENCE).await.unwrap();
    desk.notify(&["web2"]).await;
    proxy.heal();
    desk.browser.set_offline(false).await.unwrap();
    assert_eq!(desk.shown_once(2).await, ["web1", "web2"]);
    desk.browser.quit().await.unwrap();
}

/// A page that is loaded again, or opened later, lists what was there before, and shows none of it again.
#[tokio::test]
async fn a_page_that_is_loaded_again_has_its_list() {
    let mut desk = Desk::new().await;
    desk.open().await;
    desk.notify(&["web1", "web2"]).await;
    desk.shown_once(2).await;
    desk.until_listed(2).await;
    desk.browser.run("location.reload()").await.unwrap();
    desk.until("a connected page", CONNECTED).await;
    desk.until_listed(2).await;
    desk.open_in(Kind::Tab).await;
    desk.until_listed(2).await;
    desk.notify(&["web3"]).await;
    assert_eq!(desk.shown_once(3).await, ["web1", "web2", "web3"]);
    desk.browser.quit().await.unwrap();
}
