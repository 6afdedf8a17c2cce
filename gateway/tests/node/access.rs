//! Who may listen, where openITCOCKPIT says who is logged in.

use bellwire_common::ids::CHECK_USER;
use bellwire_common::settings::{self, OpenItCockpit, SessionCheck, TlsFiles};
use bellwire_testkit::bellwire::KEY;
use bellwire_testkit::certs::Authority;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http;
use bellwire_testkit::login::{Login, Mood};
use bellwire_testkit::tab::PATIENCE;
use futures_util::future::join_all;

use super::*;

const COOKIE: &str = "PHPSESSID=seven";

/// So often that a test need not wait; the setting itself takes no less than 30 s.
const RECHECK: Duration = Duration::from_millis(100);

pub(super) fn terms() -> settings::Access {
    settings::Access {
        openitcockpit: None,
        session_check: SessionCheck::KeyOnly,
        recheck: RECHECK,
        origins: None,
        jwt: None,
        failures_per_address: 1_000,
        allows_default_key: false,
    }
}

pub(super) fn keys() -> KeyRing {
    KeyRing::fixed(Some(SharedKey::try_new(KEY).expect("a key")))
}

pub(super) async fn start(log: &SharedLog, terms: &settings::Access, keys: KeyRing) -> Node {
    let access = Access::open(terms, keys).expect("access");
    Node::start_as(log, GatewaySettings { access, ..settings() }).await
}

/// A node that asks `login`, at which user 7 is logged in with [`COOKIE`].
async fn checked(log: &SharedLog, login: &Login, mode: SessionCheck) -> Node {
    login.log_in(COOKIE, 7);
    let site = OpenItCockpit { origin: login.url(), ca: None };
    start(log, &settings::Access { openitcockpit: Some(site), session_check: mode, ..terms() }, keys()).await
}

/// A node that asks this site only, however it is.
async fn asking(site: OpenItCockpit, mode: SessionCheck, failures_per_address: u32) -> Node {
    let terms = settings::Access { openitcockpit: Some(site), session_check: mode, failures_per_address, ..terms() };
    start(&log(), &terms, keys()).await
}

/// The status of a request with these header lines, and the whole head.
pub(super) async fn answered(node: &Node, target: &str, lines: &str) -> (u16, String) {
    let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
    let opened = http::open(node.address, &request).await.expect("a head");
    (opened.status, opened.head)
}

pub(super) const UPGRADE: &str = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What a V2 handshake of the user is answered with.
pub(super) async fn v2(node: &Node, user: &str, key: &str, lines: &str) -> (u16, String) {
    let lines = format!("{UPGRADE}sec-websocket-protocol: access_token, {key}\r\n{lines}");
    answered(node, &format!("/push_notifications?userId={user}&browserUuid=b"), &lines).await
}

async fn v2_with(node: &Node, user: &str, cookie: &str) -> u16 {
    v2(node, user, KEY, &format!("cookie: {cookie}\r\n")).await.0
}

/// What the request for an event stream is answered with.
async fn events(node: &Node, user: &str, cookie: &str) -> u16 {
    let lines = format!("authorization: Bearer {KEY}\r\ncookie: {cookie}\r\n");
    answered(node, &format!("/events?user={user}&browser=b"), &lines).await.0
}

fn tab_of(front: Front, user: &str, node: &Node) -> Profile {
    profile(front, user, &format!("{front:?}"), node).header("cookie", &format!("lang=en; {COOKIE}"))
}

#[tokio::test]
async fn a_login_opens_its_own_user() {
    let (log, login) = (log(), Login::start().await.expect("a site"));
    let node = checked(&log, &login, SessionCheck::Required).await;
    let mut tabs = Vec::new();
    for front in FRONTS {
        tabs.push(tab_of(front, "7", &node).open().await.expect("let in"));
    }
    settle(&log, "7", "mark", &tabs.iter().collect::<Vec<_>>()).await;
    assert_eq!(events(&node, "7", COOKIE).await, 200);
    assert_eq!(login.asked(&format!("cookie: lang=en; {COOKIE}\r\n")), 1, "all cookies, once for one browser");
}

