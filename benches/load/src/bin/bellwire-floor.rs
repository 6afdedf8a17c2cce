//! The floor: from an HTTP publish to a WebSocket tab by a bare tokio program. No queue, no authentication,
//! no durability, no check of anything. What a real server costs beyond this is the price of what it does.
//!
//! It speaks as much of the handshakes as the load generator needs, greets every tab, and forwards the body of
//! each `POST` as it is to every connection of the user it names. Loopback only.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::task::ready;

use anyhow::{Context, ensure};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use bellwire_load::frame::{TEXT, put_server_frame};
use bellwire_load::http::{BadHead, Head};

const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}";

type Tab = Arc<Mutex<OwnedWriteHalf>>;
type Users = Arc<RwLock<HashMap<String, Vec<Tab>>>>;

thread_local! {
    // One for all connections of a thread: a connection that waits holds no buffer.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).context("usage: bellwire-floor 127.0.0.1:PORT")?;
    let address: SocketAddr = address.parse().context("the address is not an IP address with a port")?;
    ensure!(address.ip().is_loopback(), "the floor checks nothing: it listens on loopback only");
    let listener = TcpListener::bind(address).await?;
    let users = Users::default();
    loop {
        let (stream, _) = listener.accept().await?;
        // A connection's error ends that connection; there is nobody to tell.
        tokio::spawn(serve(stream, Arc::clone(&users)));
    }
}

async fn serve(stream: TcpStream, users: Users) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.into_split();
    let mut waiting = Vec::new();
    while more(&mut read, &mut waiting).await? {
        while let Some(request) = Request::take(&mut waiting)? {
            match request {
                Request::Publish { user, body } => publish(&users, &user, &body).await,
                Request::Upgrade { user, answer } => {
                    write.write_all(&answer).await?;
                    return tab(read, Arc::new(Mutex::new(write)), &users, &user).await;
                }
            }
            write.write_all(ACCEPTED).await?;
        }
    }
    Ok(())
}

/// Holds a tab until its end, and ignores what it says.
async fn tab(mut read: OwnedReadHalf, write: Tab, users: &Users, user: &str) -> io::Result<()> {
    users.write().unwrap_or_else(|e| e.into_inner()).entry(user.to_owned()).or_default().push(Arc::clone(&write));
    while receive(&mut read, |_| ()).await.is_ok_and(|n| n > 0) {}
    let mut users = users.write().unwrap_or_else(|e| e.into_inner());
    if let Some(tabs) = users.get_mut(user) {
        tabs.retain(|tab| !Arc::ptr_eq(tab, &write));
    }
    Ok(())
}

async fn publish(users: &Users, user: &str, body: &[u8]) {
    let tabs = users.read().unwrap_or_else(|e| e.into_inner()).get(user).cloned().unwrap_or_default();
    let mut frame = Vec::with_capacity(body.len() + 4);
    put_server_frame(&mut frame, TEXT, body);
    for tab in tabs {
        // A tab that is gone is taken out by its own task.
        let _ = tab.lock().await.write_all(&frame).await;
    }
}

enum Request {
    Publish { user: String, body: Vec<u8> },
    Upgrade { user: String, answer: Vec<u8> },
}

impl Request {
    /// Takes the next whole request off the front of what was read.
    fn take(waiting: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let bad = |_: BadHead| io::Error::from(io::ErrorKind::InvalidData);
        let Some(head) = Head::read(waiting).map_err(bad)? else { return Ok(None) };
        let len = head.len + head.body_len().map_err(bad)?;
        if waiting.len() < len {
            return Ok(None);
        }
        let request = match head.header("sec-websocket-key") {
            Some(key) => Self::Upgrade { user: user_of_line(head.line()), answer: upgrade(&head, key) },
            None => {
                let body = waiting[head.len..len].to_vec();
                Self::Publish { user: between(&String::from_utf8_lossy(&body), "\"user\":\"", '"'), body }
            }
        };
        waiting.drain(..len);
        Ok(Some(request))
    }
}

fn upgrade(head: &Head<'_>, key: &str) -> Vec<u8> {
    let accept = derive_accept_key(key.as_bytes());
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n"
    );
    let protocol = head.header("sec-websocket-protocol").and_then(|all| all.split(',').next()).unwrap_or_default();
    if !protocol.is_empty() {
        answer.push_str(&format!("sec-websocket-protocol: {protocol}\r\n"));
    }
    answer.push_str("\r\n");
    let greeting = match protocol {
        "access_token" => {
            r#"{"type":"ConnectionEstablished","message":"","payload":{"clientUuid":"00000000-0000-4000-8000-000000000000"}}"#
        }
        "" => r#"{"type":"connection","message":"","data":{"uuid":"00000000-0000-4000-8000-000000000000"}}"#,
        _ => r#"{"op":"welcome"}"#,
    };
    let mut answer = answer.into_bytes();
    put_server_frame(&mut answer, TEXT, greeting.as_bytes());
    answer
}

/// The generator names the user of every tab in the query, also where the protocol names it in a message.
fn user_of_line(line: &str) -> String {
    between(line, "userId=", '&')
}

fn between(text: &str, start: &str, end: char) -> String {
    let value = text.split_once(start).map_or("", |(_, rest)| rest);
    value.split([end, ' ']).next().unwrap_or_default().to_owned()
}

/// Appends what has arrived to `waiting`; false at the end of the connection.
async fn more(read: &mut OwnedReadHalf, waiting: &mut Vec<u8>) -> io::Result<bool> {
    Ok(receive(read, |bytes| waiting.extend_from_slice(bytes)).await? > 0)
}

async fn receive(read: &mut OwnedReadHalf, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
    poll_fn(|cx| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *read).poll_read(cx, &mut buffer))?;
            take(buffer.filled());
            Ok(buffer.filled().len()).into()
        })
    })
    .await
}
