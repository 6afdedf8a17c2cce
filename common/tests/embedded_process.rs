//! The embedded log against the death of its process and a full disk: this test starts itself again as a child
//! that appends ([`child`]), kills it or takes its disk away, and looks at what is left.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use bellwire_common::ids::{NotificationId, Offset, Shard, UnixMillis, UserId};
use bellwire_common::log::embedded::EmbeddedLog;
use bellwire_common::log::{Event, Reader, Safety, SharedLog, Start};
use bellwire_common::record::{Notify, Record};

const SHARDS: u16 = 2;
const IN_FLIGHT: usize = 16;
const DIR: &str = "BELLWIRE_TEST_DIR";
const ROUND: &str = "BELLWIRE_TEST_ROUND";

fn note(id: &str) -> Bytes {
    let notify = Notify {
        id: NotificationId::try_new(id).unwrap(),
        user: UserId::try_new("7").unwrap(),
        accepted_at: UnixMillis(0),
        expires_at: UnixMillis(1),
        payload: Bytes::from(vec![b'x'; 300]),
    };
    Record::Notify(notify).encode()
}

fn say(line: &str) {
    // One write per line: other tasks write as well, and the process dies at any moment.
    std::io::stdout().write_all(format!("\n@{line}\n").as_bytes()).unwrap();
}

// === the child ===

/// Not a test by itself: what the child runs. Appends until it is killed; says what was confirmed, what failed and what was read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let round = std::env::var(ROUND).unwrap();
    let log = EmbeddedLog::open(Path::new(&dir), SHARDS).unwrap();
    for shard in 0..SHARDS {
        tokio::spawn(echo(shard, log.read(Shard(shard), Start::Offset(Offset(0)))));
    }
    let tasks = (0..IN_FLIGHT).map(|task| tokio::spawn(append(log.clone(), format!("{round}-{task}"), task)));
    futures_util::future::join_all(tasks).await;
}

async fn echo(shard: u16, mut reader: Reader) {
    while let Some(event) = reader.next().await {
        match event {
            Event::Records(records) => {
                for (offset, record) in records {
                    let Record::Notify(notify) = record else { panic!("{record:?}") };
                    say(&format!("read {shard} {offset} {}", notify.id));
                }
            }
            Event::Replaced => say("replaced"),
            Event::CaughtUp | Event::Reattached => {}
        }
    }
}

