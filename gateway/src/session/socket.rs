//! What carries a session, as the session reads and writes it: a WebSocket, or an event stream.

use std::future::poll_fn;
use std::task::Poll;

use axum::extract::ws::{self, CloseFrame, Message};
use futures_util::{SinkExt, StreamExt};
use tracing::debug;
use tungstenite::error::ProtocolError;

use bellwire_common::http::Traffic;

use super::stream::Stream;
use crate::protocol::{End, FRAME_BYTES_MAX, events};

/// What is read before a message is whole: the largest one and the heads of its frames, and as much again for what was
/// read with the message before. A message of endless empty frames would keep us reading, and is never seen.
const UNFINISHED_BYTES_MAX: u64 = 2 * FRAME_BYTES_MAX as u64;

/// What carries a session.
#[expect(clippy::large_enum_variant, reason = "nearly all are WebSockets, and each is in its session's one allocation")]
pub(crate) enum Socket {
    WebSocket(WebSocket),
    Stream(Stream),
}

/// See the module.
pub(crate) struct WebSocket {
    socket: ws::WebSocket,
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
    /// What comes next. May be dropped and called again without losing anything.
    pub(super) async fn hear(&mut self) -> Heard {
        match self {
            Self::WebSocket(socket) => socket.hear().await,
            Self::Stream(stream) => stream.hear().await,
        }
    }

    /// Writes a message, or at least keeps it to be written with those behind it.
    pub(super) async fn feed(&mut self, message: Message) -> Result<(), End> {
        match (self, message) {
            (Self::WebSocket(socket), message) => written(socket.socket.feed(message).await),
            (Self::Stream(stream), Message::Text(text)) => stream.feed(None, &text).await,
            // A stream has nothing but messages.
            (Self::Stream(_), _) => Ok(()),
        }
    }

    /// Writes what is kept.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        match self {
            Self::WebSocket(socket) => written(socket.socket.flush().await),
            Self::Stream(stream) => stream.flush().await,
        }
    }

    /// Tells the tab that the session is over.
    pub(super) async fn close(&mut self, code: u16, reason: &'static str) -> Result<(), End> {
        let last = match self {
            Self::WebSocket(_) => Message::Close(Some(CloseFrame { code, reason: reason.into() })),
            Self::Stream(_) => Message::text(events::close(code, reason)),
        };
        self.feed(last).await?;
        self.flush().await
    }
}

impl WebSocket {
    pub(crate) fn new(socket: ws::WebSocket, traffic: Traffic) -> Self {
        traffic.take_over();
        let whole = traffic.received();
        Self { socket, traffic, whole }
    }

    async fn hear(&mut self) -> Heard {
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

fn written(result: Result<(), axum::Error>) -> Result<(), End> {
    result.map_err(|error| {
        debug!(%error, "session lost while writing");
        End::WriteError
    })
}
