//! The task of a shard: one loop over what the log brings, what sessions change, and the node's own rhythm.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use bellwire_common::ids::UnixMillis;
use bellwire_common::log::{AppendError, Event, Reader, Safety, Start};
use bellwire_common::record::Entry as Line;

use super::Shard;
use crate::delivery::{Machine, Outcomes};

/// Openings and closings wait this long for company, so that a reconnect storm is some hundred reports.
const GATHER: Duration = Duration::from_millis(20);
/// Progress is told at most this often: every gateway reads every report.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);
/// A heartbeat at most this often.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Every open session is named once in this time (rule 8). Below TTL + [`READ_BACK_EXTRA_MS`], so that a late reader
/// learns of every session.
const ROUND_EVERY: Duration = Duration::from_secs(120);
/// A reader that has not brought this node's own heartbeat for this long attaches anew (rule 7).
const BEAT_UNSEEN_MAX: Duration = Duration::from_secs(5);
/// The loop ran late by this much: the process was frozen, and others may have taken over (rule 12).
const CLOCK_GAP: Duration = Duration::from_secs(1);
/// A new reader starts this much before the TTL.
pub(super) const READ_BACK_EXTRA_MS: u64 = 5 * 60 * 1000;

/// What the rest of the gateway must know of a shard's progress.
pub(crate) struct Signals {
    /// Becomes true when the shard has caught up for the first time.
    pub(crate) caught_up: watch::Sender<bool>,
    /// Called when a status value has changed.
    pub(crate) on_status: Box<dyn Fn() + Send + Sync>,
    /// Ends the task after a last report.
    pub(crate) stop: CancellationToken,
}

type Append = BoxFuture<'static, Result<(), AppendError>>;

struct Driver {
    shard: Arc<Shard>,
    signals: Signals,
    reader: Reader,
    read_back_ms: u64,
    /// The one append under way: reports are never queued behind each other.
    append: Option<Append>,
    failing: bool,
    live: bool,
    gather_until: Option<Instant>,
    confirm_at: Instant,
    beat_at: Instant,
    round_at: Instant,
    seen_own: Instant,
    ticked: Instant,
}

