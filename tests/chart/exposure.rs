//! The ways in and out: what controllers are told, what policies let through, and names in certificates.

use serde_json::{Value, json};

use crate::helm::{Helm, Values};
use crate::objects::{Object, list, text};
use crate::sets;

/// A controller, and what tells it that pods speak TLS: the kind of object, the annotation, its value with `PART`.
const ENCRYPTED: &[(&str, &str, &str, &str)] = &[
    ("haproxy", "Ingress", "haproxy.org/server-ssl", "true"),
    ("haproxy-ingress", "Ingress", "haproxy-ingress.github.io/secure-backends", "true"),
    ("nginx", "Ingress", "nginx.org/ssl-services", "push-bellwire-PART"),
    ("ingress-nginx", "Ingress", "nginx.ingress.kubernetes.io/backend-protocol", "HTTPS"),
    ("traefik", "Service", "traefik.ingress.kubernetes.io/service.serversscheme", "https"),
];

fn annotation(object: &Object, name: &str) -> Value {
    object.0["metadata"]["annotations"][name].clone()
}

#[test]
fn controllers_speak_tls_to_pods_that_do() {
    let ingresses = "
gateway: {ingress: {enabled: true, hosts: [push.example], controller: CONTROLLER}}
ingest: {ingress: {enabled: true, hosts: [ingest.example]}}
";
    for (controller, kind, name, value) in ENCRYPTED {
        let plain = sets::minimal().and(controller, &ingresses.replace("CONTROLLER", controller));
        let encrypted = plain.and("TLS", "tls: {enabled: true, existingSecret: a}");
        for part in ["gateway", "ingest"] {
            let of = |values: &Values| annotation(Helm::V4.objects(values).get(kind, &format!("-{part}")), name);
            assert_eq!(of(&plain), Value::Null, "{controller}, {part}");
            assert_eq!(of(&encrypted), value.replace("PART", part), "{controller}, {part}");
        }
    }
}

#[test]
fn each_part_may_have_a_controller_of_its_own() {
    let values = sets::minimal().and(
        "two controllers",
        "
gateway: {ingress: {enabled: true, hosts: [push.example], controller: haproxy}}
ingest: {ingress: {enabled: true, hosts: [ingest.example], controller: nginx}}
tls: {enabled: true, existingSecret: a}
",
    );
    let objects = Helm::V4.objects(&values);
    let (gateway, ingest) = (objects.get("Ingress", "-gateway"), objects.get("Ingress", "-ingest"));
    assert_eq!(annotation(gateway, "haproxy.org/server-ssl"), "true");
    assert_eq!(annotation(ingest, "haproxy.org/server-ssl"), Value::Null);
    assert_eq!(annotation(ingest, "nginx.org/ssl-services"), "push-bellwire-ingest");
}

/// haproxytech's controller reads its time for tunnels from its own ConfigMap; what it does not read would only look well.
#[test]
fn no_controller_is_told_what_it_does_not_read() {
    for values in sets::all() {
        assert!(!Helm::V4.render(&values).contains("haproxy.org/timeout-tunnel"), "{}", values.name);
    }
}

#[test]
fn the_test_reaches_addresses_outside() {
    let base = sets::minimal().and("policies", "networkPolicy: {enabled: true}");
    let ports = |values: &Values| -> Vec<Value> {
        let objects = Helm::V4.objects(values);
        let rules = list(&objects.get("NetworkPolicy", "-test").0, "/spec/egress");
        let anywhere = rules.iter().filter(|rule| rule.get("to").is_none()).flat_map(|rule| list(rule, "/ports"));
        anywhere.map(|port| port["port"].clone()).collect()
    };
    assert_eq!(ports(&base), Vec::<Value>::new());
    let outside = base.and("", "tests: {gateway: 'wss://push.example', ingest: 'http://ingest.example:8084/in'}");
    assert_eq!(ports(&outside), [json!(443), json!(8084)]);
    assert_eq!(ports(&base.and("", "tests: {gateway: 'ws://push.example'}")), [json!(80)]);
    // And still the pods, where such an address may end without leaving the cluster.
    let objects = Helm::V4.objects(&outside);
    let rules = list(&objects.get("NetworkPolicy", "-test").0, "/spec/egress");
    let to = |component: &str| {
        let name = "/podSelector/matchLabels/app.kubernetes.io~1component";
        rules.iter().flat_map(|rule| list(rule, "/to")).any(|peer| text(peer, name) == component)
    };
    assert!(to("gateway") && to("ingest"));
}

#[test]
fn certificates_are_for_what_values_name() {
    let values = Values::file("values-production.yaml")
        .and("", sets::SITE)
        .and("addresses", "tls: {certManager: {dnsNames: [push.example], ipAddresses: [192.0.2.10, '2001:db8::10']}}");
    let spec = Helm::V4.objects(&values).get("Certificate", "bellwire").0["spec"].clone();
    assert!(spec["dnsNames"].as_array().unwrap().contains(&json!("push.example")), "{spec}");
    assert_eq!(spec["ipAddresses"], json!(["192.0.2.10", "2001:db8::10"]));
}
