//! An event stream as the session writes it, and what its client says meanwhile.
//!
//! As with a WebSocket little is kept for a slow tab: one piece that is being filled, one that waits to be taken, and what the
//! HTTP server holds before it asks for more.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use futures_util::stream::poll_fn;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::debug;

use bellwire_common::http::Traffic;

use super::socket::Heard;
use crate::protocol::{End, events};

/// Messages are joined in one piece up to this many bytes.
const PIECE_BYTES: usize = 4 * 1024;

/// See the module.
pub(crate) struct Stream {
    /// Its other end is the body of the answer, which goes when the connection ends.
    out: Sender<Bytes>,
    said: Receiver<Utf8Bytes>,
    piece: Vec<u8>,
    traffic: Traffic,
}

impl Stream {
    /// The stream and the body of the answer that carries it. `said` brings what its client says.
    pub(crate) fn new(said: Receiver<Utf8Bytes>, traffic: Traffic) -> (Self, Body) {
        let (out, mut pieces) = mpsc::channel(1);
        let pieces = poll_fn(move |cx| pieces.poll_recv(cx).map(|piece| piece.map(Ok::<Bytes, Infallible>)));
        (Self { out, said, piece: events::PREAMBLE.into(), traffic }, Body::from_stream(pieces))
    }

    /// What comes next. May be dropped and called again without losing anything.
    pub(super) async fn hear(&mut self) -> Heard {
        tokio::select! {
            // Its last words count, though the connection has ended behind them.
            biased;
            Some(text) = self.said.recv() => Heard::Message(Message::Text(text)),
            () = self.out.closed() => Heard::End(self.lost()),
        }
    }

    /// Writes a message; `id` is a notification's cursor.
    pub(super) async fn feed(&mut self, id: Option<&str>, message: &str) -> Result<(), End> {
        events::event(&mut self.piece, id, message);
        if self.piece.len() >= PIECE_BYTES { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let Ok(place) = self.out.reserve().await else { return Err(self.lost()) };
        place.send(Bytes::from(std::mem::take(&mut self.piece)));
        Ok(())
    }

    fn lost(&self) -> End {
        let end = if self.traffic.is_stuck() { End::WriteTimeout } else { End::Eof };
        debug!(reason = end.reason(), "event stream lost");
        end
    }
}
