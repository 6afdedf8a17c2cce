//! A server that V2 pages cannot cope with: it ends the first connection with a closing handshake.

use std::net::SocketAddr;

use anyhow::Result;
use futures_util::{SinkExt, StreamExt};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const GREETING: &str = r#"{"type":"ConnectionEstablished","message":"Connected","payload":{"clientUuid":"c"}}"#;

/// Says hello and goodbye to the first connection, and hands all others to another server. Dropping it ends them all.
#[derive(Debug)]
pub struct Farewell {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Farewell {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let mut is_first = true;
            while let Ok((client, _)) = listener.accept().await {
                if std::mem::take(&mut is_first) {
                    connections.spawn(part(client));
                } else {
                    connections.spawn(hand_on(client, target));
                }
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn part(client: TcpStream) {
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(client, choose).await else { return };
    let goodbye = CloseFrame { code: CloseCode::Away, reason: "".into() };
    let _ = socket.send(Message::text(GREETING)).await;
    let _ = socket.send(Message::Close(Some(goodbye))).await;
    // To the page's answer: only then it is a closing handshake.
    while let Some(Ok(_)) = socket.next().await {}
}

async fn hand_on(mut client: TcpStream, target: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(target).await {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

#[expect(clippy::result_large_err, reason = "the type is the library's")]
fn choose(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("access_token"));
    Ok(response)
}
