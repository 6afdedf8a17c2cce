//! Releases that run on this machine as their render says: see [`pod`] and [`cluster`]. Needs root's rights.

mod cluster;
mod net;
mod operators;
mod pod;
mod volumes;

use std::time::Duration;

use bellwire_testkit::broker::Broker;
use bellwire_testkit::network;
use serde_json::{Value, json};

use self::cluster::{Cluster, set};
use self::net::Network;
use self::operators::{certificates, rabbit};
use self::volumes::Site;
use crate::helm::{Helm, LATE, Values, tools};
use crate::objects::Objects;
use crate::sets;

/// As most people will name it: then variables of its Services would look like settings.
const RELEASE: &str = "bellwire";
/// What a release with empty gateways needs to end: far less than the time to drain, which is for tabs.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

fn rendered(values: &Values) -> Objects {
    Objects::parse(&Helm::V4.try_render(values, LATE, RELEASE).unwrap()).unwrap()
}

/// Whether the test runs in a network of its own, from which no registry is reached.
async fn alone(test: &str) -> bool {
    tools();
    network::is_own(test).await.unwrap()
}

const USER: &str = "push";
/// With what means something in an address.
const PASSWORD: &str = "a-word:for/the@tests";

/// Secrets that the values name, but do not have.
fn site() -> Site {
    let files = [
        ("shared-key", "a-shared-key-for-the-tests-0123456789abcdef"),
        ("tokens", "engine:a-token-for-the-tests-0123456789abcdef\n"),
        ("username", USER),
        ("password", PASSWORD),
    ];
    Site::default().with("Secret", "all-secrets", &files)
}

/// A broker that knows the user.
async fn broker() -> Broker {
    let broker = Broker::start().await.unwrap();
    broker.rabbitmqctl(&["add_user", USER, PASSWORD]).await.unwrap();
    broker
}

async fn allow(broker: &Broker, [configure, write, read]: [&str; 3]) {
    broker.rabbitmqctl(&["set_permissions", USER, configure, write, read]).await.unwrap();
}

#[tokio::test]
async fn a_cluster_runs_as_rendered() {
    if !alone("running::a_cluster_runs_as_rendered").await {
        return;
    }
    let broker = broker().await;
    allow(&broker, [r"^bellwire\."; 3]).await;
    let outside = [("rabbit.example", 5672, ([127, 0, 0, 1], broker.port()).into())];
    let values = sets::minimal().and("two gateways", "gateway: {replicaCount: 2}\ningest: {replicaCount: 1}\n");
    let network = Network::open().await.unwrap();
    let mut cluster = Cluster::start(network, rendered(&values), site(), &outside).await.unwrap();
    assert_eq!(cluster.plans().len(), 3);
    println!("{}", cluster.test().await.unwrap());
    // One of two ends: the Service leads to the other one.
    let (gone, took) = cluster.end("bellwire-gateway-0").await.unwrap();
    assert!(gone == 1 && took < ENDS_WITHIN, "{took:?}");
    cluster.test().await.unwrap();
    let (gone, took) = cluster.end("").await.unwrap();
    assert!(gone == 2 && took < ENDS_WITHIN, "{took:?}");
    cluster.test().await.unwrap_err();
}

/// With everything that operators bring: RabbitMQ under the name and with the user and the rights that the chart asks for,
/// certificates for the names that it asks for.
#[tokio::test]
async fn the_preset_for_production_runs_as_rendered() {
    if !alone("running::the_preset_for_production_runs_as_rendered").await {
        return;
    }
    let broker = broker().await;
    let values = Values::file("values-production.yaml").and("site", sets::SITE);
    let values = values.and("least rights", "rabbitmq: {operator: {topologyOperator: {enabled: true}}}");
    let objects = rendered(&values);
    let site = certificates(&objects, site()).unwrap();
    let (site, rabbit) = rabbit(&objects, site, USER, PASSWORD).unwrap();
    allow(&broker, rabbit.rights.each_ref().map(String::as_str)).await;
    let outside = [(rabbit.host.as_str(), 5672, ([127, 0, 0, 1], broker.port()).into())];
    let mut cluster = Cluster::start(Network::open().await.unwrap(), objects, site, &outside).await.unwrap();
    assert!(cluster.plans().len() >= 4, "{}", cluster.plans().len());
    println!("{}", cluster.test().await.unwrap());
    let (_, took) = cluster.end("").await.unwrap();
    assert!(took < ENDS_WITHIN, "{took:?}");
}

#[tokio::test]
async fn the_preset_for_small_sites_runs_as_rendered() {
    if !alone("running::the_preset_for_small_sites_runs_as_rendered").await {
        return;
    }
    let values = Values::file("values-small.yaml").and("site", sets::SITE);
    let mut cluster = Cluster::start(Network::open().await.unwrap(), rendered(&values), site(), &[]).await.unwrap();
    println!("{}", cluster.test().await.unwrap());
    // A new pod on the same volume, which the old one has left in order.
    let plans = cluster.plans();
    assert_eq!(plans.len(), 1);
    let (_, took) = cluster.end("").await.unwrap();
    assert!(took < ENDS_WITHIN, "{took:?}");
    cluster.restart(&plans).await.unwrap();
    cluster.test().await.unwrap();
}

