//! Browser tabs: what the front ends send and how they react, without the browser around them.
//!
//! A tab is lively unless told otherwise. It can be made a *hung page* (the browser answers pings, the page does
//! nothing), *mute* (nothing reads the connection any more), or *cut* (the connection is gone without a word).

mod page;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::certs::{self, Connection};
use page::Page;

/// What native tabs ask for, spelled as they spell it.
pub const NATIVE_SUBPROTOCOL: &str = "bellwire.v1";

/// Long enough for anything on a machine that builds something else at the same time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Which front end the tab runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// openITCOCKPIT up to 5.3: registers on each `connection`; never comes back.
    V1,
    /// openITCOCKPIT's newer one: registers on each `ConnectionEstablished`; comes back 3 s after an unclean end.
    V2,
    /// Bellwire's own.
    Native,
}

/// All of them.
pub const FRONTS: [Front; 3] = [Front::V1, Front::V2, Front::Native];

/// Whose tab it is and where it connects.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Which front end.
    pub front: Front,
    /// The user; a positive number for V1 and V2.
    pub user: String,
    /// The browser's id.
    pub browser: String,
    /// The shared key.
    pub key: String,
    /// Where the n-th connection goes, in turn, as a load balancer would spread them.
    pub addresses: Vec<SocketAddr>,
    /// How it speaks TLS; none: it does not.
    pub tls: Option<Arc<ClientConfig>>,
    /// Headers of the handshake beside those of the protocol, in lower case: cookies, an origin.
    pub headers: Vec<(&'static str, String)>,
    /// What V2 waits before it comes back; 3 s in the real front end.
    pub reconnect_after: Duration,
}

/// One shown notification.
#[derive(Debug, Clone)]
pub struct Shown {
    /// When the page had it.
    pub at: Instant,
    /// What the notification's first line would say.
    pub title: String,
    /// What the notification's text would say.
    pub body: String,
    /// The whole frame.
    pub frame: Value,
}

/// What a tab has seen so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Notifications in the order of arrival.
    pub shown: Vec<Shown>,
    /// Other frames, in the order of arrival.
    pub others: Vec<Value>,
    /// Registrations (V1, V2) or acknowledgements (native) that were sent.
    pub proofs: usize,
    /// Text frames that reached the browser, those included that a hung page did not handle.
    pub frames: usize,
    /// Pings that the browser answered.
    pub pings: usize,
    /// Greetings, those included that are repeated for a proof.
    pub greeted: usize,
    /// When each connection was made.
    pub connected_at: Vec<Instant>,
    /// How connections ended: the close code, or none for an end without a close frame.
    pub ends: Vec<Option<u16>>,
    /// The tab itself was closed.
    pub closed: bool,
    /// Frames that the real front end would have choked on.
    pub faults: Vec<String>,
    /// Where a native browser would go on after a restart.
    pub cursor: Option<Value>,
}

/// An open tab. Dropping it cuts the connection.
#[derive(Debug)]
pub struct Tab {
    seen: Arc<watch::Sender<()>>,
    state: Arc<Mutex<Seen>>,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
    name: String,
}

#[derive(Debug)]
enum Order {
    KeepAlive,
    Send(String),
    Hang,
    Mute,
    Close,
}

impl Profile {
    /// A browser of a user at one node.
    #[must_use]
    pub fn new(front: Front, user: &str, browser: &str, address: SocketAddr) -> Self {
        Self {
            front,
            user: user.to_owned(),
            browser: browser.to_owned(),
            key: crate::bellwire::KEY.to_owned(),
            addresses: vec![address],
            tls: None,
            headers: Vec::new(),
            reconnect_after: Duration::from_secs(3),
        }
    }

    /// One more header of the handshake.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Opens a tab and waits until the server has greeted it and knows what it wants.
    pub async fn open(&self) -> Result<Tab> {
        let tab = self.start();
        tab.wait("a greeting", |seen| seen.greeted > 0).await?;
        tab.settle().await?;
        Ok(tab)
    }

