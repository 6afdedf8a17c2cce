//! Who has received what: every measurement is also a test.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use bellwire_load::stamp::Stamp;

/// The books of one set of tabs, over all the runs that they are used for.
#[derive(Debug)]
pub(crate) struct Ledger {
    epoch: Instant,
    run: AtomicU32,
    /// For each tab what it has received in this run.
    tabs: Vec<Mutex<Seen>>,
    tabs_per_user: u32,
    /// For each user how many notifications were published in this run.
    published: Vec<AtomicU32>,
    window: Semaphore,
    receipts: Mutex<Receipts>,
    bad_frames: AtomicU64,
    ended: AtomicU64,
}

#[derive(Debug, Default)]
struct Seen {
    run: u32,
    bits: Vec<u64>,
}

#[derive(Debug)]
struct Receipts {
    first: u64,
    repeated: u64,
    bytes: u64,
    last_nanos: u64,
    latency: Histogram<u64>,
}

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Notifications that tabs got for the first time.
    pub(crate) received: u64,
    /// Accepted, but not received by a tab that should have it.
    pub(crate) lost: u64,
    /// Received by a tab more than once, or in another run than its own.
    pub(crate) repeated: u64,
    /// Connections that ended, over all runs of these tabs.
    pub(crate) ended: u64,
    /// Frames that no server may send, over all runs of these tabs.
    pub(crate) bad_frames: u64,
    /// Mean size of a notification's frame payload.
    pub(crate) frame_bytes: u64,
    /// From the run's start to the last delivery.
    pub(crate) span: Duration,
    /// From the time at which a notification was meant to be sent to its receipt, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

/// Latencies from 1 µs to 2 min at three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1000, 120_000_000_000, 3).unwrap_or_else(|_| {
        unreachable!("the bounds are constants and valid");
    });
    histogram.auto(false);
    histogram
}

impl Ledger {
    /// Books for `users` users with `tabs_per_user` tabs each.
    pub(crate) fn new(users: u32, tabs_per_user: u32) -> Self {
        Self {
            epoch: Instant::now(),
            run: AtomicU32::new(0),
            tabs: (0..users * tabs_per_user).map(|_| Mutex::default()).collect(),
            tabs_per_user,
            published: (0..users).map(|_| AtomicU32::new(0)).collect(),
            window: Semaphore::new(0),
            receipts: Mutex::new(Receipts::new()),
            bad_frames: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        }
    }

    /// How many users there are.
    pub(crate) fn users(&self) -> u32 {
        self.published.len() as u32
    }

    /// How many tabs each user has.
    pub(crate) fn tabs_per_user(&self) -> u32 {
        self.tabs_per_user
    }

