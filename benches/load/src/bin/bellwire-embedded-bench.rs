//! How much the logs of the single binary take: appends a second, and how long one takes.
//!
//! `bellwire-embedded-bench [DIR]`: durable in a new directory under DIR (default: the current one), and in memory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use hdrhistogram::Histogram;

use bellwire_common::ids::{NotificationId, Offset, Shard, UnixMillis, UserId};
use bellwire_common::log::embedded::EmbeddedLog;
use bellwire_common::log::memory::MemoryLog;
use bellwire_common::log::{Event, Safety, SharedLog, Start};
use bellwire_common::record::{Notify, Record};

const SHARDS: u16 = 4;
const RECORD_BYTES: usize = 400;
const RUN: Duration = Duration::from_secs(3);
const RATES: [u64; 2] = [1000, 10_000];
const IN_FLIGHT: [usize; 3] = [1, 256, 1024];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let under = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dir = under.join(format!("bellwire-embedded-bench.{}", std::process::id()));
    println!(
        "{:10} {:>16} {:>10} {:>8} {:>8} {:>8} {:>8}  rss",
        "log", "load", "per s", "p50 ms", "p99 ms", "max ms", "failed"
    );
    bare_disk(&dir.with_extension("file"))?.show("disk", "write, fdatasync");
    let log = EmbeddedLog::open(&dir, SHARDS)?;
    measure("durable", &log).await?;
    log.close().await;
    drop(log);
    let start = Instant::now();
    EmbeddedLog::open(&dir, SHARDS)?.close().await;
    println!("{:10} opened and closed again in {} ms", "durable", start.elapsed().as_millis());
    std::fs::remove_dir_all(&dir).context("removing what was written")?;
    measure("memory", &MemoryLog::new(SHARDS)).await
}

async fn measure(name: &str, log: &SharedLog) -> anyhow::Result<()> {
    let read = Arc::new(AtomicU64::new(0));
    for shard in 0..SHARDS {
        let (mut reader, read) = (log.read(Shard(shard), Start::Offset(Offset(0))), read.clone());
        tokio::spawn(async move {
            while let Some(event) = reader.next().await {
                if let Event::Records(records) = event {
                    read.fetch_add(records.len() as u64, Ordering::Relaxed);
                }
            }
        });
    }
    let mut appended = 0;
    for rate in RATES {
        let tally = paced(log, rate).await?;
        appended += tally.show(name, &format!("{rate}/s"));
    }
    for tasks in IN_FLIGHT {
        let tally = flat_out(log, tasks).await?;
        appended += tally.show(name, &format!("{tasks} in flight"));
    }
    while read.load(Ordering::Relaxed) < appended {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

struct Tally {
    micros: Histogram<u64>,
    failed: u64,
    took: Duration,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { micros: Histogram::new(3)?, failed: 0, took: Duration::ZERO })
    }

    /// Prints a line; returns how many were appended.
    fn show(&self, name: &str, load: &str) -> u64 {
        let count = self.micros.len();
        let millis = |micros: u64| micros as f64 / 1000.0;
        println!(
            "{name:10} {load:>16} {:>10.0} {:>8.2} {:>8.2} {:>8.2} {:>8}  {} MB",
            count as f64 / self.took.as_secs_f64(),
            millis(self.micros.value_at_quantile(0.5)),
            millis(self.micros.value_at_quantile(0.99)),
            millis(self.micros.max()),
            self.failed,
            resident_megabytes(),
        );
        count
    }
}

/// What the disk alone takes for one record: no log can be faster with one in flight.
fn bare_disk(path: &Path) -> anyhow::Result<Tally> {
    let mut file = std::fs::File::create_new(path)?;
    let mut tally = Tally::new()?;
    let begin = Instant::now();
    while begin.elapsed() < RUN / 3 {
        let start = Instant::now();
        file.write_all(&record(0))?;
        file.sync_data()?;
        tally.micros.record(start.elapsed().as_micros() as u64)?;
    }
    tally.took = begin.elapsed();
    std::fs::remove_file(path)?;
    Ok(tally)
}

/// An open loop: each append has its time, whether the one before has ended or not. What it takes is counted from the
/// call, because the runtime's timer is a millisecond late by itself.
async fn paced(log: &SharedLog, rate: u64) -> anyhow::Result<Tally> {
    let begin = Instant::now();
    let total = rate * RUN.as_secs();
    let mut pending = Vec::new();
    for n in 0..total {
        let due = begin + Duration::from_nanos(1_000_000_000 * n / rate);
        tokio::time::sleep_until(due.into()).await;
        let start = Instant::now();
        let append = log.append(Shard((n % u64::from(SHARDS)) as u16), vec![record(n)], Safety::Safe);
        pending.push(tokio::spawn(async move { append.await.map(|()| start.elapsed()) }));
    }
    let mut tally = Tally::new()?;
    for result in pending {
        match result.await? {
            Ok(took) => tally.micros.record(took.as_micros() as u64)?,
            Err(_) => tally.failed += 1,
        }
    }
    tally.took = begin.elapsed();
    Ok(tally)
}

/// A closed loop: each task appends again as soon as its append has ended.
async fn flat_out(log: &SharedLog, tasks: usize) -> anyhow::Result<Tally> {
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut tally = Tally::new()?;
                let shard = Shard((task % usize::from(SHARDS)) as u16);
                for n in 0.. {
                    let start = Instant::now();
                    if begin.elapsed() > RUN {
                        break;
                    }
                    match log.append(shard, vec![record(n)], Safety::Safe).await {
                        Ok(()) => tally.micros.record(start.elapsed().as_micros() as u64)?,
                        Err(_) => tally.failed += 1,
                    }
                    // The log in memory never makes a task wait, so readers would not get their turn.
                    tokio::task::yield_now().await;
                }
                anyhow::Ok(tally)
            })
        })
        .collect();
    let mut sum = Tally::new()?;
    for task in running {
        let tally = task.await??;
        sum.micros.add(tally.micros)?;
        sum.failed += tally.failed;
    }
    sum.took = begin.elapsed();
    Ok(sum)
}

fn record(n: u64) -> Bytes {
    let head = |payload| Notify {
        id: NotificationId::try_new(&format!("{n:016}")).expect("digits"),
        user: UserId::try_new("1000").expect("digits"),
        accepted_at: UnixMillis::now(),
        expires_at: UnixMillis::now(),
        payload,
    };
    let empty = Record::Notify(head(Bytes::new())).encode().len();
    Record::Notify(head(Bytes::from(vec![b'x'; RECORD_BYTES - empty]))).encode()
}

fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
