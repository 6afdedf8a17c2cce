use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;

use super::*;
use crate::ids::{Offset, UnixMillis};
use crate::log::Event;
use crate::log::embedded::disk::DiskHistory;
use crate::log::feed::{History, HistoryError};
use crate::record::{Record, Status};

const FIRST: Shard = Shard(0);
const ALL: Start = Start::Offset(Offset(0));

fn record(version: u64, bytes: usize) -> Bytes {
    Record::Status(Status::try_new("k", version, Bytes::from(vec![b'1'; bytes])).unwrap()).encode()
}

fn open(dir: &TempDir) -> EmbeddedLog {
    EmbeddedLog::open_as(dir.path(), 2, Layout::default()).unwrap()
}

async fn fill(log: &EmbeddedLog, versions: Range<u64>) {
    for result in join_all(versions.map(|n| log.append(FIRST, vec![record(n, 200)], Safety::Safe))).await {
        result.unwrap();
    }
}

async fn contents(log: &EmbeddedLog, start: Start) -> Vec<(u64, u64)> {
    let mut reader = log.read(FIRST, start);
    let mut all = Vec::new();
    loop {
        match reader.next().await.unwrap() {
            Event::Records(records) => all.extend(records.into_iter().map(|(offset, record)| match record {
                Record::Status(status) => (offset.0, status.version),
                other => panic!("{other:?}"),
            })),
            Event::CaughtUp => return all,
            other => panic!("{other:?}"),
        }
    }
}

fn numbers(range: Range<u64>) -> Vec<(u64, u64)> {
    range.map(|n| (n, n)).collect()
}

#[tokio::test]
async fn a_second_opener_is_refused_with_the_directory() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    let error = EmbeddedLog::open(dir.path(), 2).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    drop(first);
    open(&dir);
}

#[tokio::test]
async fn another_number_of_shards_is_refused_with_what_to_do() {
    let dir = TempDir::new().unwrap();
    open(&dir).close().await;
    let error = EmbeddedLog::open(dir.path(), 5).unwrap_err();
    assert!(matches!(error, OpenError::Shards { made: 2, wanted: 5, .. }), "{error:?}");
    assert!(error.to_string().contains("set shards to 2"), "{error}");
    open(&dir);
}

#[tokio::test]
async fn a_directory_that_cannot_be_is_told() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = EmbeddedLog::open(&file.join("log"), 2).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
}

#[tokio::test]
async fn a_creation_that_died_in_the_middle_is_made_anew() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("log.new")).unwrap();
    std::fs::write(dir.path().join("log.new/0.jnl"), "half").unwrap();
    fill(&open(&dir), 0..1).await;
}

#[tokio::test]
async fn directories_above_are_made_too() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(&dir.path().join("a/b/c"), 2).unwrap();
    assert!(dir.path().join("a/b/c/log").is_dir());
    drop(log);
    layout::make_dirs(dir.path()).unwrap();
    layout::make_dirs(Path::new(".")).unwrap();
}

#[tokio::test]
async fn each_directory_is_a_log_of_its_own() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let name = open(&one).name(FIRST);
    assert_eq!(open(&one).name(FIRST), name);
    assert_ne!(open(&other).name(FIRST), name);
}

#[tokio::test]
async fn offsets_go_on_after_a_close_and_skip_after_a_crash() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    fill(&log, 0..10).await;
    log.close().await;
    drop(log);
    let log = open(&dir);
    fill(&log, 10..20).await;
    assert_eq!(contents(&log, ALL).await, numbers(0..20));
    drop(log);
    let log = open(&dir);
    fill(&log, 20..21).await;
    let last = contents(&log, ALL).await[20];
    assert!(last.0 > 20 && last.1 == 20, "{last:?}");
}

type Tear = Box<dyn Fn(&mut Vec<u8>)>;

