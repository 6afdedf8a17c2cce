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
    let _ = writeln!(page, "{}.", bounds.join(", "));
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

const INTRODUCTION: &str = "# Metrics

<!-- Made by `bellwire config --metrics-markdown`; a test compares it with the catalogue in common/src/metrics.rs. -->

Every node answers `/metrics` on its [`admin-listen`](configuration.md#admin-listen), as Prometheus reads it. No label has a user, a
host or a text, and each but those of `bellwire_build_info` has the values that are named here and no others. Counters are there from the start on, at zero. Standalone has
the metrics of both roles. What to watch, and when to alert: [access.md](access.md#what-to-watch), [operations.md](operations.md#tls),
[directory.md](directory.md#metrics), [ingest.md](ingest.md#metrics).

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
