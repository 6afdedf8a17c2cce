//! A tab's WebSocket as the session reads it.

use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::task::Poll;

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use tracing::debug;
use tungstenite::error::ProtocolError;

use bellwire_common::http::Traffic;

use crate::protocol::{End, FRAME_BYTES_MAX};

/// What is read before a message is whole: the largest one and the heads of its frames, and as much again for what was
/// read with the message before. A message of endless empty frames would keep us reading, and is never seen.
const UNFINISHED_BYTES_MAX: u64 = 2 * FRAME_BYTES_MAX as u64;

/// See the module.
pub(crate) struct Socket {
    socket: WebSocket,
    traffic: Traffic,
    /// What had been received when the last message was whole.
    whole: u64,
}

/// What came from the tab.
#[derive(Debug)]
pub(super) enum Heard {
    Message(Message),
    /// A message of more bytes than any may have; its rest was not read.
    Oversize,
    End(End),
}

impl Socket {
    pub(crate) fn new(socket: WebSocket, traffic: Traffic) -> Self {
        traffic.take_over();
        let whole = traffic.received();
        Self { socket, traffic, whole }
    }

    /// What comes next. May be dropped and called again without losing anything.
    pub(super) async fn hear(&mut self) -> Heard {
        poll_fn(|cx| match self.socket.poll_next_unpin(cx) {
            Poll::Ready(message) => {
                self.whole = self.traffic.received();
                Poll::Ready(heard(message))
            }
            Poll::Pending if self.traffic.received() > self.whole + UNFINISHED_BYTES_MAX => {
                Poll::Ready(Heard::Oversize)
            }
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

impl Deref for Socket {
    type Target = WebSocket;

    fn deref(&self) -> &WebSocket {
        &self.socket
    }
}

impl DerefMut for Socket {
    fn deref_mut(&mut self) -> &mut WebSocket {
        &mut self.socket
    }
}

/// What a message takes on the wire, its head aside.
pub(super) fn bytes_of(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

fn heard(message: Option<Result<Message, axum::Error>>) -> Heard {
    let error = match message {
        None => return Heard::End(End::Eof),
        Some(Ok(message)) => return Heard::Message(message),
        Some(Err(error)) => error,
    };
    debug!(%error, "session lost while reading");
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Heard::Oversize,
        Some(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Heard::End(End::Eof),
        Some(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => Heard::End(End::Closed),
        Some(tungstenite::Error::Utf8(_) | tungstenite::Error::Protocol(_)) => Heard::End(End::BadMessage),
        _ => Heard::End(End::ReadError),
    }
}
