//! Tabs that stop reading, never answer, send garbage, flood, or never finish their handshake, beside tabs that are well.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use bellwire_testkit::bellwire::{Bellwire, KEY, Setup};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http;
use bellwire_testkit::tab::{Front, Profile, Tab};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::field::{Books, Stream, registered, settle};

const USERS: usize = 200;
const PER_SECOND: usize = 400;
const PHASE: Duration = Duration::from_secs(4);
/// A ping that nobody answers ends a session after 12 s, on an idle machine.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
/// Of each kind; no user has more tabs than it may.
const COUNT: usize = 20;
/// More than a server takes that does not push them out.
const SLOW_HANDSHAKES: usize = 5_000;
/// One user for all of a kind, so that what waits for them is held once.
const MUTE: usize = 10_001;
const DEAF: usize = 10_002;
const FLOODING: usize = 10_003;
const NOBODY: usize = 10_004;
/// What waits for the mute ones is more than the kernel holds for a connection.
const BACKLOG: usize = 300;
const TEXT_BYTES: usize = 6 * 1024;

/// What a hostile session may cost the process, in bytes: its own state, one write buffer and the frame in it, and what
/// the allocator keeps. See docs/delivery.md.
const BYTES_PER_SESSION: f64 = 64.0 * 1024.0;
/// What waits for the mute ones, as records and as frames, which say the text twice.
const BYTES_WAITING: f64 = (4 * BACKLOG * TEXT_BYTES) as f64;
/// What the tabs that are well are sent meanwhile, in the log and in the fold.
const BYTES_SENT: f64 = 16.0 * 1024.0 * 1024.0;
/// As many as there are places for handshakes, and what each takes.
const BYTES_OF_HANDSHAKES: f64 = 2_500.0 * 32.0 * 1024.0;

/// What a hostile tab does once it is connected.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Registers, then never reads.
    Mute,
    /// Registers and reads, but answers no ping.
    Deaf,
    /// Registers, and says more than anybody can, pongs in between.
    Flood,
    /// The same with pings.
    PingFlood,
    /// Something that is not JSON.
    Garbage,
    /// A frame that RFC 6455 does not know.
    BadFrame,
    /// The head of a frame of a terabyte.
    Huge,
    /// A message of empty frames without end.
    Endless,
    /// A binary message.
    Binary,
    /// A native tab that does not say whose it is.
    NoHello,
    /// A V1 tab with another key.
    WrongKey,
}

const KINDS: [(Kind, &str); 11] = [
    (Kind::Mute, "write_timeout"),
    (Kind::Deaf, "pong_timeout"),
    (Kind::Flood, "flood"),
    (Kind::PingFlood, "flood"),
    (Kind::Garbage, "bad_message"),
    (Kind::BadFrame, "bad_message"),
    (Kind::Huge, "too_large"),
    (Kind::Endless, "too_large"),
    (Kind::Binary, "binary"),
    (Kind::NoHello, "hello_timeout"),
    (Kind::WrongKey, "bad_key"),
];

impl Kind {
    fn user(self) -> usize {
        match self {
            Self::Mute => MUTE,
            Self::Flood | Self::PingFlood => FLOODING,
            Self::Deaf => DEAF,
            _ => NOBODY,
        }
    }

    fn request(self, number: usize) -> String {
        let (query, subprotocols) = match self {
            Self::WrongKey => (String::new(), String::new()),
            Self::NoHello => (String::new(), format!("Sec-WebSocket-Protocol: bellwire.v1, {KEY}\r\n")),
            _ => (
                format!("?userId={}&browserUuid={self:?}{number}", self.user()),
                format!("Sec-WebSocket-Protocol: access_token, {KEY}\r\n"),
            ),
        };
        format!(
            "GET /push_notifications{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{subprotocols}\r\n"
        )
    }

