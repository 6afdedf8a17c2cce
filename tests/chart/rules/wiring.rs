//! What names something else: it must be there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Rule;
use crate::objects::{Object, Objects, Pod, chooses, list, pairs, selects, text};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "workloads select their own pods",
        check: |objects, found| {
            for object in objects.0.iter().filter(|object| object.0.pointer("/spec/selector/matchLabels").is_some()) {
                let Some(pod) = object.pod() else { continue };
                if !selects(&object.0["spec"]["selector"]["matchLabels"], pod.labels()) {
                    found.push(object.to_string());
                }
                for constraint in list(pod.spec, "/topologySpreadConstraints") {
                    if !selects(&constraint["labelSelector"]["matchLabels"], pod.labels()) {
                        found.push(format!("{object}: topologySpreadConstraints {}", constraint["topologyKey"]));
                    }
                }
            }
        },
        plant: |objects| {
            edit(objects, "Deployment", "/spec/template/metadata/labels/app.kubernetes.io~1component", json!("x"));
        },
    },
    Rule {
        name: "selectors find pods, and never the test",
        check: |objects, found| {
            for (object, selector) in objects.0.iter().filter_map(|object| Some((object, selector(object)?))) {
                if chosen(objects, object, &selector) == 0 {
                    found.push(format!("{object} selects nothing with {selector}"));
                }
                // A policy of its own may let the test through.
                let test = objects.pods().into_iter().find(|pod| pod.of.is_hook() && chooses(&selector, pod.labels()));
                if let Some(test) = test.filter(|_| object.kind() != "NetworkPolicy") {
                    found.push(format!("{object} selects {}", test.of));
                }
            }
        },
        plant: |objects| {
            edit(objects, "PodDisruptionBudget", "/spec/selector/matchLabels/app.kubernetes.io~1component", json!("x"));
        },
    },
    Rule {
        name: "selectors never change with a version",
        check: |objects, found| {
            const STAY: [&str; 3] =
                ["app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"];
            // Only those of workloads cannot be changed; in others a version would be wrong for a while.
            const CHANGE: [&str; 2] = ["app.kubernetes.io/version", "helm.sh/chart"];
            for object in &objects.0 {
                let own = object.pod().and_then(|_| object.0.pointer("/spec/selector/matchLabels"));
                let own = own.map(|own| pairs(own, "")).unwrap_or_default();
                let other = selector(object).unwrap_or_default();
                let other = pairs(&other, "/matchLabels");
                let wrong = own.iter().map(|(name, _)| *name).filter(|name| !STAY.contains(name));
                let wrong = wrong.chain(other.iter().map(|(name, _)| *name).filter(|name| CHANGE.contains(name)));
                found.extend(wrong.map(|name| format!("{object}: {name}")));
            }
        },
        plant: |objects| {
            edit(objects, "Deployment", "/spec/selector/matchLabels", json!({"helm.sh/chart": "bellwire-1"}));
        },
    },
    Rule {
        name: "ports of Services are those of their pods",
        check: |objects, found| {
            for service in objects.kind("Service") {
                for port in list(&service.0, "/spec/ports") {
                    let target = port.get("targetPort").unwrap_or(&port["port"]);
                    for pod in selected(objects, &selector(service).unwrap_or_default())
                        .filter(|pod| pod.port(target).is_none())
                    {
                        found.push(format!("{service}: {} has no port {target}", pod.of));
                    }
                }
            }
        },
        plant: |objects| edit(objects, "Service", "/spec/ports/0/targetPort", json!("htpp")),
    },
    Rule {
        name: "probes ask ports that are there",
        check: |objects, found| {
            for pod in objects.pods() {
                for container in pod.containers() {
                    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                        let Some(port) = container.pointer(&format!("/{probe}/httpGet/port")) else { continue };
                        if pod.port(port).is_none() {
                            found.push(format!("{}: {probe} asks {port}", pod.of));
                        }
                    }
                }
            }
        },
        plant: |objects| {
            edit(objects, "Deployment", "/spec/template/spec/containers/0/livenessProbe/httpGet/port", json!("admn"));
        },
    },
    Rule {
        name: "monitors name ports that are there",
        check: |objects, found| {
            for monitor in objects.kind("PodMonitor") {
                for endpoint in list(&monitor.0, "/spec/podMetricsEndpoints") {
                    let all = selected(objects, &monitor.0["spec"]["selector"]);
                    for pod in all.filter(|pod| pod.port(&endpoint["port"]).is_none()) {
                        found.push(format!("{monitor}: {} has no port {}", pod.of, endpoint["port"]));
                    }
                }
            }
            for monitor in objects.kind("ServiceMonitor") {
                for endpoint in list(&monitor.0, "/spec/endpoints") {
                    let selector = &monitor.0["spec"]["selector"];
                    let chosen =
                        objects.kind("Service").filter(|service| chooses(selector, &service.0["metadata"]["labels"]));
                    for service in chosen.filter(|service| !service_has(service, &endpoint["port"])) {
                        found.push(format!("{monitor}: {service} has no port {}", endpoint["port"]));
                    }
                }
            }
        },
        plant: |objects| edit(objects, "PodMonitor", "/spec/podMetricsEndpoints/0/port", json!("metrics")),
    },
    Rule {
        name: "routes lead to Services that are there",
        check: |objects, found| {
            for route in objects.kind("HTTPRoute") {
                for to in list(&route.0, "/spec/rules").iter().flat_map(|rule| list(rule, "/backendRefs")) {
                    leads(objects, route, text(to, "/name"), &to["port"], found);
                }
            }
            for ingress in objects.kind("Ingress") {
                for path in list(&ingress.0, "/spec/rules").iter().flat_map(|rule| list(rule, "/http/paths")) {
                    let to = &path["backend"]["service"];
                    let port = to["port"].get("name").unwrap_or(&to["port"]["number"]);
                    leads(objects, ingress, text(to, "/name"), port, found);
                }
            }
        },
        plant: |objects| edit(objects, "Ingress", "/spec/rules/0/http/paths/0/backend/service/name", json!("push")),
    },
    Rule {
        name: "policies open ports that are there",
        check: |objects, found| {
            for policy in objects.kind("NetworkPolicy") {
                for port in list(&policy.0, "/spec/ingress").iter().flat_map(|rule| list(rule, "/ports")) {
                    let all = selected(objects, &policy.0["spec"]["podSelector"]);
                    for pod in all.filter(|pod| pod.port(&port["port"]).is_none()) {
                        found.push(format!("{policy}: {} has no port {}", pod.of, port["port"]));
                    }
                }
            }
        },
        plant: |objects| edit(objects, "NetworkPolicy", "/spec/ingress/0/ports/0/port", json!(1)),
    },
    Rule {
        name: "autoscalers scale what is there, and nobody else counts its pods",
        check: |objects, found| {
            for scaler in objects.0.iter().filter(|o| ["HorizontalPodAutoscaler", "ScaledObject"].contains(&o.kind())) {
                match objects.find("Deployment", text(&scaler.0, "/spec/scaleTargetRef/name")) {
                    None => found.push(format!("{scaler}: {}", scaler.0["spec"]["scaleTargetRef"])),
                    Some(target) if target.0["spec"].get("replicas").is_some() => {
                        found.push(format!("{target} has replicas"));
                    }
                    Some(_) => {}
                }
            }
        },
        plant: |objects| edit(objects, "HorizontalPodAutoscaler", "/spec/scaleTargetRef/name", json!("push-gateway")),
    },
    Rule {
        name: "what is mounted is there, and what is there is mounted",
        check: |objects, found| {
            for pod in objects.pods() {
                let claims =
                    list(&pod.of.0, "/spec/volumeClaimTemplates").iter().map(|claim| text(claim, "/metadata/name"));
                let volumes: BTreeSet<_> =
                    list(pod.spec, "/volumes").iter().map(|v| text(v, "/name")).chain(claims).collect();
                let mounted: BTreeSet<_> = pod
                    .containers()
                    .into_iter()
                    .flat_map(|container| list(container, "/volumeMounts"))
                    .map(|mount| text(mount, "/name"))
                    .collect();
                found.extend(volumes.symmetric_difference(&mounted).map(|name| format!("{}: {name}", pod.of)));
            }
        },
        plant: |objects| {
            edit(objects, "Deployment", "/spec/template/spec/containers/0/volumeMounts/0/name", json!("x"));
        },
    },
    Rule {
        name: "keys of the chart's own files are there",
        check: |objects, found| {
            for pod in objects.pods() {
                for (volume, kind, name, source) in sources(pod) {
                    let Some(object) = objects.find(kind, name) else { continue };
                    let items = list(source, "/items").iter().map(|item| text(item, "/key"));
                    let mounts = pod.containers().into_iter().flat_map(|container| list(container, "/volumeMounts"));
                    let parts = mounts.filter(|mount| mount["name"] == volume).map(|mount| text(mount, "/subPath"));
                    for key in items.chain(parts.filter(|part| !part.is_empty())) {
                        if ["data", "stringData"].iter().all(|part| object.0[part].get(key).is_none()) {
                            found.push(format!("{}: {object} has no {key}", pod.of));
                        }
                    }
                }
            }
        },
        plant: |objects| {
            for object in objects.0.iter_mut().filter(|object| object.kind() == "ConfigMap") {
                object.0["data"] = json!({});
            }
        },
    },
];

