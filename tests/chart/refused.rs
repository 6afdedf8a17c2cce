//! Values that cannot work are refused, and the refusal says which and why.

use crate::helm::{BOTH, Helm, LATE, RELEASE, Values};
use crate::sets;

/// What is wrong, values over [`sets::minimal`], words of the refusal.
const REFUSED: &[(&str, &str, &[&str])] = &[
    // The schema
    ("an unknown value", "gateway: {replicas: 3}", &["gateway", "replicas"]),
    ("an unknown part", "gatway: {}", &["gatway"]),
    ("a text for a number", "gateway: {replicaCount: three}", &["replicaCount", "integer"]),
    ("a number below zero", "ingest: {replicaCount: -1}", &["replicaCount"]),
    ("an unknown mode", "mode: single", &["mode", "cluster", "standalone"]),
    ("an unknown way to RabbitMQ", "rabbitmq: {mode: bitnami}", &["mode", "external", "operator"]),
    ("too many shards", "shards: {count: 65}", &["count", "64"]),
    ("a log format that there is not", "logging: {format: xml}", &["format"]),
    ("a check of sessions that there is not", "openitcockpit: {sessionCheck: maybe}", &["sessionCheck"]),
    ("openITCOCKPIT without TLS", "openitcockpit: {url: 'monitoring.example'}", &["url"]),
    ("a Service that there is not", "gateway: {service: {type: External}}", &["type"]),
    ("a port that there is not", "gateway: {service: {port: 70000}}", &["port", "70,000"]),
    ("a digest that is none", "image: {digest: 'md5:0'}", &["digest"]),
    ("a list for a map", "gateway: {extraEnv: [{name: A, value: b}]}", &["extraEnv"]),
    ("a tag that is no text", "image: {tag: 1.5}", &["tag"]),
    // Between values
    (
        "pods are killed while they hand over",
        "gateway: {terminationGracePeriodSeconds: 100}",
        &["gateway.terminationGracePeriodSeconds is 100", "at least 160"],
    ),
    (
        "requests are cut",
        "ingest: {drain: {seconds: 60}}",
        &["ingest.terminationGracePeriodSeconds is 60", "at least 95"],
    ),
    ("no key", "existingSecret: ''\nopenitcockpit: {url: ''}", &["openitcockpit.sharedKey.existingSecret"]),
    ("logins are not checked", "openitcockpit: {url: ''}", &["openitcockpit.url", "key-only"]),
    (
        "a check without an address",
        "openitcockpit: {url: '', sessionCheck: required}",
        &["sessionCheck=required", "openitcockpit.url"],
    ),
    (
        "authorities for nothing",
        "openitcockpit: {url: '', sessionCheck: key-only, ca: {existingSecret: a}}",
        &["openitcockpit.ca"],
    ),
    (
        "no tokens",
        "existingSecret: ''\nopenitcockpit: {sharedKey: {existingSecret: a}}\nrabbitmq: {external: {existingSecret: a}}",
        &["ingest.tokens.existingSecret"],
    ),
    (
        "two places for keys of users",
        "jwt: {existingSecret: a, url: 'https://b', audience: c}",
        &["jwt.existingSecret", "jwt.url"],
    ),
    ("tokens for anybody", "jwt: {existingSecret: a}", &["jwt.audience"]),
    ("an audience for nothing", "jwt: {audience: a}", &["jwt.audience"]),
    (
        "a relay without its database",
        "openitcockpit: {mobileRelay: {enabled: true}}",
        &["mobileRelay", "openitcockpit.mysql.existingSecret"],
    ),
    ("users without their database", "openitcockpit: {userCheck: push}", &["userCheck=push", "mysql"]),
    ("authorities without a relay", "openitcockpit: {mobileRelay: {ca: {existingSecret: a}}}", &["mobileRelay.ca"]),
    ("certificates without TLS", "ingest: {clientCa: {existingSecret: a}}", &["ingest.clientCa", "tls.enabled"]),
    ("TLS without a certificate", "tls: {enabled: true}", &["tls.existingSecret", "certManager"]),
    (
        "two certificates",
        "tls: {enabled: true, existingSecret: a, certManager: {enabled: true, issuerRef: {name: b}}}",
        &["tls.existingSecret", "tls.certManager.enabled"],
    ),
    ("a certificate for nothing", "tls: {existingSecret: a}", &["tls.enabled"]),
    ("nobody signs", "tls: {enabled: true, certManager: {enabled: true}}", &["tls.certManager.issuerRef.name"]),
    ("no RabbitMQ", "rabbitmq: {external: {hosts: []}}", &["rabbitmq.external.hosts"]),
    (
        "nobody for RabbitMQ",
        "existingSecret: ''\nopenitcockpit: {sharedKey: {existingSecret: a}}\ningest: {tokens: {existingSecret: a}}",
        &["rabbitmq.external.existingSecret"],
    ),
    ("a password without a user", "rabbitmq: {external: {password: a}}", &["rabbitmq.external.username"]),
    (
        "half of the nodes are no majority",
        "rabbitmq: {mode: operator, operator: {replicas: 4}}",
        &["rabbitmq.operator.replicas is 4", "odd"],
    ),
    (
        "an operator's TLS without a certificate",
        "rabbitmq: {mode: operator, operator: {tls: {enabled: true}}}",
        &["rabbitmq.operator.tls.existingSecret"],
    ),
    (
        "authorities without TLS",
        "rabbitmq: {external: {tls: {ca: {existingSecret: a}}}}",
        &["rabbitmq.external.tls.ca"],
    ),
    ("the next shards are these", "shards: {next: 4}", &["shards.next is 4", "shards.count"]),
    ("shards that nobody reads", "shards: {next: 8, ingest: 16}", &["shards.ingest is 16"]),
    (
        "two autoscalers",
        "gateway: {autoscaling: {enabled: true}, keda: {enabled: true, serverAddress: 'http://a'}}",
        &["gateway.autoscaling.enabled", "gateway.keda.enabled"],
    ),
    (
        "more than most",
        "gateway: {autoscaling: {enabled: true, minReplicas: 30}}",
        &["gateway.autoscaling.minReplicas is 30", "20"],
    ),
    (
        "an autoscaler without a measure",
        "gateway: {autoscaling: {enabled: true, cpu: 0, connections: {target: 0}}}",
        &["connections.target", "cpu"],
    ),
    ("KEDA without Prometheus", "gateway: {keda: {enabled: true}}", &["gateway.keda.serverAddress"]),
    (
        "a budget with two meanings",
        "gateway: {podDisruptionBudget: {minAvailable: 1, maxUnavailable: 1}}",
        &["gateway.podDisruptionBudget"],
    ),
    (
        "a budget of nobody",
        "gateway: {podDisruptionBudget: {maxUnavailable: 0}}",
        &["gateway.podDisruptionBudget.maxUnavailable is 0", "at least 1"],
    ),
    (
        "a budget of no part",
        "ingest: {podDisruptionBudget: {maxUnavailable: 0%}}",
        &["ingest.podDisruptionBudget.maxUnavailable is 0%"],
    ),
    (
        "a budget that needs everybody",
        "gateway: {podDisruptionBudget: {minAvailable: 3}}",
        &["gateway.podDisruptionBudget.minAvailable is 3", "one of 3 pods"],
    ),
    (
        "a budget that needs everybody while there are few",
        "ingest: {autoscaling: {enabled: true}, podDisruptionBudget: {minAvailable: 2}}",
        &["ingest.podDisruptionBudget.minAvailable is 2", "one of 2 pods"],
    ),
    (
        "a budget of all",
        "gateway: {podDisruptionBudget: {minAvailable: 100%}}",
        &["gateway.podDisruptionBudget.minAvailable is 100%"],
    ),
    (
        "a budget of all when it is rounded up",
        "gateway: {podDisruptionBudget: {minAvailable: 70%}}",
        &["gateway.podDisruptionBudget.minAvailable is 70%", "one of 3 pods"],
    ),
    ("a route of nothing", "gateway: {httpRoute: {enabled: true}}", &["gateway.httpRoute.parentRefs"]),
    ("an ingress for nothing", "ingest: {ingress: {enabled: true}}", &["ingest.ingress.hosts"]),
    (
        "a port of nodes without one",
        "gateway: {service: {nodePort: 30000}}",
        &["gateway.service.nodePort", "gateway.service.type"],
    ),
    ("a hash by nobody", "gateway: {affinityByUser: {enabled: true}}", &["gateway.affinityByUser.controller"]),
    (
        "a hash without a route",
        "gateway: {affinityByUser: {enabled: true, controller: envoy-gateway}}",
        &["gateway.httpRoute.enabled"],
    ),
    (
        "a hash without an ingress",
        "gateway: {affinityByUser: {enabled: true, controller: nginx}}",
        &["gateway.ingress.enabled"],
    ),
    (
        "one Ingress of two controllers",
        "gateway: {ingress: {enabled: true, hosts: [a.example], controller: traefik}, affinityByUser: {enabled: true, controller: nginx}}",
        &["gateway.affinityByUser.controller=nginx", "gateway.ingress.controller=traefik"],
    ),
    (
        "an address that is none",
        "tls: {enabled: true, certManager: {enabled: true, issuerRef: {name: a}, ipAddresses: [ingest.example]}}",
        &["ipAddresses"],
    ),
    (
        "two monitors",
        "metrics: {podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}",
        &["metrics.podMonitor.enabled", "metrics.serviceMonitor.enabled"],
    ),
    (
        "a setting that the chart makes",
        "config: {listen: '0.0.0.0:1'}",
        &["config must not have listen", "listenAddress"],
    ),
    (
        "a secret in a ConfigMap",
        "gateway: {config: {shared-key: a}}",
        &["gateway.config must not have shared-key", "openitcockpit.sharedKey"],
    ),
    (
        "another file of settings",
        "ingest: {extraEnv: {BELLWIRE_CONFIG: /a}}",
        &["ingest.extraEnv must not have BELLWIRE_CONFIG"],
    ),
    (
        "another log by a variable",
        "gateway: {extraEnv: {BELLWIRE_LOG: 'amqp://rabbit.example'}}",
        &["gateway.extraEnv must not have BELLWIRE_LOG", "rabbitmq"],
    ),
    (
        "a secret by a variable",
        "gateway: {extraEnv: {BELLWIRE_SHARED_KEY: {valueFrom: {secretKeyRef: {name: a, key: b}}}}}",
        &["gateway.extraEnv must not have BELLWIRE_SHARED_KEY", "openitcockpit.sharedKey"],
    ),
    (
        "another log by a flag",
        "ingest: {extraArgs: ['--log=amqp://user:word@rabbit.example']}",
        &["ingest.extraArgs must not have --log;", "rabbitmq"],
    ),
    (
        "other shards by a flag",
        "standalone: {extraArgs: [--shards, '8']}",
        &["standalone.extraArgs must not have --shards;", "shards.count"],
    ),
    ("another file by a flag", "gateway: {extraArgs: [--config, /a]}", &["gateway.extraArgs must not have --config"]),
];

