//! All sets of values, rendered.

use std::collections::BTreeSet;

use crate::helm::{BOTH, Helm, KUBERNETES, LATE, NAMESPACE, RELEASE, Values};
use crate::objects::{Object, Objects, list, pairs, text};
use crate::schema::Validation;
use crate::{rules, sets};

#[test]
fn lint_has_nothing_to_say() {
    let mut all = vec![sets::minimal(), sets::standalone()];
    all.extend(sets::presets());
    for values in all {
        for helm in BOTH {
            assert_eq!(helm.lint(&values, KUBERNETES[0]), None, "{helm:?}, {}", values.name);
        }
    }
}

#[test]
fn every_render_is_sound() {
    let mut validation = Validation::default();
    let mut problems = Vec::new();
    let mut kinds = BTreeSet::new();
    for values in sets::all() {
        for kubernetes in KUBERNETES {
            let objects =
                if kubernetes == LATE { Helm::V4.objects(&values) } else { at(Helm::V4, &values, kubernetes) };
            validation.add(&values.name, kubernetes, &objects);
            problems.extend(rules::problems(&objects).into_iter().map(|problem| format!("{}: {problem}", values.name)));
            kinds.extend(objects.0.iter().map(|object| object.kind().to_owned()));
        }
        problems.extend(words_of_yaml_1_1(&Helm::V4.render(&values)));
    }
    problems.extend(validation.problems());
    let distinct: BTreeSet<_> = problems.into_iter().collect();
    assert!(
        distinct.is_empty(),
        "{} problems:\n{}",
        distinct.len(),
        distinct.into_iter().collect::<Vec<_>>().join("\n")
    );
    // That the sets render what they are for.
    const ALL: [&str; 23] = [
        "BackendTrafficPolicy",
        "Certificate",
        "ConfigMap",
        "Deployment",
        "DestinationRule",
        "HTTPRoute",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "Permission",
        "Pod",
        "PodDisruptionBudget",
        "PodMonitor",
        "PrometheusRule",
        "RabbitmqCluster",
        "ScaledObject",
        "Secret",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
        "StatefulSet",
        "User",
        "Vhost",
    ];
    let missing: Vec<_> = ALL.iter().filter(|kind| !kinds.contains(**kind)).collect();
    assert!(missing.is_empty(), "no set renders {missing:?}");
}

#[test]
fn both_helms_render_the_same_and_always_the_same() {
    for values in sets::all() {
        let objects = Helm::V4.objects(&values);
        assert_eq!(Helm::V3.objects(&values), objects, "{}", values.name);
    }
    // GitOps tools render again and again: a password made by chance would change each time.
    for values in [sets::minimal(), sets::standalone()] {
        let again = Helm::V4.try_render(&values, LATE, RELEASE).unwrap();
        assert_eq!(Helm::V4.render(&values), again, "{}", values.name);
    }
}

fn at(helm: Helm, values: &Values, kubernetes: &str) -> Objects {
    let rendered = helm.try_render(values, kubernetes, RELEASE);
    let text = rendered.unwrap_or_else(|error| panic!("{helm:?}, {} on {kubernetes}: {error}", values.name));
    Objects::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", values.name))
}

/// Words that Kubernetes takes for true and false, but the parser of these tests for texts.
fn words_of_yaml_1_1(rendered: &str) -> Vec<String> {
    let is_word = |line: &&str| {
        let item = line.trim_start();
        let value = item.split_once(": ").map_or(item.trim_start_matches("- "), |(_, value)| value);
        ["y", "n", "yes", "no", "on", "off"].contains(&value.to_lowercase().as_str())
    };
    rendered.lines().filter(is_word).map(|line| format!("without quotes: {line}")).collect()
}

#[test]
fn words_that_are_true_or_false_elsewhere_are_found() {
    let rendered = "a: \"on\"\nb: off\nc:\n  - d: Yes\n  - n\n";
    assert_eq!(
        words_of_yaml_1_1(rendered),
        ["without quotes: b: off", "without quotes:   - d: Yes", "without quotes:   - n"]
    );
}

#[test]
fn the_longest_names_fit() {
    // helm's limit.
    let release = "r".repeat(53);
    let long = format!("nameOverride: {}\nmode: MODE\n", "n".repeat(63));
    for (values, mode) in [(sets::minimal(), "cluster"), (sets::standalone(), "standalone")] {
        let all = values.and(
            "long names",
            &format!("{}\nnetworkPolicy: {{enabled: true}}\nmetrics: {{podMonitor: {{enabled: true}}, prometheusRule: {{enabled: true}}, dashboards: {{enabled: true}}}}\n", long.replace("MODE", mode)),
        );
        let rendered = Helm::V4.try_render(&all, LATE, &release).unwrap();
        assert_eq!(rules::problems(&Objects::parse(&rendered).unwrap()), Vec::<String>::new());
        let wide = all.and("", &format!("fullnameOverride: {}", "f".repeat(63)));
        let rendered = Helm::V4.try_render(&wide, LATE, &release).unwrap();
        assert_eq!(rules::problems(&Objects::parse(&rendered).unwrap()), Vec::<String>::new());
    }
}

