//! WebDriver BiDi: commands and events as JSON over a WebSocket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A page that hangs answers when it is done.
const ANSWER_DEADLINE: Duration = Duration::from_secs(90);

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection to a browser.
#[derive(Debug)]
pub(super) struct Bidi {
    sink: tokio::sync::Mutex<SplitSink<Stream, Message>>,
    last: AtomicU64,
    shared: Arc<Shared>,
    reader: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    events: Mutex<Vec<Value>>,
}

impl Bidi {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let (stream, _) = tokio_tungstenite::connect_async(url).await.with_context(|| url.to_owned())?;
        let (sink, mut source) = stream.split();
        let shared = Arc::new(Shared::default());
        let reading = Arc::clone(&shared);
        let reader = tokio::spawn(async move {
            while let Some(Ok(message)) = source.next().await {
                if let Message::Text(text) = message
                    && let Ok(value) = serde_json::from_str(&text)
                {
                    reading.take(value);
                }
            }
            // Whoever waits learns that nothing comes any more.
            reading.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        Ok(Self { sink: tokio::sync::Mutex::new(sink), last: AtomicU64::new(0), shared, reader })
    }

    /// Sends a command and returns its result.
    pub(super) async fn command(&self, method: &str, params: &Value) -> Result<Value> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        let command = json!({ "id": id, "method": method, "params": params });
        self.sink.lock().await.send(Message::text(command.to_string())).await.context("the browser is gone")?;
        let answer = timeout(ANSWER_DEADLINE, answered).await;
        let mut answer =
            answer.with_context(|| format!("{method}: no answer"))?.with_context(|| format!("{method}: gone"))?;
        if answer["type"] != "success" {
            bail!("{method} {params}: {}: {}", answer["error"], answer["message"]);
        }
        Ok(answer["result"].take())
    }

    /// The events since the last call.
    pub(super) fn events(&self) -> Vec<Value> {
        std::mem::take(&mut self.shared.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Bidi {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Shared {
    fn take(&self, message: Value) {
        let Some(id) = message["id"].as_u64() else {
            self.events.lock().unwrap_or_else(PoisonError::into_inner).push(message);
            return;
        };
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(waiting) = waiting {
            // Who has given up waiting needs no answer.
            let _ = waiting.send(message);
        }
    }
}
