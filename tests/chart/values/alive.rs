//! Whether a value is of any use: changed alone, it changes what is rendered.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{documented, of_path, schema};
use crate::helm::{Helm, LATE, RELEASE, Values};
use crate::sets;

/// Where a value is read at all: the beginning of its path, and values under which it is. The longest that fits counts.
const WHERE: &[(&str, &str)] = &[
    ("tls.enabled", "tls: {enabled: true, existingSecret: a}"),
    (
        "ingest.clientCa.existingConfigMap",
        "tls: {enabled: true, existingSecret: a}\ningest: {clientCa: {existingConfigMap: a}}",
    ),
    ("ingest.clientCa", "tls: {enabled: true, existingSecret: a}\ningest: {clientCa: {existingSecret: a}}"),
    (
        "rabbitmq.operator.tls.ca.existingConfigMap",
        "rabbitmq: {mode: operator, operator: {tls: {enabled: true, existingSecret: a, ca: {existingConfigMap: a}}}}",
    ),
    (
        "rabbitmq.operator.tls.ca",
        "rabbitmq: {mode: operator, operator: {tls: {enabled: true, existingSecret: a, ca: {existingSecret: a}}}}",
    ),
    (
        "rabbitmq.external.tls.ca.existingConfigMap",
        "rabbitmq: {external: {tls: {enabled: true, ca: {existingConfigMap: a}}}}",
    ),
    ("rabbitmq.external.tls.ca", "rabbitmq: {external: {tls: {enabled: true, ca: {existingSecret: a}}}}"),
    (
        "openitcockpit.mobileRelay.ca.existingConfigMap",
        "openitcockpit: {mysql: {existingSecret: a}, mobileRelay: {enabled: true, ca: {existingConfigMap: a}}}",
    ),
    (
        "openitcockpit.mobileRelay.ca",
        "openitcockpit: {mysql: {existingSecret: a}, mobileRelay: {enabled: true, ca: {existingSecret: a}}}",
    ),
    ("standalone", "mode: standalone"),
    ("standalone.persistence", "mode: standalone"),
    ("openitcockpit.mysql", "openitcockpit: {mysql: {existingSecret: a}}"),
    ("openitcockpit.userCheck", "openitcockpit: {mysql: {existingSecret: a}}"),
    ("openitcockpit.mobileRelay", "openitcockpit: {mysql: {existingSecret: a}}"),
    ("openitcockpit.ca.key", "openitcockpit: {ca: {existingSecret: a}}"),
    ("openitcockpit.mysql.value", ""),
    ("openitcockpit.sharedKey.key", "openitcockpit: {sharedKey: {existingSecret: a}}"),
    ("jwt", "jwt: {existingSecret: a, audience: b}"),
    ("jwt.url", "jwt: {url: 'https://a.example', audience: b}"),
    ("tls", "tls: {enabled: true, existingSecret: a}"),
    ("tls.certManager", "tls: {enabled: true, certManager: {enabled: true, issuerRef: {name: a}}}"),
    ("rabbitmq.external.username", "rabbitmq: {external: {username: a, password: b}}"),
    ("rabbitmq.external.password", "rabbitmq: {external: {username: a}}"),
    ("rabbitmq.operator", "rabbitmq: {mode: operator}"),
    (
        "rabbitmq.operator.tls",
        "rabbitmq: {mode: operator, operator: {tls: {enabled: true, existingSecret: a, ca: {existingConfigMap: a}}}}",
    ),
    ("ingest.tokens.key", "ingest: {tokens: {existingSecret: a}}"),
    ("gateway.service.nodePort", "gateway: {service: {type: NodePort}}"),
    ("ingest.service.nodePort", "ingest: {service: {type: NodePort}}"),
    ("gateway.service.loadBalancerClass", "gateway: {service: {type: LoadBalancer}}"),
    ("ingest.service.loadBalancerClass", "ingest: {service: {type: LoadBalancer}}"),
    ("gateway.service.loadBalancerSourceRanges", "gateway: {service: {type: LoadBalancer}}"),
    ("ingest.service.loadBalancerSourceRanges", "ingest: {service: {type: LoadBalancer}}"),
    ("gateway.service.externalTrafficPolicy", "gateway: {service: {type: NodePort}}"),
    ("ingest.service.externalTrafficPolicy", "ingest: {service: {type: NodePort}}"),
    ("gateway.httpRoute", "gateway: {httpRoute: {enabled: true, parentRefs: [{name: a}]}}"),
    ("ingest.httpRoute", "ingest: {httpRoute: {enabled: true, parentRefs: [{name: a}]}}"),
    ("gateway.httpRoute.enabled", "gateway: {httpRoute: {parentRefs: [{name: a}]}}"),
    ("ingest.httpRoute.enabled", "ingest: {httpRoute: {parentRefs: [{name: a}]}}"),
    ("gateway.ingress", "gateway: {ingress: {enabled: true, hosts: [a.example]}}"),
    ("ingest.ingress", "ingest: {ingress: {enabled: true, hosts: [a.example]}}"),
    (
        "ingest.ingress.controller",
        "ingest: {ingress: {enabled: true, hosts: [a.example]}}\ntls: {enabled: true, existingSecret: a}",
    ),
    ("gateway.ingress.enabled", "gateway: {ingress: {hosts: [a.example]}}"),
    ("ingest.ingress.enabled", "ingest: {ingress: {hosts: [a.example]}}"),
    ("gateway.affinityByUser.enabled", "gateway: {affinityByUser: {controller: istio}}"),
    (
        "gateway.affinityByUser.controller",
        "gateway: {httpRoute: {enabled: true, parentRefs: [{name: a}]}, affinityByUser: {enabled: true, controller: istio}}",
    ),
    ("gateway.autoscaling", "gateway: {autoscaling: {enabled: true}}"),
    ("ingest.autoscaling", "ingest: {autoscaling: {enabled: true}}"),
    ("gateway.keda", "gateway: {keda: {enabled: true, serverAddress: 'http://a'}}"),
    ("gateway.keda.enabled", "gateway: {keda: {serverAddress: 'http://a'}}"),
    (
        "gateway.podDisruptionBudget.minAvailable",
        "gateway: {podDisruptionBudget: {maxUnavailable: null, minAvailable: 1}}",
    ),
    (
        "ingest.podDisruptionBudget.minAvailable",
        "ingest: {podDisruptionBudget: {maxUnavailable: null, minAvailable: 1}}",
    ),
    ("shards.next", ""),
    ("shards.ingest", "shards: {next: 8}"),
    ("networkPolicy", "networkPolicy: {enabled: true}"),
    ("networkPolicy.database", "networkPolicy: {enabled: true}\nopenitcockpit: {mysql: {existingSecret: a}}"),
    (
        "networkPolicy.relay",
        "networkPolicy: {enabled: true}\nopenitcockpit: {mysql: {existingSecret: a}, mobileRelay: {enabled: true}}",
    ),
    ("metrics.podMonitor", "metrics: {podMonitor: {enabled: true}}"),
    ("metrics.serviceMonitor", "metrics: {serviceMonitor: {enabled: true}}"),
    ("metrics.prometheusRule", "metrics: {prometheusRule: {enabled: true}}"),
    ("metrics.dashboards", "metrics: {dashboards: {enabled: true}}"),
    ("tests.ca.key", "tests: {ca: {existingSecret: a}}"),
];