    async fn attack(self, address: SocketAddr, number: usize) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(self.request(number).as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{self:?}: {}", String::from_utf8_lossy(&head));
        let register = text(r#"{"type":"RegisterBrowserPushNotification","message":"","payload":{}}"#);
        match self {
            Self::Mute => {
                stream.write_all(&register).await?;
                std::future::pending::<()>().await;
            }
            Self::Deaf => stream.write_all(&register).await?,
            Self::Flood => return flood(stream, &register, &text(r#"{"type":"KeepAlive","message":""}"#)).await,
            Self::PingFlood => return flood(stream, &register, &frame(0x89, b"")).await,
            Self::Endless => return flood(stream, &frame(0x01, b"x"), &frame(0x00, b"")).await,
            Self::Garbage => stream.write_all(&text("not JSON")).await?,
            Self::BadFrame => stream.write_all(&frame(0xf3, b"?")).await?,
            Self::Huge => stream.write_all(&[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await?,
            Self::Binary => stream.write_all(&frame(0x82, b"?")).await?,
            Self::NoHello => {}
            Self::WrongKey => {
                stream.write_all(&text(r#"{"task":"keepAlive","key":"wrong","uuid":"x"}"#)).await?;
            }
        }
        copy(&mut stream, &mut sink()).await.map(|_| ())
    }
}

/// A client's frame of less than 126 bytes, with a mask that changes nothing.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    [&[head, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// Says the same for ever, and reads what comes.
async fn flood(stream: TcpStream, register: &[u8], word: &[u8]) -> std::io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    write.write_all(register).await?;
    let words = word.repeat(1_000);
    let speak = async {
        loop {
            write.write_all(&words).await?;
        }
    };
    let mut nowhere = sink();
    tokio::select! {
        end = speak => end,
        end = copy(&mut read, &mut nowhere) => end.map(|_| ()),
    }
}

/// A request head that never ends.
async fn slow_handshake(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /push_notifications HTTP/1.1\r\nHost:").await?;
    copy(&mut stream, &mut sink()).await.map(|_| ())
}

async fn phase(node: &Bellwire, tabs: &[Tab], name: &str, during: impl Future<Output = ()>) -> Books {
    let stream = Stream::start(vec![node.listen], USERS, PER_SECOND);
    during.await;
    let accepted = stream.stop().await;
    let books = settle(&accepted, &tabs.iter().map(|tab| vec![tab]).collect::<Vec<_>>()).await;
    books.print(name, accepted.len());
    assert_eq!(books.repeated.len(), 0);
    books
}

/// Something large, or something small, for the hostile users.
async fn send(node: &Bellwire, user: usize, count: usize, bytes: usize) {
    let one = |_| json!({ "user": user.to_string(), "kind": "message", "title": "x", "body": "x".repeat(bytes) });
    for batch in (0..count).collect::<Vec<_>>().chunks(50) {
        let body: Value = batch.iter().map(one).collect();
        let answer = http::post(node.listen, "/v1/notifications", &body).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
}

async fn closed(node: &Bellwire, reason: &str) -> f64 {
    node.metric("bellwire_gateway_sessions_closed_total", &[&format!("reason=\"{reason}\"")]).await.unwrap()
}

async fn memory(node: &Bellwire) -> f64 {
    node.metric("process_resident_memory_bytes", &[]).await.unwrap()
}

/// Attacks, and waits until each of the attackers has been ended with its own reason; how much memory that took at most.
async fn attack(node: &Bellwire, attackers: &mut JoinSet<std::io::Result<()>>) -> f64 {
    let address = node.listen;
    for (kind, _) in KINDS {
        (0..COUNT).for_each(|number| drop(attackers.spawn(kind.attack(address, number))));
    }
    let all = (USERS + KINDS.len() * COUNT) as f64;
    node.wait_metric("bellwire_gateway_sessions_opened_total", &[], all, ENDED_WITHIN).await.unwrap();
    send(node, MUTE, BACKLOG, TEXT_BYTES).await;
    send(node, DEAF, 1, 1).await;
    send(node, FLOODING, 1, 1).await;
    let most = Cell::new(0.0);
    for (_, reason) in KINDS {
        let expected = KINDS.iter().filter(|(_, other)| *other == reason).count() * COUNT;
        let ended = || async {
            most.set(memory(node).await.max(most.get()));
            Ok((closed(node, reason).await >= expected as f64).then_some(()))
        };
        eventually(reason, ENDED_WITHIN, ended).await.unwrap();
    }
    most.get()
}

/// Begins more handshakes than there are places, and waits until all of them are given up; how much memory that took.
async fn crowd(node: &Bellwire, attackers: &mut JoinSet<std::io::Result<()>>) -> f64 {
    (0..SLOW_HANDSHAKES).for_each(|_| drop(attackers.spawn(slow_handshake(node.listen))));
    let most = Cell::new(0.0);
    let given_up = |count: usize| {
        let most = &most;
        move || async move {
            most.set(memory(node).await.max(most.get()));
            let slow = ["reason=\"head_timeout\""];
            let gone = node.metric("bellwire_gateway_handshakes_refused_total", &slow).await?;
            Ok((gone >= count as f64).then_some(()))
        }
    };
    eventually("no place is left", ENDED_WITHIN, given_up(1)).await.unwrap();
    // A place is found for who is well.
    Profile::new(Front::V2, "1", "another", node.listen).open().await.unwrap();
    eventually("unfinished handshakes given up", ENDED_WITHIN, given_up(SLOW_HANDSHAKES)).await.unwrap();
    most.get()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_tabs_harm_nobody_and_each_ends_with_its_own_reason() {
    let node = Setup::new("standalone", "memory:").start().await.unwrap();
    let start = |user: usize| Profile::new(Front::V2, &(user + 1).to_string(), "browser", node.listen).start();
    let tabs: Vec<Tab> = (0..USERS).map(start).collect();
    registered(&tabs).await;
    phase(&node, &tabs, "warming up", sleep(PHASE)).await;
    let without = phase(&node, &tabs, "without hostile tabs", sleep(PHASE)).await;
    let before = memory(&node).await;
    let mut attackers = JoinSet::new();
    let (mut attacked, mut crowded) = (0.0, 0.0);
    let with = phase(&node, &tabs, "with hostile tabs", async { attacked = attack(&node, &mut attackers).await }).await;
    let beside =
        phase(&node, &tabs, "with unfinished handshakes", async { crowded = crowd(&node, &mut attackers).await }).await;
    println!(
        "memory: {:.0} MB before, {:.0} MB more for hostile tabs, {:.0} MB more for handshakes",
        before / 1e6,
        (attacked - before) / 1e6,
        (crowded - before) / 1e6
    );
    let sessions = BYTES_SENT + BYTES_WAITING + (KINDS.len() * COUNT) as f64 * BYTES_PER_SESSION;
    assert!(attacked - before < sessions, "{} of {sessions}", attacked - before);
    assert!(crowded - before < sessions + BYTES_OF_HANDSHAKES, "{}", crowded - before);
    // A share of two cores goes to the attackers themselves: what is held up would wait for seconds.
    assert!(with.p99_ms < 250.0 && beside.p99_ms < 250.0, "{with:?}, {beside:?}, without {without:?}");
    assert!(tabs.iter().all(|tab| tab.seen().ends.is_empty()), "nobody else is disconnected");
}
