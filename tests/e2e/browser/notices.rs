//! What Bellwire's own client shows on the desktop.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bellwire_testkit::eventually::eventually;
use bellwire_testkit::webdriver::Permission;
use serde_json::{Value, json};

use super::desk::{CONNECTED, Desk, down};
use crate::support::{PATIENCE, send_all};

/// Closed by itself, by the manual's "after a few seconds".
const CLOSES_WITHIN: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_click_opens_the_page_of_the_host() {
    let mut desk = Desk::new().await;
    desk.open().await;
    desk.notify(&["web1"]).await;
    desk.shown_once(1).await;
    let before = desk.browser.windows().await.unwrap();
    desk.browser.click_notice("web1").await.unwrap();
    let one_more = || async {
        let windows = desk.browser.windows().await?;
        Ok(windows.into_iter().find(|window| !before.contains(window)))
    };
    let opened = eventually("one more tab", PATIENCE, one_more).await.unwrap();
    desk.browser.switch(&opened).await.unwrap();
    let wanted = format!("{}/a/hosts/browser/id-of-web1", desk.trial.origin());
    desk.until("the host's page", &format!("return location.href === {}", json!(wanted))).await;
    let opener = desk.browser.run("return window.opener === null").await.unwrap();
    assert_eq!(opener, true, "the page that is opened has no hold on ours");
    desk.browser.quit().await.unwrap();
}

#[tokio::test]
async fn it_closes_by_itself_or_with_the_recovery() {
    let mut desk = Desk::new().await;
    desk.open().await;
    let begin = Instant::now();
    desk.notify(&["web1"]).await;
    desk.shown_once(1).await;
    desk.until_notice("web1", "is closed", |notice| notice.closed).await;
    assert!(begin.elapsed() >= CLOSES_WITHIN, "{:?}", begin.elapsed());

    desk.browser.run("document.querySelector('.bw-desktop').open = true").await.unwrap();
    desk.browser.click("[data-pref=problemsStay]").await.unwrap();
    desk.notify(&["web2"]).await;
    let notices = desk.browser.wait_notices(2, PATIENCE).await.unwrap();
    let problem = notices.iter().find(|notice| notice.title == "web2").unwrap();
    assert_eq!(problem.options["requireInteraction"], true);
    assert!(problem.option("icon").contains("icons/host-down.png"), "{}", problem.option("icon"));
    let (user, _) = desk.trial.user_and_key();
    let mut up = down(&user, "web2");
    (up["type"], up["state"], up["title"]) = (json!("RECOVERY"), json!(0), json!("web2 is up"));
    send_all(desk.trial.listen, &up).await;
    let notices = desk.browser.wait_notices(3, PATIENCE).await.unwrap();
    let recovery = notices.iter().find(|notice| notice.title == "web2 is up").unwrap();
    assert_eq!((recovery.option("tag"), &recovery.options["silent"]), (problem.option("tag"), &json!(true)));
    desk.until_notice("web2 is up", "is closed", |notice| notice.closed).await;
    desk.browser.quit().await.unwrap();
}

/// 5,000 in a minute: at most ten on the desktop, the worst of them soon, and all of them in the list.
#[tokio::test]
async fn a_storm_is_one_digest_and_a_whole_list() {
    const ALL: usize = 5_000;
    const SECONDS: usize = 60;
    const WORST: usize = 4_321;
    let mut desk = Desk::new().await;
    desk.open().await;
    let (user, _) = desk.trial.user_and_key();
    let of = |number: usize| {
        if number == WORST {
            return down(&user, "the worst");
        }
        let mut warning = down(&user, &format!("web{number}"));
        warning["kind"] = json!("service");
        warning["service"] = json!({ "id": format!("s{number}"), "name": "disk" });
        warning
    };
    let mut second = tokio::time::interval(Duration::from_secs(1));
    for begin in (0..ALL).step_by(ALL / SECONDS) {
        second.tick().await;
        let batch = begin..(begin + ALL / SECONDS).min(ALL);
        let worst = batch.contains(&WORST);
        send_all(desk.trial.listen, &Value::Array(batch.map(of).collect())).await;
        if worst {
            let sent = Instant::now();
            let told = || async {
                let notices = desk.browser.notices().await?;
                Ok(notices.iter().any(|notice| notice.option("body").contains("the worst")).then_some(()))
            };
            eventually("the digest names the worst", PATIENCE, told).await.unwrap();
            eprintln!("the worst of a storm is named after {:?}", sent.elapsed());
        }
    }
    let range = "return document.querySelector('.bw-range').textContent";
    desk.until("the whole list", &format!("{range}.replace(/\\D+/g, ' ').trim().endsWith('5 000')")).await;
    let last = || async {
        let notices = desk.browser.notices().await?;
        Ok(notices.iter().any(|notice| notice.title.replace(',', "").starts_with("4995 more")).then_some(()))
    };
    eventually("a digest of all but five", PATIENCE, last).await.unwrap();
    let tags: BTreeSet<String> =
        desk.browser.notices().await.unwrap().iter().map(|notice| notice.option("tag").to_owned()).collect();
    assert!((2..=10).contains(&tags.len()), "each tag is one notification: {tags:?}");
    let digested = desk.trial.metric("bellwire_gateway_notifications_digested_total", &[]).await;
    assert!(digested > 4_000.0, "{digested}");
    desk.browser.quit().await.unwrap();
}

#[tokio::test]
async fn where_they_are_denied_the_page_says_what_to_do_and_lists_them() {
    let mut desk = Desk::new().await;
    desk.browser.set_notifications(&desk.trial.origin(), Permission::Denied).await.unwrap();
    desk.open().await;
    desk.until(
        "the page knows",
        "return document.querySelector('.bw-desktop').dataset.permission === 'denied' && document.querySelector('.bw-desktop').open",
    )
    .await;
    let text = desk.browser.run("return document.querySelector('.bw-desktop').textContent").await.unwrap();
    assert!(text.as_str().unwrap().to_lowercase().contains("settings"), "{text}");
    desk.notify(&["web1"]).await;
    desk.until_listed(1).await;
    assert!(desk.browser.notices().await.unwrap().is_empty());
    desk.browser.quit().await.unwrap();
}

/// The whole promise: allow, press a button, see it.
#[tokio::test]
async fn allow_and_press_test() {
    let mut desk = Desk::new().await;
    desk.browser.set_notifications(&desk.trial.origin(), Permission::Default).await.unwrap();
    desk.open().await;
    desk.until("the button", "return !document.querySelector('.bw-allow').hidden").await;
    // The driver answers for the person, who would be asked now.
    desk.browser.allow_notifications(&desk.trial.origin()).await.unwrap();
    desk.browser.run("document.querySelector('.bw-desktop').open = true").await.unwrap();
    if desk.browser.run("return !document.querySelector('.bw-allow').hidden").await.unwrap() == true {
        desk.browser.click(".bw-allow").await.unwrap();
    }
    let granted = "return document.querySelector('.bw-desktop').dataset.permission === 'granted'";
    desk.until("the permission", granted).await;
    desk.browser.run("document.querySelector('.bw-trial').open = true").await.unwrap();
    desk.browser.click("[data-test=critical]").await.unwrap();
    let notices = desk.browser.wait_notices(1, PATIENCE).await.unwrap();
    desk.until_notice(&notices[0].title, "is to be seen", |notice| notice.shown).await;
    assert!(notices[0].option("icon").contains("icons/service-critical.png"));
    desk.until("a connected page", CONNECTED).await;
    desk.browser.quit().await.unwrap();
}
