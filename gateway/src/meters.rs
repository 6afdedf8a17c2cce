//! The gateway's metrics, registered once: what is counted often must not be looked up each time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bellwire_common::ids::UnixMillis;
use bellwire_common::metrics as catalogue;
use bellwire_common::metrics::handles::{Counter, Gauge, Histogram};

use crate::delivery::Outcomes;
use crate::ledger::Layout;
use crate::protocol::{End, Protocol};

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
    reports_written: Counter,
    reports_failed: Counter,
    lag: Gauge,
    nodes: Gauge,
    /// The living nodes of each layout.
    living: [AtomicUsize; Layout::ALL.len()],
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
            reports_written: catalogue::GATEWAY_REPORTS.with(&["written"]),
            reports_failed: catalogue::GATEWAY_REPORTS.with(&["failed"]),
            lag: catalogue::GATEWAY_LOG_LAG_RECORDS.with(&[]),
            nodes: catalogue::GATEWAY_NODES.with(&[]),
            living: Default::default(),
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

    pub(crate) fn frame_sent(&self, protocol: Protocol, read_at: Instant) {
        self.frames[protocol as usize].increment(1);
        self.write.record(read_at.elapsed());
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

    pub(crate) fn reported(&self, written: bool) {
        if written { &self.reports_written } else { &self.reports_failed }.increment(1);
    }

    /// Records that were read and wait to be applied: `more` came, or (negative) were applied.
    pub(crate) fn lag(&self, more: f64) {
        self.lag.increment(more);
    }

    /// While the number of shards changes, nodes that read one layout only are met there only.
    pub(crate) fn living_nodes(&self, layout: Layout, nodes: usize) {
        self.living[layout as usize].store(nodes, Ordering::Relaxed);
        let most = self.living.iter().map(|nodes| nodes.load(Ordering::Relaxed)).max().unwrap_or_default();
        self.nodes.set(most as f64);
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
}
