//! What ingest is made of, and the one way from decisions to the log.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use serde::{Serialize, Serializer};
use tracing::{error, info, warn};

use bellwire_common::directory::Directory;
use bellwire_common::ids::{NotificationId, Shard, UnixMillis};
use bellwire_common::log::{AppendError, Safety, SharedLog};
use bellwire_common::metrics::{self, CounterSeries, HistogramSeries};
use bellwire_common::notification::FieldError;
use bellwire_common::settings::UserCheck;
use bellwire_common::spans::{self, Span, Step, Traced};

use crate::failures::Failures;
use crate::intake::{Decision, Terms, Verdict};
use crate::tokens::{Grant, Tokens};

/// The usual [`IngestSettings::user_label`].
pub const USER_LABEL: &str = "bellwire_user";

/// Ingest, shared by all requests.
#[derive(Debug, Clone)]
pub struct Ingest(Arc<Inner>);

/// What ingest is told.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// How long a notification is worth showing where it does not say so itself, in milliseconds.
    pub ttl_ms: u64,
    /// Who may send.
    pub tokens: Tokens,
    /// Senders need a certificate ([`bellwire_common::http::ClientCertificate`]), beside a token if there are any.
    pub needs_certificate: bool,
    /// Label of an alert that names its users.
    pub user_label: String,
    /// What requests may cost.
    pub limits: Limits,
    /// Where names and users are looked up.
    pub directory: Option<Directory>,
    /// Whether users must be known there.
    pub user_check: UserCheck,
    /// This machine's clock.
    pub clock: fn() -> UnixMillis,
}

/// What requests may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time from the request's head to the end of its body (10 s).
    pub body_timeout: Duration,
    /// Time for the log to confirm (5 s): less than the 10 s that senders allow for everything.
    pub append_timeout: Duration,
    /// Bytes of bodies that may be in progress at one time (64 MiB), counted as announced; a body of unknown
    /// length counts as the largest, a small one as [`crate::http::BODY_COST_MIN`].
    pub bodies_bytes_max: usize,
}

struct Inner {
    settings: IngestSettings,
    log: SharedLog,
    bodies_bytes: AtomicUsize,
    failures: Mutex<Failures>,
    /// Per shard: the last append failed.
    failing: Vec<AtomicBool>,
    results: [CounterSeries; Status::ALL.len()],
    accept_seconds: HistogramSeries,
    append_seconds: HistogramSeries,
}

/// What became of a notification, as its sender is told.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    #[serde(serialize_with = "id_or_null")]
    pub(crate) id: Option<NotificationId>,
    pub(crate) status: Status,
    pub(crate) errors: Vec<FieldError>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignored: Vec<String>,
}

/// See [`Outcome`]; also the label of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Confirmed by the log.
    Accepted,
    /// It had expired.
    Stale,
    /// Its fields are not as they must be.
    Invalid,
    /// Not known to be in the log; to be sent again.
    Unavailable,
}

/// Bytes of a body in progress; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    ingest: Ingest,
    bytes: usize,
}

// === impl IngestSettings ===

impl IngestSettings {
    /// Settings with the usual label and limits, this machine's clock and no directory.
    #[must_use]
    pub fn new(ttl_ms: u64, tokens: Tokens) -> Self {
        Self {
            ttl_ms,
            tokens,
            needs_certificate: false,
            user_label: USER_LABEL.to_owned(),
            limits: Limits::default(),
            directory: None,
            user_check: UserCheck::Off,
            clock: UnixMillis::now,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_timeout: Duration::from_secs(10),
            append_timeout: Duration::from_secs(5),
            bodies_bytes_max: 64 * 1024 * 1024,
        }
    }
}

// === impl Ingest ===

impl Ingest {
    /// Ingest in front of `log`. Its metrics begin at zero with this call, so install the recorder before.
    #[must_use]
    pub fn new(settings: IngestSettings, log: SharedLog) -> Self {
        metrics::INGEST_NOTIFICATIONS.zero();
        metrics::INGEST_REQUESTS_REFUSED.zero();
        metrics::INGEST_ALERTS_DROPPED.zero();
        Self(Arc::new(Inner {
            settings,
            bodies_bytes: AtomicUsize::new(0),
            failures: Mutex::default(),
            failing: (0..log.shards()).map(|_| AtomicBool::new(false)).collect(),
            results: Status::ALL.map(|status| metrics::INGEST_NOTIFICATIONS.with(&[status.label()])),
            accept_seconds: metrics::INGEST_ACCEPT_SECONDS.with(&[]),
            append_seconds: metrics::INGEST_APPEND_SECONDS.with(&[]),
            log,
        }))
    }

    pub(crate) fn settings(&self) -> &IngestSettings {
        &self.0.settings
    }

