//! What a service manager hears.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::process::Signal;
use bellwire_testkit::tab::Front;
use bellwire_testkit::{http, ports};
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::support::{PATIENCE, message, open};

/// The socket to which a service manager is told things.
pub(crate) struct Manager {
    socket: UnixDatagram,
    dir: TempDir,
    heard: VecDeque<String>,
}

impl Manager {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        Self { socket, dir, heard: VecDeque::new() }
    }

    pub(crate) fn address(&self) -> PathBuf {
        self.dir.path().join("notify")
    }

    /// The next word.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            if let Some(word) = self.heard.pop_front() {
                return word;
            }
            let mut buffer = [0; 4096];
            let length = timeout(PATIENCE, self.socket.recv(&mut buffer)).await.expect("no word").unwrap();
            self.keep(&buffer[..length]);
        }
    }

    fn keep(&mut self, message: &[u8]) {
        self.heard.extend(std::str::from_utf8(message).unwrap().lines().map(str::to_owned));
    }

    /// The words up to one that begins so, that one included.
    pub(crate) async fn until(&mut self, start: &str) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            words.push(self.next().await);
            if words.last().is_some_and(|word| word.starts_with(start)) {
                return words;
            }
        }
    }

    /// Forgets what has been said so far.
    fn forget(&mut self) {
        self.heard.clear();
        while self.socket.try_recv(&mut [0; 4096]).is_ok() {}
    }

    /// What has been said since.
    fn since(&mut self) -> Vec<String> {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.try_recv(&mut buffer) {
            self.keep(&buffer[..length]);
        }
        self.heard.drain(..).collect()
    }

    fn setup(&self, setup: Setup) -> Setup {
        setup.env("NOTIFY_SOCKET", self.address().display().to_string()).env("WATCHDOG_USEC", "100000")
    }
}

async fn told_standalone(manager: &Manager, args: &[&str]) -> Bellwire {
    let setup = args.iter().fold(Setup::new("standalone", "memory:"), |setup, arg| setup.arg(*arg));
    manager.setup(setup).start().await.unwrap()
}

#[tokio::test]
async fn it_is_ready_when_it_serves_and_says_how_it_is() {
    let mut manager = Manager::new();
    let node = told_standalone(&manager, &[]).await;
    manager.until("READY=1").await;
    // Nobody has to wait after that word.
    assert_eq!(http::get(node.listen, "/").await.unwrap().status, 200);
    let tab = open(Front::V2, "1", "browser", node.listen).await;
    manager.until("STATUS=1 tabs").await;
    for _ in 0..3 {
        let between = manager.until("WATCHDOG=1").await;
        assert!(!between.contains(&"READY=1".to_owned()), "{between:?}");
    }
    drop(tab);
}

#[tokio::test]
async fn without_a_broker_it_is_alive_and_not_ready() {
    for role in ["gateway", "ingest"] {
        let mut manager = Manager::new();
        let mut node = manager.setup(Setup::new(role, &format!("amqp://{}", ports::free()))).begin().unwrap();
        node.process().line("RabbitMQ cannot be used yet", PATIENCE).await.unwrap();
        let mut heard = Vec::new();
        for _ in 0..5 {
            let words = manager.until("WATCHDOG=1").await;
            assert!(words.iter().any(|word| word.starts_with("EXTEND_TIMEOUT_USEC=")), "{words:?}");
            heard.extend(words);
        }
        assert!(!heard.contains(&"READY=1".to_owned()), "{heard:?}");
        assert!(heard.iter().any(|word| word.starts_with("STATUS=")), "{heard:?}");
        assert_eq!(http::get(node.admin, "/readyz").await.unwrap().status, 503);
        assert!(node.stop().await.unwrap().success());
    }
}

