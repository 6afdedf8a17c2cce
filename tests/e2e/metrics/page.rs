//! `/metrics` as Prometheus reads it: complete from the start, and with names, helps and types as its own tool wants them.

use std::path::Path;
use std::process::Stdio;

use bellwire_common::metrics::{self, Description};
use bellwire_testkit::bellwire::{Bellwire, KEY, Setup};
use bellwire_testkit::certs::Authority;
use bellwire_testkit::{http, ports};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{PATIENCE, standalone};

/// A standalone with every setting that brings metrics of its own. Its database need not be there.
fn everything(folder: &Path) -> Setup {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let authority = Authority::try_new("everything").unwrap();
    let (cert, key) = authority.server().unwrap().write(folder, "server").unwrap();
    let keys = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}]}"#;
    let database = ports::free();
    let (host, port) = (database.ip(), database.port());
    let mysql = format!("[client]\ndatabase=d\nuser=u\npassword=p\nhost={host}\nport={port}\n");
    let set = [
        ("LOG", "memory:".to_owned()),
        ("SHARED_KEY_FILE", file("key", KEY)),
        ("SESSION_CHECK", "key-only".to_owned()),
        ("MYSQL_FILE", file("mysql.cnf", &mysql)),
        ("MOBILE_RELAY", "on".to_owned()),
        ("RELAY_CA_FILE", file("ca.pem", authority.pem())),
        ("JWT_KEYS_FILE", file("keys.json", keys)),
        ("JWT_AUDIENCE", "bellwire".to_owned()),
        ("TLS_CERT_FILE", cert.display().to_string()),
        ("TLS_KEY_FILE", key.display().to_string()),
        ("INGEST_CLIENT_CA_FILE", folder.join("ca.pem").display().to_string()),
        ("INGEST_TOKENS_FILE", file("tokens", "a-token-that-is-long-enough\n")),
    ];
    let setup = Setup::default().arg("standalone");
    set.into_iter().fold(setup, |setup, (name, value)| setup.env(&format!("BELLWIRE_{name}"), value))
}

/// What a node shows now.
pub(super) async fn page_of(node: &Bellwire) -> String {
    http::get(node.admin, "/metrics").await.unwrap().text()
}

/// What Prometheus' own tool finds wrong with a page.
async fn lint(page: &str) -> String {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        promtool.kill_on_drop(true).spawn().expect("promtool, of Debian's package prometheus: tests/install");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if output.status.success() { said } else { format!("{}: {said}", output.status) }
}

/// Prometheus' tool has nothing to say, each metric is one of the catalogue, and its help and type are the catalogue's.
pub(super) async fn is_well(page: &str) {
    assert_eq!(lint(page).await, "");
    let all = metrics::all();
    for line in page.lines().filter(|line| !line.is_empty()) {
        let Some(comment) = line.strip_prefix("# ") else {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let of_histogram = |(kind, metric, _): &(&str, &Description, _)| {
                let rest = name.strip_prefix(metric.name);
                *kind == "Histogram" && rest.is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest))
            };
            let known = all.iter().any(|metric| metric.1.name == name || of_histogram(metric));
            assert!(known, "not in the catalogue: {line}");
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (what, name, said) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let (kind, metric, _) =
            all.iter().find(|(_, metric, _)| metric.name == name).unwrap_or_else(|| panic!("{line}"));
        match what {
            "HELP" => assert_eq!(said, metric.help),
            _ => assert_eq!((what, said), ("TYPE", kind.to_lowercase().as_str()), "{name}"),
        }
    }
}

/// Series of the catalogue that a page does not have, of the metrics that it should have.
pub(super) fn missing(page: &str, has: impl Fn(&str) -> bool) -> Vec<String> {
    let mut missing = Vec::new();
    for (_, metric, buckets) in metrics::all().into_iter().filter(|(_, metric, _)| has(metric.name)) {
        let name = if buckets.is_empty() { metric.name.to_owned() } else { format!("{}_count", metric.name) };
        let series: Vec<&str> = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(&name)).collect();
        if series.is_empty() {
            missing.push(name.clone());
        }
        // What `build_info` tells is known only at run time.
        for label in metric.labels.iter().filter(|_| metric.name != metrics::BUILD_INFO.0.name) {
            let texts = label.values.iter().map(|value| format!("{}=\"{value}\"", label.name));
            missing.extend(
                texts
                    .filter(|text| !series.iter().any(|line| line.contains(text.as_str())))
                    .map(|text| format!("{name}{{{text}}}")),
            );
        }
    }
    missing
}

/// What appears only with its first event has no rate at it.
#[tokio::test]
async fn every_series_is_there_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let everything = everything(folder.path()).start().await.unwrap();
    // RabbitMQ's own are there before RabbitMQ is.
    let ingest = Setup::new("ingest", &format!("amqp://{}", ports::free())).begin().unwrap();
    // Listening is the last of what it does before it waits for RabbitMQ.
    ingest.process().line(" listening ", PATIENCE).await.unwrap();
    let pages = [page_of(&everything).await, page_of(&ingest).await];
    for page in &pages {
        is_well(page).await;
    }
    assert_eq!(missing(&pages.concat(), |_| true), Vec::<String>::new());
    let ingests = |name: &str| !name.starts_with("bellwire_gateway_") && !needs_a_setting(name);
    assert_eq!(missing(&pages[1], ingests), Vec::<String>::new());
    // It has done nothing yet; the histograms' buckets and sums included.
    let counted: Vec<_> =
        pages[1].lines().filter(|line| line.starts_with("bellwire_ingest_") && !line.ends_with(" 0")).collect();
    assert_eq!(counted, Vec::<&str>::new());
}

/// Whether a metric is there only where something is set that brings it.
pub(super) fn needs_a_setting(name: &str) -> bool {
    let parts =
        ["bellwire_directory_", "bellwire_tls_", "bellwire_http_tls_", "bellwire_files_", "bellwire_gateway_relay_"];
    let metrics = ["bellwire_gateway_jwt_keys", "bellwire_ingest_export_status_total"];
    parts.iter().any(|part| name.starts_with(part)) || metrics.contains(&name)
}

/// The rules of naming are held against us by somebody who knows them.
#[tokio::test]
async fn promtool_finds_what_is_wrong() {
    let node = standalone("memory:").await;
    let page = page_of(&node).await;
    is_well(&page).await;
    for (good, bad) in [
        ("# HELP bellwire_gateway_nodes Living gateways", "# HELP bellwire_gateway_other Living gateways"),
        ("bellwire_gateway_frames_sent_total", "bellwire_gateway_frames_sent"),
        ("process_start_time_seconds", "process_start_time_milliseconds"),
        ("bellwire_gateway_nodes 1", "bellwire_gateway_nodes one"),
    ] {
        assert!(page.contains(good), "{good}");
        assert_ne!(lint(&page.replace(good, bad)).await, "", "{bad}");
    }
}
