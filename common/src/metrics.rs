//! The catalogue: every metric that Bellwire has, with its help, its unit and its closed labels.
//!
//! The macros of the crate `metrics` are forbidden elsewhere (clippy.toml): a metric that is not listed here
//! does not exist. Each part calls [`Counter::zero`] at its start for all its label values, so that a rate
//! is right from the first event on.

/// What [`Counter::with`] and its like return, for those who keep it.
pub use metrics::{Counter as CounterSeries, Gauge as GaugeSeries, Histogram as HistogramSeries};
use metrics::{Key, KeyName, Label, Level, Metadata};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use page::markdown;

mod page;

/// One series of a metric, for who counts often.
pub mod handles {
    pub use metrics::{Counter, Gauge, Histogram};
}

/// A label with all the values that it may have.
#[derive(Debug)]
pub struct LabelSet {
    /// Name of the label.
    pub name: &'static str,
    /// Every value; empty only for the labels of `build_info`.
    pub values: &'static [&'static str],
}

/// What the catalogue says of a metric.
#[derive(Debug)]
pub struct Description {
    /// Full name, with unit and `_total`.
    pub name: &'static str,
    /// One sentence for `# HELP`.
    pub help: &'static str,
    /// Its labels, in the order in which values are given.
    pub labels: &'static [LabelSet],
}

/// A count that only grows.
#[derive(Debug)]
pub struct Counter(pub Description);

/// A value that rises and falls.
#[derive(Debug)]
pub struct Gauge(pub Description);

