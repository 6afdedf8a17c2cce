//! Open loop: notifications leave by the clock, whatever the server does.
//!
//! One thread of its own writes, because the runtime's timer counts in milliseconds. A notification's latency
//! counts from the time at which it was meant to be sent, so a server that holds up the generator does not
//! hide it.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::task::JoinSet;

use bellwire_load::http::answer;
use bellwire_load::stamp::Stamp;

use crate::ledger::{Ledger, histogram};
use crate::publish::{Published, Request};

/// Publishes under way at the same time, at most. At 1,000/s they let each take 250 ms.
const CONNECTIONS: usize = 256;
/// A server that answers none of them for so long has failed.
const ANSWER_DEADLINE: Duration = Duration::from_secs(15);
const ANSWER_BYTES: usize = 1024;

/// What a paced run has seen.
#[derive(Debug)]
pub(crate) struct Paced {
    pub(crate) published: Published,
    /// How late each notification left, in nanoseconds: the generator's own fault, or no free connection.
    pub(crate) lateness: Histogram<u64>,
}

/// Connection and status; none when the connection failed.
type Answer = (usize, Option<u16>);

/// Publishes `rate` per second for `length`, to the ledger's users in turn.
pub(crate) async fn run(
    ingest: SocketAddr,
    request: &Request,
    ledger: &Arc<Ledger>,
    rate: u32,
    length: Duration,
) -> anyhow::Result<Paced> {
    let (sender, answers) = channel();
    let mut readers = JoinSet::new();
    let mut lines = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let (line, read) = connect(ingest).await.context("connecting a publisher")?;
        readers.spawn(read_answers(read, number, sender.clone()));
        lines.push(line);
    }
    drop(sender);
    let pacer = Pacer {
        lines,
        answers,
        free: (0..CONNECTIONS).collect(),
        under_way: vec![None; CONNECTIONS],
        request: request.clone(),
        ledger: Arc::clone(ledger),
        paced: Paced { published: Published::default(), lateness: histogram() },
    };
    tokio::task::spawn_blocking(move || pacer.run(rate, length)).await?
}

async fn connect(ingest: SocketAddr) -> anyhow::Result<(TcpStream, OwnedReadHalf)> {
    let stream = tokio::net::TcpStream::connect(ingest).await?;
    stream.set_nodelay(true)?;
    stream.set_zero_linger()?;
    let line = stream.into_std()?;
    let (read, write) = tokio::net::TcpStream::from_std(line.try_clone()?)?.into_split();
    // The pacer writes on its own handle.
    write.forget();
    Ok((line, read))
}

async fn read_answers(mut read: OwnedReadHalf, number: usize, answers: Sender<Answer>) {
    let mut bytes = Vec::with_capacity(ANSWER_BYTES);
    loop {
        let status = match read.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => None,
            Ok(_) => match answer(&bytes) {
                Ok(None) => continue,
                Ok(Some((status, len))) => {
                    bytes.drain(..len);
                    Some(status)
                }
                Err(_) => None,
            },
        };
        if answers.send((number, status)).is_err() || status.is_none() {
            return;
        }
    }
}

struct Pacer {
    lines: Vec<TcpStream>,
    answers: Receiver<Answer>,
    free: Vec<usize>,
    under_way: Vec<Option<(u32, Stamp)>>,
    request: Request,
    ledger: Arc<Ledger>,
    paced: Paced,
}

impl Pacer {
    fn run(mut self, rate: u32, length: Duration) -> anyhow::Result<Paced> {
        wake_in_time();
        let begun = self.ledger.nanos();
        let count = (length.as_secs_f64() * f64::from(rate)) as u64;
        for i in 0..count {
            let nanos = begun + i * 1_000_000_000 / u64::from(rate);
            self.wait_until(self.ledger.at(nanos));
            let line = self.free_line()?;
            self.send(line, (i % u64::from(self.ledger.users())) as u32, nanos)?;
        }
        while self.under_way.iter().any(Option::is_some) {
            let answer = self.answers.recv_timeout(ANSWER_DEADLINE).context("the last publishes are not answered")?;
            self.book(answer);
        }
        Ok(self.paced)
    }

    /// Books answers until it is time.
    fn wait_until(&mut self, at: Instant) {
        loop {
            match self.answers.recv_timeout(at.saturating_duration_since(Instant::now())) {
                Ok(answer) => self.book(answer),
                Err(RecvTimeoutError::Timeout) => return,
                // Every connection has failed; `free_line` says so.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn free_line(&mut self) -> anyhow::Result<usize> {
        loop {
            if let Some(line) = self.free.pop() {
                return Ok(line);
            }
            let answer = self.answers.recv_timeout(ANSWER_DEADLINE).context("no publish is answered any more")?;
            self.book(answer);
        }
    }

    fn send(&mut self, line: usize, user: u32, nanos: u64) -> anyhow::Result<()> {
        ensure!(self.ledger.try_reserve(), "too many deliveries are under way");
        let stamp = self.ledger.stamp(user, nanos);
        let bytes = self.request.fill(user, stamp);
        self.paced.lateness.saturating_record(self.ledger.nanos() - nanos);
        // The socket does not block, and an answered connection's buffer is empty: it takes all or has failed.
        let written = self.lines[line].write(bytes).is_ok_and(|n| n == bytes.len());
        self.under_way[line] = Some((user, stamp));
        if !written {
            self.book((line, None));
        }
        Ok(())
    }

    fn book(&mut self, (line, status): Answer) {
        let under_way = self.under_way[line].take();
        match (under_way, status) {
            (Some((user, stamp)), Some(status)) => {
                self.paced.published.answered(status, user, stamp);
                if status != 202 {
                    self.ledger.release();
                }
                self.free.push(line);
            }
            (Some(_), None) => self.paced.published.unanswered += 1,
            // An idle connection was closed: it is not used again.
            (None, _) => self.free.retain(|free| *free != line),
        }
    }
}

/// The kernel may wake a thread 50 µs late, a third of what is measured here. Where it cannot be told to be
/// exact, the report's lateness shows it.
fn wake_in_time() {
    if let Ok(thread) = std::fs::read_link("/proc/thread-self")
        && let Some(number) = thread.file_name()
    {
        let _ = std::fs::write(std::path::Path::new("/proc").join(number).join("timerslack_ns"), "1");
    }
}
