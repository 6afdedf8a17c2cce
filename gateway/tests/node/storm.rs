use super::*;

/// 60 at once: the first five by themselves, and one digest that stands for the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_a_digest_for_tabs_that_cannot_make_one() {
    let log = log();
    let digests = vec![Protocol::V1, Protocol::V2, Protocol::Native];
    let node = Node::start_as(&log, GatewaySettings { digests, ..settings() }).await;
    for front in [Front::V1, Front::V2] {
        let user = format!("{}", 70 + front as u8);
        let tab = profile(front, &user, "b", &node).open().await.expect("a tab");
        for n in 0..60 {
            send(&log, &user, &format!("{front:?}{n}")).await;
        }
        let shown = tab.wait_shown(6).await.expect("five and a digest");
        let titles: Vec<_> = shown.iter().map(|shown| shown.title.as_str()).collect();
        assert_eq!(titles[..5], [0, 1, 2, 3, 4].map(|n| format!("{front:?}{n}")));
        assert_eq!((titles[5], shown[5].body.as_str()), ("55 more: 55 down", &*format!("The worst: {front:?}5")));
        // Its proof covers all of them: the browser's next tab has nothing to show.
        tab.wait("the proof of the digest", |seen| seen.proofs > 2).await.expect("a proof");
        tab.close().await.expect("closed");
        let next = profile(front, &user, "b", &node).open().await.expect("a tab");
        let other = profile(front, &user, "other", &node).open().await.expect("a tab");
        // By itself or in a digest: the log's time may have begun in between.
        let last = format!("last{front:?}");
        send(&log, &user, &last).await;
        for tab in [&next, &other] {
            let shown = tab.wait_shown(1).await.expect("the last one");
            assert!([last.as_str(), "1 more: 1 down"].contains(&shown[0].title.as_str()), "{shown:?}");
        }
        assert_eq!(next.titles().len(), 1);
    }
}

/// Whoever goes with a digest untold leaves it to the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_gathered_goes_to_the_next_tab() {
    let log = log();
    let digests = vec![Protocol::V2];
    let node = Node::start_as(&log, GatewaySettings { digests, ..settings() }).await;
    let tab = profile(Front::V2, "7", "b", &node).open().await.expect("a tab");
    for n in 0..9 {
        send(&log, "7", &format!("n{n}")).await;
    }
    tab.wait_shown(5).await.expect("the single ones");
    tab.wait("the proof of the single ones", |seen| seen.proofs > 1).await.expect("a proof");
    tab.close().await.expect("closed");
    let next = profile(Front::V2, "7", "b", &node).open().await.expect("a tab");
    assert_eq!(next.wait_shown(1).await.expect("the digest")[0].title, "4 more: 4 down");
}

/// A V1 tab does not come back: what is gathered is told before it is sent away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_tells_what_is_gathered() {
    let log = log();
    let digests = vec![Protocol::V1];
    let node = Node::start_as(&log, GatewaySettings { digests, ..settings() }).await;
    let tab = profile(Front::V1, "7", "b", &node).open().await.expect("a tab");
    for n in 0..8 {
        send(&log, "7", &format!("n{n}")).await;
    }
    tab.wait_shown(5).await.expect("the single ones");
    // Nothing else is under way to the tab when all are confirmed but what is gathered.
    tab.wait("the proof of the single ones", |seen| seen.proofs > 1).await.expect("a proof");
    node.drain(Duration::ZERO).await;
    assert_eq!(tab.wait_shown(6).await.expect("the digest")[5].title, "3 more: 3 down");
}

/// One that expires before a digest is due again is told in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_soon_is_not_gathered_for_long() {
    let log = log();
    let digests = vec![Protocol::V2];
    let node = Node::start_as(&log, GatewaySettings { digests, ..settings() }).await;
    let tab = profile(Front::V2, "7", "b", &node).open().await.expect("a tab");
    time_begins(&log, &node, "7").await;
    for n in 0..6 {
        send(&log, "7", &format!("n{n}")).await;
    }
    tab.wait_shown(6).await.expect("five and a digest");
    send_for(&log, "7", "short", 4_000).await;
    let shown = tab.wait_shown(7).await.expect("one more digest");
    assert_eq!(shown[6].body, "The worst: short");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_native_tab_is_told_of_the_storm_and_makes_the_digest() {
    let log = log();
    let node = Node::start(&log).await;
    let tabs = [Front::Native, Front::V2].map(|front| profile(front, "7", &format!("{front:?}"), &node));
    let (native, v2) = (tabs[0].open().await.expect("a tab"), tabs[1].open().await.expect("a tab"));
    for n in 0..12 {
        send(&log, "7", &format!("n{n}")).await;
    }
    let shown = native.wait_shown(12).await.expect("all of them");
    assert_eq!(
        shown.iter().map(|shown| shown.frame["digested"] == true).collect::<Vec<_>>(),
        [[false; 5].as_slice(), &[true; 7]].concat()
    );
    let shown = v2.wait_shown(12).await.expect("all of them, one by one");
    assert_eq!(shown[11].title, "n11");
}

/// Waits until the log of the user's shard has a time: from then on what has expired is not shown.
async fn time_begins(log: &SharedLog, node: &Node, user: &str) {
    let shard = |user: &str| Shard::of(&UserId::try_new(user).expect("a user"), log.shards());
    let other = (100..).map(|number| number.to_string()).find(|other| shard(other) == shard(user)).expect("one");
    let tab = profile(Front::Native, &other, "b", node).open().await.expect("a tab");
    for n in 0.. {
        let (expired, mark) = (format!("expired{n}"), format!("mark{n}"));
        send_for(log, &other, &expired, 0).await;
        settle(log, &other, &mark, &[&tab]).await;
        if !tab.titles().contains(&expired) {
            return;
        }
        // One heartbeat a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
