//! Addresses at which nobody answers.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::{Turn, append, log_at};

/// What a listener needs whose queue is full: the kernel answers no SYN any more.
struct Silent {
    listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Silent {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
        }
        Self { listener, _waiting: waiting }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }
}

/// Threads of the AMQP library for connections, in this process.
fn connection_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("lapin-io")).count()
}

async fn threads_are_at_most(most: usize) {
    let until = Instant::now() + Duration::from_secs(10);
    while connection_threads() > most {
        assert!(Instant::now() < until, "{} threads, {most} before", connection_threads());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The kernel waits two minutes for an answer; the attempts must not wait with it, and leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_answer_costs_no_threads() {
    let _turn = Turn::take().await;
    threads_are_at_most(0).await;
    let silent = Silent::new().await;
    let log = log_at(&format!("amqp://127.0.0.1:{}", silent.port()), 1);
    let told = log.check().await.unwrap_err();
    assert!(told.contains(&silent.port().to_string()), "{told}");
    drop(log);
    threads_are_at_most(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_that_answers_is_found() {
    let mut turn = Turn::take().await;
    let silent = Silent::new().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let broker = turn.broker().url();
    for other in [silent.port(), closed] {
        let log = log_at(&format!("amqp://127.0.0.1:{other},{broker}"), 14);
        log.check().await.unwrap();
        append(&log, "found").await.unwrap();
    }
}