async fn append(log: SharedLog, name: String, task: usize) {
    let shard = Shard(task as u16 % SHARDS);
    for number in 0.. {
        let id = format!("{name}-{number}");
        let safety = if task % 4 == 3 { Safety::Soft } else { Safety::Safe };
        match log.append(shard, vec![note(&id)], safety).await {
            Ok(()) => say(&format!("ok {shard} {id}")),
            Err(error) => {
                say(&format!("failed {error}"));
                // As ingest would: its caller tries again a little later.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

// === the parent ===

struct Appender {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    ok: Vec<(u16, String)>,
    read: Vec<(u16, u64, String)>,
    failed: Vec<String>,
    replaced: usize,
}

impl Appender {
    fn start(dir: &Path, round: usize) -> Self {
        // A write over the limit on file sizes must fail like a full disk, not kill.
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" --exact child --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .env(DIR, dir)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, ok: Vec::new(), read: Vec::new(), failed: Vec::new(), replaced: 0 }
    }

    /// Takes the next line; false at the end.
    fn step(&mut self) -> bool {
        let Some(line) = self.lines.next() else { return false };
        let Ok(line) = line else { return false };
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["@ok", shard, id] => self.ok.push((shard.parse().unwrap(), id.to_owned())),
            ["@read", shard, offset, id] => {
                self.read.push((shard.parse().unwrap(), offset.parse().unwrap(), id.to_owned()));
            }
            ["@failed", ..] => self.failed.push(line.clone()),
            ["@replaced"] => self.replaced += 1,
            _ => {}
        }
        true
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            assert!(self.step(), "the child ended by itself");
        }
    }

    /// `kill -9`, then what it had said before.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        while self.step() {}
        self.child.wait().unwrap();
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything in a shard, by id.
fn contents(dir: &Path, shard: u16) -> Vec<(u64, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = EmbeddedLog::open(dir, SHARDS).unwrap();
        let mut reader = log.read(Shard(shard), Start::Offset(Offset(0)));
        let mut all = Vec::new();
        loop {
            match reader.next().await.unwrap() {
                Event::Records(records) => all.extend(records.into_iter().map(|(offset, record)| {
                    let Record::Notify(notify) = record else { panic!("{record:?}") };
                    (offset.0, notify.id.as_str().to_owned())
                })),
                Event::CaughtUp => break,
                other => panic!("{other:?}"),
            }
        }
        log.close().await;
        all
    })
}

/// Each confirmed record is there, those of each task in their order; what was read has its offset still.
fn expect(dir: &Path, ok: &[(u16, String)], read: &[(u16, u64, String)]) {
    for shard in 0..SHARDS {
        let all = contents(dir, shard);
        assert!(all.is_sorted_by(|a, b| a.0 < b.0), "offsets of shard {shard} do not grow");
        let offsets: HashMap<_, _> = all.iter().map(|(offset, id)| (id.as_str(), *offset)).collect();
        let mut last: HashMap<&str, u64> = HashMap::new();
        for (_, id) in ok.iter().filter(|(of, _)| *of == shard) {
            let offset = *offsets.get(id.as_str()).unwrap_or_else(|| panic!("{id} was confirmed and is lost"));
            let task = id.rsplit_once('-').unwrap().0;
            assert!(last.insert(task, offset) < Some(offset), "{id} changed places");
        }
        for (_, offset, id) in read.iter().filter(|(of, _, _)| *of == shard) {
            assert_eq!(offsets.get(id.as_str()), Some(offset), "{id} was read at another offset");
        }
    }
}

#[test]
fn kill_9_loses_nothing_confirmed() {
    let dir = TempDir::new().unwrap();
    let (mut ok, mut read) = (Vec::new(), Vec::new());
    let mut highest = 0;
    for round in 0..6 {
        let mut child = Appender::start(dir.path(), round);
        let count = fastrand::usize(1..3000);
        child.until(|child| child.ok.len() >= count);
        child.kill();
        assert!(child.failed.is_empty(), "{:?}", child.failed);
        let own = format!("{round}-");
        let news = child.read.iter().filter(|(_, _, id)| id.starts_with(&own));
        let lowest_new = news.clone().map(|(_, offset, _)| *offset).min().unwrap_or(u64::MAX);
        assert!(lowest_new > highest || round == 0, "offset {lowest_new} was given out again, {highest} was before");
        highest = highest.max(news.map(|(_, offset, _)| *offset).max().unwrap_or(0));
        ok.append(&mut child.ok);
        read.append(&mut child.read);
        expect(dir.path(), &ok, &read);
    }
}

/// `prlimit` lets writes into files fail and lets them succeed again, as a disk does that is full for a while.
fn limit_files(child: &Child, bytes: &str) {
    let pid = child.id().to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    let status = status.expect("no prlimit: run tests/install, or install the Debian package `util-linux`");
    assert!(status.success(), "prlimit {limit}: {status}");
}

#[test]
fn a_full_disk_is_told_and_heals() {
    let dir = TempDir::new().unwrap();
    let mut child = Appender::start(dir.path(), 0);
    child.until(|child| child.ok.len() >= 500);
    for round in 1..=2 {
        limit_files(&child.child, "1000");
        child.until(|child| child.failed.len() >= 100 * round);
        limit_files(&child.child, "unlimited");
        let before = child.ok.len();
        child.until(|child| child.ok.len() >= before + 500);
    }
    let reached = child.ok.len();
    child.until(|child| child.read.len() >= reached);
    child.kill();
    assert!(child.failed.iter().any(|line| line.contains("not known to be written")), "{:?}", child.failed);
    assert!(child.failed.iter().any(|line| line.contains("cannot be reached")), "{:?}", child.failed);
    assert_eq!(child.replaced, 0);
    for shard in 0..SHARDS {
        let offsets: Vec<_> = child.read.iter().filter(|(of, ..)| *of == shard).map(|(_, offset, _)| *offset).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b), "the reader of shard {shard} was given something twice");
    }
    expect(dir.path(), &child.ok, &child.read);
    readers_missed_nothing(dir.path(), &child.read);
}

/// What the child's readers saw is all that is there, up to the last that they saw.
fn readers_missed_nothing(dir: &Path, read: &[(u16, u64, String)]) {
    for shard in 0..SHARDS {
        let seen: Vec<_> = read.iter().filter(|(of, ..)| *of == shard).map(|(_, offset, _)| *offset).collect();
        let last = *seen.last().unwrap();
        let there: Vec<_> = contents(dir, shard).iter().map(|(offset, _)| *offset).filter(|o| *o <= last).collect();
        assert_eq!(seen, there, "the reader of shard {shard} missed something");
    }
}
