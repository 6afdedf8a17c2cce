//! The gateway's metrics, registered once: what is counted often must not be looked up each time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bellwire_common::ids::UnixMillis;
use bellwire_common::metrics as catalogue;
use bellwire_common::metrics::handles::{Counter, Gauge, Histogram};

use crate::delivery::{Outcomes, Tally};
use crate::ledger::Layout;
use crate::protocol::{End, Protocol};
use crate::shard::Told;

mod living;

use self::living::Living;

pub(crate) struct Meters {
    sessions: [Gauge; Protocol::ALL.len()],
    opened: [Counter; Protocol::ALL.len()],
    frames: [Counter; Protocol::ALL.len()],
    delivered: Counter,
    digested: Counter,
    expired: Counter,
    user_bound: Counter,
    shard_bound: Counter,
    duplicate: Counter,
    read: Histogram,
    write: Histogram,
    link: Histogram,
    page: Histogram,
    /// By proof, and by whether the tab was open.
    delivery: [[Histogram; 2]; 2],
    /// As [`Tally`] has them: of announcements, and of sessions that took over.
    announced: [Counter; 3],
    took_over: [Counter; 3],
    barriers: [Counter; Barrier::ALL.len()],
    reports_written: Counter,
    reports_failed: Counter,
    lag: Gauge,
    nodes: Gauge,
    waiting: Gauge,
    held_bytes: Gauge,
    shards: Gauge,
    sending: Gauge,
    report_read: Gauge,
    /// When each shard has read a report of the node's own.
    reports_read: Mutex<Vec<UnixMillis>>,
    living: Mutex<Living>,
}

/// What a tab proves with that it has a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proved {
    Link,
    Page,
}

impl Proved {
    /// The value of the metrics' label `proof`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Page => "page",
        }
    }
}

/// Why a shard's notifications are not sent until a report was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Barrier {
    StoodStill,
    Unseen,
    Lost,
    Reattached,
    Replaced,
}

impl Barrier {
    const ALL: [Self; 5] = [Self::StoodStill, Self::Unseen, Self::Lost, Self::Reattached, Self::Replaced];

    fn label(self) -> &'static str {
        match self {
            Self::StoodStill => "stood_still",
            Self::Unseen => "unseen",
            Self::Lost => "lost",
            Self::Reattached => "reattached",
            Self::Replaced => "replaced",
        }
    }
}

impl Meters {
    pub(crate) fn new() -> Self {
        zero();
        let dropped = |reason| catalogue::GATEWAY_NOTIFICATIONS_DROPPED.with(&[reason]);
        Self {
            sessions: Protocol::ALL.map(|p| catalogue::GATEWAY_SESSIONS.with(&[p.label()])),
            opened: Protocol::ALL.map(|p| catalogue::GATEWAY_SESSIONS_OPENED.with(&[p.label()])),
            frames: Protocol::ALL.map(|p| catalogue::GATEWAY_FRAMES_SENT.with(&[p.label()])),
            delivered: catalogue::GATEWAY_NOTIFICATIONS_DELIVERED.with(&[]),
            digested: catalogue::GATEWAY_NOTIFICATIONS_DIGESTED.with(&[]),
            expired: dropped("expired"),
            user_bound: dropped("user_bound"),
            shard_bound: dropped("shard_bound"),
            duplicate: catalogue::GATEWAY_NOTIFICATIONS_DUPLICATE.with(&[]),
            read: catalogue::GATEWAY_READ_SECONDS.with(&[]),
            write: catalogue::GATEWAY_WRITE_SECONDS.with(&[]),
            link: catalogue::GATEWAY_CONFIRM_SECONDS.with(&["link"]),
            page: catalogue::GATEWAY_CONFIRM_SECONDS.with(&["page"]),
            delivery: ["link", "page"].map(|proof| {
                ["open", "opened_later"].map(|tab| catalogue::GATEWAY_DELIVERY_SECONDS.with(&[proof, tab]))
            }),
            announced: ["new", "returned", "open"].map(|browser| catalogue::GATEWAY_ANNOUNCEMENTS.with(&[browser])),
            took_over: ["closed", "stalled", "node_lost"].map(|reason| catalogue::GATEWAY_TAKEOVERS.with(&[reason])),
            barriers: Barrier::ALL.map(|barrier| catalogue::GATEWAY_BARRIERS.with(&[barrier.label()])),
            reports_written: catalogue::GATEWAY_REPORTS.with(&["written"]),
            reports_failed: catalogue::GATEWAY_REPORTS.with(&["failed"]),
            lag: catalogue::GATEWAY_LOG_LAG_RECORDS.with(&[]),
            nodes: catalogue::GATEWAY_NODES.with(&[]),
            waiting: catalogue::GATEWAY_NOTIFICATIONS_WAITING.with(&[]),
            held_bytes: catalogue::GATEWAY_NOTIFICATIONS_HELD_BYTES.with(&[]),
            shards: catalogue::GATEWAY_SHARDS.with(&[]),
            sending: catalogue::GATEWAY_SHARDS_SENDING.with(&[]),
            report_read: catalogue::GATEWAY_REPORT_READ_TIMESTAMP_SECONDS.with(&[]),
            reports_read: Mutex::default(),
            living: Mutex::default(),
        }
    }

