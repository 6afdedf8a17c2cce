//! Traces by OTLP: the processes of a cluster, built with the feature `otlp`, and a collector.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::time::{SystemTime, UNIX_EPOCH};

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::process::binary;
use bellwire_testkit::tab::{Front, PATIENCE, Profile, Tab};
use bellwire_testkit::{http, ports};
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use self::collector::Collector;
use self::wire::Span;

mod collector;
mod wire;

/// A number, as openITCOCKPIT's front end has it.
const USER: &str = "8150815";

fn setup(role: &str, log: &str, endpoint: &str) -> Setup {
    Setup::new(role, log).env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
}

/// So that a test need not wait for the usual five seconds.
fn at_once(setup: Setup) -> Setup {
    setup.env("OTEL_BSP_SCHEDULE_DELAY", "50")
}

async fn open(node: &Bellwire, front: Front, browser: &str) -> Tab {
    Profile::new(front, USER, browser, node.listen).open().await.unwrap()
}

/// Sends what was made half a minute ago, and gives the second of that.
async fn send(address: SocketAddr, id: &str) -> u64 {
    let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 30;
    let body = json!({ "id": id, "user": USER, "timestamp": made, "kind": "message", "title": "a secret", "body": "of theirs" });
    let answer = http::post(address, "/v1/notifications", &body).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    made
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn attribute<'a>(span: &'a Span, name: &str) -> &'a str {
    span.attributes.get(name).map_or("", String::as_str)
}

#[tokio::test]
async fn a_notification_is_one_trace_from_notify_to_the_proofs_on_two_gateways() {
    let (broker, collector) = (Broker::start().await.unwrap(), Collector::start().await);
    let start = |role: &'static str| at_once(setup(role, &broker.url(), &collector.url)).start();
    let (ingest, here, there, idle) =
        tokio::join!(start("ingest"), start("gateway"), start("gateway"), start("gateway"));
    let (ingest, here, there, _idle) = (ingest.unwrap(), here.unwrap(), there.unwrap(), idle.unwrap());
    let tabs = [open(&here, Front::Native, "one").await, open(&there, Front::V2, "two").await];
    let made = send(ingest.listen, "the-id").await;
    for tab in &tabs {
        tab.wait_shown(1).await.unwrap();
    }

    let confirmed = |spans: &[Span]| {
        let proofs = named(spans, "confirm")
            .into_iter()
            .map(|span| (attribute(span, "bellwire.protocol"), attribute(span, "bellwire.proof")));
        let proofs: BTreeSet<_> = proofs.collect();
        ["native", "v2"].iter().all(|protocol| proofs.iter().any(|(of, _)| of == protocol))
            && proofs.contains(&("native", "page"))
    };
    let is_whole =
        |spans: &[Span]| confirmed(spans) && !named(spans, "accept").is_empty() && named(spans, "write").len() == 2;
    let spans = collector.wait("the spans of one notification", is_whole).await;

    let [root] = named(&spans, "notify")[..] else { panic!("{spans:#?}") };
    assert_eq!(root.parent, "", "{root:#?}");
    // Nothing else may have come, of whatever trace.
    for span in &spans {
        assert_eq!(span.trace, root.trace, "{span:#?}");
        assert!(span.name == "notify" || span.parent == root.id, "{span:#?}");
        assert_eq!(attribute(span, "bellwire.notification.id"), "the-id");
        assert_eq!(attribute(span, "bellwire.shard"), attribute(root, "bellwire.shard"));
        assert_eq!(span.service, "bellwire");
        assert!(span.began <= span.ended && span.began >= root.began, "{span:#?} {root:#?}");
    }
    let [accepted] = named(&spans, "accept")[..] else { panic!("{spans:#?}") };
    assert!(root.began == made * 1_000_000_000 && root.ended == accepted.began, "{root:#?} {accepted:#?}");
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), spans.len(), "{spans:#?}");
    assert_eq!((named(&spans, "append").len(), named(&spans, "read").len()), (1, 2), "{spans:#?}");
    let nodes =
        |name| named(&spans, name).into_iter().map(|span| attribute(span, "bellwire.node")).collect::<BTreeSet<_>>();
    assert!(nodes("read").len() == 2 && nodes("write") == nodes("read") && nodes("confirm") == nodes("read"));
    let all = spans.iter().map(|span| format!("{:?}", span.attributes)).collect::<String>();
    assert!(!all.contains(USER) && !all.contains("secret") && !all.contains("theirs"), "{all}");
}