    pub(crate) fn terms<'a>(&self, grant: &'a Grant) -> Terms<'a> {
        let settings = &self.0.settings;
        Terms { now: (settings.clock)(), ttl_ms: settings.ttl_ms, shards: self.0.log.shards(), grant }
    }

    /// Seconds that `peer` has to wait for its wrong tokens.
    pub(crate) fn wait(&self, peer: IpAddr) -> Option<u64> {
        self.failures().wait((self.0.settings.clock)(), peer)
    }

    pub(crate) fn count_failure(&self, peer: IpAddr) {
        self.failures().count((self.0.settings.clock)(), peer);
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.0.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None when too much is in progress already.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let max = self.0.settings.limits.bodies_bytes_max;
        let more = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= max);
        self.0.bodies_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Reservation { ingest: self.clone(), bytes })
    }

    /// Appends what is to be appended, one append per shard, and says what became of each, in their order.
    /// Each is counted once, also when the sender goes away in the meantime. `began` is when the request came.
    pub(crate) async fn carry_out(&self, began: Instant, decisions: Vec<Decision>) -> Vec<Outcome> {
        self.0.accept_seconds.record(began.elapsed());
        let mut uncounted = Uncounted { ingest: &self.0, items: decisions.len() };
        let mut groups: Vec<Group> = Vec::new();
        let mut outcomes = Vec::with_capacity(decisions.len());
        for (index, decision) in decisions.into_iter().enumerate() {
            let (status, errors) = match decision.verdict {
                Verdict::Append(shard, record) => {
                    Group::of(&mut groups, shard).push(index, record);
                    (Status::Unavailable, Vec::new())
                }
                Verdict::Stale => (Status::Stale, Vec::new()),
                Verdict::Invalid(errors) => (Status::Invalid, errors),
            };
            outcomes.push(Outcome { id: decision.id, status, errors, ignored: decision.ignored });
        }
        let appends = groups
            .into_iter()
            .map(|group| async move { (self.append_traced(began, group.shard, group.records).await, group.indexes) });
        for (appended, indexes) in join_all(appends).await {
            if appended {
                for index in indexes {
                    outcomes[index].status = Status::Accepted;
                }
            }
        }
        uncounted.items = 0;
        for outcome in &outcomes {
            self.0.results[outcome.status as usize].increment(1);
        }
        outcomes
    }

    async fn append_traced(&self, began: Instant, shard: Shard, records: Vec<Bytes>) -> bool {
        let traced: Vec<_> = records.iter().filter_map(Traced::of_record).collect();
        let started = Instant::now();
        let appended = self.append(shard, records).await;
        if !traced.is_empty() {
            let (began, started, ended) = (spans::wall(began), spans::wall(started), std::time::SystemTime::now());
            for (traced, made) in traced {
                let append = Span { failed: !appended, ..Span::new(Step::Append, shard, started, ended) };
                traced.record(&append);
                // Else its sender tries again.
                if appended {
                    traced.record(&Span::new(Step::Notify, shard, made.min(began), began));
                    traced.record(&Span::new(Step::Accept, shard, began, ended));
                }
            }
        }
        appended
    }

    async fn append(&self, shard: Shard, records: Vec<Bytes>) -> bool {
        let started = Instant::now();
        let append = self.0.log.append(shard, records, Safety::Safe);
        let timeout = self.0.settings.limits.append_timeout;
        let result = tokio::time::timeout(timeout, append)
            .await
            .unwrap_or_else(|_| Err(AppendError::Unknown(format!("no word within {timeout:?}"))));
        let failing = self.0.failing.get(usize::from(shard.0));
        match result {
            Ok(()) => {
                self.0.append_seconds.record(started.elapsed().as_secs_f64());
                if failing.is_some_and(|f| f.load(Ordering::Relaxed) && f.swap(false, Ordering::Relaxed)) {
                    info!(%shard, "the log takes notifications again");
                }
                true
            }
            Err(error @ AppendError::TooLarge) => {
                error!(%shard, %error, "a checked notification is too large for the log");
                false
            }
            Err(error @ (AppendError::Unavailable(_) | AppendError::Unknown(_) | AppendError::Overloaded)) => {
                // Once per outage: an outage refuses every notification.
                if failing.is_some_and(|f| !f.swap(true, Ordering::Relaxed)) {
                    warn!(%shard, %error, "the log does not take notifications; senders are told to try again");
                }
                false
            }
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("settings", &self.settings).field("log", &self.log).finish_non_exhaustive()
    }
}

/// What goes to one shard.
struct Group {
    shard: Shard,
    indexes: Vec<usize>,
    records: Vec<Bytes>,
}

impl Group {
    fn of(groups: &mut Vec<Self>, shard: Shard) -> &mut Self {
        let known = groups.iter().position(|group| group.shard == shard);
        let index = known.unwrap_or_else(|| {
            groups.push(Self { shard, indexes: Vec::new(), records: Vec::new() });
            groups.len() - 1
        });
        &mut groups[index]
    }

    fn push(&mut self, index: usize, record: Bytes) {
        self.indexes.push(index);
        self.records.push(record);
    }
}

/// Notifications whose sender went away before the log's word: nobody was told that they are safe.
struct Uncounted<'a> {
    ingest: &'a Inner,
    items: usize,
}

impl Drop for Uncounted<'_> {
    fn drop(&mut self) {
        if self.items > 0 {
            self.ingest.results[Status::Unavailable as usize].increment(self.items as u64);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ingest.0.bodies_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

// === impl Status ===

impl Status {
    const ALL: [Self; 4] = [Self::Accepted, Self::Stale, Self::Invalid, Self::Unavailable];

    fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Stale => "stale",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
        }
    }
}

fn id_or_null<S: Serializer>(id: &Option<NotificationId>, serializer: S) -> Result<S::Ok, S::Error> {
    id.as_ref().map(NotificationId::as_str).serialize(serializer)
}