/// Sets what is at a pointer in the first object of a kind that has it.
pub(super) fn edit(objects: &mut Objects, kind: &str, pointer: &str, value: Value) {
    let mut all = objects.0.iter_mut().filter(|object| object.kind() == kind);
    let place = all.find_map(|object| object.0.pointer_mut(pointer));
    *place.unwrap_or_else(|| panic!("no {kind} with {pointer}")) = value;
}

/// What a pod's files are made of: the volume's name, kind and name of the object, and the volume's source.
fn sources(pod: Pod<'_>) -> Vec<(&str, &'static str, &str, &Value)> {
    let of = |volume| {
        let name = text(volume, "/name");
        let map = volume.get("configMap").map(|map| (name, "ConfigMap", text(map, "/name"), map));
        map.or_else(|| volume.get("secret").map(|secret| (name, "Secret", text(secret, "/secretName"), secret)))
    };
    list(pod.spec, "/volumes").iter().filter_map(of).collect()
}

/// By which an object finds others.
fn selector(object: &Object) -> Option<Value> {
    let spec = &object.0["spec"];
    match object.kind() {
        "Service" => Some(json!({"matchLabels": spec["selector"]})),
        "PodDisruptionBudget" | "PodMonitor" | "ServiceMonitor" => Some(spec["selector"].clone()),
        "NetworkPolicy" => Some(spec["podSelector"].clone()),
        _ => None,
    }
}