#[tokio::test]
async fn a_login_opens_no_other_user() {
    let (log, login) = (log(), Login::start().await.expect("a site"));
    let node = checked(&log, &login, SessionCheck::Required).await;
    for (user, cookie) in [("8", COOKIE), ("7", "PHPSESSID=other"), ("7", "")] {
        assert_eq!(v2_with(&node, user, cookie).await, 401, "{user} {cookie}");
        assert_eq!(events(&node, user, cookie).await, 401, "{user} {cookie}");
    }
    assert_eq!(v2(&node, "7", "wrong", &format!("cookie: {COOKIE}\r\n")).await.0, 401, "the login is not enough");
    for (front, code) in [(Front::V1, 1008), (Front::Native, 4202)] {
        let tab = tab_of(front, "8", &node).start();
        let seen = tab.wait("its end", |seen| !seen.ends.is_empty()).await.expect("ended");
        assert_eq!((seen.ends[0], seen.shown.len()), (Some(code), 0), "{front:?}");
    }
    // Without a login a V1 tab has nothing to wait for.
    assert_eq!(answered(&node, "/push_notifications", UPGRADE).await.0, 401);
    assert_eq!(node.gateway.sessions(), 0);
}

#[tokio::test]
async fn the_user_of_checks_needs_no_login() {
    let (log, login) = (log(), Login::start().await.expect("a site"));
    let node = checked(&log, &login, SessionCheck::Required).await;
    login.set(Mood::Away);
    let tab = profile(Front::Native, CHECK_USER, "c", &node).open().await.expect("let in");
    settle(&log, CHECK_USER, "mark", &[&tab]).await;
    assert_eq!(events(&node, CHECK_USER, "").await, 200);
    let other = profile(Front::Native, "7", "c", &node).start();
    let seen = other.wait("its end", |seen| !seen.ends.is_empty()).await.expect("ended");
    assert_eq!(seen.ends[0], Some(4202));
    let wrong = Profile { key: "wrong".to_owned(), ..profile(Front::Native, CHECK_USER, "c", &node) };
    let seen = wrong.start().wait("its end", |seen| !seen.ends.is_empty()).await.expect("ended");
    assert_eq!((seen.greeted, seen.ends[0]), (0, None), "the key it needs");
}

#[tokio::test]
async fn one_question_answers_all_tabs_of_a_browser() {
    let login = Login::start().await.expect("a site");
    let node = checked(&log(), &login, SessionCheck::Required).await;
    login.set(Mood::Slow);
    let asks = join_all((0..20).map(|_| v2_with(&node, "7", COOKIE)));
    let free = async {
        eventually("a question", PATIENCE, || async { Ok((login.asked("") > 0).then_some(())) }).await.expect("asked");
        login.set(Mood::Fine);
    };
    let (answers, ()) = tokio::join!(asks, free);
    assert!(answers.iter().all(|status| *status == 101), "{answers:?}");
    assert_eq!(v2_with(&node, "8", COOKIE).await, 401, "what is known is enough to refuse");
    assert_eq!(login.asked(""), 1);
}

#[tokio::test]
async fn so_many_questions_are_asked_at_one_time() {
    let login = Login::start().await.expect("a site");
    let node = checked(&log(), &login, SessionCheck::Required).await;
    login.set(Mood::Slow);
    let cookies: Vec<String> = (0..40).map(|n| format!("PHPSESSID=n{n}")).collect();
    cookies.iter().for_each(|cookie| login.log_in(cookie, 7));
    let asks = join_all(cookies.iter().map(|cookie| v2_with(&node, "7", cookie)));
    let free = async {
        let enough = || async { Ok((login.asked("") >= 16).then_some(())) };
        eventually("sixteen questions", PATIENCE, enough).await.expect("asked");
        login.set(Mood::Fine);
    };
    tokio::join!(asks, free);
    // And one that asks whether anybody is there, where the machine was slow.
    assert!(login.most_at_once() <= 17, "{}", login.most_at_once());
}