/// With a wrong password, a rollout must not put it in the place of those that work.
#[tokio::test]
async fn an_ingest_is_ready_once_it_has_reached_rabbitmq_and_stays_it() {
    let (mut manager, mut broker) = (Manager::new(), Broker::start().await.unwrap());
    let log = broker.url_as("late", "a-password");
    let mut node = manager.setup(Setup::new("ingest", &log)).begin().unwrap();
    node.process().line("RabbitMQ cannot be used yet", PATIENCE).await.unwrap();
    let ready = async || http::get(node.admin, "/readyz").await.unwrap().status;
    let sent = async || http::post(node.listen, "/v1/notifications", &message("1", "x")).await.unwrap().status;
    assert_eq!((ready().await, sent().await), (503, 503));

    broker.rabbitmqctl(&["add_user", "late", "a-password"]).await.unwrap();
    broker.rabbitmqctl(&["set_permissions", "late", ".*", ".*", ".*"]).await.unwrap();
    let words = manager.until("READY=1").await;
    assert!(words.contains(&"STATUS=waiting for RabbitMQ".to_owned()), "{words:?}");
    manager.until("STATUS=takes notifications").await;
    assert_eq!((ready().await, sent().await), (200, 202));

    broker.stop().await.unwrap();
    let away = || async { Ok((node.metric("bellwire_log_up", &["side=\"append\""]).await? == 0.0).then_some(())) };
    bellwire_testkit::eventually::eventually("RabbitMQ is away", PATIENCE, away).await.unwrap();
    assert_eq!((ready().await, sent().await), (200, 503));
    assert!(node.stop().await.unwrap().success());
}

#[tokio::test]
async fn its_end_takes_as_long_as_it_says() {
    let mut manager = Manager::new();
    let node = told_standalone(&manager, &["--drain-seconds", "3600"]).await;
    let _tab = open(Front::V1, "1", "browser", node.listen).await;
    manager.until("READY=1").await;
    node.process().signal(Signal::Term).await.unwrap();
    manager.until("STOPPING=1").await;
    assert_eq!(manager.until("EXTEND_TIMEOUT_USEC=").await.pop().unwrap(), "EXTEND_TIMEOUT_USEC=3630000000");
    // A drain of an hour is no reason to be shot, and no reason for more time.
    let words = [manager.until("WATCHDOG=1").await, manager.until("WATCHDOG=1").await].concat();
    assert!(!words.iter().any(|word| word.starts_with("EXTEND")), "{words:?}");
}

#[tokio::test]
async fn a_process_that_stands_still_says_nothing() {
    let (mut frozen, mut lively) = (Manager::new(), Manager::new());
    let nodes = [told_standalone(&frozen, &[]).await, told_standalone(&lively, &[]).await];
    frozen.until("READY=1").await;
    lively.until("READY=1").await;
    nodes[0].process().signal(Signal::Stop).await.unwrap();
    let stat = format!("/proc/{}/stat", nodes[0].process().pid());
    let stopped = || async { Ok(std::fs::read_to_string(&stat)?.contains(") T").then_some(())) };
    bellwire_testkit::eventually::eventually("standstill", PATIENCE, stopped).await.unwrap();
    frozen.forget();
    lively.forget();
    // The other one is the clock.
    for _ in 0..10 {
        lively.until("WATCHDOG=1").await;
    }
    assert_eq!(frozen.since(), Vec::<String>::new());
    nodes[0].process().signal(Signal::Continue).await.unwrap();
    frozen.until("WATCHDOG=1").await;
}

/// A manager that is gone or does not listen holds nothing up.
#[tokio::test]
async fn it_runs_without_anybody_to_tell() {
    let manager = Manager::new();
    let mut node = told_standalone(&manager, &[]).await;
    drop(manager);
    let tab = open(Front::V2, "1", "browser", node.listen).await;
    drop(tab);
    assert!(node.stop().await.unwrap().success());

    // Nothing is read here: the kernel's queue of ten or so words is full at once.
    let deaf = Manager::new();
    let mut node = deaf
        .setup(Setup::new("standalone", "memory:"))
        .env("WATCHDOG_USEC", Duration::from_millis(2).as_micros().to_string())
        .start()
        .await
        .unwrap();
    let _tab = open(Front::V2, "1", "browser", node.listen).await;
    assert!(node.stop().await.unwrap().success());
}
