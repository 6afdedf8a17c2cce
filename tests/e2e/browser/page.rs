//! The page at `/`: what a person sees and does there.

use std::path::Path;
use std::time::Duration;

use bellwire_testkit::webdriver::Browser;

use super::desk::{CONNECTED, Desk};
use crate::support::PATIENCE;
use crate::trial::Trial;

/// The browsers' own sizes of a phone and of a small desktop.
const SIZES: [(&str, u32, u32); 2] = [("phone", 390, 844), ("desktop", 1280, 900)];
/// A ping comes every 25 s, and what is opened anew waits for one.
const CHECK_WITHIN: Duration = Duration::from_secs(90);

#[tokio::test]
async fn the_printed_address_shows_what_comes() {
    let home = tempfile::tempdir().unwrap();
    let trial = Trial::start(home.path()).await;
    let (_, key) = trial.user_and_key();
    let browser = Browser::start().await.unwrap();
    browser.allow_notifications(&trial.origin()).await.unwrap();
    browser.go(&trial.page).await.unwrap();
    browser.wait_for("a connected page", CONNECTED, PATIENCE).await.unwrap();
    let address = browser.run("return location.href").await.unwrap();
    assert!(!address.to_string().contains(&key), "the key has left the address bar: {address}");
    trial.notify().await;
    let all = "return document.querySelectorAll('.bw-row').length === 2";
    browser.wait_for("what the printed commands sent", all, PATIENCE).await.unwrap();
    let console = browser.console().await.unwrap();
    assert!(console.is_empty(), "the browser complains: {console:#?}");
    browser.quit().await.unwrap();
}

#[tokio::test]
async fn without_a_key_it_says_what_to_open() {
    let home = tempfile::tempdir().unwrap();
    let trial = Trial::start(home.path()).await;
    let browser = Browser::start().await.unwrap();
    browser.go(&trial.origin()).await.unwrap();
    let told = "return document.querySelector('[role=alert]')?.textContent";
    let told = browser.wait_for("a hint", told, PATIENCE).await.unwrap();
    assert!(told.as_str().unwrap().contains("#user="), "{told}");
    let wrong = trial.page.split("key=").next().unwrap().to_owned() + "key=wrong";
    browser.go(&wrong).await.unwrap();
    // A key that is refused looks like a server that is not there: the page says both.
    let down = "const s = document.querySelector('.bw-state'); return s?.dataset.state === 'connecting' && s.dataset.reason !== 'start' && s.textContent";
    let told = browser.wait_for("a page without connection", down, PATIENCE).await.unwrap();
    assert!(told.as_str().unwrap().contains("key"), "{told}");
    browser.quit().await.unwrap();
}

#[tokio::test]
async fn the_self_check_walks_all_the_way() {
    let mut desk = Desk::new().await;
    desk.open().await;
    desk.browser.run("document.querySelector('.bw-check').open = true").await.unwrap();
    desk.browser.click(".bw-start").await.unwrap();
    let over =
        "const r = document.querySelector('.bw-check').dataset.result; return ['passed', 'failed'].includes(r) && r";
    let result = desk.browser.wait_for("the end of the check", over, CHECK_WITHIN).await.unwrap();
    let said = desk.browser.run("return document.querySelector('.bw-check').innerText").await.unwrap();
    assert_eq!(result, "passed", "{said}");
    desk.browser.quit().await.unwrap();
}

#[tokio::test]
async fn the_self_check_names_what_is_broken() {
    use bellwire_testkit::webdriver::Permission;

    let mut desk = Desk::new().await;
    desk.browser.set_notifications(&desk.trial.origin(), Permission::Denied).await.unwrap();
    desk.open().await;
    desk.browser.run("document.querySelector('.bw-check').open = true").await.unwrap();
    desk.browser.click(".bw-start").await.unwrap();
    let broken = "return document.querySelector('[data-step=permission]').dataset.result === 'failed'";
    desk.until("the broken step", broken).await;
    desk.browser.quit().await.unwrap();
}

/// Pictures to look at, and no violation of what axe knows of accessibility, at every size, light and dark.
#[tokio::test]
async fn it_can_be_used_by_everybody() {
    let mut desk = Desk::new().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let axe = std::fs::read_to_string(root.join("client/node_modules/axe-core/axe.min.js"))
        .expect("axe-core, which `npm ci` in client/ installs (tests/run does)");
    desk.open().await;
    desk.notify(&["web1", "web2", "db1"]).await;
    desk.browser.run("document.querySelector('.bw-trial').open = true").await.unwrap();
    desk.browser.click("[data-test=warning]").await.unwrap();
    desk.until_listed(4).await;
    for (name, width, height) in SIZES {
        for (theme, dark) in [("light", false), ("dark", true)] {
            desk.browser.set_size(width, height).await.unwrap();
            desk.browser.set_dark(dark).await.unwrap();
            desk.browser
                .run("for (const card of document.querySelectorAll('details')) card.open = true")
                .await
                .unwrap();
            desk.browser.run("scrollTo(0, 0)").await.unwrap();
            let picture = desk.browser.screenshot().await.unwrap();
            std::fs::write(root.join(format!("target/page-{name}-{theme}.png")), picture).unwrap();
            let check =
                format!("{axe}; return axe.run().then(({{ violations }}) => JSON.stringify(violations, null, 1))");
            let violations = desk.browser.run(&check).await.unwrap();
            assert_eq!(violations, "[]", "{name} {theme}: {}", violations.as_str().unwrap());
            let wider = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
            assert_eq!(desk.browser.run(wider).await.unwrap(), false, "{name}: nobody scrolls sideways");
        }
    }
    desk.browser.quit().await.unwrap();
}
