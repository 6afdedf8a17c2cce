//! What docs/security.md claims, as far as no test nearer to the code proves it: real processes, and clients that keep to no
//! rule.

mod requests;
mod secrets;
mod users;

use std::net::SocketAddr;

use bellwire_testkit::certs::{Connection, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::PATIENCE;

/// The lines of every handshake of a WebSocket.
const UPGRADE: &str = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The head of a request.
fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: x\r\n{lines}\r\n")
}

/// A frame of a client, with a mask that changes nothing.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short frame");
    let size = match u8::try_from(length) {
        Ok(short) if short < 126 => vec![0x80 | short],
        _ => [&[0x80 | 126][..], &length.to_be_bytes()].concat(),
    };
    [&[0x80 | opcode][..], &size, &[0; 4], payload].concat()
}

const TEXT: u8 = 1;
const PING: u8 = 9;

/// A connection, and everything that ever came by it.
struct Ear {
    name: String,
    stream: Connection,
    heard: Vec<u8>,
    is_over: bool,
}

impl Ear {
    /// Sends a request, and once it has become a WebSocket these messages.
    async fn open(address: SocketAddr, name: &str, request: &str, says: &[String]) -> Self {
        let stream = connect(address, None).await.unwrap();
        let mut ear = Self { name: name.to_owned(), stream, heard: Vec::new(), is_over: false };
        ear.write(request.as_bytes()).await;
        ear.until("\r\n\r\n").await;
        if ear.status() == 101 {
            for text in says {
                ear.say(text).await;
            }
        }
        ear
    }

    async fn say(&mut self, text: &str) {
        self.write(&frame(TEXT, text.as_bytes())).await;
    }

    /// The other end may be gone already; reading tells.
    async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Listens until this text has come, or nothing more can.
    async fn until(&mut self, text: &str) {
        self.until_times(text, 1).await;
    }

    async fn until_times(&mut self, text: &str, times: usize) {
        let listen = async {
            while !self.is_over && self.times(text) < times {
                self.is_over = self.stream.read_buf(&mut self.heard).await.map_or(true, |bytes| bytes == 0);
            }
        };
        let in_time = timeout(PATIENCE, listen).await;
        assert!(in_time.is_ok(), "{}: no {text:?} and no end: {}", self.name, self.text());
    }

    /// Listens until the node has handled everything that was said, or the connection is over.
    async fn settle(&mut self) {
        let times = self.times("settled") + 1;
        self.write(&frame(PING, b"settled")).await;
        self.until_times("settled", times).await;
    }

    fn times(&self, text: &str) -> usize {
        self.text().matches(text).count()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    fn status(&self) -> u16 {
        self.text().split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

/// Everything that is answered to these bytes until the connection ends.
async fn answered(address: SocketAddr, request: &str) -> String {
    let mut ear = Ear::open(address, request, request, &[]).await;
    ear.until_times("until the end", usize::MAX).await;
    ear.text()
}