#[tokio::test]
async fn redirects_are_not_followed_and_are_no_login() {
    let login = Login::start().await.expect("a site");
    let node = checked(&log(), &login, SessionCheck::Required).await;
    for status in [302, 400, 403] {
        login.set(Mood::Always(status, r#"{"user":{"id":7}}"#.to_owned()));
        assert_eq!(v2_with(&node, "7", &format!("{COOKIE}; n={status}")).await, 401, "{status}");
    }
    assert_eq!(login.asked(""), 3);
}

#[tokio::test]
async fn while_it_is_away_new_tabs_are_refused_and_open_ones_stay() {
    let (log, login) = (log(), Login::start().await.expect("a site"));
    let node = checked(&log, &login, SessionCheck::Required).await;
    let tab = tab_of(Front::V2, "7", &node).open().await.expect("let in");
    login.set(Mood::Away);
    let (status, head) = v2(&node, "7", KEY, "cookie: PHPSESSID=new\r\n").await;
    assert!(status == 503 && head.contains("retry-after: 3\r\n"), "{head}");
    assert_eq!(events(&node, "7", "PHPSESSID=new").await, 503);
    let before = login.asked("");
    let again = || async { Ok((login.asked("") > before).then_some(())) };
    eventually("another question whether it is back", PATIENCE, again).await.expect("asked");
    settle(&log, "7", "mark", &[&tab]).await;
    assert!(tab.seen().ends.is_empty());
    login.set(Mood::Fine);
    let back = || async { Ok((v2_with(&node, "7", COOKIE).await == 101).then_some(())) };
    eventually("new tabs get in", PATIENCE, back).await.expect("let in");
}

#[tokio::test]
async fn while_it_is_away_the_key_may_be_enough_until_it_is_back() {
    let (log, login) = (log(), Login::start().await.expect("a site"));
    let node = checked(&log, &login, SessionCheck::KeyIfAway).await;
    login.set(Mood::Away);
    let mine = tab_of(Front::V2, "7", &node).open().await.expect("let in");
    let others = profile(Front::V1, "8", "o", &node).header("cookie", COOKIE).open().await.expect("let in");
    settle(&log, "7", "mark", &[&mine]).await;
    settle(&log, "8", "mark8", &[&others]).await;
    login.set(Mood::Fine);
    let seen = others.wait("its end", |seen| !seen.ends.is_empty()).await.expect("ended");
    assert_eq!(seen.ends[0], Some(1008));
    settle(&log, "7", "mark2", &[&mine]).await;
    assert!(mine.seen().ends.is_empty());
}

#[tokio::test]
async fn cookies_that_make_it_fail_do_not_make_the_key_enough() {
    let login = Login::start().await.expect("a site");
    let node = checked(&log(), &login, SessionCheck::KeyIfAway).await;
    for (status, body) in [(500, ""), (502, ""), (404, ""), (200, "<html>log in</html>"), (200, "{}")] {
        login.set(Mood::Cookies(status, body.to_owned()));
        assert_eq!(v2_with(&node, "7", &format!("n={status}{}", body.len())).await, 503, "{status} {body}");
    }
    let long = format!(r#"{{"user":{{"id":7}},"x":"{}"}}"#, "x".repeat(256 * 1024));
    login.set(Mood::Cookies(200, long));
    assert_eq!(v2_with(&node, "7", "n=long").await, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_logs_out_or_changes_the_user_is_gone() {
    for changes in [false, true] {
        let (log, login) = (log(), Login::start().await.expect("a site"));
        let node = checked(&log, &login, SessionCheck::Required).await;
        let mut tabs = Vec::new();
        for (front, code) in [(Front::V1, Some(1008)), (Front::V2, None), (Front::Native, Some(4203))] {
            tabs.push((tab_of(front, "7", &node).open().await.expect("let in"), code));
        }
        login.log_in("PHPSESSID=eight", 8);
        let other =
            profile(Front::V1, "8", "o", &node).header("cookie", "PHPSESSID=eight").open().await.expect("let in");
        if changes {
            login.log_in(COOKIE, 8);
        } else {
            login.log_out(COOKIE);
        }
        for (tab, code) in &tabs {
            let seen = tab.wait("its end", |seen| !seen.ends.is_empty()).await.expect("ended");
            assert_eq!(seen.ends[0], *code, "V2 without a close frame");
        }
        settle(&log, "8", "mark", &[&other]).await;
        assert!(other.seen().ends.is_empty());
    }
}

#[tokio::test]
async fn nobody_is_asked_about_who_has_not_shown_the_key() {
    let (log, login) = (log(), Login::start().await.expect("a site"));
    let node = checked(&log, &login, SessionCheck::Required).await;
    let cookie = format!("{UPGRADE}cookie: {COOKIE}\r\n");
    assert_eq!(answered(&node, "/push_notifications", &cookie).await.0, 101, "it may show it");
    let wrong = Profile { key: "wrong".to_owned(), ..tab_of(Front::V1, "7", &node) };
    wrong.start().wait("its end", |seen| seen.ends == [Some(1008)]).await.expect("refused");
    assert_eq!(login.asked(""), 0);
    let tab = tab_of(Front::V1, "7", &node).open().await.expect("let in");
    settle(&log, "7", "mark", &[&tab]).await;
    assert_eq!(login.asked(""), 1);
}

#[tokio::test]
async fn a_v1_tab_is_told_when_nobody_can_be_asked() {
    let (log, login) = (log(), Login::start().await.expect("a site"));
    let node = checked(&log, &login, SessionCheck::Required).await;
    login.set(Mood::Away);
    let tab = tab_of(Front::V1, "7", &node).start();
    tab.wait("its end", |seen| seen.ends == [Some(1008)]).await.expect("ended");
}

#[tokio::test]
async fn a_tab_that_waits_for_its_login_is_no_guess() {
    let login = Login::start().await.expect("a site");
    let node = asking(OpenItCockpit { origin: login.url(), ca: None }, SessionCheck::Required, 2).await;
    for _ in 0..5 {
        assert_eq!(v2_with(&node, "7", "PHPSESSID=ended").await, 401, "one failure, however often");
    }
    assert_eq!(v2_with(&node, "7", "PHPSESSID=other").await, 401, "another one");
    assert_eq!(v2_with(&node, "7", "PHPSESSID=third").await, 429);
    login.log_in(COOKIE, 7);
    assert_eq!(v2_with(&node, "7", COOKIE).await, 101, "who is right gets in");
}

#[tokio::test]
async fn a_redirect_elsewhere_is_no_answer() {
    let login = Login::start().await.expect("a site");
    let node = checked(&log(), &login, SessionCheck::KeyIfAway).await;
    login.set(Mood::Moved("https://monitoring.example/angular/push_configuration.json".to_owned()));
    assert_eq!(v2_with(&node, "7", COOKIE).await, 503);
}

#[tokio::test]
async fn a_site_whose_certificate_is_not_trusted_is_not_away() {
    let (theirs, ours) = (Authority::try_new("theirs").expect("a CA"), Authority::try_new("ours").expect("a CA"));
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = theirs.server().expect("signed").write(folder.path(), "server").expect("written");
    let (tls, _watch) = Tls::open(&TlsFiles { cert, key, admin: false }, None).expect("TLS");
    let served = Node::start_over(&log(), settings(), Some(tls)).await;
    let site = OpenItCockpit { origin: format!("https://{}", served.address), ca: Some(ours.pem().to_owned()) };
    let node = asking(site, SessionCheck::KeyIfAway, 1_000).await;
    assert_eq!(v2_with(&node, "7", COOKIE).await, 503, "the key alone must not do");
    let nobody = OpenItCockpit { origin: "https://127.0.0.1:1".to_owned(), ca: Some(ours.pem().to_owned()) };
    let node = asking(nobody, SessionCheck::KeyIfAway, 1_000).await;
    assert_eq!(v2_with(&node, "7", COOKIE).await, 101, "as it does where nobody is");
}

#[tokio::test]
async fn it_is_asked_whether_it_is_back_though_no_tab_comes() {
    let login = Login::start().await.expect("a site");
    let node = asking(OpenItCockpit { origin: login.url(), ca: None }, SessionCheck::Required, 1_000).await;
    login.set(Mood::Away);
    assert_eq!(v2_with(&node, "7", COOKIE).await, 503);
    let before = login.asked("");
    let again = || async { Ok((login.asked("") > before).then_some(())) };
    eventually("another question", PATIENCE, again).await.expect("asked");
    assert_eq!(login.asked(COOKIE), 1, "without anybody's cookies");
}