    pub(crate) fn sessions_max(&self, sessions: usize) {
        catalogue::GATEWAY_SESSIONS_MAX.with(&[]).set(sessions as f64);
    }

    pub(crate) fn session_opened(&self, protocol: Protocol) {
        self.sessions[protocol as usize].increment(1.0);
        self.opened[protocol as usize].increment(1);
    }

    pub(crate) fn session_closed(&self, protocol: Protocol, end: End) {
        self.sessions[protocol as usize].decrement(1.0);
        catalogue::GATEWAY_SESSIONS_CLOSED.count(&[protocol.label(), end.initiator(), end.reason()]);
    }

    /// A frame, and since when it could have gone: none where the tab opened later.
    pub(crate) fn frame_sent(&self, protocol: Protocol, since: Option<Instant>) {
        self.frames[protocol as usize].increment(1);
        if let Some(since) = since {
            self.write.record(since.elapsed());
        }
    }

    /// A frame that stands for several notifications, and waited for them.
    pub(crate) fn digest_sent(&self, protocol: Protocol) {
        self.frames[protocol as usize].increment(1);
    }

    /// A payload that this version cannot show.
    pub(crate) fn unreadable(&self, protocol: Protocol) {
        catalogue::GATEWAY_FRAMES_UNREADABLE.count(&[protocol.label()]);
    }

    pub(crate) fn read(&self, accepted_at: UnixMillis) {
        self.read.record(Duration::from_millis(UnixMillis::now().0.saturating_sub(accepted_at.0)));
    }

    pub(crate) fn link_proved(&self, after_ms: u64) {
        self.link.record(Duration::from_millis(after_ms));
    }

    /// A tab has what was accepted then; `opened_later` than this node read it.
    pub(crate) fn delivered(&self, proof: Proved, opened_later: bool, accepted_at: UnixMillis) {
        let after = Duration::from_millis(UnixMillis::now().0.saturating_sub(accepted_at.0));
        self.delivery[proof as usize][usize::from(opened_later)].record(after);
    }

    pub(crate) fn page_proved(&self, after_ms: u64) {
        self.page.record(Duration::from_millis(after_ms));
    }

    /// What has ended since this was told last.
    pub(crate) fn count_outcomes(&self, ended: Outcomes) {
        self.delivered.increment(ended.delivered);
        self.digested.increment(ended.digested);
        self.expired.increment(ended.expired);
        self.user_bound.increment(ended.user_bound);
        self.shard_bound.increment(ended.shard_bound);
        self.duplicate.increment(ended.duplicate);
    }

    /// What became of this node's sessions. Each is announced in every layout, and counts once.
    pub(crate) fn count_tally(&self, layout: Layout, tally: Tally) {
        if tally == Tally::default() {
            return;
        }
        let Tally { new, returned, open, after_closed, after_stalled, after_lost, lost } = tally;
        let add = |counters: &[Counter], more: [u64; 3]| counters.iter().zip(more).for_each(|(c, n)| c.increment(n));
        if layout == Layout::Own {
            add(&self.announced, [new, returned, open]);
            add(&self.took_over, [after_closed, after_stalled, after_lost]);
        }
        self.barriers[Barrier::Lost as usize].increment(lost);
    }

    pub(crate) fn barrier(&self, why: Barrier) {
        self.barriers[why as usize].increment(1);
    }

