//! What was answered with 202 outlives the process.

use std::time::Duration;

use bellwire_testkit::http;
use bellwire_testkit::tab::{Front, Profile};

use crate::support::{FRONTS, embedded, expect_once, message, open, rounds, send, standalone};

#[tokio::test]
async fn accepted_before_a_kill_is_delivered_after_the_restart() {
    for round in 0..rounds() {
        let dir = tempfile::tempdir().unwrap();
        let mut node = standalone(&embedded(&dir)).await;
        let titles: Vec<String> = (0..=round * 3).map(|i| format!("round {round} number {i}")).collect();
        for title in &titles {
            for user in ["1", "2", "3"] {
                send(node.listen, user, title).await;
            }
        }
        node.kill().await.unwrap();
        node.restart().await.unwrap();
        for (user, front) in ["1", "2", "3"].into_iter().zip(FRONTS) {
            let tab = open(front, user, "browser", node.listen).await;
            expect_once(&[&tab], &titles).await;
        }
    }
}

/// A tab is there, the process dies while notifications stream in; the tab comes back by itself.
#[tokio::test]
async fn a_tab_that_comes_back_has_all_that_was_accepted() {
    for round in 0..rounds() {
        let dir = tempfile::tempdir().unwrap();
        let mut node = standalone(&embedded(&dir)).await;
        let mut profiles =
            [Profile::new(Front::V2, "1", "v2", node.listen), Profile::new(Front::Native, "1", "native", node.listen)];
        profiles.iter_mut().for_each(|profile| profile.reconnect_after = Duration::from_millis(200));
        let [v2, native] = [profiles[0].open().await.unwrap(), profiles[1].open().await.unwrap()];
        let address = node.listen;
        let sender = tokio::spawn(async move {
            let mut accepted = Vec::new();
            for i in 0.. {
                let title = format!("number {i}");
                match http::post(address, "/v1/notifications", &message("1", &title)).await {
                    Ok(answer) if answer.status == 202 => accepted.push(title),
                    _ => break,
                }
            }
            accepted
        });
        v2.wait_shown(20 + 7 * round).await.unwrap();
        node.kill().await.unwrap();
        let accepted = sender.await.unwrap();
        // The last one may be in the tab before its answer is at the sender.
        assert!(accepted.len() >= 19, "{}", accepted.len());
        node.restart().await.unwrap();
        for tab in [&v2, &native] {
            let all_of = |titles: &[String]| accepted.iter().all(|title| titles.contains(title));
            tab.wait("all that was accepted", |seen| {
                all_of(&seen.shown.iter().map(|shown| shown.title.clone()).collect::<Vec<_>>())
            })
            .await
            .unwrap();
            let mut titles = tab.titles();
            let mut known = std::collections::HashSet::new();
            titles.retain(|title| known.insert(title.clone()));
            titles.truncate(accepted.len());
            assert_eq!(titles, accepted, "first showings keep the order");
        }
    }
}

#[tokio::test]
async fn confirmed_is_not_shown_again_after_a_good_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = standalone(&embedded(&dir)).await;
    let tab = open(Front::Native, "1", "browser", node.listen).await;
    send(node.listen, "1", "before").await;
    tab.wait("its proof", |seen| seen.proofs >= 1).await.unwrap();
    tab.settle().await.unwrap();
    tab.close().await.unwrap();
    assert!(node.stop().await.unwrap().success());
    node.restart().await.unwrap();
    send(node.listen, "1", "after").await;
    let tab = open(Front::Native, "1", "browser", node.listen).await;
    expect_once(&[&tab], &["after".to_owned()]).await;
}
