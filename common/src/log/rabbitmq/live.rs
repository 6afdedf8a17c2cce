//! A connection that stands, and what those who use it do when something on it fails.
//!
//! All shards share a connection, so a failure ends it only when the connection itself has failed. What the broker
//! answers to one channel is that shard's own trouble: the channel goes, and if the broker says that something is
//! missing, the connection's keeper is asked to declare it anew.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::{Connection, ErrorKind, Event};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::dial::Socket;

/// For a connection to open a channel after something else on it was not answered. A broker that lives does it in
/// milliseconds.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);

pub(super) const ACCESS_REFUSED: u16 = 403;
pub(super) const NOT_FOUND: u16 = 404;
pub(super) const PRECONDITION_FAILED: u16 = 406;

/// A connection that stands, with everything declared.
pub(super) struct Live {
    pub(super) connection: Connection,
    socket: Socket,
    /// Why it is given up; the first reason counts.
    reason: OnceLock<String>,
    given_up: Notify,
    mend: mpsc::Sender<String>,
}

/// How far a failure goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The broker says that something is not there.
    Missing,
    /// One channel's.
    Channel,
    Connection,
}

impl Fault {
    pub(super) fn of(error: &lapin::Error) -> Self {
        match (soft_code(error), error.kind()) {
            (Some(NOT_FOUND), _) => Self::Missing,
            (Some(_), _) | (None, ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidChannel(_)) => Self::Channel,
            (None, _) => Self::Connection,
        }
    }
}

/// What the broker answered to a channel, where the error is such an answer.
pub(super) fn soft_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(answer) if error.is_amqp_soft_error() => Some(answer.get_id()),
        _ => None,
    }
}

/// Whether a connection is sound although something on it was not answered.
pub(super) async fn answers(connection: &Connection) -> bool {
    matches!(timeout(ANSWER_DEADLINE, connection.create_channel()).await, Ok(Ok(_)))
}

impl Live {
    /// The connection, and what its keeper is asked to mend.
    pub(super) fn new(connection: Connection, socket: Socket) -> (Self, mpsc::Receiver<String>) {
        let (mend, wishes) = mpsc::channel(1);
        (Self { connection, socket, reason: OnceLock::new(), given_up: Notify::new(), mend }, wishes)
    }

    /// Ends the connection without asking the broker, which may not answer; a new one is made.
    pub(super) fn give_up(&self, reason: &str) {
        let _ = self.reason.set(reason.to_owned());
        self.socket.shut();
        self.given_up.notify_one();
    }

    /// Asks for everything to be declared anew.
    pub(super) fn mend(&self, reason: &str) {
        // One wish is enough: it is for everything.
        let _ = self.mend.try_send(reason.to_owned());
    }

    /// For what failed with an error.
    pub(super) fn on_error(&self, what: &str, error: &lapin::Error) {
        match Fault::of(error) {
            Fault::Missing => self.mend(&format!("{what}: {error}")),
            Fault::Channel => {}
            Fault::Connection => self.give_up(&format!("{what}: {error}")),
        }
    }

    /// For what was not answered in time: one stream's leader may be away while the connection is sound.
    pub(super) async fn on_silence(&self, reason: &str) {
        if !answers(&self.connection).await {
            self.give_up(reason);
        }
    }

    /// Waits for the end of the connection, and says why it came.
    pub(super) async fn lost(&self) -> String {
        let mut events = std::pin::pin!(self.connection.events_listener());
        let mut error = None;
        while self.connection.status().connected() {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Error(told)) => error = Some(told.to_string()),
                    Some(_) => {}
                    None => break,
                },
                () = self.given_up.notified() => break,
            }
        }
        // The cause may be told a moment before or after the end.
        while let Some(Some(event)) = events.next().now_or_never() {
            if let Event::Error(told) = event {
                error = Some(told.to_string());
            }
        }
        self.socket.shut();
        self.reason.get().cloned().or(error).unwrap_or_else(|| "it was closed".to_owned())
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use lapin::protocol::AMQPError;

    use super::*;

    fn answer(code: u16) -> lapin::Error {
        ErrorKind::ProtocolError(AMQPError::from_id(code, "text".into()).unwrap()).into()
    }

    /// One bad stream must not take the connection of all shards down.
    #[test]
    fn only_what_the_connection_suffers_from_ends_it() {
        assert_eq!(Fault::of(&answer(NOT_FOUND)), Fault::Missing);
        for code in [ACCESS_REFUSED, PRECONDITION_FAILED] {
            assert_eq!(Fault::of(&answer(code)), Fault::Channel);
        }
        let closed = ErrorKind::InvalidChannelState(lapin::ChannelState::Closed, "publish").into();
        assert_eq!(Fault::of(&closed), Fault::Channel);
        let reset = ErrorKind::IOError(Arc::new(io::ErrorKind::ConnectionReset.into())).into();
        for error in [answer(320), answer(541), reset, ErrorKind::ChannelsLimitReached.into()] {
            assert_eq!(Fault::of(&error), Fault::Connection, "{error}");
        }
    }
}
