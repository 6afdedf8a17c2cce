//! The task of a shard: one loop over what the log brings, what sessions change, and the replica's own rhythm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use bellwire_common::ids::UnixMillis;
use bellwire_common::log::{AppendError, Event, Reader, Safety, Start};

use super::Shard;
use crate::delivery::{Doubt, READ_BACK_EXTRA_MS};
use crate::meters::Barrier;

/// What the rest of the gateway must know of a shard's progress.
pub(crate) struct Signals {
    /// Becomes true when the shard has caught up for the first time.
    pub(crate) caught_up: watch::Sender<bool>,
    /// Called when a status value has changed.
    pub(crate) on_status: Box<dyn Fn() + Send + Sync>,
    /// Ends the task after a last report.
    pub(crate) stop: CancellationToken,
}

/// A node that goes reads its own last report within this time, or leaves without.
const LEFT_WITHIN: Duration = Duration::from_secs(2);

type Append = BoxFuture<'static, Result<(), AppendError>>;

struct Driver {
    shard: Arc<Shard>,
    signals: Signals,
    reader: Reader,
    /// The one append under way.
    append: Option<Append>,
    /// The reader was asked to attach anew, and has not said that it did.
    asked: bool,
}

impl Shard {
    /// Runs the shard until it is stopped. `ttl_ms` says how far back the reading begins.
    pub(crate) async fn run(self: Arc<Self>, ttl_ms: u64, signals: Signals) {
        let since = UnixMillis::now().minus(ttl_ms + READ_BACK_EXTRA_MS);
        let reader = self.log.read(self.id, Start::Time(since));
        Driver { shard: self, signals, reader, append: None, asked: false }.run().await;
    }
}

impl Driver {
    async fn run(&mut self) {
        let stop = self.signals.stop.clone();
        while !stop.is_cancelled() {
            let shard = Arc::clone(&self.shard);
            let deadline = self.deadline();
            tokio::select! {
                () = stop.cancelled() => {}
                event = self.reader.next() => match event {
                    Some(event) => self.on_event(event),
                    None => break,
                },
                result = finished(&mut self.append) => self.on_appended(&result),
                () = shard.changed.notified() => {}
                () = sleep_until(deadline.into()) => {}
            }
            self.tick();
            self.tell();
            self.shard.turn();
        }
        self.leave().await;
    }

    fn deadline(&self) -> Instant {
        self.shard.started + Duration::from_millis(self.shard.lock().replica.deadline())
    }

    fn on_event(&mut self, event: Event) {
        let now = self.shard.now();
        match event {
            Event::Records(records) => {
                if self.shard.fold(records) {
                    (self.signals.on_status)();
                }
            }
            Event::CaughtUp => {
                if self.shard.lock().replica.on_caught_up(now) {
                    info!(log = %self.shard.name(), "caught up with the log");
                }
                self.signals.caught_up.send_replace(true);
            }
            Event::Reattached => {
                if !std::mem::take(&mut self.asked) {
                    self.shard.meters.barrier(Barrier::Reattached);
                }
                self.shard.lock().replica.on_reattached(now);
            }
            Event::Replaced => {
                self.asked = false;
                self.shard.meters.barrier(Barrier::Replaced);
                warn!(log = %self.shard.name(), "the log was replaced; reading it from its beginning");
                self.shard.on_replaced();
            }
        }
    }

    fn tick(&mut self) {
        let now = self.shard.now();
        let doubt = self.shard.lock().replica.tick(now);
        match doubt {
            None => {}
            Some(Doubt::StoodStill) => {
                self.shard.meters.barrier(Barrier::StoodStill);
                warn!(log = %self.shard.name(), "this process stood still; sending nothing until a report is read back");
            }
            Some(Doubt::Unseen) => {
                self.shard.meters.barrier(Barrier::Unseen);
                warn!(log = %self.shard.name(), "own heartbeat not seen; attaching to the log anew");
                self.asked = true;
                self.reader.reattach();
            }
        }
    }

    /// Appends what is due, one append at a time.
    fn tell(&mut self) {
        let records = self.shard.due();
        if !records.is_empty() {
            self.append = Some(self.shard.log.append(self.shard.id, records, Safety::Soft));
        }
    }

    fn on_appended(&mut self, result: &Result<(), AppendError>) {
        self.append = None;
        self.shard.meters.reported(result.is_ok());
        let now = self.shard.now();
        let news = self.shard.lock().replica.on_appended(now, result.is_ok());
        match result {
            Err(error) if news => {
                warn!(log = %self.shard.name(), %error, "cannot report to the log; tabs stay, and it is tried again");
            }
            Ok(()) if news => info!(log = %self.shard.name(), "reports reach the log again"),
            _ => {}
        }
    }

    /// The last words: what the sessions' ends left to tell, and that the node goes.
    async fn leave(&mut self) {
        if let Some(append) = self.append.take() {
            let _ = append.await;
        }
        let records = self.shard.leave();
        if records.is_empty() {
            return;
        }
        if self.shard.log.append(self.shard.id, records, Safety::Safe).await.is_err() {
            debug!(log = %self.shard.name(), "the last report did not reach the log; the others will miss the heartbeat");
            return;
        }
        // What ended before the last report may be this node's to count.
        let _ = timeout(LEFT_WITHIN, self.read_until_left()).await;
    }

    async fn read_until_left(&mut self) {
        while !self.shard.lock().replica.has_left() {
            match self.reader.next().await {
                Some(event) => self.on_event(event),
                None => break,
            }
        }
    }
}

/// The end of the append under way; never when there is none.
async fn finished(append: &mut Option<Append>) -> Result<(), AppendError> {
    match append {
        Some(append) => append.await,
        None => std::future::pending().await,
    }
}