/// Over [`sets::standalone`].
const REFUSED_STANDALONE: &[(&str, &str, &[&str])] = &[
    ("two processes on one log", "standalone: {replicaCount: 2}", &["replicaCount"]),
    (
        "pods are killed while they end",
        "standalone: {drain: {seconds: 60}}",
        &["standalone.terminationGracePeriodSeconds is 60", "at least 95"],
    ),
    ("other shards", "shards: {next: 8}", &["shards.next", "standalone"]),
    ("no key", "existingSecret: ''\nopenitcockpit: {url: ''}", &["openitcockpit.sharedKey.existingSecret"]),
];

#[test]
fn values_that_cannot_work_are_refused() {
    let mut lost = Vec::new();
    for (base, cases) in [(sets::minimal(), REFUSED), (sets::standalone(), REFUSED_STANDALONE)] {
        for (name, text, words) in cases {
            match Helm::V4.try_render(&base.and(name, text), LATE, RELEASE) {
                Ok(_) => lost.push(format!("{name}: accepted")),
                Err(error) => lost.extend(
                    words.iter().filter(|w| !error.contains(**w)).map(|w| format!("{name}: no {w:?} in {error}")),
                ),
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Someone who begins gets everything that is missing at once.
#[test]
fn all_that_is_missing_is_said_together() {
    for helm in BOTH {
        let error = helm.try_render(&Values::text("nothing", ""), LATE, RELEASE).unwrap_err();
        for words in [
            "openitcockpit.sharedKey.existingSecret",
            "ingest.tokens.existingSecret",
            "rabbitmq.external.hosts",
            "rabbitmq.external.existingSecret",
        ] {
            assert!(error.contains(words), "{helm:?}: no {words} in {error}");
        }
    }
}

#[test]
fn old_kubernetes_is_refused() {
    for helm in BOTH {
        let error = helm.try_render(&sets::minimal(), "1.29", RELEASE).unwrap_err();
        assert!(error.contains("1.29") && error.contains("1.30"), "{helm:?}: {error}");
    }
}