impl Shard {
    /// Runs the shard until it is stopped. `ttl_ms` says how far back the reading begins.
    pub(crate) async fn run(self: Arc<Self>, ttl_ms: u64, signals: Signals) {
        let read_back_ms = ttl_ms + READ_BACK_EXTRA_MS;
        let reader = self.log.read(self.id, Start::Time(UnixMillis::now().minus(read_back_ms)));
        let now = Instant::now();
        // Nodes that start together do not name their sessions together.
        let round_at = now + ROUND_EVERY.mul_f64(0.5 + fastrand::f64() / 2.0);
        let mut driver = Driver {
            shard: self,
            signals,
            reader,
            read_back_ms,
            append: None,
            failing: false,
            live: false,
            gather_until: None,
            confirm_at: now,
            beat_at: now,
            round_at,
            seen_own: now,
            ticked: now,
        };
        driver.run().await;
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
                result = finished(&mut self.append) => self.on_appended(result),
                () = shard.changed.notified() => {
                    self.gather_until.get_or_insert(Instant::now() + GATHER);
                }
                () = sleep_until(deadline) => {}
            }
            self.check_clock();
            self.tell();
        }
        self.leave().await;
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Records(records) => {
                let folded = self.shard.fold(records);
                if folded.status {
                    (self.signals.on_status)();
                }
                if folded.read_back {
                    self.seen_own = Instant::now();
                    // What was read back may have opened the barrier, or show a difference.
                    self.gather_until.get_or_insert(Instant::now() + GATHER);
                }
                if folded.lost && self.live {
                    self.raise_barrier("the others took this node for lost");
                }
            }
            Event::CaughtUp => self.on_caught_up(),
            Event::Reattached => self.raise_barrier("the reader attached anew"),
            Event::Replaced => self.on_replaced(),
        }
    }

    fn on_caught_up(&mut self) {
        if !self.live {
            info!(shard = %self.shard.id, "caught up with the log");
        }
        self.live = true;
        self.seen_own = Instant::now();
        self.signals.caught_up.send_replace(true);
    }

    /// Another log stands where the old one was: what was folded from the old one is void (rule 13).
    fn on_replaced(&mut self) {
        warn!(shard = %self.shard.id, "the log was replaced; reading it from its beginning");
        self.live = false;
        let mut state = self.shard.lock();
        state.machine = Machine::new(state.machine.limits().clone());
        state.counted = Outcomes::default();
        let super::State { machine, reporter, .. } = &mut *state;
        reporter.recheck(machine);
        reporter.raise_barrier();
    }

    fn raise_barrier(&mut self, why: &'static str) {
        let mut state = self.shard.lock();
        if !state.reporter.owes_barrier() {
            debug!(shard = %self.shard.id, why, "sending nothing until a report is read back");
            state.reporter.raise_barrier();
        }
        drop(state);
        self.seen_own = Instant::now();
    }

    fn check_clock(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.ticked) > BEAT_EVERY + CLOCK_GAP && self.live {
            self.raise_barrier("this process stood still");
        }
        self.ticked = now;
        if self.live && now.duration_since(self.seen_own) > BEAT_UNSEEN_MAX && !self.failing {
            warn!(shard = %self.shard.id, "own heartbeat not seen; attaching to the log anew");
            self.attach();
            self.raise_barrier("the reader attached anew");
        }
    }

    fn attach(&mut self) {
        let start = self.shard.applied().map_or_else(
            || Start::Time(UnixMillis::now().minus(self.read_back_ms)),
            |last| Start::Offset(bellwire_common::ids::Offset(last.0 + 1)),
        );
        self.reader = self.shard.log.read(self.shard.id, start);
    }

    /// When the loop must run even if nothing happens.
    fn deadline(&self) -> Instant {
        let rhythm = self.beat_at.min(self.round_at);
        // An append under way is waited for; so is the heartbeat's turn.
        let next = if self.append.is_some() || !self.live { Instant::now() + BEAT_EVERY } else { rhythm };
        self.gather_until.filter(|_| self.append.is_none() && self.live).map_or(next, |at| at.min(next))
    }

    /// Appends what is due, one append at a time.
    fn tell(&mut self) {
        if self.append.is_some() || !self.live {
            return;
        }
        let now = Instant::now();
        let gathered = self.gather_until.is_some_and(|at| at <= now);
        let (beat, round) = (self.beat_at <= now, self.round_at <= now);
        if !(gathered || beat || round) {
            return;
        }
        let confirms = self.confirm_at <= now;
        let records = self.shard.reports(|reporter, machine| {
            let mut lines = reporter.differences(machine, confirms);
            lines.extend(beat.then(|| reporter.beat(machine)).flatten());
            if round {
                lines.extend(reporter.round(machine));
            }
            lines
        });
        self.gather_until = None;
        if confirms {
            self.confirm_at = now + CONFIRM_EVERY;
        }
        if beat {
            self.beat_at = now + BEAT_EVERY;
        }
        if round {
            self.round_at = now + ROUND_EVERY;
        }
        if !records.is_empty() {
            self.append = Some(self.shard.log.append(self.shard.id, records, Safety::Soft));
        }
    }

    fn on_appended(&mut self, result: Result<(), AppendError>) {
        self.append = None;
        self.shard.meters.reported(result.is_ok());
        if let Err(error) = &result {
            self.shard.lock().reporter.on_append_failed();
            self.seen_own = Instant::now();
            if !self.failing {
                warn!(shard = %self.shard.id, %error, "cannot report to the log; tabs stay, and it is tried again");
            }
        } else if self.failing {
            info!(shard = %self.shard.id, "reports reach the log again");
        }
        self.failing = result.is_err();
    }

    /// The last words: what the sessions' ends left to tell, and that the node goes.
    async fn leave(&mut self) {
        if let Some(append) = self.append.take() {
            let _ = append.await;
        }
        let records: Vec<Bytes> = self.shard.reports(|reporter, machine| {
            reporter.recheck(machine);
            let mut lines = reporter.differences(machine, true);
            lines.push(Line::Leave);
            lines
        });
        if self.live && self.shard.log.append(self.shard.id, records, Safety::Safe).await.is_err() {
            debug!(shard = %self.shard.id, "the last report did not reach the log; the others will miss the heartbeat");
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
