//! The delivery state machine: what one record costs to fold, and one session to be asked for.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};

use bellwire_common::ids::{BrowserId, NodeId, NotificationId, Offset, SessionId, UnixMillis, UserId};
use bellwire_common::record::{Entry, Notify, Opened, Record, Report};
use bellwire_gateway::delivery::{Limits, Machine, Position, Touched};

const NODE: NodeId = NodeId(1);
const USERS: u64 = 10_000;
/// Records that are folded in one measurement, so that its own cost does not count.
const BATCH: u64 = 1000;
const TTL_MS: u64 = 600_000;
const START: UnixMillis = UnixMillis(1_760_000_000_000);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("delivery");
    group.throughput(Throughput::Elements(BATCH));
    // A browser that is here, and a user without any.
    fold(&mut group, "notify_open", &notifies(0), &[]);
    fold(&mut group, "notify_away", &notifies(USERS), &[]);
    // The everyday round: notified, sent, confirmed.
    let confirmed: Vec<Record> = (0..BATCH).map(|i| report(i + 2, confirmed(i))).collect();
    fold(&mut group, "confirmed", &confirmed, &notifies(0));
    let opened: Vec<Record> = (0..BATCH).map(|i| report(i + 2, opened(USERS + i))).collect();
    fold(&mut group, "opened", &opened, &[]);
    next(&mut group);
    group.finish();
    criterion.final_summary();
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

/// Folds `records` into a machine that has every user's tab open and has folded `before`.
fn fold(group: &mut Group<'_>, name: &str, records: &[Record], before: &[Record]) {
    group.bench_function(name, |bencher| {
        bencher.iter_batched(
            || (World::with(before), records.to_vec()),
            |(mut world, records)| {
                for record in records {
                    world.push(record);
                }
                // Dropped outside the measurement.
                world
            },
            BatchSize::PerIteration,
        );
    });
}

fn next(group: &mut Group<'_>) {
    let world = World::with(&notifies(0));
    let ask = |i: u64| world.machine.next(session(i), Position::default(), 16);
    assert_eq!(ask(0).held.len(), 1, "the tab's notification");
    assert_eq!(ask(BATCH).held.len(), 0, "nothing for others");
    group.bench_function("next", |bencher| {
        bencher.iter(|| (0..BATCH).map(|i| black_box(ask(i)).held.len()).sum::<usize>());
    });
    group.bench_function("next_nothing", |bencher| {
        bencher.iter(|| (BATCH..2 * BATCH).map(|i| black_box(ask(i)).held.len()).sum::<usize>());
    });
}

struct World {
    machine: Machine<()>,
    offset: u64,
    touched: Touched,
}

impl World {
    /// All tabs open, and then `records`.
    fn with(records: &[Record]) -> Self {
        let limits =
            Limits { resume_ms: TTL_MS, browsers: 16, user_entries: 1000, user_bytes: 1 << 20, shard_bytes: 1 << 30 };
        let mut world = Self { machine: Machine::new(limits, NODE), offset: 0, touched: Touched::default() };
        let entries = (0..USERS).map(opened).chain([Entry::Beat { number: 1 }]).collect();
        world.push(Record::Report(Report { node: NODE, number: 1, at: START, entries }));
        for record in records {
            world.push(record.clone());
        }
        world
    }

    fn push(&mut self, record: Record) {
        self.machine.apply(Offset(self.offset), record, || (), &mut self.touched);
        self.offset += 1;
        // The driver takes it in batches as well.
        if self.offset.is_multiple_of(64) {
            self.touched = Touched::default();
        }
    }
}

fn notifies(first_user: u64) -> Vec<Record> {
    let payload = Bytes::from(vec![b'x'; 350]);
    let notify = |i: u64| {
        Record::Notify(Notify {
            id: NotificationId::try_new(&format!("00000000-0000-4000-8000-{i:012x}")).expect("a valid id"),
            user: user(first_user + i),
            accepted_at: START,
            expires_at: START.plus(TTL_MS),
            payload: payload.clone(),
        })
    };
    (0..BATCH).map(notify).collect()
}

fn report(number: u64, entry: Entry) -> Record {
    Record::Report(Report { node: NODE, number, at: START, entries: vec![entry] })
}

fn opened(number: u64) -> Entry {
    Entry::Opened(Opened {
        session: number,
        user: user(number),
        browser: BrowserId::try_new("00000000-0000-4000-8000-000000000001").expect("a valid id"),
        since: None,
        cursor: None,
        from: None,
        stalled: false,
        digests: false,
    })
}

/// The tab of user `i` has its notification: the openings are one record, the notifications come next.
fn confirmed(i: u64) -> Entry {
    Entry::Confirmed { session: i, upto: Offset(1 + i) }
}

fn user(number: u64) -> UserId {
    UserId::try_new(&(1_000_001 + number).to_string()).expect("a valid id")
}

fn session(number: u64) -> SessionId {
    SessionId { node: NODE, number }
}