/// What a value is changed to where the schema does not say it.
const OTHER: &[(&str, &str)] = &[
    ("global.imageRegistry", "registry.example"),
    ("image.registry", "registry.example"),
    ("image.digest", "sha256:0000000000000000000000000000000000000000000000000000000000000000"),
    ("global.compatibility.openshift.adaptSecurityContext", "force"),
    ("listenAddress", "127.0.0.1"),
    ("jwt.url", "https://other.example"),
    ("gateway.limits.maxHandshakesPerSecond", "777"),
    ("gateway.digests", "[v2]"),
    ("gateway.ingress.controller", "nginx"),
    ("ingest.ingress.controller", "haproxy"),
    ("gateway.podDisruptionBudget.minAvailable", "50%"),
    ("ingest.podDisruptionBudget.minAvailable", "50%"),
    ("tls.certManager.ipAddresses", "[192.0.2.10]"),
    ("gateway.service.ipFamilies", "[IPv6]"),
    ("ingest.service.ipFamilies", "[IPv6]"),
    ("standalone.replicaCount", "0"),
    ("standalone.persistence.accessModes", "[ReadWriteOncePod]"),
    ("metrics.podMonitor.scrapeTimeout", "7s"),
    ("metrics.serviceMonitor.scrapeTimeout", "7s"),
    ("shards.count", "5"),
    ("shards.next", "8"),
    ("shards.ingest", "8"),
    ("openitcockpit.origins", "['https://a.example']"),
    ("openitcockpit.sessionRecheck", "7m"),
    ("rabbitmq.operator.replicas", "5"),
    ("rabbitmq.operator.spec", "{terminationGracePeriodSeconds: 7}"),
    ("rabbitmq.operator.tolerations", "[{key: a}]"),
    ("gateway.terminationGracePeriodSeconds", "777"),
    ("ingest.terminationGracePeriodSeconds", "777"),
    ("standalone.terminationGracePeriodSeconds", "777"),
    ("gateway.affinityByUser.controller", "envoy-gateway"),
    ("gateway.keda.serverAddress", "http://other"),
    ("ingest.replicaCount", "5"),
    ("metrics.prometheusRule.disabled", "[BellwireGatewayMissing]"),
    ("metrics.prometheusRule.extraRules", "[{alert: Other, expr: '1'}]"),
    ("extraObjects", "[{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}]"),
    ("tls.certManager.issuerRef", "{name: other}"),
    ("networkPolicy.openitcockpit.to", "[{ipBlock: {cidr: 192.0.2.0/24}}]"),
];

