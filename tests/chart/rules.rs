//! What every render must hold, beyond the schemas. Each rule comes with a mistake that it must find.

mod security;
mod shape;
mod wiring;

use crate::helm::{Helm, Values};
use crate::objects::Objects;

/// A rule.
pub(crate) struct Rule {
    name: &'static str,
    check: fn(&Objects, &mut Vec<String>),
    /// Makes a mistake in a render of [`EVERYTHING`].
    plant: fn(&mut Objects),
}

/// All of them.
pub(crate) fn rules() -> impl Iterator<Item = &'static Rule> {
    wiring::RULES.iter().chain(shape::RULES).chain(security::RULES)
}

/// What is wrong with a render.
pub(crate) fn problems(objects: &Objects) -> Vec<String> {
    let mut all = Vec::new();
    for rule in rules() {
        let mut found = Vec::new();
        (rule.check)(objects, &mut found);
        all.extend(found.into_iter().map(|problem| format!("{}: {problem}", rule.name)));
    }
    all
}

/// Values under which each kind of object is there that a rule looks at.
const EVERYTHING: &str = "
existingSecret: all-secrets
openitcockpit: {url: 'https://monitoring.example'}
rabbitmq: {external: {hosts: [rabbit.example]}}
networkPolicy: {enabled: true}
ingest: {replicaCount: 2, httpRoute: {enabled: true, parentRefs: [{name: web}]}}
gateway:
  ingress: {enabled: true, hosts: [push.example]}
  httpRoute: {enabled: true, parentRefs: [{name: web}]}
  autoscaling: {enabled: true}
metrics: {podMonitor: {enabled: true}}
";

#[test]
fn every_rule_finds_its_mistake() {
    let sound = Helm::V4.objects(&Values::text("everything", EVERYTHING));
    assert_eq!(problems(&sound), Vec::<String>::new());
    for rule in rules() {
        let mut planted = sound.clone();
        (rule.plant)(&mut planted);
        assert_ne!(planted, sound, "{}: nothing was planted", rule.name);
        let mut found = Vec::new();
        (rule.check)(&planted, &mut found);
        assert!(!found.is_empty(), "not found: {}", rule.name);
    }
}