    /// Opens a tab without waiting for anything.
    #[must_use]
    pub fn start(&self) -> Tab {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (seen, state) = (Arc::new(watch::channel(()).0), Arc::default());
        let browser = Browser { profile: self.clone(), seen: Arc::clone(&seen), state: Arc::clone(&state), inbox };
        let name = format!("{:?} tab of browser {} of user {}", self.front, self.browser, self.user);
        Tab { seen, state, orders, task: tokio::spawn(browser.live()), name }
    }

    fn request(&self, address: SocketAddr) -> Result<Request> {
        let mut request = match self.front {
            Front::V2 => format!("ws://{address}/push_notifications?userId={}&browserUuid={}", self.user, self.browser),
            _ => format!("ws://{address}/push_notifications"),
        }
        .into_client_request()?;
        for (name, value) in &self.headers {
            request.headers_mut().append(*name, HeaderValue::from_str(value)?);
        }
        let subprotocols = match self.front {
            Front::V1 => return Ok(request),
            Front::V2 => format!("access_token, {}", self.key),
            Front::Native => format!("bellwire.v1, {}", self.key),
        };
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(&subprotocols)?);
        Ok(request)
    }
}

impl Tab {
    /// What the tab has seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        lock(&self.state).clone()
    }

    /// Titles of the shown notifications, in order.
    #[must_use]
    pub fn titles(&self) -> Vec<String> {
        lock(&self.state).shown.iter().map(|shown| shown.title.clone()).collect()
    }

    /// Waits until at least `n` notifications were shown and returns all of them.
    pub async fn wait_shown(&self, n: usize) -> Result<Vec<Shown>> {
        self.wait(&format!("{n} notifications"), |seen| seen.shown.len() >= n).await.map(|seen| seen.shown)
    }

    /// Waits until what it has seen is enough. Fails at once on a frame that the real front end would choke on.
    pub async fn wait(&self, what: &str, enough: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let mut grown = self.seen.subscribe();
        let look = async {
            loop {
                let seen = self.seen();
                ensure!(seen.faults.is_empty(), "{}: {:?}", self.name, seen.faults);
                if enough(&seen) {
                    return Ok(seen);
                }
                grown.changed().await?;
            }
        };
        match timeout(PATIENCE, look).await {
            Ok(seen) => seen,
            Err(_) => bail!("{}: not {what} within {PATIENCE:?}; saw {:#?}", self.name, self.seen()),
        }
    }

    /// Waits until the server has handled everything that the tab has sent: its answer to a keep-alive proves it.
    pub async fn settle(&self) -> Result<()> {
        let before = self.seen().pongs();
        self.order(Order::KeepAlive)?;
        self.wait("an answer to a keep-alive", |seen| seen.pongs() > before).await?;
        Ok(())
    }

    /// Sends any text as the page.
    pub fn send(&self, text: &str) -> Result<()> {
        self.order(Order::Send(text.to_owned()))
    }

    /// From now on the page handles nothing; its browser still answers pings.
    pub fn hang(&self) -> Result<()> {
        self.order(Order::Hang)
    }

    /// From now on nothing is read from the connection, which stays open.
    pub fn mute(&self) -> Result<()> {
        self.order(Order::Mute)
    }

    /// Closes the tab as a browser does: with a close frame.
    pub async fn close(self) -> Result<Seen> {
        self.order(Order::Close)?;
        self.wait("its end", |seen| seen.closed).await
    }

    /// The connection is gone without a word, and so is the tab.
    pub async fn cut(self) -> Seen {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
        self.seen()
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders.send(order).ok().with_context(|| format!("{} has ended: {:?}", self.name, self.seen().ends))
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn pongs(&self) -> usize {
        self.others.iter().filter(|frame| page::is_keep_alive(frame)).count()
    }
}

