//! What every notification pays on both sides: reading and checking the request, and the record's envelope.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};

use bellwire_common::ids::{BrowserId, NodeId, NotificationId, Offset, UnixMillis, UserId};
use bellwire_common::notification::{Draft, check};
use bellwire_common::record::{Entry, Notify, Opened, Record, Report};

const NOW: UnixMillis = UnixMillis(1_760_000_000_000);
const TTL_MS: u64 = 600_000;
/// Openings that a gateway reports together while ten thousand tabs connect per second: those of 20 ms, one of
/// four shards.
const OPENED: u64 = 50;

const REQUEST: &str = r#"{"user":"1000001","timestamp":1760000000,"kind":"service","type":"PROBLEM","state":2,"host":{"id":"c36b8048-93ce-4385-ac19-ab5c90574b77","name":"db-07.example.org"},"service":{"id":"74fd8f59-1348-4e16-85f0-4a5c57c7dd62","name":"Disk usage"},"output":"DISK CRITICAL - free space: / 1024 MiB (4% inode=98%); /var 20480 MiB"}"#;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    notification(&mut criterion);
    envelope(&mut criterion, "notify", &notify());
    envelope(&mut criterion, "report_opened", &report());
    criterion.final_summary();
}

fn notification(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("notification");
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));
    group.bench_function("check", |bencher| {
        bencher.iter(|| {
            let draft: Draft<'_> = serde_json::from_str(black_box(REQUEST)).expect("valid JSON");
            check(&draft, NOW, TTL_MS).expect("a valid notification")
        });
    });
    group.finish();
}

fn envelope(criterion: &mut Criterion, name: &str, record: &Record) {
    let bytes = record.encode();
    let mut group = criterion.benchmark_group(format!("record/{name}"));
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| black_box(record).encode()));
    group.bench_function("decode", |bencher| bencher.iter(|| Record::decode(black_box(bytes.clone()))));
    group.finish();
}

fn notify() -> Record {
    let draft: Draft<'_> = serde_json::from_str(REQUEST).expect("valid JSON");
    let checked = check(&draft, NOW, TTL_MS).expect("a valid notification");
    Record::Notify(Notify {
        id: NotificationId::try_new("0d9ba6ae-5c5e-4a4b-93a7-ad5dd3b4ad9f").expect("a valid id"),
        user: checked.user,
        accepted_at: NOW,
        expires_at: checked.expires_at,
        payload: Bytes::from(serde_json::to_vec(&checked.notification).expect("a notification is JSON")),
    })
}

fn report() -> Record {
    let opened = |session: u64| {
        Entry::Opened(Opened {
            session,
            user: UserId::try_new(&format!("{}", 1_000_001 + session)).expect("a valid id"),
            browser: BrowserId::try_new(&format!("00000000-0000-4000-8000-{session:012x}")).expect("a valid id"),
            since: None,
            cursor: Some(Offset(session)),
            from: Some(Offset(1_000_000)),
            stalled: false,
            digests: false,
        })
    };
    Record::Report(Report { node: NodeId(7), number: 1, at: NOW, entries: (0..OPENED).map(opened).collect() })
}
