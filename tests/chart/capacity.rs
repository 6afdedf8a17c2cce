//! How many pods there are, and whether what they may hold fits into their memory.

use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE};
use crate::objects::text;
use crate::{sets, settings};

/// What docs/operations.md says of sizes, in KB.
mod size {
    /// An open tab with TLS, its first burst over, and its socket in the kernel with something on its way.
    pub(super) const TAB: u64 = 6 + 8 + 8 + 10;
    /// A process, and what it remembers for `bellwire trace`.
    pub(super) const PROCESS: u64 = 25_000 + 25_000;
    /// What is held of a shard.
    pub(super) const SHARD: u64 = 32_000;
}

/// A quantity of Kubernetes, in KB.
fn kilobytes(quantity: &str) -> u64 {
    let (number, unit) = quantity.split_at(quantity.find(|c: char| !c.is_ascii_digit()).unwrap());
    let unit = match unit {
        "Mi" => 1024 * 1024,
        "Gi" => 1024 * 1024 * 1024,
        other => panic!("no unit of these tests: {other}"),
    };
    number.parse::<u64>().unwrap() * unit / 1000
}

#[test]
fn the_tabs_that_are_let_in_fit_into_memory() {
    let mut seen = 0;
    let mut sets = vec![sets::minimal(), sets::standalone()];
    sets.extend(sets::presets());
    for values in sets {
        let objects = Helm::V4.objects(&values);
        for pod in objects.pods().into_iter().filter(|pod| !pod.of.is_hook()) {
            let table = settings::of(&objects, pod).unwrap().table();
            let number = |name: &str| table.get(name).and_then(toml::Value::as_integer).map(i64::unsigned_abs);
            let Some(tabs) = number("max-sessions") else { continue };
            let needs = size::PROCESS + tabs * size::TAB + number("shards").unwrap() * size::SHARD;
            let limit = kilobytes(text(pod.spec, "/containers/0/resources/limits/memory"));
            assert!(needs < limit, "{}: {} has {limit} KB, and {tabs} tabs need {needs}", values.name, pod.of);
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
}

fn scaled(more: &str) -> Value {
    let keda = sets::minimal().and("", "gateway: {keda: {enabled: true, serverAddress: 'http://prometheus'}}");
    let objects = Helm::V4.objects(&keda.and("", more));
    objects.get("ScaledObject", "-gateway").0["spec"].clone()
}

/// While Prometheus or its answer is missing, no pod with tabs may go.
#[test]
fn no_answer_is_not_taken_for_no_tabs() {
    let spec = scaled("");
    assert_eq!(spec["triggers"][0]["metadata"]["ignoreNullValues"], "false");
    assert_eq!(spec["fallback"], json!({"failureThreshold": 3, "behavior": "currentReplicas", "replicas": 20}));
    let own =
        scaled("gateway: {keda: {metadata: {ignoreNullValues: 'true'}, fallback: {replicas: 7, behavior: static}}}");
    assert_eq!(own["triggers"][0]["metadata"]["ignoreNullValues"], "true");
    assert_eq!(own["fallback"], json!({"failureThreshold": 3, "behavior": "static", "replicas": 7}));
    assert_eq!(scaled("gateway: {keda: {fallback: {failureThreshold: 0}}}").get("fallback"), None);
}

/// Two releases in a namespace must not scale each other.
#[test]
fn an_autoscaler_counts_the_tabs_of_its_release() {
    let query = |values: &str| text(&scaled(values), "/triggers/0/metadata/query").to_owned();
    let wanted = |name: &str| {
        format!("sum(bellwire_gateway_sessions{{namespace=\"{NAMESPACE}\",pod=~\"{name}-gateway-[^-]+-[^-]+\"}})")
    };
    assert_eq!(query(""), wanted("push-bellwire"));
    assert_eq!(query("fullnameOverride: other"), wanted("other"));
    assert_eq!(query("gateway: {keda: {query: 'sum(a)'}}"), "sum(a)");
}
