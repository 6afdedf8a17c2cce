//! Closed loop: each publisher sends its next notification when the last one was answered and the window has room.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use bellwire_load::http::answer;
use bellwire_load::stamp::Stamp;

use crate::ledger::Ledger;
use crate::publish::{Published, Request};

const ANSWER_DEADLINE: Duration = Duration::from_secs(15);
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Publishes to the ledger's users in turn until `end`, over `publishers` connections.
pub(crate) async fn run(
    ingest: SocketAddr,
    request: &Request,
    ledger: &Arc<Ledger>,
    publishers: u32,
    end: Instant,
) -> anyhow::Result<Published> {
    let mut running = JoinSet::new();
    for first in 0..publishers {
        let stream = TcpStream::connect(ingest).await.context("connecting a publisher")?;
        stream.set_nodelay(true)?;
        stream.set_zero_linger()?;
        let users = (first..).step_by(publishers as usize);
        let publisher = Publisher { stream, request: request.clone(), ledger: Arc::clone(ledger), answer: Vec::new() };
        running.spawn(publisher.run(users, end));
    }
    let mut published = Published::default();
    while let Some(result) = running.join_next().await {
        published.add(result?);
    }
    Ok(published)
}

struct Publisher {
    stream: TcpStream,
    request: Request,
    ledger: Arc<Ledger>,
    answer: Vec<u8>,
}

impl Publisher {
    async fn run(mut self, users: impl Iterator<Item = u32>, end: Instant) -> Published {
        let mut published = Published::default();
        for user in users {
            let left = end.saturating_duration_since(Instant::now());
            // Waiting for the window ends with the measurement, also when nothing arrives any more.
            if left.is_zero() || timeout(left, self.ledger.reserve()).await.is_err() {
                break;
            }
            let user = user % self.ledger.users();
            let stamp = self.ledger.stamp(user, self.ledger.nanos());
            match timeout(ANSWER_DEADLINE, self.publish(user, stamp)).await {
                Ok(Ok(status)) => {
                    published.answered(status, user, stamp);
                    if status != 202 {
                        self.ledger.release();
                    }
                }
                Ok(Err(_)) | Err(_) => {
                    published.unanswered += 1;
                    break;
                }
            }
        }
        published
    }

    async fn publish(&mut self, user: u32, stamp: Stamp) -> anyhow::Result<u16> {
        self.stream.write_all(self.request.fill(user, stamp)).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 || self.answer.len() > ANSWER_BYTES_MAX {
                bail!("no answer");
            }
            if let Some((status, _)) = answer(&self.answer).map_err(|_| anyhow::anyhow!("not an HTTP answer"))? {
                return Ok(status);
            }
        }
    }
}
