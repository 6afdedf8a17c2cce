//! What all objects have in common: names, labels, and nothing twice.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Rule;
use super::wiring::edit;
use crate::objects::{Object, Objects, list, pairs, text};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "no value is null",
        check: |objects, found| {
            for object in &objects.0 {
                object.walk(&mut |path, value| {
                    if value.is_null() {
                        found.push(format!("{object}: {path}"));
                    }
                });
            }
        },
        plant: |objects| edit(objects, "Service", "/spec/type", Value::Null),
    },
    Rule {
        name: "nothing is there twice",
        check: |objects, found| {
            let names = objects.0.iter().map(|o| format!("{} {} {}", o.group(), o, text(&o.0, "/metadata/namespace")));
            twice("objects", names, found);
            for service in objects.kind("Service") {
                let ports = list(&service.0, "/spec/ports");
                twice(
                    &format!("{service}: names of ports"),
                    ports.iter().map(|port| text(port, "/name").to_owned()),
                    found,
                );
                let numbers = ports.iter().map(|port| format!("{} {}", port["port"], text(port, "/protocol")));
                twice(&format!("{service}: ports"), numbers, found);
            }
            for pod in objects.pods() {
                let lists = |pointer| pod.containers().into_iter().flat_map(move |container| list(container, pointer));
                twice(
                    &format!("{}: volumes", pod.of),
                    list(pod.spec, "/volumes").iter().map(|v| v["name"].to_string()),
                    found,
                );
                twice(
                    &format!("{}: containers", pod.of),
                    pod.containers().iter().map(|c| c["name"].to_string()),
                    found,
                );
                twice(&format!("{}: names of ports", pod.of), lists("/ports").map(|p| p["name"].to_string()), found);
                twice(&format!("{}: ports", pod.of), lists("/ports").map(|p| p["containerPort"].to_string()), found);
                for container in pod.containers() {
                    for (pointer, key) in [("/env", "name"), ("/volumeMounts", "mountPath")] {
                        let all = list(container, pointer).iter().map(|entry| entry[key].to_string());
                        twice(&format!("{}: {} {pointer}", pod.of, container["name"]), all, found);
                    }
                }
            }
        },
        plant: |objects| {
            let mount = json!({"name": "config", "mountPath": "/a"});
            edit(objects, "Deployment", "/spec/template/spec/containers/0/volumeMounts", json!([mount.clone(), mount]));
        },
    },
    Rule {
        name: "every object has a namespace and the standard labels",
        check: |objects, found| {
            const LABELS: [&str; 4] = [
                "helm.sh/chart",
                "app.kubernetes.io/name",
                "app.kubernetes.io/instance",
                "app.kubernetes.io/managed-by",
            ];
            for object in objects.0.iter().filter(|object| !object.is_extra()) {
                // Which one: see `namespace_and_common_labels_reach_every_object`.
                if text(&object.0, "/metadata/namespace").is_empty() {
                    found.push(format!("{object}: no namespace"));
                }
                let labels = &object.0["metadata"]["labels"];
                found.extend(
                    LABELS.iter().filter(|l| labels.get(**l).is_none()).map(|label| format!("{object}: no {label}")),
                );
            }
        },
        plant: |objects| edit(objects, "ServiceAccount", "/metadata/labels", json!({})),
    },
    Rule {
        name: "names and labels are not too long",
        check: |objects, found| {
            for object in &objects.0 {
                // Its pods get a number, and a label with the name and a hash of 10.
                let most = if object.kind() == "StatefulSet" { 52 } else { 63 };
                if object.name().len() > most
                    || !object.name().chars().all(|c| "abcdefghijklmnopqrstuvwxyz0123456789-.".contains(c))
                {
                    found.push(format!("{object}: {} characters", object.name().len()));
                }
                let metadata = object.pod().map(|pod| pod.metadata).into_iter().chain([&object.0["metadata"]]);
                for (name, value) in metadata.flat_map(|metadata| pairs(metadata, "/labels")) {
                    let value = value.as_str().unwrap_or_default();
                    let is_fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
                    if value.len() > 63
                        || !value.chars().all(is_fine)
                        || !ends(value.chars().next())
                        || !ends(value.chars().last())
                    {
                        found.push(format!("{object}: label {name} is {value:?}"));
                    }
                }
            }
            let ports = objects.pods().into_iter().flat_map(|pod| pod.containers()).flat_map(|c| list(c, "/ports"));
            found.extend(ports.map(|port| text(port, "/name")).filter(|name| name.len() > 15).map(str::to_owned));
        },
        plant: |objects| edit(objects, "Service", "/metadata/name", json!("x".repeat(64))),
    },
    Rule {
        name: "budgets say one thing, and strategies keep everybody connected",
        check: |objects, found| {
            for budget in objects.kind("PodDisruptionBudget") {
                let said =
                    ["minAvailable", "maxUnavailable"].iter().filter(|n| budget.0["spec"].get(**n).is_some()).count();
                if said != 1 {
                    found.push(format!("{budget}: {}", budget.0["spec"]));
                }
            }
            for deployment in objects.kind("Deployment") {
                if deployment.0.pointer("/spec/strategy/rollingUpdate/maxUnavailable") != Some(&json!(0)) {
                    found.push(format!("{deployment}: {}", deployment.0["spec"]["strategy"]));
                }
            }
        },
        plant: |objects| edit(objects, "Deployment", "/spec/strategy/rollingUpdate/maxUnavailable", json!("25%")),
    },
    Rule {
        name: "budgets let nodes be drained",
        check: |objects, found| {
            for budget in objects.kind("PodDisruptionBudget") {
                let Some(fewest) = fewest(objects, budget.name()) else { continue };
                let may = |value: &Value| of_pods(value, fewest).is_some_and(|number| number > 0);
                let must = |value: &Value| of_pods(value, fewest).is_some_and(|number| number < fewest);
                let spec = &budget.0["spec"];
                if !spec.get("maxUnavailable").map(may).or_else(|| spec.get("minAvailable").map(must)).unwrap_or(true) {
                    found.push(format!("{budget}: {spec} of {fewest}"));
                }
            }
        },
        plant: |objects| edit(objects, "PodDisruptionBudget", "/spec/maxUnavailable", json!("0%")),
    },
    Rule {
        name: "Services have only what fits to their type",
        check: |objects, found| {
            for service in objects.kind("Service") {
                let not: &[&str] = match text(&service.0, "/spec/type") {
                    "LoadBalancer" => &[],
                    "NodePort" => &["loadBalancerClass", "loadBalancerSourceRanges"],
                    _ => &["loadBalancerClass", "loadBalancerSourceRanges", "externalTrafficPolicy"],
                };
                let wrong = not.iter().filter(|name| service.0["spec"].get(**name).is_some());
                found.extend(wrong.map(|name| format!("{service}: {name}")));
            }
        },
        plant: |objects| {
            edit(objects, "Service", "/spec", json!({"type": "ClusterIP", "externalTrafficPolicy": "Local"}));
        },
    },
    Rule {
        name: "a broken pod does not keep a StatefulSet from its repair",
        check: |objects, found| {
            let ordered = objects.kind("StatefulSet").filter(|set| set.0["spec"]["podManagementPolicy"] != "Parallel");
            found.extend(ordered.map(Object::to_string));
        },
        plant: |objects| {
            let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"replicas": 1}});
            objects.0.push(Object(set, String::new()));
        },
    },
    Rule {
        name: "policies say what goes out",
        check: |objects, found| {
            for policy in objects.kind("NetworkPolicy") {
                if !list(&policy.0, "/spec/policyTypes").contains(&json!("Egress")) {
                    found.push(policy.to_string());
                }
                // Names are asked for by TCP, too, when the answer is long.
                let ports: Vec<_> =
                    list(&policy.0, "/spec/egress").iter().flat_map(|rule| list(rule, "/ports")).collect();
                let udp: Vec<_> = ports.iter().filter(|port| text(port, "/protocol") == "UDP").collect();
                let is_both =
                    |udp: &&Value| ports.iter().any(|p| p["port"] == udp["port"] && text(p, "/protocol") == "TCP");
                if udp.is_empty() || !udp.iter().all(|udp| is_both(udp)) {
                    found.push(format!("{policy}: DNS by UDP alone, or not at all"));
                }
            }
        },
        plant: |objects| edit(objects, "NetworkPolicy", "/spec/policyTypes", json!(["Ingress"])),
    },
    Rule {
        name: "files of the chart fit",
        check: |objects, found| {
            let files = objects.0.iter().filter(|object| ["ConfigMap", "Secret"].contains(&object.kind()));
            // A mebibyte, and server-side apply writes it into the managed fields of the object, too.
            found.extend(files.filter(|object| object.0.to_string().len() > 900_000).map(Object::to_string));
        },
        plant: |objects| edit(objects, "ConfigMap", "/data", json!({"a": "x".repeat(1_000_000)})),
    },
];

/// Fewest pods of the workload with this name.
fn fewest(objects: &Objects, name: &str) -> Option<u64> {
    let of = |kind: &str, pointer: &str| objects.find(kind, name)?.0.pointer(pointer)?.as_u64();
    of("HorizontalPodAutoscaler", "/spec/minReplicas")
        .or_else(|| of("ScaledObject", "/spec/minReplicaCount"))
        .or_else(|| of("Deployment", "/spec/replicas"))
}

/// A number of pods, or a part of them, which Kubernetes rounds up.
fn of_pods(value: &Value, pods: u64) -> Option<u64> {
    match value.as_str().and_then(|text| text.strip_suffix('%')) {
        Some(percent) => Some((percent.parse::<u64>().ok()? * pods).div_ceil(100)),
        None => value.as_u64(),
    }
}

fn twice(what: &str, names: impl Iterator<Item = String>, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            found.push(format!("{what}: {name} twice"));
        }
    }
}