/// Cuts and garbles the end of the journal as a crash of the machine may leave it.
#[tokio::test]
async fn a_torn_tail_is_cut_and_offsets_still_grow() {
    let written = written_length().await;
    let tears: [(&str, Tear); 10] = [
        ("cut in the trailer", Box::new(move |journal| journal.truncate(written - 2))),
        ("cut in the checksum", Box::new(move |journal| journal.truncate(written - 9))),
        ("cut in the value", Box::new(move |journal| journal.truncate(written - 100))),
        ("cut in the head", Box::new(move |journal| journal.truncate(written - 245))),
        ("wrong trailer", Box::new(move |journal| journal[written - 1] ^= 0x55)),
        ("wrong checksum", Box::new(move |journal| journal[written - 8] ^= 0x55)),
        ("wrong value", Box::new(move |journal| journal[written - 60] ^= 0x55)),
        ("zeros in the value", Box::new(move |journal| journal[written - 150..written - 40].fill(0))),
        ("zeros at the end", Box::new(move |journal| journal[written - 40..].fill(0))),
        ("wrong length", Box::new(move |journal| journal[written - 225..written - 221].fill(0xff))),
    ];
    for (what, tear) in tears {
        let (dir, journal) = ten_records().await;
        let mut bytes = std::fs::read(&journal).unwrap();
        tear(&mut bytes);
        std::fs::write(&journal, bytes).unwrap();
        let (log, said) = listening(|| open(&dir));
        assert!(said.contains("WARN") && said.contains("is cut off"), "{what}: {said}");
        assert_eq!(contents(&log, ALL).await, numbers(0..9), "{what}");
        fill(&log, 50..51).await;
        let last = *contents(&log, ALL).await.last().unwrap();
        assert!(last.0 > 9 && last.1 == 50, "{what}: {last:?}");
    }
}

/// Not a torn tail: what follows was complete, and may have been synced and confirmed.
#[tokio::test]
async fn damage_before_complete_batches_is_told_and_what_is_cut_is_kept() {
    let (dir, journal) = ten_records().await;
    let written = written_length().await;
    let whole = std::fs::read(&journal).unwrap();
    for (round, copy) in ["0.jnl.damaged", "0.jnl.damaged.1"].into_iter().enumerate() {
        let mut bytes = whole.clone();
        // In the value of the seventh of ten records of the same length; the three behind it stay whole.
        let record = written / 10;
        bytes[written - 3 * record - 60] ^= 0x55;
        std::fs::write(&journal, &bytes).unwrap();
        let (log, said) = listening(|| open(&dir));
        let first_lost = contents(&log, ALL).await.len() as u64;
        assert!((5..=7).contains(&first_lost), "{first_lost}");
        assert_eq!(contents(&log, ALL).await, numbers(0..first_lost), "{round}");
        let kept = std::fs::read(dir.path().join("log").join(copy)).unwrap();
        assert!(said.contains("ERROR") && said.contains(copy), "{said}");
        assert!(said.contains(&format!("cut_bytes={}", kept.len())) && said.contains("check the disk"), "{said}");
        assert_eq!(kept, bytes[written - kept.len()..written]);
        drop(log);
    }
    fill(&open(&dir), 20..21).await;
}

#[tokio::test]
async fn garbage_behind_the_end_is_cut_and_nothing_else() {
    let (dir, journal) = ten_records().await;
    let written = written_length().await;
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes.truncate(written);
    bytes.extend([0xa7; 500]);
    bytes.extend([0; 5000]);
    std::fs::write(&journal, bytes).unwrap();
    let (log, said) = listening(|| open(&dir));
    assert!(said.contains("cut_bytes=500"), "{said}");
    assert_eq!(contents(&log, ALL).await, numbers(0..10));
    drop(log);
    let (_, said) = listening(|| open(&dir));
    assert!(!said.contains("is cut off"), "a whole journal is left alone: {said}");
}

/// A log of ten commits, left without a close, and its journal.
async fn ten_records() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    for n in 0..10 {
        log.append(FIRST, vec![record(n, 200)], Safety::Safe).await.unwrap();
    }
    drop(log);
    let journal = dir.path().join("log/0.jnl");
    (dir, journal)
}