#[test]
fn secrets_stand_in_secrets_and_nowhere_else() {
    const MARKS: [&str; 5] = ["MARK-key", "MARK-cnf", "MARK-token", "MARK-user", "MARK-word"];
    let values = sets::minimal().and(
        "marked secrets",
        "
existingSecret: ''
openitcockpit: {sharedKey: {value: MARK-key}, mysql: {value: MARK-cnf}}
ingest: {tokens: {value: MARK-token}}
rabbitmq: {external: {username: MARK-user, password: MARK-word}}
",
    );
    let rendered = Helm::V4.render(&values);
    for mark in MARKS {
        assert!(!rendered.contains(mark), "{mark} is readable");
    }
    let objects = Helm::V4.objects(&values);
    let encoded = |mark: &str| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, mark);
    for mark in MARKS {
        let of: Vec<_> = objects.0.iter().filter(|object| object.0.to_string().contains(&encoded(mark))).collect();
        assert!(of.len() == 1 && of[0].kind() == "Secret", "{mark}: {of:?}");
    }
}

#[test]
fn every_image_is_chosen_by_values() {
    let images = |values: &Values| -> BTreeSet<String> {
        let objects = Helm::V4.objects(values);
        let containers = objects.pods().into_iter().flat_map(|pod| pod.containers());
        containers.map(|container| text(container, "/image").to_owned()).collect()
    };
    for base in [sets::minimal(), sets::standalone()] {
        let tag = images(&base.and("tag", "image: {registry: a.example, repository: b/c, tag: d}"));
        assert_eq!(tag, BTreeSet::from(["a.example/b/c:d".to_owned()]));
        let digest = format!("sha256:{}", "0".repeat(64));
        let text = format!(
            "global: {{imageRegistry: g.example}}\nimage: {{registry: a.example, repository: b, tag: d, digest: '{digest}'}}"
        );
        assert_eq!(images(&base.and("digest", &text)), BTreeSet::from([format!("g.example/b@{digest}")]));
    }
}

#[test]
fn namespace_and_common_labels_reach_every_object() {
    let values = "namespaceOverride: elsewhere\ncommonLabels: {team: push}\ncommonAnnotations: {note: it}\n";
    for values in [sets::minimal().and("common", values), sets::standalone().and("common", values)] {
        let objects = Helm::V4.objects(&values);
        let misses = |object: &&Object| {
            let at = |path: &str| text(&object.0, path).to_owned();
            at("/metadata/namespace") != "elsewhere"
                || at("/metadata/labels/team") != "push"
                || at("/metadata/annotations/note") != "it"
        };
        let missed: Vec<_> = objects.0.iter().filter(misses).map(Object::to_string).collect();
        assert!(missed.is_empty(), "{}: {missed:?}", values.name);
        assert!(
            !objects.0.iter().any(|object| object.0.to_string().contains(NAMESPACE)),
            "an address or object in {NAMESPACE}"
        );
    }
}

/// Server-side apply, and an upgrade from the release before: what cannot change must not come from values that do.
#[test]
fn selectors_stay_when_everything_else_changes() {
    let selectors = |values: &Values| -> Vec<String> {
        let objects = Helm::V4.objects(values);
        let workloads = objects.0.iter().filter(|object| object.pod().is_some() && !object.is_hook());
        workloads.map(|object| format!("{object} {:?}", pairs(&object.0, "/spec/selector/matchLabels"))).collect()
    };
    let changed =
        "commonLabels: {a: b}\nimage: {tag: '9'}\ngateway: {podLabels: {c: d}}\nstandalone: {podLabels: {c: d}}\n";
    for base in [sets::minimal(), sets::standalone()] {
        assert_eq!(selectors(&base), selectors(&base.and("changed", changed)));
    }
}

#[test]
fn no_port_of_administration_is_public() {
    for values in sets::all() {
        let objects = Helm::V4.objects(&values);
        for service in objects.kind("Service").filter(|service| !service.name().ends_with("-admin")) {
            let ports = list(&service.0, "/spec/ports");
            assert!(ports.iter().all(|port| text(port, "/targetPort") != "admin"), "{}: {service}", values.name);
        }
        // An Ingress or route leads to public Services only, which the rules make sure are there.
        let routes = objects.0.iter().filter(|object| ["HTTPRoute", "Ingress"].contains(&object.kind()));
        assert!(routes.into_iter().all(|route| !route.0.to_string().contains("-admin")), "{}", values.name);
    }
}
