//! The one thread that writes. It owns the store, and opens it again when it has failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::ids::UnixMillis;
use crate::log::AppendError;
use crate::log::appends::{Appends, up};
use crate::log::embedded::disk::Disk;
use crate::log::embedded::layout::StoreError;
use crate::log::embedded::queue::{Queue, Request, Work};
use crate::log::embedded::store::{Again, Store};
use crate::log::tail::Tail;

const HEAL_MS_MIN: u64 = 100;
const HEAL_MS_MAX: u64 = 2000;

/// See the module.
pub(super) struct Writer {
    state: State,
    again: Again,
    /// Failures since the last commit that went well.
    failures: u32,
    queue: Arc<Queue>,
    disk: Arc<Disk>,
    tails: Vec<Arc<Tail>>,
    appends: Appends,
}

enum State {
    Working(Store),
    Broken { cause: String, heal_at: Instant },
}

impl Writer {
    pub(super) fn new(
        store: Store,
        queue: Arc<Queue>,
        disk: Arc<Disk>,
        tails: Vec<Arc<Tail>>,
        appends: Appends,
    ) -> Self {
        let again = Arc::new(store.again());
        Self { state: State::Working(store), again, failures: 0, queue, disk, tails, appends }
    }

    /// Writes until the queue is closed.
    pub(super) fn run(mut self) {
        loop {
            let until = match &self.state {
                State::Working(_) => None,
                State::Broken { heal_at, .. } => Some(*heal_at),
            };
            match self.queue.next(until) {
                Work::Batch(requests) => self.write(requests),
                Work::Timeout => self.heal(),
                Work::Close => return self.finish(),
                Work::Abandon(requests) => {
                    let error = AppendError::Unavailable("it was shut down".to_owned());
                    return self.resolve(requests, &Err(error));
                }
            }
        }
    }

    fn write(&mut self, requests: Vec<Request>) {
        let now = UnixMillis::now();
        let store = match &mut self.state {
            State::Working(store) => store,
            State::Broken { cause, .. } => {
                let error = AppendError::Unavailable(cause.clone());
                return self.resolve(requests, &Err(error));
            }
        };
        match store.commit(&requests, now) {
            Ok(shards) => {
                if self.failures > 0 {
                    self.failures = 0;
                    up(true);
                    info!("the log is written again");
                }
                for (tail, slots) in self.tails.iter().zip(shards) {
                    if !slots.is_empty() {
                        tail.publish(slots, now);
                    }
                }
                self.resolve(requests, &Ok(()));
            }
            Err(error) => {
                let cause = error.to_string();
                self.resolve(requests, &Err(unwritten(&error)));
                self.on_failure(cause);
            }
        }
    }

    fn resolve(&self, requests: Vec<Request>, result: &Result<(), AppendError>) {
        for request in requests {
            self.appends.count(request.records.len(), result);
            // Whoever no longer waits has not taken the records back.
            let _ = request.done.send(result.clone());
        }
    }

    /// Lets go of the store: after an error it takes nothing until it is opened again.
    fn on_failure(&mut self, cause: String) {
        up(false);
        if self.failures == 0 {
            error!(%cause, "the log cannot be written");
        } else {
            warn!(%cause, failures = self.failures, "the log still cannot be written");
        }
        let millis = HEAL_MS_MAX.min(HEAL_MS_MIN << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.disk.set_broken(&cause);
        self.state = State::Broken { cause, heal_at: Instant::now() + Duration::from_millis(millis) };
    }

    fn heal(&mut self) {
        match (self.again)() {
            Ok(store) => {
                self.disk.set_open(store.tables());
                // What the failed commit left on disk, readers find there: the rings begin behind it.
                for (tail, next) in self.tails.iter().zip(store.nexts()) {
                    tail.reset(next);
                }
                self.state = State::Working(store);
            }
            Err(error) => self.on_failure(error.to_string()),
        }
    }

    fn finish(self) {
        self.disk.set_closed();
        if let State::Working(store) = self.state
            && let Err(error) = store.finish()
        {
            warn!(%error, "the log was not closed in good order; its next start skips some offsets");
        }
    }
}

/// A store that was dead before wrote nothing.
fn unwritten(error: &StoreError) -> AppendError {
    match error {
        StoreError::Fjall(fjall::Error::Poisoned) => AppendError::Unavailable(error.to_string()),
        other => AppendError::Unknown(other.to_string()),
    }
}