/// Probes speak TLS, too.
#[tokio::test]
async fn tls_for_administration_runs_as_rendered() {
    if !alone("running::tls_for_administration_runs_as_rendered").await {
        return;
    }
    let tls = "tls: {enabled: true, admin: true, certManager: {enabled: true, issuerRef: {name: site}}}\n";
    let objects = rendered(&sets::standalone().and("tls", tls));
    let site = certificates(&objects, site()).unwrap();
    let mut cluster = Cluster::start(Network::open().await.unwrap(), objects, site, &[]).await.unwrap();
    cluster.test().await.unwrap();
    cluster.end("").await.unwrap();
}

#[tokio::test]
async fn secrets_that_are_values_run_as_rendered() {
    if !alone("running::secrets_that_are_values_run_as_rendered").await {
        return;
    }
    let values = sets::standalone().and(
        "secrets as values",
        "
existingSecret: ''
openitcockpit: {sharedKey: {value: a-shared-key-for-the-tests-0123456789abcdef}}
ingest: {tokens: {value: 'engine:a-token-for-the-tests-0123456789abcdef'}}
standalone: {persistence: {enabled: false}}
",
    );
    let network = Network::open().await.unwrap();
    let mut cluster = Cluster::start(network, rendered(&values), Site::default(), &[]).await.unwrap();
    cluster.test().await.unwrap();
}

/// A mistake of the chart, made in a render of [`sets::standalone`], and words of what it leads to.
type Mistake = (&'static str, fn(&mut Objects), &'static str);

const MISTAKES: &[Mistake] = &[
    ("settings are mounted elsewhere", |o| mount(o, "config", "/etc/bellwire.toml"), "/etc/bellwire/bellwire.toml"),
    ("a secret is mounted elsewhere", |o| mount(o, "shared-key", "/etc/bellwire/key"), "shared-key"),
    ("the log is mounted elsewhere", |o| mount(o, "log", "/var/log/bellwire"), "/var/lib/bellwire"),
    ("a key of a Secret has another name", |o| volume(o, "tokens", "/secret/items/0/key", json!("token")), "no key"),
    (
        "a Secret has another name",
        |o| volume(o, "tokens", "/secret/secretName", json!("secrets")),
        "there is no Secret",
    ),
    (
        "files that the user may not read",
        |o| set(o, "StatefulSet", "/spec/template/spec/securityContext/fsGroup", Value::Null),
        "ermission",
    ),
    (
        "a role that there is not",
        |o| set(o, "StatefulSet", "/spec/template/spec/containers/0/args", json!(["standalon"])),
        "standalon",
    ),
    ("a probe at another path", |o| probe(o, "path", json!("/health")), "startupProbe"),
    ("a probe at another port", |o| probe(o, "port", json!(8080)), "startupProbe"),
    ("a probe at a port that there is not", |o| probe(o, "port", json!("metrics")), "no port"),
    (
        "variables of Services",
        |o| set(o, "StatefulSet", "/spec/template/spec/enableServiceLinks", json!(true)),
        "BELLWIRE_",
    ),
    ("root", |o| set(o, "StatefulSet", "/spec/template/spec/securityContext/runAsUser", json!(0)), "runAsNonRoot"),
    ("a Service to another port", |o| set(o, "Service", "/spec/ports/0/targetPort", json!(9083)), "helm test"),
    (
        "a Service to a port that there is not",
        |o| set(o, "Service", "/spec/ports/0/targetPort", json!("web")),
        "helm test",
    ),
    ("a Service at another port", |o| set(o, "Service", "/spec/ports/0/port", json!(80)), "helm test"),
    (
        "a Service for other pods",
        |o| set(o, "Service", "/spec/selector/app.kubernetes.io~1component", json!("x")),
        "helm test",
    ),
    ("a Service of another name", |o| set(o, "Service", "/metadata/name", json!("web")), "helm test"),
];

#[tokio::test]
async fn a_mistake_of_the_chart_is_found() {
    if !alone("running::a_mistake_of_the_chart_is_found").await {
        return;
    }
    let values = sets::standalone().and("hurried", "tests: {timeoutSeconds: 5}\n");
    let sound = rendered(&values);
    let network = Network::open().await.unwrap();
    for (name, plant, words) in MISTAKES {
        let mut objects = sound.clone();
        plant(&mut objects);
        let outcome = async {
            let mut cluster = Cluster::start(network, objects, site(), &[]).await?;
            cluster.test().await
        };
        let error = format!("{:#}", outcome.await.err().unwrap_or_else(|| panic!("not found: {name}")));
        assert!(error.contains(words), "{name}: no {words:?} in {error}");
    }
}

fn mount(objects: &mut Objects, volume: &str, path: &str) {
    let pod =
        &mut objects.0.iter_mut().find(|object| object.kind() == "StatefulSet").unwrap().0["spec"]["template"]["spec"];
    let mounts = pod["containers"][0]["volumeMounts"].as_array_mut().unwrap();
    mounts.iter_mut().find(|mount| mount["name"] == volume).unwrap()["mountPath"] = json!(path);
}

fn volume(objects: &mut Objects, name: &str, pointer: &str, value: Value) {
    let pod =
        &mut objects.0.iter_mut().find(|object| object.kind() == "StatefulSet").unwrap().0["spec"]["template"]["spec"];
    let volume = pod["volumes"].as_array_mut().unwrap().iter_mut().find(|volume| volume["name"] == name).unwrap();
    *volume.pointer_mut(pointer).unwrap() = value;
}

fn probe(objects: &mut Objects, field: &str, value: Value) {
    set(objects, "StatefulSet", "/spec/template/spec/containers/0/startupProbe/failureThreshold", json!(3));
    set(objects, "StatefulSet", &format!("/spec/template/spec/containers/0/startupProbe/httpGet/{field}"), value);
}
