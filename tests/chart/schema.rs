//! Whether Kubernetes would take the objects, by its own schemas and those of the operators that others bring.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::helm::{root, text, tools};
use crate::objects::Objects;

/// Collects what is to be looked at; all of it is looked at together.
#[derive(Debug, Default)]
pub(crate) struct Validation(Vec<Value>);

impl Validation {
    /// Adds the objects of a render for a version of Kubernetes.
    pub(crate) fn add(&mut self, name: &str, kubernetes: &str, objects: &Objects) {
        for object in &objects.0 {
            let name = format!("{name} on {kubernetes}: {object}");
            self.0.push(json!({"where": name, "version": kubernetes, "object": object.0}));
        }
    }

    /// What is wrong with them.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut node = Command::new("node");
        node.arg(root().join("tests/chart/validate.mjs")).arg(tools().join("schemas"));
        let mut node = node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let input = serde_json::to_vec(&self.0).unwrap();
        let mut pipe = node.stdin.take().unwrap();
        // It reads all before it writes anything.
        pipe.write_all(&input).unwrap();
        drop(pipe);
        let output = node.wait_with_output().unwrap();
        assert!(output.status.success(), "tests/chart/validate.mjs: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn what_a_schema_does_not_know_is_found() {
    let wrong = |object: &str, words: &str| {
        let mut validation = Validation::default();
        validation.add("planted", "1.30", &Objects::parse(object).unwrap());
        let problems = validation.problems();
        assert!(problems.iter().any(|problem| problem.contains(words)), "no {words} in {problems:?}");
    };
    wrong("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labls: {}}}", "labls");
    wrong("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {selector: {}}}", "template");
    wrong("{apiVersion: v1, kind: Confgimap, metadata: {name: a}}", "there is no");
    wrong(
        "{apiVersion: monitoring.coreos.com/v1, kind: PodMonitor, metadata: {name: a}, spec: {selector: {}, podMetricsEndpoints: [{prt: x}]}}",
        "prt",
    );
    wrong(
        "{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: {name: a}, spec: {groups: [{name: a, rules: [{alrt: x, expr: '1'}]}]}}",
        "alrt",
    );
    wrong(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}, spec: {rules: [{backendRefs: [{name: a, port: http}]}]}}",
        "integer",
    );
    wrong(
        "{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: a}, spec: {scaleTargetRef: {name: a}, triggers: [{type: prometheus, metadata: {threshold: 5}}]}}",
        "string",
    );
    wrong(
        "{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: a}, spec: {secretName: a, issuerRef: {nam: a}}}",
        "nam",
    );
    wrong(
        "{apiVersion: rabbitmq.com/v1beta1, kind: RabbitmqCluster, metadata: {name: a}, spec: {replcas: 3}}",
        "replcas",
    );
    // Not yet in the oldest Kubernetes that the chart takes.
    wrong(
        "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, lifecycle: {stopSignal: SIGTERM}}]}}",
        "stopSignal",
    );
}
