//! Tabs: the client side of each protocol on one socket and one task, without a buffer of its own.

mod native;
mod page;
mod v1;
mod v2;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use bellwire_load::stamp::Stamp;

use crate::ledger::Ledger;

use self::page::Page;

/// How tabs talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    V1,
    V2,
    Native,
}

/// What the tabs of a measurement have in common.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) protocol: Protocol,
    pub(crate) gateways: Vec<SocketAddr>,
    pub(crate) key: String,
    /// Makes browsers of different plans different.
    pub(crate) salt: u32,
    /// Whether the page asks for notifications when it is greeted.
    pub(crate) register: bool,
    pub(crate) users: u32,
    pub(crate) tabs_per_user: u32,
}

/// A connection that was greeted.
#[derive(Debug)]
pub(crate) struct Tab {
    stream: TcpStream,
    page: Page,
}

/// The first numbers of users are left to people who try things on the same server. All have seven digits.
const USER_FIRST: u32 = 1_000_001;
const OPEN_DEADLINE: Duration = Duration::from_secs(20);
/// One address and port reach one server over 28,232 local ports; each ten thousand get a source of their own.
const TABS_PER_SOURCE: u32 = 10_000;
/// Connections that are opened at the same time.
pub(crate) const OPENERS: u32 = 64;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { buffer: vec![0; 256 * 1024], found: Vec::new() });
}

/// What all tabs of a thread use in turn.
struct Scratch {
    buffer: Vec<u8>,
    found: Vec<(Stamp, usize)>,
}

impl Protocol {
    /// The protocol of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::V1, Self::V2, Self::Native].into_iter().find(|protocol| protocol.name() == name)
    }

    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Native => "native",
        }
    }
}

impl Plan {
    /// How many tabs it has in all.
    pub(crate) fn tabs(&self) -> u32 {
        self.users * self.tabs_per_user
    }

    fn browser(&self, tab: u32) -> String {
        format!("{:08x}-0000-4000-8000-{tab:012x}", self.salt)
    }

    fn user(&self, tab: u32) -> String {
        user(tab / self.tabs_per_user)
    }
}

/// The text id of a user by its place in the ledger.
pub(crate) fn user(place: u32) -> String {
    (USER_FIRST + place).to_string()
}

/// Opens all tabs of a plan.
pub(crate) async fn open_all(plan: &Arc<Plan>) -> anyhow::Result<Vec<Tab>> {
    let mut openers = JoinSet::new();
    for first in 0..OPENERS.min(plan.tabs()) {
        let plan = Arc::clone(plan);
        openers.spawn(async move {
            let mut tabs = Vec::new();
            for number in (first..plan.tabs()).step_by(OPENERS as usize) {
                tabs.push(Tab::open(&plan, number).await.with_context(|| format!("opening tab {number}"))?);
            }
            anyhow::Ok(tabs)
        });
    }
    let mut tabs = Vec::with_capacity(plan.tabs() as usize);
    while let Some(opened) = openers.join_next().await {
        tabs.extend(opened??);
    }
    Ok(tabs)
}

/// Lets tabs live until the set is dropped.
pub(crate) fn run_all(tabs: Vec<Tab>, ledger: &Arc<Ledger>) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for tab in tabs {
        running.spawn(tab.run(Arc::clone(ledger)));
    }
    running
}

impl Tab {
    /// Connects and goes as far as the server's greeting, and the page's answer to it.
    pub(crate) async fn open(plan: &Arc<Plan>, number: u32) -> anyhow::Result<Self> {
        timeout(OPEN_DEADLINE, Self::connect(plan, number)).await.context("no greeting in time")?
    }

    async fn connect(plan: &Arc<Plan>, number: u32) -> anyhow::Result<Self> {
        let gateway = plan.gateways[number as usize % plan.gateways.len()];
        let mut stream = connect(gateway, number / TABS_PER_SOURCE).await?;
        let page = Page::new(Arc::clone(plan), number);
        stream.write_all(page.request(gateway).as_bytes()).await?;
        let mut tab = Self { stream, page };
        while !tab.page.greeted() {
            ensure!(tab.receive(None).await? > 0, "the server closed before its greeting");
            tab.flush().await?;
        }
        Ok(tab)
    }

    /// Reads and answers until the task is aborted; an earlier end is booked.
    pub(crate) async fn run(mut self, ledger: Arc<Ledger>) {
        loop {
            let alive = match self.receive(Some(&ledger)).await {
                Ok(bytes) => bytes > 0 && self.flush().await.is_ok(),
                Err(error) => {
                    if error.kind() == io::ErrorKind::InvalidData {
                        ledger.bad_frame();
                    }
                    false
                }
            };
            if !alive {
                ledger.tab_ended();
                return;
            }
        }
    }

    /// Reads once, and books what is complete. Zero bytes are the end.
    async fn receive(&mut self, ledger: Option<&Ledger>) -> io::Result<usize> {
        let Self { stream, page } = self;
        poll_fn(|cx| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(&mut scratch.buffer);
                // Not `try_read`: this learns from a short read that nothing more waits, and saves a system call.
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
                page.arrived(buffer.filled(), &mut scratch.found, ledger)?;
                Ok(buffer.filled().len()).into()
            })
        })
        .await
    }

    async fn flush(&mut self) -> io::Result<()> {
        let answers = self.page.answers();
        if !answers.is_empty() {
            self.stream.write_all(answers).await?;
            answers.clear();
        }
        Ok(())
    }
}

async fn connect(gateway: SocketAddr, source: u32) -> anyhow::Result<TcpStream> {
    let socket = if gateway.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if source > 0 && gateway.is_ipv4() {
        let source = Ipv4Addr::new(127, 0, 0, 1 + source as u8);
        socket.bind((source, 0).into()).with_context(|| format!("using the source address {source}"))?;
    }
    let stream = socket.connect(gateway).await?;
    stream.set_nodelay(true)?;
    // Tabs by the ten thousand, opened again at once, would use up the local ports in TIME_WAIT.
    stream.set_zero_linger()?;
    Ok(stream)
}