#[tokio::test]
async fn what_waits_is_sent_at_the_end_and_a_ratio_leaves_traces_out() {
    let collector = Collector::start().await;
    // No batch would be due for an hour.
    let late = |ratio: &str| {
        setup("standalone", "memory:", &collector.url)
            .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
            .env("OTEL_TRACES_SAMPLER", "traceidratio")
            .env("OTEL_TRACES_SAMPLER_ARG", ratio)
            .env("OTEL_SERVICE_NAME", "alerts")
            .start()
    };
    let mut node = late("0").await.unwrap();
    send(node.listen, "left-out").await;
    assert!(node.stop().await.unwrap().success());
    assert_eq!(collector.spans(), []);

    let mut node = late("1").await.unwrap();
    send(node.listen, "kept").await;
    assert!(node.stop().await.unwrap().success());
    let spans = collector.spans();
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<BTreeSet<_>>(), ["accept", "append", "notify"].into());
    assert!(spans.iter().all(|span| span.service == "alerts" && attribute(span, "bellwire.notification.id") == "kept"));
}

/// It takes connections, and never says a word.
#[tokio::test]
async fn a_collector_that_does_not_answer_holds_up_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let setup = at_once(setup("standalone", "memory:", &endpoint));
    // Longer than anybody here waits, and a queue that is full at once.
    let setup = setup.env("OTEL_EXPORTER_OTLP_TIMEOUT", "600000").env("OTEL_BSP_MAX_QUEUE_SIZE", "4");
    let mut node = setup.start().await.unwrap();
    let tab = open(&node, Front::Native, "one").await;
    for number in 0..4 {
        send(node.listen, &format!("id-{number}")).await;
    }
    tab.wait_shown(4).await.unwrap();
    let words = "dropped a Span due to queue full";
    node.process().line(words, PATIENCE).await.unwrap();
    let ended = timeout(PATIENCE, node.stop()).await.expect("an end within the patience of the tests");
    assert!(ended.unwrap().success());
    let output = node.process().output();
    assert_eq!(output.matches(words).count(), 1, "{output}");
}

#[tokio::test]
async fn a_collector_that_is_away_is_told_of_once_and_so_is_its_return() {
    let address = ports::free();
    let node = at_once(setup("standalone", "memory:", &format!("http://us:secret@{address}"))).start().await.unwrap();
    let tab = open(&node, Front::V2, "one").await;
    send(node.listen, "first").await;
    tab.wait_shown(1).await.unwrap();
    let words = "the collector does not take traces";
    node.process().line(words, PATIENCE).await.unwrap();
    send(node.listen, "second").await;
    tab.wait_shown(2).await.unwrap();
    // Its answer is empty, which is what a collector says that took all.
    let router = axum::Router::new().route("/v1/traces", axum::routing::post(|| async {}));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    send(node.listen, "third").await;
    node.process().line("the collector takes traces again", PATIENCE).await.unwrap();
    let output = node.process().output();
    assert_eq!(output.matches(words).count(), 1, "{output}");
    assert!(!output.contains("secret"), "{output}");
    server.abort();
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    for (name, value, words) in [
        ("OTEL_TRACES_SAMPLER_ARG", "1.5", "must be a number from 0 to 1"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "must be always_on, always_off or traceidratio"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "must be milliseconds from 1 to 600000"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "nowhere.pem", "nowhere.pem: No such file"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://us:secret@no where", "must be an address such as"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "us:secret@collector:4318", "must be an address such as"),
    ] {
        let mut command = Command::new(binary("bellwire"));
        command.args(["standalone", "--log", "memory:", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.env_clear().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318").env(name, value);
        let output = command.kill_on_drop(true).output().await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{name}: {error}");
        assert!(error.contains(name) && error.contains(words) && !error.contains("secret"), "{name}: {error}");
    }
}
