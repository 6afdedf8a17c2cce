//! The catalogue as a page for people.

use std::fmt::Write as _;

use super::{Description, LATENCY_BUCKETS, LabelSet, all};

/// The parts of the page: a title, and the prefixes of the names in it. What fits nowhere else is of the process.
const PARTS: &[(&str, &[&str])] = &[
    ("Ingest", &["bellwire_ingest_"]),
    ("Gateway", &["bellwire_gateway_"]),
    ("The log", &["bellwire_log_"]),
    ("openITCOCKPIT's database", &["bellwire_directory_"]),
    ("Connections, TLS and files", &["bellwire_http_", "bellwire_tls_", "bellwire_files_"]),
    (PROCESS, &[]),
];
const PROCESS: &str = "The process";

/// `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    let bounds: Vec<_> = LATENCY_BUCKETS.iter().map(f64::to_string).collect();
    let _ = writeln!(page, "{}.\n\n{WAYS}", bounds.join(", "));
    let _ = page.pop();
    for (title, _) in PARTS {
        let _ = write!(page, "\n## {title}\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n");
        for (kind, metric, _) in all().into_iter().filter(|(_, metric, _)| part(metric) == *title) {
            let labels: Vec<_> = metric.labels.iter().map(label).collect();
            let kind = kind.to_lowercase();
            let _ = writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, labels.join("; "), metric.help);
        }
    }
    page
}

fn part(metric: &Description) -> &'static str {
    let is_of = |prefixes: &[&str]| prefixes.iter().any(|prefix| metric.name.starts_with(prefix));
    PARTS.iter().find(|(_, prefixes)| is_of(prefixes)).map_or(PROCESS, |(title, _)| title)
}

fn label(label: &LabelSet) -> String {
    let values: Vec<_> = label.values.iter().map(|value| format!("`{value}`")).collect();
    if values.is_empty() { format!("`{}`", label.name) } else { format!("`{}`: {}", label.name, values.join(", ")) }
}

const WAYS: &str = "## The way of a notification

| from | to | metric |
| --- | --- | --- |
| a request's head | accepted: read, looked up, checked | `bellwire_ingest_accept_seconds` |
| accepted | appended: safe in the log | `bellwire_ingest_append_seconds` |
| accepted | read by a gateway | `bellwire_gateway_read_seconds` |
| read | written to an open tab | `bellwire_gateway_write_seconds` |
| written | confirmed by the tab | `bellwire_gateway_confirm_seconds` |
| accepted | confirmed by the tab | `bellwire_gateway_delivery_seconds` |

The last one is what people notice: with `proof=\"page\"` and `tab=\"open\"` it ends when the page has handled the notification. What waited
for a browser to come (back) is under `tab=\"opened_later\"`, so that a quiet night does not look like a slow server. A digest is in
neither: it waits on purpose.

## What belongs together

- Sessions that end in a drain are `bellwire_gateway_sessions_closed_total{reason=\"drain\"}`, those that a drain had to cut
  `{reason=\"shutdown\"}`; `bellwire_gateway_sessions` falls meanwhile, and `bellwire_node_drain_end_timestamp_seconds` less `time()` is what is
  left of its time.
- A browser that comes back to any gateway and goes on where it was is `bellwire_gateway_announcements_total{browser=\"returned\"}`. Behind a
  gateway that was killed it is `{browser=\"open\"}` at first, for its old session is known until that gateway is taken for lost; then
  `bellwire_gateway_takeovers_total{reason=\"node_lost\"}` counts it.
- Where `bellwire_gateway_shards_sending` stays below `bellwire_gateway_shards`, tabs of that node get nothing of some shards;
  `bellwire_gateway_barriers_total` says why it began, and `bellwire_gateway_report_read_timestamp_seconds` since when. Compare such times with
  `timestamp()` of the same sample: beside `time()` they look older by the age of the scrape.
- What a gateway knows of the whole cluster (`bellwire_gateway_notifications_waiting`, `..._held_bytes`, `bellwire_gateway_nodes`) is the same on
  each: take the largest, not the sum.
";

const INTRODUCTION: &str = "# Metrics

<!-- Made by `bellwire config --metrics-markdown`; a test compares it with the catalogue in common/src/metrics.rs. -->

Every node answers `/metrics` on its [`admin-listen`](configuration.md#admin-listen), as Prometheus reads it. No label has a user, a
host or a text, and each but those of `bellwire_build_info` has the values that are named here and no others. Counters are there from the start on, at zero. Standalone has
the metrics of both roles. When to alert, and what to do then: [runbooks.md](runbooks.md), with the rules and a dashboard. More on some of
them: [access.md](access.md#what-to-watch), [operations.md](operations.md#tls), [directory.md](directory.md#metrics),
[ingest.md](ingest.md#metrics).

A node counts what it has seen itself, so sum over the nodes. What is \"counted once in the cluster\" is counted by one gateway, whichever
it is.

Histograms have `_bucket`, `_sum` and `_count`, in seconds; the upper bounds of their buckets are
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_this_catalogue() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == markdown(), "run: bellwire config --metrics-markdown > docs/metrics.md");
    }

    #[test]
    fn every_metric_has_one_line_and_every_part_some() {
        let page = markdown();
        for (_, metric, buckets) in all() {
            let lines = page.lines().filter(|line| line.starts_with(&format!("| `{}` |", metric.name))).count();
            assert_eq!(lines, 1, "{}", metric.name);
            assert!(!metric.help.contains('|'), "{}: would end its cell", metric.name);
            assert!(buckets.is_empty() || buckets == LATENCY_BUCKETS, "{}: the page says other buckets", metric.name);
        }
        for (title, _) in PARTS {
            assert!(all().iter().any(|(_, metric, _)| part(metric) == *title), "{title} is empty");
        }
    }
}