    /// One more shard is read; gives its place for [`Meters::report_read`].
    pub(crate) fn shard_added(&self) -> usize {
        let mut all = self.reports_read.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(UnixMillis(0));
        self.shards.set(all.len() as f64);
        all.len() - 1
    }

    /// A shard has read a report of the node's own.
    pub(crate) fn report_read(&self, shard: usize) {
        let mut all = self.reports_read.lock().unwrap_or_else(PoisonError::into_inner);
        all[shard] = UnixMillis::now();
        let longest_ago = all.iter().min().map_or(0, |at| at.0);
        self.report_read.set(longest_ago as f64 / 1_000.0);
    }

    /// Takes what gauges show of a shard from `before` to `now`.
    pub(crate) fn shard_turned(&self, before: Told, now: Told) {
        let change = |gauge: &Gauge, before: f64, now: f64| {
            if before != now {
                gauge.increment(now - before);
            }
        };
        change(&self.waiting, before.waiting as f64, now.waiting as f64);
        change(&self.held_bytes, before.bytes as f64, now.bytes as f64);
        change(&self.sending, f64::from(u8::from(before.sending)), f64::from(u8::from(now.sending)));
    }

    pub(crate) fn reported(&self, written: bool) {
        if written { &self.reports_written } else { &self.reports_failed }.increment(1);
    }

    /// Records that were read and wait to be applied: `more` came, or (negative) were applied.
    pub(crate) fn lag(&self, more: f64) {
        self.lag.increment(more);
    }

    /// A layout's nodes that live, as this node has just read beside a report of its own.
    pub(crate) fn living_nodes(&self, layout: Layout, nodes: usize) {
        let mut living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        self.nodes.set(living.on_read(layout, nodes, Instant::now()) as f64);
    }
}

fn zero() {
    catalogue::GATEWAY_SESSIONS.zero();
    catalogue::GATEWAY_SESSIONS_OPENED.zero();
    for protocol in Protocol::ALL {
        for end in End::ALL {
            let labels = [protocol.label(), end.initiator(), end.reason()];
            catalogue::GATEWAY_SESSIONS_CLOSED.with(&labels).increment(0);
        }
    }
    catalogue::GATEWAY_BROWSERS.zero();
    catalogue::GATEWAY_USERS.zero();
    catalogue::GATEWAY_HANDSHAKES_REFUSED.zero();
    catalogue::GATEWAY_SESSIONS_UNCHECKED.zero();
    catalogue::GATEWAY_LOGIN_CHECKS.zero();
    catalogue::GATEWAY_LOGIN_CHECK_SECONDS.zero();
    catalogue::GATEWAY_LOGIN_CHECKS_LATE_SECONDS.zero();
    catalogue::GATEWAY_OPENITCOCKPIT_AWAY.zero();
    catalogue::GATEWAY_SHARED_KEY_READS.zero();
    catalogue::GATEWAY_HANDSHAKES_HELD.zero();
    catalogue::GATEWAY_NOTIFICATIONS_DELIVERED.zero();
    catalogue::GATEWAY_NOTIFICATIONS_DIGESTED.zero();
    catalogue::GATEWAY_NOTIFICATIONS_DROPPED.zero();
    catalogue::GATEWAY_NOTIFICATIONS_DUPLICATE.zero();
    catalogue::GATEWAY_FRAMES_SENT.zero();
    catalogue::GATEWAY_FRAMES_UNREADABLE.zero();
    catalogue::GATEWAY_TESTS.zero();
    catalogue::GATEWAY_EVENTS_POSTS.zero();
    catalogue::GATEWAY_TOKENS_REFUSED.zero();
    catalogue::GATEWAY_REPORTS.zero();
    catalogue::GATEWAY_LOG_LAG_RECORDS.zero();
    catalogue::GATEWAY_NODES.zero();
    catalogue::GATEWAY_NOTIFICATIONS_WAITING.zero();
    catalogue::GATEWAY_NOTIFICATIONS_HELD_BYTES.zero();
    catalogue::GATEWAY_SHARDS.zero();
    catalogue::GATEWAY_SHARDS_SENDING.zero();
    catalogue::GATEWAY_REPORT_READ_TIMESTAMP_SECONDS.zero();
}