/// How far the journal of [`ten_records`] is written.
async fn written_length() -> usize {
    let (_dir, journal) = ten_records().await;
    let bytes = std::fs::read(journal).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

/// What was logged while `run` ran in this thread.
fn listening<T>(run: impl FnOnce() -> T) -> (T, String) {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let result = tracing::subscriber::with_default(subscriber, run);
    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    (result, said)
}

const SMALL: Layout = Layout { memtable_bytes: 64 * 1024, shard_disk_bytes_max: 512 * 1024, retention_seconds: 3600 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_goes_at_the_byte_limit_and_offsets_still_grow() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open_as(dir.path(), 2, SMALL).unwrap();
    let mut next = 0;
    while contents(&log, ALL).await.first().is_none_or(|(offset, _)| *offset < 2000) {
        fill(&log, next..next + 500).await;
        next += 500;
        assert!(next < 100_000, "nothing is ever dropped");
    }
    let all = contents(&log, ALL).await;
    assert_eq!(all, numbers(all[0].0..next), "what is kept has a hole");

    let history = DiskHistory::new(log.disk.clone(), 0);
    let gone = history.read(Offset(1), Some(Offset(0))).await;
    assert!(matches!(gone, Err(HistoryError::Gone)), "a reader that fell behind must know: {gone:?}");
    drop(history);
    log.close().await;
    drop(log);

    let log = EmbeddedLog::open_as(dir.path(), 2, SMALL).unwrap();
    fill(&log, next..next + 1).await;
    let all = contents(&log, ALL).await;
    assert_eq!(all, numbers(all[0].0..next + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_goes_when_its_time_is_over_and_offsets_still_grow() {
    let dir = TempDir::new().unwrap();
    let layout = Layout { retention_seconds: 1, ..SMALL };
    let log = EmbeddedLog::open_as(dir.path(), 2, layout).unwrap();
    let mut next = 0;
    while contents(&log, ALL).await.first().is_none_or(|(offset, _)| *offset == 0) {
        fill(&log, next..next + 100).await;
        next += 100;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(next < 100_000, "nothing is ever dropped");
    }
    drop(log);
    // Everything in tables is too old by now, or soon; what is left of the log must not begin anew.
    let log = EmbeddedLog::open_as(dir.path(), 2, layout).unwrap();
    fill(&log, next..next + 1).await;
    let last = *contents(&log, ALL).await.last().unwrap();
    assert!(last.0 >= next && last.1 == next, "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_start_anywhere_meet_the_live_end_without_gap_or_repeat() {
    let dir = TempDir::new().unwrap();
    let log = Arc::new(EmbeddedLog::open_as(dir.path(), 2, SMALL).unwrap());
    fill(&log, 0..1).await;
    let total = 1500;
    let writer = tokio::spawn({
        let log = log.clone();
        async move {
            for n in (1..total).step_by(5) {
                // Large enough that the ring gives up what slow readers still want.
                let records = (n..n + 5).map(|n| record(n, 1000)).collect();
                log.append(FIRST, records, if n % 2 == 0 { Safety::Safe } else { Safety::Soft }).await.unwrap();
            }
        }
    });
    let readers = (0..20).map(|n| {
        let log = log.clone();
        tokio::spawn(async move {
            let from = contents(&log, ALL).await.len() as u64 * n / 20;
            let mut reader = log.read(FIRST, Start::Offset(Offset(from)));
            let mut expected = from;
            while expected < total {
                if let Event::Records(records) = reader.next().await.unwrap() {
                    for (offset, _) in records {
                        assert_eq!(offset.0, expected);
                        expected += 1;
                    }
                }
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn a_time_is_found_on_disk() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    let mut times = Vec::new();
    for n in 0..20 {
        fill(&log, n * 10..n * 10 + 10).await;
        times.push(UnixMillis::now());
        while UnixMillis::now() <= times[n as usize] {
            std::thread::yield_now();
        }
    }
    drop(log);
    let log = open(&dir);
    for (n, time) in times.iter().enumerate() {
        let found = contents(&log, Start::Time(time.plus(1))).await;
        assert_eq!(found, numbers((n as u64 + 1) * 10..200));
    }
    assert_eq!(contents(&log, Start::Time(UnixMillis(0))).await.len(), 200);
}