fn lock(state: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The task behind a [`Tab`].
struct Browser {
    profile: Profile,
    seen: Arc<watch::Sender<()>>,
    state: Arc<Mutex<Seen>>,
    inbox: mpsc::UnboundedReceiver<Order>,
}

/// What follows the end of a connection.
enum Next {
    Reconnect(Duration),
    Over,
}

/// The native client's first pause; the real one grows it.
const NATIVE_RECONNECT: Duration = Duration::from_millis(300);

impl Browser {
    async fn live(mut self) {
        for address in self.profile.addresses.clone().into_iter().cycle() {
            match self.connection(address).await {
                Next::Over => return,
                Next::Reconnect(pause) => sleep(pause).await,
            }
        }
    }

    async fn connection(&mut self, address: SocketAddr) -> Next {
        let end = match self.connect(address).await {
            Ok(socket) => self.converse(socket).await,
            Err(_) => Some(End::Unclean),
        };
        let Some(end) = end else { return Next::Over };
        let code = if let End::Clean(code) = end { Some(code) } else { None };
        self.note(|seen| seen.ends.push(code));
        match (self.profile.front, end) {
            // A close frame completes V2's stream for good (openITCOCKPIT facts, "reconnect trap").
            (Front::V1, _) | (Front::V2, End::Clean(_)) => Next::Over,
            (Front::V2, End::Unclean) => Next::Reconnect(self.profile.reconnect_after),
            (Front::Native, End::Clean(code)) if !page::may_come_back(code) => Next::Over,
            (Front::Native, _) => Next::Reconnect(NATIVE_RECONNECT),
        }
    }

    async fn connect(&self, address: SocketAddr) -> Result<WebSocketStream<Connection>> {
        let stream = certs::connect(address, self.profile.tls.as_ref()).await?;
        let (socket, response) = client_async(self.profile.request(address)?, stream).await?;
        let chosen = response.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
        let asked = match self.profile.front {
            Front::V1 => None,
            Front::V2 => Some("access_token"),
            Front::Native => Some(NATIVE_SUBPROTOCOL),
        };
        if chosen != asked {
            self.note(|seen| seen.faults.push(format!("subprotocol {chosen:?}, a browser wants {asked:?}")));
        }
        Ok(socket)
    }

    /// One connection; none when the tab itself was closed.
    async fn converse(&mut self, mut socket: WebSocketStream<Connection>) -> Option<End> {
        self.note(|seen| seen.connected_at.push(Instant::now()));
        let cursor = lock(&self.state).cursor.clone();
        let mut page = Page::new(&self.profile, cursor);
        let (mut hung, mut closing) = (false, false);
        let first = if self.profile.front == Front::V2 { KEEP_ALIVE_V2_FIRST } else { KEEP_ALIVE };
        let mut keep_alive = interval_at(Instant::now() + first, KEEP_ALIVE);
        for text in page.on_open() {
            if socket.send(Message::text(text)).await.is_err() {
                return Some(End::Unclean);
            }
        }
        loop {
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let replies = self.note(|seen| {
                            seen.frames += 1;
                            if hung || closing { Vec::new() } else { page.on_text(&text, seen) }
                        });
                        for reply in replies {
                            if socket.send(Message::text(reply)).await.is_err() {
                                return Some(End::Unclean);
                            }
                        }
                    }
                    Some(Ok(Message::Ping(_))) => {
                        self.note(|seen| seen.pings += 1);
                        // The answer waits in the socket until something is sent.
                        if socket.flush().await.is_err() {
                            return Some(End::Unclean);
                        }
                    }
                    Some(Ok(Message::Close(frame))) if !closing => {
                        let _ = socket.flush().await;
                        return Some(End::Clean(frame.map_or(1005, |frame| frame.code.into())));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None if closing => {
                        self.note(|seen| seen.closed = true);
                        return None;
                    }
                    Some(Err(_)) | None => return Some(End::Unclean),
                },
                _ = keep_alive.tick(), if !hung => {
                    if let Some(text) = page.keep_alive() {
                        let _ = socket.send(Message::text(text)).await;
                    }
                }
                order = self.inbox.recv() => match order? {
                    Order::KeepAlive => {
                        if let Some(text) = page.keep_alive() {
                            let _ = socket.send(Message::text(text)).await;
                        }
                    }
                    Order::Send(text) => drop(socket.send(Message::text(text)).await),
                    Order::Hang => hung = true,
                    Order::Mute => std::future::pending().await,
                    Order::Close => {
                        closing = true;
                        let _ = socket.close(Some(CloseFrame { code: 1001.into(), reason: "".into() })).await;
                    }
                },
            }
        }
    }

    fn note<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let result = change(&mut lock(&self.state));
        self.seen.send_replace(());
        result
    }
}

enum End {
    Clean(u16),
    Unclean,
}

const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_V2_FIRST: Duration = Duration::from_secs(10);
