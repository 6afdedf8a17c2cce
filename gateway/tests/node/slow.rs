//! A tab on a link that is slow but moves.

use std::sync::Arc;

use bellwire_testkit::bellwire::KEY;
use bellwire_testkit::certs::{Connection, over};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::*;

/// Longer than a pong may take and than a page may owe its proof.
const CROSSING: Duration = Duration::from_secs(16);
const BACKLOG: usize = 400;
const TEXT_BYTES: usize = 6 * 1024;
const TICK: Duration = Duration::from_millis(50);

/// The browser's end of a V2 connection, read at a steady slow rate; it answers pings and repeated greetings as the
/// front end does, when it comes to them.
struct Slow {
    stream: Connection,
    /// What has arrived and is not a whole frame yet.
    bytes: Vec<u8>,
    shown: Vec<String>,
    ended: bool,
}

impl Slow {
    async fn open(address: SocketAddr, user: &str, tls: Option<&Arc<ClientConfig>>) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // The kernel must not take the backlog off the server's hands.
        socket.set_recv_buffer_size(16 * 1024).expect("a small buffer");
        let stream = socket.connect(address).await.expect("connected");
        let mut stream = over(stream, tls).await.expect("a connection");
        let request = format!(
            "GET /push_notifications?userId={user}&browserUuid=slow HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: access_token, {KEY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        Self { stream, bytes: Vec::new(), shown: Vec::new(), ended: false }
    }

    /// Reads `rate` bytes a tick until `done`.
    async fn read(&mut self, rate: usize, done: impl Fn(&Self) -> bool) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; rate];
        while !done(self) && !self.ended {
            ticks.tick().await;
            match self.stream.read(&mut buffer).await {
                Ok(count) if count > 0 => self.bytes.extend_from_slice(&buffer[..count]),
                _ => self.ended = true,
            }
            while let Some((opcode, payload)) = self.frame() {
                self.on_frame(opcode, &payload).await;
            }
        }
    }

    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&opcode, &short) = (self.bytes.first()?, self.bytes.get(1)?);
        let (at, len) = match short {
            126 => (4, usize::from(u16::from_be_bytes([*self.bytes.get(2)?, *self.bytes.get(3)?]))),
            127 => panic!("a frame that no protocol has"),
            short => (2, usize::from(short)),
        };
        if self.bytes.len() < at + len {
            return None;
        }
        let payload = self.bytes[at..at + len].to_vec();
        self.bytes.drain(..at + len);
        Some((opcode & 0x0f, payload))
    }

    async fn on_frame(&mut self, opcode: u8, payload: &[u8]) {
        match opcode {
            9 => self.send(0x8a, payload).await,
            1 => {
                let frame: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
                match frame["type"].as_str() {
                    Some("ConnectionEstablished") => {
                        let uuid = &frame["payload"]["clientUuid"];
                        let payload = serde_json::json!({ "clientUuid": uuid, "browserUuid": "slow" });
                        let text = serde_json::json!(
                            { "type": "RegisterBrowserPushNotification", "message": "", "payload": payload });
                        self.send(0x81, text.to_string().as_bytes()).await;
                    }
                    Some("ProcessPushNotification") => {
                        self.shown.push(frame["payload"]["title"].as_str().expect("a title").to_owned());
                    }
                    _ => {}
                }
            }
            _ => self.ended = true,
        }
    }

    /// A masked frame; a mask of zeros leaves the bytes as they are.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match u8::try_from(payload.len()).ok().filter(|&len| len < 126) {
            Some(len) => frame.push(0x80 | len),
            None => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).expect("a small frame").to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.ended |= self.stream.write_all(&frame).await.is_err();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_that_moves_is_not_taken_for_a_dead_one() {
    let log = log();
    let node = Node::start(&log).await;
    crosses(&log, &node, None).await;
}

/// It is given a backlog, and shows it.
pub(super) async fn crosses(log: &SharedLog, node: &Node, tls: Option<&Arc<ClientConfig>>) {
    let mut slow = Slow::open(node.address, "7", tls).await;
    let rate = BACKLOG * TEXT_BYTES / (CROSSING.as_millis() / TICK.as_millis()) as usize;
    slow.read(rate, |slow| slow.bytes.is_empty()).await;
    let titles: Vec<String> = (0..BACKLOG).map(|n| format!("n{n}")).collect();
    for title in &titles {
        send_text(log, "7", title, &"x".repeat(TEXT_BYTES / 2)).await;
    }
    let begin = Instant::now();
    slow.read(rate, |slow| slow.shown.len() >= BACKLOG).await;
    assert!(slow.shown == titles, "{} of {BACKLOG} shown, then ended: {}", slow.shown.len(), slow.ended);
    assert!(begin.elapsed() > Duration::from_secs(13), "the backlog crossed too fast to prove anything");
    // It never looked stalled: a second tab of the browser has nothing to take over.
    let second = Profile { tls: tls.cloned(), ..profile(Front::V2, "7", "slow", node) };
    let second = second.open().await.expect("a tab");
    let mark = ["mark".to_owned()];
    send(log, "7", "mark").await;
    slow.read(1 << 20, |slow| slow.shown.len() > BACKLOG).await;
    assert_eq!(slow.shown[BACKLOG..], mark);
    assert!(second.titles().is_empty(), "{:?}", second.titles().len());
}
