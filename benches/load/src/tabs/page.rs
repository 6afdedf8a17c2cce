//! What a tab makes of the bytes that arrive; no socket, no clock.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bellwire_load::frame::{CLOSE, PING, PONG, TEXT, put_client_frame, server_frame};
use bellwire_load::http::Head;
use bellwire_load::stamp::Stamp;

use crate::ledger::Ledger;
use crate::tabs::{Plan, Protocol, native, v1, v2};

/// One tab's state.
#[derive(Debug)]
pub(super) struct Page {
    plan: Arc<Plan>,
    number: u32,
    upgraded: bool,
    greeted: bool,
    /// The beginning of a frame whose rest has not arrived.
    rest: Vec<u8>,
    /// What is to be written next.
    answers: Vec<u8>,
    /// The native protocol's last cursor that is not acknowledged; empty when there is none.
    cursor: String,
}

/// RFC 6455's example. A fixed key is answered by a fixed value, which is checked.
const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl Page {
    pub(super) fn new(plan: Arc<Plan>, number: u32) -> Self {
        let (rest, answers) = (Vec::new(), Vec::new());
        Self { plan, number, upgraded: false, greeted: false, rest, answers, cursor: String::new() }
    }

    /// Whether the server has said its first words.
    pub(super) fn greeted(&self) -> bool {
        self.greeted
    }

    /// What is to be written next.
    pub(super) fn answers(&mut self) -> &mut Vec<u8> {
        &mut self.answers
    }

    /// The handshake's request. User and browser stand in the query for every protocol: those that name them in
    /// a message ignore it, and the bare partner knows no messages.
    pub(super) fn request(&self, gateway: SocketAddr) -> String {
        let (user, browser) = (self.plan.user(self.number), self.plan.browser(self.number));
        let protocols = self.subprotocol().map_or(String::new(), |subprotocol| {
            format!("Sec-WebSocket-Protocol: {subprotocol}, {}\r\n", self.plan.key)
        });
        format!(
            "GET /push_notifications?userId={user}&browserUuid={browser} HTTP/1.1\r\nHost: {gateway}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {WEBSOCKET_KEY}\r\n{protocols}\r\n"
        )
    }

    /// Books and answers what is complete.
    pub(super) fn arrived(
        &mut self,
        bytes: &[u8],
        found: &mut Vec<(Stamp, usize)>,
        ledger: Option<&Ledger>,
    ) -> io::Result<()> {
        let now = ledger.map_or(0, Ledger::nanos);
        found.clear();
        if self.rest.is_empty() {
            let used = self.consume(bytes, found)?;
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut rest = std::mem::take(&mut self.rest);
            rest.extend_from_slice(bytes);
            let used = self.consume(&rest, found)?;
            rest.drain(..used);
            self.rest = rest;
        }
        if !self.cursor.is_empty() {
            put_client_frame(&mut self.answers, TEXT, native::ack(&self.cursor).as_bytes());
            self.cursor.clear();
        }
        if let Some(ledger) = ledger.filter(|_| !found.is_empty()) {
            ledger.receive(self.number, now, found);
        }
        Ok(())
    }

    /// Takes what is complete; how many bytes that were.
    fn consume(&mut self, bytes: &[u8], found: &mut Vec<(Stamp, usize)>) -> io::Result<usize> {
        let mut used = if self.upgraded { 0 } else { self.upgrade(bytes)? };
        while self.upgraded
            && let Some(frame) = server_frame(&bytes[used..]).map_err(|_| bad("not a server's frame"))?
        {
            used += frame.len;
            match frame.opcode {
                TEXT => self.text(frame.payload, found),
                PING => put_client_frame(&mut self.answers, PONG, frame.payload),
                CLOSE => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => return Err(bad("a frame of no use")),
            }
        }
        Ok(used)
    }

    fn text(&mut self, text: &[u8], found: &mut Vec<(Stamp, usize)>) {
        if let Some(stamp) = Stamp::find(text) {
            found.push((stamp, text.len()));
            if self.plan.protocol == Protocol::Native
                && let Some(cursor) = native::cursor(text)
            {
                self.cursor.clear();
                self.cursor.push_str(cursor);
            }
            return;
        }
        let Some(greeting) = self.greeting(text) else { return };
        self.greeted = true;
        if self.plan.register && !greeting.is_empty() {
            put_client_frame(&mut self.answers, TEXT, greeting.as_bytes());
        }
    }

    /// If the text is a greeting: what the page answers to it, which may be nothing.
    fn greeting(&self, text: &[u8]) -> Option<String> {
        let browser = || self.plan.browser(self.number);
        match self.plan.protocol {
            Protocol::V1 => v1::answer(text, &self.plan.key, &self.plan.user(self.number), &browser()),
            Protocol::V2 => v2::answer(text, &browser()),
            Protocol::Native => native::is_welcome(text).then(String::new),
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        match self.plan.protocol {
            Protocol::V1 => None,
            Protocol::V2 => Some(v2::SUBPROTOCOL),
            Protocol::Native => Some(native::SUBPROTOCOL),
        }
    }

    /// Reads the answer to the handshake; zero as long as it is not complete.
    fn upgrade(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(head) = Head::read(bytes).map_err(|_| bad("the handshake's answer is not HTTP"))? else {
            return Ok(0);
        };
        if head.status() != Ok(101) {
            return Err(bad(&format!("the handshake was refused: {}", head.line())));
        }
        if head.header("sec-websocket-accept") != Some(WEBSOCKET_ACCEPT) {
            return Err(bad("wrong Sec-WebSocket-Accept"));
        }
        if head.header("sec-websocket-protocol") != self.subprotocol() {
            return Err(bad("wrong Sec-WebSocket-Protocol"));
        }
        self.upgraded = true;
        if self.plan.protocol == Protocol::Native {
            let hello = native::hello(&self.plan.user(self.number), &self.plan.browser(self.number));
            put_client_frame(&mut self.answers, TEXT, hello.as_bytes());
        }
        Ok(head.len)
    }
}

/// What stands between `start` and the next quotation mark. Only for values without escapes: UUIDs and cursors.
pub(super) fn field<'a>(text: &'a [u8], start: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once(start)?;
    rest.split_once('"').map(|(value, _)| value)
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
