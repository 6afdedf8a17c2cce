use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_browser_shows_each_once_and_in_order() {
    let log = log();
    let (one, two) = (Node::start(&log).await, Node::start(&log).await);
    let mut first = Vec::new();
    for front in FRONTS {
        first.push(profile(front, "7", &format!("{front:?}"), &one).open().await.expect("a tab"));
    }
    settle(&log, "7", "n0", &first.iter().collect::<Vec<_>>()).await;
    let mut second = Vec::new();
    for front in FRONTS {
        second.push(profile(front, "7", &format!("{front:?}"), &two).open().await.expect("a tab"));
    }
    let titles: Vec<String> = (0..50).map(|n| format!("n{n}")).collect();
    for title in &titles[1..] {
        send(&log, "7", title).await;
    }
    for tab in &first {
        let shown = tab.wait_shown(50).await.expect("all of them");
        assert_eq!(shown.iter().map(|shown| shown.title.clone()).collect::<Vec<_>>(), titles);
    }
    for tab in &second {
        assert!(tab.titles().is_empty(), "the second tab shows what the first one shows");
    }
    for tab in first.into_iter().chain(second) {
        tab.close().await.expect("closed");
    }
    assert_eq!(one.drain(Duration::ZERO).await + two.drain(Duration::ZERO).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_tab_takes_over_without_a_repeat_or_a_gap() {
    let log = log();
    let (one, two) = (Node::start(&log).await, Node::start(&log).await);
    let first = profile(Front::V2, "7", "b", &one).open().await.expect("a tab");
    settle(&log, "7", "n1", &[&first]).await;
    let second = profile(Front::V2, "7", "b", &two).open().await.expect("a tab");
    // The page has proved n1 when its greeting was answered a second time.
    first.wait("the proof of n1", |seen| seen.proofs > 1).await.expect("a proof");
    settle(&log, "7", "n2", &[&first]).await;
    first.wait("the proof of n2", |seen| seen.proofs > 2).await.expect("a proof");
    first.close().await.expect("closed");
    settle(&log, "7", "n3", &[&second]).await;
    assert_eq!(second.titles(), ["n3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_while_nobody_was_there_goes_to_the_first_browser() {
    let log = log();
    let node = Node::start(&log).await;
    send(&log, "7", "n1").await;
    let tab = profile(Front::V1, "7", "b", &node).open().await.expect("a tab");
    assert_eq!(tab.wait_shown(1).await.expect("n1")[0].title, "n1");
    let other = profile(Front::V1, "8", "b", &node).open().await.expect("a tab");
    settle(&log, "8", "other", &[&other]).await;
    assert_eq!(other.titles(), ["other"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_hangs_hands_over_though_its_browser_answers_pings() {
    let log = log();
    let node = Node::start(&log).await;
    for front in FRONTS {
        let browser = format!("{front:?}");
        let hung = profile(front, "7", &browser, &node).open().await.expect("a tab");
        hung.hang().expect("it hangs");
        let title = format!("to-{browser}");
        send(&log, "7", &title).await;
        hung.wait("a ping answered", |seen| seen.pings > 0).await.expect("the browser lives");
        let next = profile(front, "7", &browser, &node).open().await.expect("a tab");
        let has = |seen: &bellwire_testkit::tab::Seen| seen.shown.iter().any(|shown| shown.title == title);
        next.wait("the hung page's notification", has).await.expect("handed over");
        next.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_ends_v2_without_a_close_frame_and_native_with_its_code() {
    let log = log();
    let node = Node::start(&log).await;
    let mut v2 = profile(Front::V2, "7", "v2", &node);
    v2.reconnect_after = Duration::from_secs(3600);
    let (v2, native) =
        (v2.open().await.expect("a tab"), profile(Front::Native, "7", "n", &node).open().await.expect("a tab"));
    assert_eq!(node.drain(Duration::from_millis(50)).await, 0);
    let end = |seen: &bellwire_testkit::tab::Seen| !seen.ends.is_empty();
    assert_eq!(v2.wait("its end", end).await.expect("an end").ends, [None]);
    assert_eq!(native.wait("its end", end).await.expect("an end").ends, [Some(4000)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_nodes_tabs_go_on_elsewhere_with_nothing_lost_or_repeated() {
    let log = log();
    let (one, two) = (Node::start(&log).await, Node::start(&log).await);
    let mut moving = profile(Front::V2, "7", "b", &one);
    moving.addresses = vec![one.address, two.address];
    moving.reconnect_after = Duration::from_millis(300);
    let tab = moving.open().await.expect("a tab");
    settle(&log, "7", "n1", &[&tab]).await;
    tab.wait("the proof of n1", |seen| seen.proofs > 1).await.expect("a proof");
    one.drain(Duration::ZERO).await;
    send(&log, "7", "n2").await;
    settle(&log, "7", "n3", &[&tab]).await;
    assert_eq!(tab.titles(), ["n1", "n2", "n3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_twice_is_shown_once() {
    let log = log();
    let node = Node::start(&log).await;
    let tab = profile(Front::Native, "7", "b", &node).open().await.expect("a tab");
    send(&log, "7", "n1").await;
    send(&log, "7", "n1").await;
    settle(&log, "7", "n2", &[&tab]).await;
    assert_eq!(tab.titles(), ["n1", "n2"]);
}
