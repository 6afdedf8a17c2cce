//! The Pod Security Standard "restricted", and what keeps secrets and connections.

use serde_json::{Value, json};

use super::Rule;
use super::wiring::edit;
use crate::objects::{Object, list, text};
use crate::settings;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "pods are restricted",
        check: |objects, found| {
            for pod in objects.pods() {
                for forbidden in
                    ["hostNetwork", "hostPID", "hostIPC"].iter().filter(|name| pod.spec.get(**name).is_some())
                {
                    found.push(format!("{}: {forbidden}", pod.of));
                }
                let of_pod = &pod.spec["securityContext"];
                for container in pod.containers() {
                    let own = &container["securityContext"];
                    let either = |pointer: &str| {
                        own.pointer(pointer).or_else(|| of_pod.pointer(pointer)).unwrap_or(&Value::Null)
                    };
                    let wanted = [
                        ("runAsNonRoot", either("/runAsNonRoot") == true),
                        // Left to the cluster, or one of ours, but never root.
                        ("runAsUser", either("/runAsUser").is_null() || either("/runAsUser").as_u64() > Some(0)),
                        ("runAsGroup", either("/runAsGroup").is_null() || either("/runAsGroup").as_u64() > Some(0)),
                        ("seccompProfile", text(either("/seccompProfile"), "/type") == "RuntimeDefault"),
                        ("allowPrivilegeEscalation", own["allowPrivilegeEscalation"] == false),
                        // Not in the standard; those that values bring may do without.
                        ("readOnlyRootFilesystem", own["readOnlyRootFilesystem"] == true || !is_ours(container)),
                        ("privileged", own.get("privileged").is_none()),
                        ("capabilities.drop", list(own, "/capabilities/drop") == [json!("ALL")]),
                        ("capabilities.add", own.pointer("/capabilities/add").is_none()),
                    ];
                    let missing = wanted.iter().filter(|(_, holds)| !holds);
                    found.extend(missing.map(|(name, _)| format!("{} {}: {name}", pod.of, container["name"])));
                    let ports = list(container, "/ports").iter();
                    found.extend(ports.filter(|p| p.get("hostPort").is_some()).map(|p| format!("{}: {p}", pod.of)));
                }
                const VOLUMES: [&str; 5] = ["configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim"];
                let volumes = list(pod.spec, "/volumes").iter();
                let other = volumes.filter(|volume| VOLUMES.iter().all(|kind| volume.get(kind).is_none()));
                found.extend(other.map(|volume| format!("{}: {volume}", pod.of)));
            }
        },
        plant: |objects| edit(objects, "Pod", "/spec/containers/0/securityContext/capabilities/drop", json!([])),
    },
    Rule {
        name: "pods know nothing of the cluster",
        check: |objects, found| {
            // Variables for each Service would look like settings: BELLWIRE_GATEWAY_PORT.
            for (pod, name) in objects
                .pods()
                .into_iter()
                .flat_map(|pod| ["automountServiceAccountToken", "enableServiceLinks"].map(|name| (pod, name)))
            {
                if pod.spec.get(name) != Some(&json!(false)) {
                    found.push(format!("{}: {name}", pod.of));
                }
            }
        },
        plant: |objects| edit(objects, "Deployment", "/spec/template/spec/enableServiceLinks", json!(true)),
    },
    Rule {
        name: "secrets are files that follow a change",
        check: |objects, found| {
            for pod in objects.pods() {
                for container in pod.containers() {
                    let mounts = list(container, "/volumeMounts").iter();
                    let fixed = mounts.filter(|m| m.get("subPath").is_some() || m.get("subPathExpr").is_some());
                    // Settings are read once: pods are replaced when they change.
                    let fixed = fixed.filter(|mount| mount["name"] != "config");
                    found.extend(fixed.map(|mount| format!("{}: {mount}", pod.of)));
                    let variables = list(container, "/env").iter();
                    // Those that values bring have other names.
                    let ours =
                        variables.filter(|v| text(v, "/name").starts_with("BELLWIRE_") && v.get("value").is_none());
                    found.extend(ours.map(|variable| format!("{}: {variable}", pod.of)));
                }
            }
        },
        plant: |objects| {
            edit(
                objects,
                "Deployment",
                "/spec/template/spec/containers/0/volumeMounts",
                json!([{"name": "tokens", "subPath": "x"}]),
            );
        },
    },
    Rule {
        name: "pods get the time that they need to end",
        check: |objects, found| {
            for pod in objects.pods().into_iter().filter(|pod| !pod.of.is_hook()) {
                let grace = pod.spec["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
                let before = pod.spec.pointer("/containers/0/lifecycle/preStop/sleep/seconds").and_then(Value::as_u64);
                let Some(drain) = settings::of(objects, pod).map(|settings| settings.drain_seconds()) else {
                    found.push(format!("{} has no settings", pod.of));
                    continue;
                };
                if grace < before.unwrap_or(0) + drain + 30 {
                    found.push(format!("{}: {grace} s for {before:?} + {drain} + 30", pod.of));
                }
            }
        },
        plant: |objects| edit(objects, "Deployment", "/spec/template/spec/terminationGracePeriodSeconds", json!(159)),
    },
    Rule {
        name: "pods live on while the broker is away",
        check: |objects, found| {
            for pod in objects.pods().into_iter().filter(|pod| !pod.of.is_hook()) {
                let path = |probe: &str| text(pod.spec, &format!("/containers/0/{probe}/httpGet/path"));
                // The one that kills asks for life alone; the one that chooses for new connections asks for more.
                if path("livenessProbe") != "/healthz" || path("readinessProbe") != "/readyz" {
                    found.push(pod.of.to_string());
                }
            }
        },
        plant: |objects| {
            edit(
                objects,
                "Deployment",
                "/spec/template/spec/containers/0/livenessProbe/httpGet/path",
                json!("/readyz"),
            );
        },
    },
    Rule {
        name: "images are of one version",
        check: |objects, found| {
            for (pod, container) in
                objects.pods().iter().flat_map(|pod| pod.containers().into_iter().map(move |c| (pod, c)))
            {
                let image = text(container, "/image");
                let name = image.rsplit('/').next().unwrap_or_default();
                if !(name.contains(':') || name.contains('@')) || name.ends_with(":latest") || name.ends_with(':') {
                    found.push(format!("{}: {image:?}", pod.of));
                }
            }
        },
        plant: |objects| {
            edit(objects, "Deployment", "/spec/template/spec/containers/0/image", json!("bellwire:latest"));
        },
    },
    Rule {
        name: "nothing may ask the cluster",
        check: |objects, found| {
            let roles = objects.0.iter().filter(|object| object.group().starts_with("rbac."));
            found.extend(roles.map(Object::to_string));
        },
        plant: |objects| {
            let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {}});
            objects.0.push(Object(role, String::new()));
        },
    },
];

/// Whether a container runs the chart's image, and not one that values bring.
fn is_ours(container: &Value) -> bool {
    ["gateway", "ingest", "standalone", "check"].contains(&text(container, "/name"))
}
