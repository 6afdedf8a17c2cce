//! A tab without a browser: what `bellwire check` and `bellwire doctor` listen with, in the native protocol.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::Message;

use bellwire_common::ids::CHECK_USER;
use bellwire_common::settings::Secret;
use bellwire_gateway::protocol::NATIVE_SUBPROTOCOL;

use crate::dial::{DialError, Socket, Trust, dial};
use crate::place::Place;

/// For the farewell, which nothing depends on.
const BYE_WITHIN: Duration = Duration::from_secs(1);

/// Why a tab hears nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TabError {
    /// There is no connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server ended the session, with a code and its word.
    #[error("ended the session with {0} {1}")]
    Closed(u16, String),
    /// The connection is gone without a word.
    #[error("the connection is gone: {0}")]
    Gone(String),
    /// What was expected did not come in time.
    #[error("said nothing of what was expected in time")]
    Late,
}

/// An open tab of [`CHECK_USER`].
pub(crate) struct Tab {
    socket: Socket,
}

impl Tab {
    /// Connects as a browser of [`CHECK_USER`] and waits for the greeting.
    pub(crate) async fn open(
        place: &Place,
        trust: Option<&Trust>,
        key: &Secret,
        browser: &str,
        until: Instant,
    ) -> Result<Self, TabError> {
        let subprotocols = format!("{NATIVE_SUBPROTOCOL}, {}", key.expose());
        let socket = dial(place, &subprotocols, trust, until).await?;
        let mut tab = Self { socket };
        tab.say(&json!({ "op": "hello", "user": CHECK_USER, "browser": browser })).await?;
        while tab.hear(until).await?["op"] != "welcome" {}
        Ok(tab)
    }

    /// The next message; pings are answered on the way. May be dropped and called again without losing anything.
    pub(crate) async fn hear(&mut self, until: Instant) -> Result<Value, TabError> {
        loop {
            let message = timeout_at(until, self.socket.next()).await.map_err(|_| TabError::Late)?;
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                    return Err(TabError::Closed(code, reason));
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(TabError::Gone(error.to_string())),
                None => return Err(TabError::Gone("it ended".into())),
            };
            // What is no JSON is of a version to come, as far as a client can know.
            let said: Value = serde_json::from_str(&text).unwrap_or_default();
            if said["op"] != "ping" {
                return Ok(said);
            }
            self.say(&json!({ "op": "pong" })).await?;
        }
    }

    /// Says a message.
    pub(crate) async fn say(&mut self, message: &Value) -> Result<(), TabError> {
        let sent = self.socket.send(Message::text(message.to_string())).await;
        sent.map_err(|error| TabError::Gone(error.to_string()))
    }

    /// Acknowledges up to this notification's cursor and leaves, so that the gateway has read it before.
    pub(crate) async fn leave(mut self, cursor: Option<&Value>) {
        let bye = async {
            if let Some(cursor) = cursor {
                self.say(&json!({ "op": "ack", "cursor": cursor })).await?;
            }
            self.socket.close(None).await.map_err(|error| TabError::Gone(error.to_string()))?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok::<(), TabError>(())
        };
        let _ = timeout(BYE_WITHIN, bye).await;
    }
}