/// How many there are that it finds.
fn chosen(objects: &Objects, object: &Object, selector: &Value) -> usize {
    if object.kind() == "ServiceMonitor" {
        return objects.kind("Service").filter(|service| chooses(selector, &service.0["metadata"]["labels"])).count();
    }
    // Its operator makes pods with these labels.
    let of_operator = |name: &str| json!({"app.kubernetes.io/name": name, "app.kubernetes.io/component": "rabbitmq"});
    let brokers = objects.kind("RabbitmqCluster").filter(|cluster| chooses(selector, &of_operator(cluster.name())));
    let hooks = object.kind() == "NetworkPolicy";
    let pods = objects.pods().into_iter().filter(|pod| (hooks || !pod.of.is_hook()) && chooses(selector, pod.labels()));
    pods.count() + brokers.count()
}

fn selected<'a>(objects: &'a Objects, selector: &'a Value) -> impl Iterator<Item = Pod<'a>> {
    objects.pods().into_iter().filter(move |pod| chooses(selector, pod.labels()))
}

fn service_has(service: &Object, port: &Value) -> bool {
    list(&service.0, "/spec/ports").iter().any(|p| p["name"] == *port || p["port"] == *port)
}

fn leads(objects: &Objects, from: &Object, service: &str, port: &Value, found: &mut Vec<String>) {
    // Values may send some paths to Services that are not the chart's; in the sets of these tests they have this name.
    if service != "elsewhere" && !objects.find("Service", service).is_some_and(|service| service_has(service, port)) {
        found.push(format!("{from} leads to {service} port {port}"));
    }
}
