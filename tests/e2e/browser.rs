//! The page in a real browser.

mod oitc;
mod old_tabs;

use std::path::Path;

use bellwire_testkit::webdriver::Browser;

use crate::support::PATIENCE;
use crate::trial::Trial;

#[tokio::test]
async fn the_printed_address_shows_what_comes() {
    let home = tempfile::tempdir().unwrap();
    let trial = Trial::start(home.path()).await;
    let (_, key) = trial.user_and_key();
    let origin = trial.page.split("/#").next().unwrap().to_owned();
    let browser = Browser::start().await.unwrap();
    browser.allow_notifications(&origin).await.unwrap();
    browser.go(&trial.page).await.unwrap();
    let connected = "return document.getElementById('state').dataset.state === 'connected'";
    browser.wait_for("a connected page", connected, PATIENCE).await.unwrap();
    let address = browser.run("return location.href").await.unwrap();
    assert!(!address.to_string().contains(&key), "the key has left the address bar: {address}");

    browser.click("#test").await.unwrap();
    browser
        .wait_for("the test in the list", "return document.querySelectorAll('#list li').length", PATIENCE)
        .await
        .unwrap();
    trial.notify().await;
    let all = "return document.querySelectorAll('#list li').length === 3";
    browser.wait_for("what the printed commands sent", all, PATIENCE).await.unwrap();

    let picture = browser.screenshot().await.unwrap();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::write(target.join("page.png"), picture).unwrap();
    let console = browser.console().await.unwrap();
    assert!(console.is_empty(), "the browser complains: {console:#?}");
    browser.quit().await.unwrap();
}

/// The page comes back by itself after a crash, and shows once what came before it was back.
#[tokio::test]
async fn the_page_comes_back_after_a_crash() {
    let home = tempfile::tempdir().unwrap();
    let mut trial = Trial::start(home.path()).await;
    let browser = Browser::start().await.unwrap();
    browser.go(&trial.page).await.unwrap();
    let state = |wanted: &str| format!("return document.getElementById('state').dataset.state === '{wanted}'");
    browser.wait_for("a connected page", &state("connected"), PATIENCE).await.unwrap();
    trial.process.kill().await.unwrap();
    browser.wait_for("a page without connection", &state("waiting"), PATIENCE).await.unwrap();
    trial.restart().await;
    trial.notify().await;
    browser.wait_for("the page is back", &state("connected"), PATIENCE).await.unwrap();
    let both = "return document.querySelectorAll('#list li').length === 2";
    browser.wait_for("both notifications", both, PATIENCE).await.unwrap();
    browser.quit().await.unwrap();
}