/// A distribution, with the upper bounds of its buckets.
#[derive(Debug)]
pub struct Histogram(pub Description, pub &'static [f64]);

const PROTOCOL: LabelSet = LabelSet { name: "protocol", values: &["v1", "v2", "native", "events"] };

/// From half a millisecond, where a local delivery lies, to the 30 s after which an engine gives up.
const LATENCY_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

macro_rules! catalogue {
    ($( $(#[$doc:meta])* $kind:ident $ident:ident = $name:literal, $help:literal, [$($label:expr),*] $(, $buckets:expr)?; )*) => {
        $(
            #[doc = $help]
            pub static $ident: $kind = $kind(
                Description { name: $name, help: $help, labels: &[$($label),*] } $(, $buckets)?
            );
        )*

        /// Every metric: its kind, what it is, and its buckets if it is a histogram.
        #[must_use]
        pub fn all() -> Vec<(&'static str, &'static Description, &'static [f64])> {
            vec![$( (stringify!($kind), &$ident.0, catalogue!(@buckets $($buckets)?)) ),*]
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:expr) => { $buckets };
}

catalogue! {
    Gauge BUILD_INFO = "bellwire_build_info", "Always 1; says which build runs in which role.",
        [LabelSet { name: "version", values: &[] }, LabelSet { name: "revision", values: &[] }, LabelSet { name: "role", values: &["standalone", "gateway", "ingest"] }];

    // ingest
    Counter INGEST_NOTIFICATIONS = "bellwire_ingest_notifications_total", "Notifications that ingest was given, by what became of them.",
        [LabelSet { name: "result", values: &["accepted", "stale", "invalid", "unavailable"] }];
    Counter INGEST_ALERTS_DROPPED = "bellwire_ingest_alerts_dropped_total", "Alerts of webhooks that became no notification, by reason.",
        [LabelSet { name: "reason", values: &["no_user", "too_many_users", "no_room"] }];
    Counter INGEST_REQUESTS_REFUSED = "bellwire_ingest_requests_refused_total", "Requests that ingest refused as a whole, by reason.",
        [LabelSet { name: "reason", values: &["method", "client_certificate", "token", "failures", "scope", "peer", "forwarded", "media_type", "overloaded", "body_too_large", "timeout", "incomplete", "json", "batch_too_large"] }];
    Counter INGEST_EXPORT_STATUS = "bellwire_ingest_export_status_total", "Times that this node told the log whether openITCOCKPIT refreshes its configuration, by result.",
        [LabelSet { name: "result", values: &["told", "failed"] }];
    Histogram INGEST_ACCEPT_SECONDS = "bellwire_ingest_accept_seconds", "From a request's head to its checked notifications: its body, and what is looked up for it.", [], LATENCY_BUCKETS;
    Histogram INGEST_APPEND_SECONDS = "bellwire_ingest_append_seconds", "From the checked request to the confirmed append.", [], LATENCY_BUCKETS;

    // gateway
    Gauge GATEWAY_SESSIONS = "bellwire_gateway_sessions", "Open sessions (tabs) of this node.", [PROTOCOL];
    Gauge GATEWAY_SESSIONS_MAX = "bellwire_gateway_sessions_max", "Most sessions that this node takes.", [];
    Gauge GATEWAY_BROWSERS = "bellwire_gateway_browsers", "Browsers with an announced session on this node.", [];
    Gauge GATEWAY_USERS = "bellwire_gateway_users", "Users with a session on this node, as far as sessions have said whose they are.", [];
    Counter GATEWAY_SESSIONS_OPENED = "bellwire_gateway_sessions_opened_total", "Sessions that were opened.", [PROTOCOL];
    Counter GATEWAY_SESSIONS_CLOSED = "bellwire_gateway_sessions_closed_total", "Sessions that ended, by who ended them and why.",
        [PROTOCOL,
         LabelSet { name: "initiator", values: &["client", "network", "server"] },
         LabelSet { name: "reason", values: &["closed", "eof", "read_error", "write_error", "pong_timeout", "write_timeout", "bad_key", "bad_message",
            "too_large", "binary", "no_identity", "hello_timeout", "flood", "user_limit", "session_away", "wrong_user", "logged_out", "revoked", "token_expired", "silent", "drain", "shutdown", "internal"] }];
    Counter GATEWAY_ANNOUNCEMENTS = "bellwire_gateway_announcements_total", "Sessions of this node that said for which browser they listen, by what the cluster knew of it: nothing; that it was away, so that it goes on where it was; or that it has another session. With shards-also as the shards of its own number know it.",
        [LabelSet { name: "browser", values: &["new", "returned", "open"] }];
    Counter GATEWAY_TAKEOVERS = "bellwire_gateway_takeovers_total", "Sessions of this node that took over from another session of their browser, by what became of that one.",
        [LabelSet { name: "reason", values: &["closed", "stalled", "node_lost"] }];
    Counter GATEWAY_HANDSHAKES_REFUSED = "bellwire_gateway_handshakes_refused_total", "Connections that were refused before they became sessions, by reason.",
        [LabelSet { name: "reason", values: &["key", "identity", "subprotocol", "not_websocket", "not_ready", "draining", "head_timeout", "full", "user_limit", "address_limit", "cross_site", "left", "origin", "failures", "session", "session_away", "token"] }];
    Gauge GATEWAY_ACCESS_MODE = "bellwire_gateway_access_mode", "1 for the session-check that is set, 0 for the others.",
        [LabelSet { name: "mode", values: &["required", "key-if-away", "key-only"] }];
    Counter GATEWAY_SESSIONS_UNCHECKED = "bellwire_gateway_sessions_unchecked_total", "Connections for which the shared key was enough, by why: openITCOCKPIT was away, or session-check says so.",
        [LabelSet { name: "reason", values: &["away", "key_only"] }];
    Counter GATEWAY_LOGIN_CHECKS = "bellwire_gateway_login_checks_total", "Questions to openITCOCKPIT whose login a browser has, by the answer; unclear: none of use though it is there.",
        [LabelSet { name: "result", values: &["yes", "no", "unclear", "away"] }];
    Histogram GATEWAY_LOGIN_CHECK_SECONDS = "bellwire_gateway_login_check_seconds", "What openITCOCKPIT took to say whose login a browser has.", [], LATENCY_BUCKETS;
    Gauge GATEWAY_OPENITCOCKPIT_AWAY = "bellwire_gateway_openitcockpit_away", "1 while openITCOCKPIT does not answer the login check.", [];
    Gauge GATEWAY_LOGIN_CHECKS_LATE_SECONDS = "bellwire_gateway_login_checks_late_seconds", "How late open tabs' logins are asked about again, of those whose turn came last the one that waited longest.", [];
    Counter GATEWAY_SHARED_KEY_READS = "bellwire_gateway_shared_key_reads_total", "Readings of the shared key after the start that brought another one, or one that is not taken.",
        [LabelSet { name: "result", values: &["changed", "refused"] }];
    Counter GATEWAY_HANDSHAKES_HELD = "bellwire_gateway_handshakes_held_total", "Handshakes that were held up because more came than the rate allows.", [];
    Counter GATEWAY_NOTIFICATIONS_DELIVERED = "bellwire_gateway_notifications_delivered_total", "Notifications that a browser of their user has confirmed and shown by themselves; counted once in the cluster.", [];
    Counter GATEWAY_NOTIFICATIONS_DIGESTED = "bellwire_gateway_notifications_digested_total", "Notifications that a browser of their user has confirmed and shown in the digest of a storm; counted once in the cluster.", [];
    Counter GATEWAY_NOTIFICATIONS_DROPPED = "bellwire_gateway_notifications_dropped_total", "Notifications that no browser of their user confirmed, by reason; counted once in the cluster.",
        [LabelSet { name: "reason", values: &["expired", "user_bound", "shard_bound"] }];
    Counter GATEWAY_NOTIFICATIONS_DUPLICATE = "bellwire_gateway_notifications_duplicate_total", "Notifications whose id was known already; counted once in the cluster.", [];
    Gauge GATEWAY_NOTIFICATIONS_WAITING = "bellwire_gateway_notifications_waiting", "Notifications in the log that no browser of their user has confirmed yet; each gateway knows of all of the cluster, so take the largest.", [];
    Gauge GATEWAY_NOTIFICATIONS_HELD_BYTES = "bellwire_gateway_notifications_held_bytes", "Bytes of the notifications that are held until they expire, confirmed or not; each gateway holds those of the whole cluster.", [];
    Counter GATEWAY_FRAMES_SENT = "bellwire_gateway_frames_sent_total", "Notification frames written to tabs of this node.", [PROTOCOL];
    Counter GATEWAY_FRAMES_UNREADABLE = "bellwire_gateway_frames_unreadable_total", "Notifications that a tab was not shown because this version cannot read them.", [PROTOCOL];
    Histogram GATEWAY_READ_SECONDS = "bellwire_gateway_read_seconds", "From the acceptance by ingest to the reading by this node (two machines' clocks).", [], LATENCY_BUCKETS;
    Histogram GATEWAY_WRITE_SECONDS = "bellwire_gateway_write_seconds", "From the reading of a notification to its frame written to a tab that was open then.", [], LATENCY_BUCKETS;
    Histogram GATEWAY_CONFIRM_SECONDS = "bellwire_gateway_confirm_seconds", "From the write to the proof: link is the browser's pong, page is the page's own answer.",
        [LabelSet { name: "proof", values: &["link", "page"] }], LATENCY_BUCKETS;
    Histogram GATEWAY_DELIVERY_SECONDS = "bellwire_gateway_delivery_seconds", "From the acceptance by ingest to the proof (two machines' clocks), of each burst to a tab the oldest; tab says whether that was open when this node read the notification, or opened later. Event streams have no proof of the link of their own.",
        [LabelSet { name: "proof", values: &["link", "page"] }, LabelSet { name: "tab", values: &["open", "opened_later"] }], LATENCY_BUCKETS;
    Counter GATEWAY_TESTS = "bellwire_gateway_tests_total", "Test notifications asked for by tabs, by what became of them.",
        [LabelSet { name: "result", values: &["sent", "limited", "unavailable"] }];
    Counter GATEWAY_EVENTS_POSTS = "bellwire_gateway_events_posts_total", "What clients of event streams said by POST, by what became of it.",
        [LabelSet { name: "result", values: &["taken", "key", "cross_site", "bad_request", "too_large", "unknown", "busy", "origin", "failures", "token"] }];
    Gauge GATEWAY_JWT_KEYS = "bellwire_gateway_jwt_keys", "Keys that users' tokens are checked with.", [];
    Counter GATEWAY_TOKENS_REFUSED = "bellwire_gateway_tokens_refused_total", "Users' tokens that were refused, by reason.",
        [LabelSet { name: "reason", values: &["malformed", "algorithm", "unknown_key", "signature", "expired", "not_yet", "audience", "issuer", "subject", "too_long", "too_large"] }];
    Counter GATEWAY_RELAY_PUSHES = "bellwire_gateway_relay_pushes_total", "Pushes to the mobile relay, by what became of them; counted by the gateway that sends.",
        [LabelSet { name: "result", values: &["sent", "gone", "refused", "failed", "expired", "overflow", "unreadable", "cut"] }];
    Gauge GATEWAY_RELAY_WAITING = "bellwire_gateway_relay_waiting", "Notifications on their way to the mobile relay, those that wait to be tried again included.", [];
    Gauge GATEWAY_LOG_LAG_RECORDS = "bellwire_gateway_log_lag_records", "Records that were read from the log and are not yet applied.", [];
    Gauge GATEWAY_SHARDS = "bellwire_gateway_shards", "Shards that this node reads; with shards-also those of both numbers.", [];
    Gauge GATEWAY_SHARDS_SENDING = "bellwire_gateway_shards_sending", "Shards whose notifications this node may send: not before it has read a report of its own back.", [];
    Counter GATEWAY_BARRIERS = "bellwire_gateway_barriers_total", "Times that this node stopped sending the notifications of a shard until it had read another report of its own back, by why.",
        [LabelSet { name: "reason", values: &["stood_still", "unseen", "lost", "reattached", "replaced"] }];
    Gauge GATEWAY_REPORT_READ_TIMESTAMP_SECONDS = "bellwire_gateway_report_read_timestamp_seconds", "When this node last read a report of its own back from the log, in the shard where that is longest ago, in seconds since 1970; 0 before the first.", [];
    Gauge GATEWAY_NODES = "bellwire_gateway_nodes", "Living gateways, as this node sees them.", [];
    Counter GATEWAY_REPORTS = "bellwire_gateway_reports_total", "Reports that this node appended, by result.",
        [LabelSet { name: "result", values: &["written", "failed"] }];

    // files
    Counter FILES_RELOADED = "bellwire_files_reloaded_total", "Files that changed and were read again, by what they are for; failed leaves what was read before.",
        [LabelSet { name: "file", values: &["tokens", "shared_key", "jwt_keys", "certificate", "client_ca"] }, LabelSet { name: "result", values: &["ok", "failed"] }];

    Gauge FILES_FAILED = "bellwire_files_failed", "1 while a file is not as it was read last and cannot be used, by what it is for: what was read before stays, and a restart would fail.",
        [LabelSet { name: "file", values: &["tokens", "shared_key", "jwt_keys", "certificate", "client_ca"] }];

    // directory
    Counter DIRECTORY_LOOKUPS = "bellwire_directory_lookups_total", "Names and users that were looked up in openITCOCKPIT's database, by how that ended; stale is an old answer that stood in.",
        [LabelSet { name: "what", values: &["host", "service", "user"] },
         LabelSet { name: "result", values: &["cached", "found", "unknown", "stale", "slow", "away", "refused", "overloaded"] }];
    Counter DIRECTORY_QUERIES = "bellwire_directory_queries_total", "Queries to openITCOCKPIT's database, by how they ended.",
        [LabelSet { name: "result", values: &["answered", "refused", "away"] }];
    Histogram DIRECTORY_QUERY_SECONDS = "bellwire_directory_query_seconds", "From the query to openITCOCKPIT's database to its answer, a connection included.", [], LATENCY_BUCKETS;
    Gauge DIRECTORY_UP = "bellwire_directory_up", "1 unless openITCOCKPIT's database does not answer.", [];

    // http
    Counter HTTP_ACCEPT_ERRORS = "bellwire_http_accept_errors_total", "Failures to accept a connection, such as running out of file descriptors.", [];
    Counter HTTP_TLS_HANDSHAKES_FAILED = "bellwire_http_tls_handshakes_failed_total", "Connections that ended without a TLS handshake, by reason.",
        [LabelSet { name: "reason", values: &["plain_http", "timeout", "lost", "malformed", "incompatible", "certificate_refused", "client_certificate"] }];
    Gauge TLS_CERTIFICATE_NOT_AFTER = "bellwire_tls_certificate_not_after_timestamp_seconds", "When the certificate in use ends, in seconds since 1970.", [];

    // node: what its probes know, and the runtime below it
    Gauge NODE_READY = "bellwire_node_ready", "1 while /readyz says that this node may be given work.", [];
    Gauge NODE_DRAINING = "bellwire_node_draining", "1 from the moment on when this node has begun to end.", [];
    Gauge NODE_DRAIN_END_TIMESTAMP_SECONDS = "bellwire_node_drain_end_timestamp_seconds", "When this node means to have ended the last of its sessions or requests, in seconds since 1970; 0 until it drains.", [];
    Gauge RUNTIME_WORKERS = "bellwire_runtime_workers", "Threads that run the node's tasks.", [];
    Gauge RUNTIME_TASKS = "bellwire_runtime_tasks", "Tasks that are alive: most are a session each.", [];
    Gauge RUNTIME_TASKS_QUEUED = "bellwire_runtime_tasks_queued", "Tasks that wait for a thread, of those that no thread has taken to itself yet.", [];
    Counter RUNTIME_BUSY_SECONDS = "bellwire_runtime_busy_seconds_total", "Time that the threads were at work and not waiting for it, all together.", [];

    // process: the names that all Prometheus clients use
    Gauge PROCESS_RESIDENT_MEMORY_BYTES = "process_resident_memory_bytes", "Resident memory of the process.", [];
    Gauge PROCESS_VIRTUAL_MEMORY_BYTES = "process_virtual_memory_bytes", "Virtual memory of the process.", [];
    Gauge PROCESS_OPEN_FDS = "process_open_fds", "Open file descriptors of the process.", [];
    Gauge PROCESS_MAX_FDS = "process_max_fds", "Most file descriptors that the process may open.", [];
    Gauge PROCESS_START_TIME_SECONDS = "process_start_time_seconds", "When the process began, in seconds since 1970.", [];
    Counter PROCESS_CPU_SECONDS = "process_cpu_seconds_total", "Processor time that the process took, its own and the kernel's for it.", [];

    // log
    Counter LOG_APPENDS = "bellwire_log_appends_total", "Records appended, by result.",
        [LabelSet { name: "result", values: &["confirmed", "unavailable", "unknown", "overloaded", "too_large"] }];
    Counter LOG_RECONNECTS = "bellwire_log_reconnects_total", "Connections to the log that were lost and made anew.",
        [LabelSet { name: "side", values: &["append", "read"] }];
    Gauge LOG_UP = "bellwire_log_up", "1 while the log can be reached, by side.",
        [LabelSet { name: "side", values: &["append", "read"] }];
    Counter LOG_RECORDS_UNREADABLE = "bellwire_log_records_unreadable_total", "Records that this version cannot decode; they were skipped.", [];
}

/// Installs the process's recorder and describes every metric. The handle renders what `/metrics` shows.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for (_, description, buckets) in all() {
        if !buckets.is_empty() {
            builder = builder.set_buckets_for_metric(Matcher::Full(description.name.to_owned()), buckets)?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    for (kind, description, _) in all() {
        metrics::with_recorder(|recorder| {
            let name = KeyName::from_const_str(description.name);
            match kind {
                "Counter" => recorder.describe_counter(name, None, description.help.into()),
                "Gauge" => recorder.describe_gauge(name, None, description.help.into()),
                _ => recorder.describe_histogram(name, None, description.help.into()),
            }
        });
    }
    Ok(handle)
}

const METADATA: Metadata<'static> = Metadata::new("bellwire", Level::INFO, None);

impl Description {
    fn key(&self, values: &[&str]) -> Key {
        debug_assert_eq!(self.labels.len(), values.len(), "{}", self.name);
        debug_assert!(
            self.labels
                .iter()
                .zip(values)
                .all(|(label, value)| label.values.is_empty() || label.values.contains(value)),
            "{}: {values:?}",
            self.name
        );
        let labels: Vec<Label> =
            self.labels.iter().zip(values).map(|(label, value)| Label::new(label.name, (*value).to_owned())).collect();
        Key::from_parts(self.name, labels)
    }
}

impl Counter {
    /// The series with these label values, in the catalogue's order. Keep it where it is used often.
    pub fn with(&self, values: &[&str]) -> metrics::Counter {
        metrics::with_recorder(|recorder| recorder.register_counter(&self.0.key(values), &METADATA))
    }

    /// Counts one.
    pub fn count(&self, values: &[&str]) {
        self.with(values).increment(1);
    }

    /// Makes every series of the catalogue's label values exist at zero.
    pub fn zero(&self) {
        for values in combinations(self.0.labels) {
            self.with(&values).increment(0);
        }
    }

    /// Its lines of `/metrics` with a fraction: the recorder counts in whole numbers. For a counter without labels that
    /// nothing else counts.
    #[must_use]
    pub fn lines(&self, value: f64) -> String {
        let Description { name, help, labels } = &self.0;
        debug_assert!(labels.is_empty(), "{name}");
        format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n\n")
    }
}

impl Gauge {
    /// The series with these label values, in the catalogue's order. Keep it where it is used often.
    pub fn with(&self, values: &[&str]) -> metrics::Gauge {
        metrics::with_recorder(|recorder| recorder.register_gauge(&self.0.key(values), &METADATA))
    }

    /// Makes every series of the catalogue's label values exist at zero.
    pub fn zero(&self) {
        for values in combinations(self.0.labels) {
            self.with(&values).set(0.0);
        }
    }
}

impl Histogram {
    /// The series with these label values, in the catalogue's order. Keep it where it is used often.
    pub fn with(&self, values: &[&str]) -> metrics::Histogram {
        metrics::with_recorder(|recorder| recorder.register_histogram(&self.0.key(values), &METADATA))
    }

    /// Makes every series of the catalogue's label values exist, with nothing in it.
    pub fn zero(&self) {
        for values in combinations(self.0.labels) {
            let _ = self.with(&values);
        }
    }
}

fn combinations(labels: &[LabelSet]) -> Vec<Vec<&'static str>> {
    labels.iter().fold(vec![Vec::new()], |rows, label| {
        rows.iter()
            .flat_map(|row| label.values.iter().map(|value| row.iter().copied().chain([*value]).collect()))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that are not ours to choose.
    const STANDARD: &[&str] = &[
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
        "process_cpu_seconds_total",
    ];

    #[test]
    fn names_follow_the_rule() {
        for (kind, description, buckets) in all() {
            let ours = description.name.starts_with("bellwire_") || STANDARD.contains(&description.name);
            assert!(ours, "{}", description.name);
            assert_eq!(kind == "Counter", description.name.ends_with("_total"), "{}", description.name);
            assert_eq!(kind == "Histogram", !buckets.is_empty(), "{}", description.name);
            assert!(description.help.ends_with('.'), "{}", description.name);
        }
    }

    #[test]
    fn labels_are_closed() {
        for (_, description, _) in all().into_iter().filter(|(_, description, _)| description.name != BUILD_INFO.0.name)
        {
            for label in description.labels {
                let values: std::collections::BTreeSet<_> = label.values.iter().collect();
                assert!(
                    !values.is_empty() && values.len() == label.values.len(),
                    "{} {}",
                    description.name,
                    label.name
                );
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().iter().map(|(_, d, _)| d.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
    }

    #[test]
    fn a_counter_may_have_a_fraction() {
        let lines = PROCESS_CPU_SECONDS.lines(1.25);
        let mut lines = lines.lines();
        assert!(lines.next().is_some_and(|help| help.starts_with("# HELP process_cpu_seconds_total Processor")));
        assert_eq!(lines.next(), Some("# TYPE process_cpu_seconds_total counter"));
        assert_eq!(lines.next(), Some("process_cpu_seconds_total 1.25"));
    }

    #[test]
    fn every_combination_exists() {
        assert_eq!(combinations(&[]), vec![Vec::<&str>::new()]);
        assert_eq!(combinations(GATEWAY_SESSIONS_CLOSED.0.labels).len(), 4 * 3 * 23);
    }
}