/// Another value that the schema allows, for what it says of one.
fn another(node: &Value, name: &str, now: &Value) -> Value {
    if let Some(words) = node["enum"].as_array() {
        let other = words.iter().find(|word| *word != now && *word != "" && !word.is_null());
        return other.unwrap_or_else(|| panic!("one word only: {node}")).clone();
    }
    match name {
        "texts" | "names" => json!(["other"]),
        "networks" => json!(["192.0.2.0/24"]),
        "hosts" => json!(["other.example"]),
        "peers" => json!([{"ipBlock": {"cidr": "192.0.2.0/24"}}]),
        "objects" => json!([{"name": "other"}]),
        "spread" => json!([{"topologyKey": "other", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}]),
        "routePaths" => json!([{"path": "/other", "type": "Exact"}]),
        "ingressPaths" => json!([{"path": "/other", "pathType": "Exact"}]),
        "settings" => json!({"log-level": "debug"}),
        "env" => json!({"OTHER": "other"}),
        "free" | "textMap" => json!({"other": "other"}),
        "site" | "address" => json!("https://other.example"),
        "duration" | "promDuration" => json!("7m"),
        "quantity" => json!("77Mi"),
        "intOrPercent" => json!("77%"),
        _ if node["type"] == "boolean" || node["type"] == json!(["boolean", "null"]) => json!(*now != true),
        _ if node["type"].to_string().contains("integer") => json!(now.as_i64().unwrap_or(6) + 1),
        _ if node["type"] == "string" => json!("other"),
        _ if node["type"] == "array" => json!(["other"]),
        _ if node["type"] == "object" => json!({"other": "other"}),
        _ => panic!("what could it be: {node}"),
    }
}

/// The name of the definition that a value's schema is, if it is one.
fn definition(schema: &Value, path: &str) -> String {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let node = if parent.is_empty() { Some(schema) } else { of_path(schema, parent) };
    let reference = node.and_then(|node| node["properties"][name]["$ref"].as_str()).unwrap_or_default();
    reference.rsplit('/').next().unwrap_or_default().to_owned()
}

#[test]
fn every_value_changes_what_is_rendered() {
    let schema = schema();
    let defaults: Value = serde_yaml_ng::from_str(&super::yaml()).unwrap();
    let mut bases = BTreeMap::new();
    let mut problems = Vec::new();
    let mut count = 0;
    for entry in documented() {
        let path = &entry.path;
        let begins = |at: &&(&str, &str)| path == at.0 || path.starts_with(&format!("{}.", at.0));
        let around = WHERE.iter().filter(begins).max_by_key(|(at, _)| at.len()).map_or("", |(_, text)| text);
        let base = sets::minimal().and("", around);
        let value = match OTHER.iter().find(|(at, _)| at == path) {
            Some((_, text)) => serde_yaml_ng::from_str(text).unwrap(),
            None => {
                let node = of_path(&schema, path).unwrap_or_else(|| panic!("{path} is not in the schema"));
                let pointer = format!("/{}", path.replace('.', "/"));
                let set: Value = serde_yaml_ng::from_str(around).unwrap();
                let now = set.pointer(&pointer).or_else(|| defaults.pointer(&pointer)).unwrap();
                another(node, &definition(&schema, path), now)
            }
        };
        let changed = path.rsplit('.').fold(value, |value, name| json!({name: value}));
        let render = |values: &Values| Helm::V4.try_render(values, LATE, RELEASE);
        let before = bases
            .entry(around)
            .or_insert_with(|| render(&base).unwrap_or_else(|error| panic!("{path} under {around}: {error}")));
        match render(&base.and("", &changed.to_string())) {
            Ok(after) if after == *before => problems.push(format!("{path} is of no use under {around:?}: {changed}")),
            Ok(_) => count += 1,
            // Others are of no use without it, which is a use too.
            Err(error) if error.contains("do not fit together") && error.contains(&format!("{path}.")) => count += 1,
            Err(error) => problems.push(format!("{path} under {around:?}: {changed}: {error}")),
        }
    }
    assert!(problems.is_empty(), "{count} are of use, but:\n{}", problems.join("\n"));
}
