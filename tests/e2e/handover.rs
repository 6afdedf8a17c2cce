//! Processes that inherit their sockets: a restart refuses nobody.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bellwire_testkit::bellwire::{KEY, Setup};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::process::{self, Process};
use bellwire_testkit::tab::Front;
use bellwire_testkit::{http, ports};
use tokio::net::TcpSocket;
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, embedded, expect_once, message, open, program, send};

/// A socket as a service manager opens it.
fn socket() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(4096).unwrap().into_std().unwrap()
}

/// A client that connects and asks every few milliseconds, whether or not the ones before have their answer.
struct Knocker {
    knocks: Arc<AtomicUsize>,
    stop: CancellationToken,
    task: JoinHandle<Vec<String>>,
}

const KNOCK_EVERY: Duration = Duration::from_millis(10);

impl Knocker {
    fn start(address: SocketAddr) -> Self {
        let (knocks, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let task = tokio::spawn(Self::knock(address, Arc::clone(&knocks), stop.clone()));
        Self { knocks, stop, task }
    }

    async fn knock(address: SocketAddr, knocks: Arc<AtomicUsize>, stop: CancellationToken) -> Vec<String> {
        let mut answers = JoinSet::new();
        let mut ticks = tokio::time::interval(KNOCK_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            answers.spawn(async move { http::get(address, "/").await });
            knocks.fetch_add(1, Ordering::Relaxed);
        }
        let failed = |answer: anyhow::Result<http::Response>| match answer {
            Ok(answer) if answer.status == 200 => None,
            Ok(answer) => Some(format!("{}: {}", answer.status, answer.text())),
            Err(error) => Some(format!("{error:#}")),
        };
        answers.join_all().await.into_iter().filter_map(failed).collect()
    }

    /// Waits for so many more knocks.
    async fn more(&self, count: usize) {
        let enough = self.knocks.load(Ordering::Relaxed) + count;
        let enough = || async { Ok((self.knocks.load(Ordering::Relaxed) >= enough).then_some(())) };
        eventually("knocks", PATIENCE, enough).await.unwrap();
    }

    /// How many knocks there were; none of them failed.
    async fn end(self) -> usize {
        self.stop.cancel();
        let failed = self.task.await.unwrap();
        let knocks = self.knocks.load(Ordering::Relaxed);
        assert!(failed.is_empty(), "{} of {knocks} connections: {:#?}", failed.len(), failed[0]);
        knocks
    }
}

/// Sends one message after the other until it is stopped; all are accepted. Says which.
fn send_on(address: SocketAddr, user: &'static str, stop: CancellationToken) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut accepted = Vec::new();
        while !stop.is_cancelled() {
            let title = format!("number {}", accepted.len());
            send(address, user, &title).await;
            accepted.push(title);
        }
        accepted
    })
}

#[tokio::test]
async fn a_restart_refuses_no_connection_and_shows_everything_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Setup::new("standalone", &embedded(&dir)).socket(socket()).start().await.unwrap();
    node.process().line("inherited a listening socket", PATIENCE).await.unwrap();
    let address = node.listen;
    let tabs = [
        open(Front::V2, "1", "one", address).await,
        open(Front::V2, "1", "two", address).await,
        open(Front::Native, "1", "three", address).await,
    ];
    let knocker = Knocker::start(address);
    let stop = CancellationToken::new();
    let sender = send_on(address, "1", stop.clone());
    tabs[0].wait_shown(20).await.unwrap();

    assert!(node.stop().await.unwrap().success(), "{}", node.process().output());
    knocker.more(20).await;
    let before = tabs[0].seen().shown.len();
    node.restart().await.unwrap();

    for tab in &tabs {
        tab.wait("a second greeting", |seen| seen.greeted > 1).await.unwrap();
    }
    tabs[0].wait_shown(before + 20).await.unwrap();
    stop.cancel();
    let accepted = sender.await.unwrap();
    for tab in &tabs {
        expect_once(&[tab], &accepted).await;
    }
    let knocks = knocker.end().await;
    println!("{knocks} connections and {} notifications through a restart", accepted.len());
}

/// The real one: the first connection starts the program, which has all its sockets from there.
#[tokio::test]
async fn the_first_connection_starts_it_under_systemd() {
    let [listen, ingest, admin] = [ports::free(), ports::free(), ports::free()];
    let mut command = Command::new("systemd-socket-activate");
    for address in [admin, listen, ingest] {
        command.args(["--listen", &address.to_string()]);
    }
    command.arg(format!("--setenv=BELLWIRE_SHARED_KEY={KEY}")).arg(process::binary("bellwire"));
    command.args(["standalone", "--log", "memory:", "--session-check", "key-only", "--listen", &listen.to_string()]);
    command.args(["--ingest-listen", &ingest.to_string(), "--admin-listen", &admin.to_string()]);
    let process = Process::spawn("systemd-socket-activate", command).unwrap();
    // It says the last one last, and only then waits.
    process.line(&format!("Listening on {ingest}"), PATIENCE).await.unwrap();

    let answer = http::post(ingest, "/v1/notifications", &message("1", "first")).await.unwrap();
    assert_eq!(answer.status, 202, "{}\n{}", answer.text(), process.output());
    for address in [listen, ingest, admin] {
        process.line(&format!("inherited a listening socket address={address}"), PATIENCE).await.unwrap();
    }
    let tab = open(Front::V2, "1", "browser", listen).await;
    expect_once(&[&tab], &["first".to_owned()]).await;
    assert_eq!(http::get(admin, "/readyz").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_socket_that_nobody_would_serve_is_refused() {
    let (socket, listen) = (socket(), ports::free());
    let inherited = socket.local_addr().unwrap();
    let settings = ["standalone".to_owned(), "--log=memory:".into(), format!("--listen={listen}")];
    let mut command = process::activated(&process::binary("bellwire"));
    command.env_clear().args(&settings);
    let mut process = Process::spawn_with_socket("bellwire", command, &socket).unwrap();
    assert_eq!(process.wait(PATIENCE).await.unwrap().code(), Some(64), "{}", process.output());
    let said = process.line("LISTEN_FDS", PATIENCE).await.unwrap();
    for part in [inherited.to_string(), format!("listen={listen}"), "ListenStream".to_owned()] {
        assert!(said.contains(&part), "{part}: {said}");
    }

    // The descriptor that is passed is no socket.
    let mut command = process::activated(&process::binary("bellwire"));
    command.env_clear().args(&settings);
    let mut process = Process::spawn("bellwire", command).unwrap();
    assert_eq!(process.wait(PATIENCE).await.unwrap().code(), Some(64), "{}", process.output());
    process.line("fd 3 is not a socket; pass TCP sockets that listen", PATIENCE).await.unwrap();
}

/// What a parent was given for itself says nothing to its children.
#[tokio::test]
async fn sockets_of_another_process_are_left_alone() {
    let mut command = program("bellwire");
    command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1").args(["standalone", "--log=memory:"]);
    command.args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"]);
    let process = Process::spawn("bellwire", command).unwrap();
    process.line(" listening ", PATIENCE).await.unwrap();
    assert!(!process.output().contains("inherited"), "{}", process.output());
}