    /// The generator's clock.
    pub(crate) fn nanos(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// The generator's clock as an instant.
    pub(crate) fn at(&self, nanos: u64) -> Instant {
        self.epoch + Duration::from_nanos(nanos)
    }

    /// Starts a run in which at most `window` deliveries are under way. Only between runs.
    pub(crate) fn begin(&self, window: u32) {
        self.window.forget_permits(usize::MAX);
        self.window.add_permits(window as usize);
        for published in &self.published {
            published.store(0, Relaxed);
        }
        *lock(&self.receipts) = Receipts::new();
        self.run.fetch_add(1, Relaxed);
    }

    /// Waits until another notification may be under way, and reserves its deliveries.
    pub(crate) async fn reserve(&self) {
        // The semaphore is never closed.
        if let Ok(permit) = self.window.acquire_many(self.tabs_per_user).await {
            permit.forget();
        }
    }

    /// Reserves at once if the window allows it.
    pub(crate) fn try_reserve(&self) -> bool {
        self.window.try_acquire_many(self.tabs_per_user).map(|permit| permit.forget()).is_ok()
    }

    /// Gives back what was reserved for a notification that will not come.
    pub(crate) fn release(&self) {
        self.window.add_permits(self.tabs_per_user as usize);
    }

    /// The mark of the next notification for a user.
    pub(crate) fn stamp(&self, user: u32, nanos: u64) -> Stamp {
        Stamp { run: self.run.load(Relaxed), number: self.published[user as usize].fetch_add(1, Relaxed), nanos }
    }

    /// A tab's connection ended without being asked to.
    pub(crate) fn tab_ended(&self) {
        self.ended.fetch_add(1, Relaxed);
    }

    /// How many connections have ended without being asked to.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    /// A tab got something that no server may send.
    pub(crate) fn bad_frame(&self) {
        self.bad_frames.fetch_add(1, Relaxed);
    }

    /// Books what a tab has read at once: its notifications with the sizes of their frames.
    pub(crate) fn receive(&self, tab: u32, now: u64, notifications: &[(Stamp, usize)]) {
        let run = self.run.load(Relaxed);
        let mut seen = lock(&self.tabs[tab as usize]);
        let mut receipts = lock(&self.receipts);
        let mut first = 0;
        for (stamp, bytes) in notifications {
            if stamp.run != run || !seen.insert(run, stamp.number) {
                receipts.repeated += 1;
                continue;
            }
            first += 1;
            receipts.bytes += *bytes as u64;
            receipts.latency.saturating_record(now.saturating_sub(stamp.nanos));
        }
        receipts.first += first;
        receipts.last_nanos = now;
        drop((receipts, seen));
        self.window.add_permits(first as usize);
    }

    /// Waits until every delivery under way has arrived, at most `drain`, and closes the books.
    /// `refused` are those that the server did not accept; `begun` is when the run began.
    pub(crate) async fn end(&self, window: u32, drain: Duration, refused: &HashSet<(u32, u32)>, begun: u64) -> Outcome {
        if let Ok(Ok(all)) = timeout(drain, self.window.acquire_many(window)).await {
            all.forget();
        }
        let lost = (0..self.users()).map(|user| self.missing(user, refused)).sum();
        let receipts = std::mem::replace(&mut *lock(&self.receipts), Receipts::new());
        Outcome {
            received: receipts.first,
            lost,
            repeated: receipts.repeated,
            ended: self.ended(),
            bad_frames: self.bad_frames.load(Relaxed),
            frame_bytes: receipts.bytes / receipts.first.max(1),
            span: Duration::from_nanos(receipts.last_nanos.saturating_sub(begun)),
            latency: receipts.latency,
        }
    }

    fn missing(&self, user: u32, refused: &HashSet<(u32, u32)>) -> u64 {
        let run = self.run.load(Relaxed);
        let numbers = 0..self.published[user as usize].load(Relaxed);
        let due: Vec<u32> = numbers.filter(|number| !refused.contains(&(user, *number))).collect();
        let tabs = user * self.tabs_per_user..(user + 1) * self.tabs_per_user;
        let missing = |tab: u32| {
            let seen = lock(&self.tabs[tab as usize]);
            due.iter().filter(|number| !seen.has(run, **number)).count() as u64
        };
        tabs.map(missing).sum()
    }
}

impl Receipts {
    fn new() -> Self {
        Self { first: 0, repeated: 0, bytes: 0, last_nanos: 0, latency: histogram() }
    }
}

impl Seen {
    /// Whether the number is new in this run.
    fn insert(&mut self, run: u32, number: u32) -> bool {
        if self.run != run {
            self.run = run;
            self.bits.clear();
        }
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        new
    }

    fn has(&self, run: u32, number: u32) -> bool {
        let word = self.bits.get((number / 64) as usize).copied().unwrap_or(0);
        self.run == run && word & 1 << (number % 64) != 0
    }
}

/// A panic elsewhere has failed the run already; the books are still readable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn end(ledger: &Ledger, refused: &[(u32, u32)]) -> Outcome {
        ledger.end(100, Duration::from_millis(1), &refused.iter().copied().collect(), 0).await
    }

    #[tokio::test]
    async fn what_is_missing_and_what_came_twice_is_found() {
        let ledger = Ledger::new(2, 2);
        ledger.begin(100);
        let stamps = [ledger.stamp(0, 5), ledger.stamp(0, 6), ledger.stamp(1, 7), ledger.stamp(1, 8)];
        ledger.receive(0, 1_000_007, &[(stamps[0], 300), (stamps[1], 500)]);
        ledger.receive(1, 1_000_008, &[(stamps[1], 400), (stamps[1], 400)]);
        ledger.receive(2, 1_000_009, &[(stamps[2], 400)]);
        let outcome = end(&ledger, &[(1, 1)]).await;
        assert_eq!((outcome.received, outcome.lost, outcome.repeated), (4, 2, 1));
        assert_eq!((outcome.frame_bytes, outcome.latency.len()), (400, 4));
    }

    #[tokio::test]
    async fn a_delivery_of_an_earlier_run_is_a_repeat() {
        let ledger = Ledger::new(1, 1);
        ledger.begin(100);
        let old = ledger.stamp(0, 1);
        ledger.receive(0, 2, &[(old, 1)]);
        ledger.begin(100);
        let new = ledger.stamp(0, 1);
        ledger.receive(0, 3, &[(old, 1), (new, 1)]);
        let outcome = end(&ledger, &[]).await;
        assert_eq!((outcome.received, outcome.lost, outcome.repeated), (1, 0, 1));
    }

    #[tokio::test]
    async fn the_window_closes_until_all_tabs_have_it() {
        let ledger = Ledger::new(1, 2);
        ledger.begin(2);
        assert!(ledger.try_reserve());
        let stamp = ledger.stamp(0, 1);
        assert!(!ledger.try_reserve());
        ledger.receive(0, 2, &[(stamp, 1)]);
        assert!(!ledger.try_reserve());
        ledger.receive(1, 2, &[(stamp, 1)]);
        assert!(ledger.try_reserve());
    }
}
